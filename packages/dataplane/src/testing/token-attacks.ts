// What attackers send in place of a token. Each is to be refused, for a reason that shows how far it got. Tests only.
import { createHmac, KeyObject, sign as signBytes } from 'node:crypto';
import type { TokenIssuer, TokenPolicy } from '@heddle/core';
import { CompactEncrypt, exportSPKI, importJWK } from 'jose';
import type { CryptoKey } from 'jose';
import { signingKey, TestIssuer } from './issuer.ts';
import type { SigningKey } from './issuer.ts';

export type Headers = readonly (readonly [string, string])[];

export interface Attack {
  readonly name: string;
  /** In the log. */
  readonly reason: RegExp;
  readonly headers: () => Promise<Headers>;
}

const encode = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
export const bearer = (token: string): Headers => [['authorization', `Bearer ${token}`]];

/** Two issuers that are accepted, each for its own audience and places, and somebody with a key of his own. */
export class Targets {
  readonly login: TestIssuer;
  readonly partner: TestIssuer;
  readonly stranger: SigningKey;

  private constructor(login: TestIssuer, partner: TestIssuer, stranger: SigningKey) {
    this.login = login;
    this.partner = partner;
    this.stranger = stranger;
  }

  static async start(): Promise<Targets> {
    return new Targets(await TestIssuer.start('RS256', 'ES256'), await TestIssuer.start('ES256'), await signingKey('RS256', 'mine'));
  }

  get policy(): TokenPolicy {
    const sources: TokenIssuer['sources'] = [
      { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
      { kind: 'cookie', name: 'session' },
    ];
    return { issuers: [this.login.config({ sources }), this.partner.config({ name: 'partner', audiences: ['other'] })] };
  }

  /** The parts of a good token. */
  async parts(): Promise<[string, string, string]> {
    return (await this.login.token()).split('.') as [string, string, string];
  }

  async close(): Promise<void> {
    await this.login.close();
    await this.partner.close();
  }
}

export function attacksOn(targets: Targets): readonly Attack[] {
  return [...forged(targets), ...terms(targets), ...headers(targets), ...forms(targets)];
}

type Add = (name: string, reason: RegExp, token: () => Promise<string>) => void;

/** A list, and what adds to it an attack with a token in its usual place. */
function table(): { attacks: Attack[]; refusedToken: Add } {
  const attacks: Attack[] = [];
  return {
    attacks,
    refusedToken: (name, reason, token) => void attacks.push({ name, reason, headers: async () => bearer(await token()) }),
  };
}

/** Signatures and keys that are not those of the issuer. */
function forged(targets: Targets): Attack[] {
  const { attacks, refusedToken } = table();
  const { login, partner, stranger } = targets;
  for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
    refusedToken(
      `algorithm "${alg}" without a signature`,
      /not signed/,
      async () => `${encode({ alg, typ: 'JWT' })}.${(await targets.parts())[1]}.`,
    );
    refusedToken(`algorithm "${alg}" with the signature of another token`, /algorithm ".*" is not allowed/, async () => {
      const [, claims, signature] = await targets.parts();
      return `${encode({ alg })}.${claims}.${signature}`;
    });
  }

  refusedToken('the public key as the secret of HS256 (PEM)', /"HS256" is not allowed/, async () => {
    const { jwk, kid } = login.keys[0]!;
    const pem = await exportSPKI((await importJWK(jwk, 'RS256')) as CryptoKey);
    const input = `${encode({ alg: 'HS256', kid })}.${(await targets.parts())[1]}`;
    return `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`;
  });
  refusedToken('the public key as the secret of HS256 (modulus)', /"HS256" is not allowed/, async () => {
    const { jwk, kid } = login.keys[0]!;
    const input = `${encode({ alg: 'HS256', kid })}.${(await targets.parts())[1]}`;
    return `${input}.${createHmac('sha256', Buffer.from(jwk.n!, 'base64url')).update(input).digest('base64url')}`;
  });
  refusedToken('an algorithm of another kind of key', /no such key/, async () => {
    const [header, claims, signature] = await targets.parts();
    return `${encode({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), alg: 'ES256' })}.${claims}.${signature}`;
  });
  refusedToken('an algorithm that is not allowed', /"PS256" is not allowed/, () =>
    login.token({}, { alg: 'PS256' }, { ...login.keys[0]!, alg: 'RS256' }).catch(async () => {
      const [header, claims, signature] = await targets.parts();
      return `${encode({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), alg: 'PS256' })}.${claims}.${signature}`;
    }),
  );

  refusedToken('a key that nobody knows', /no such key/, () => login.token({}, { kid: 'unknown' }));
  refusedToken('the name of a good key over a signature of another', /signature/, () =>
    login.token({}, { kid: login.keys[0]!.kid }, stranger),
  );
  refusedToken('no name of a key over a signature of another', /signature/, () => login.token({}, { kid: undefined }, stranger));
  refusedToken('a name that is a path', /no such key/, () => login.token({}, { kid: '../../../../dev/null' }, stranger));
  refusedToken('a key of another issuer that is accepted, too', /no such key/, () => login.token({}, {}, partner.keys[0]!));
  refusedToken('the good name of the key of another issuer', /no such key/, () => login.token({}, { kid: partner.keys[0]!.kid }));
  refusedToken('another issuer for the audience of the first', /audience "shop"/, () => partner.token({ aud: 'shop' }));
  refusedToken('claims of another token', /signature/, async () => {
    const [header, , signature] = await targets.parts();
    return `${header}.${(await login.token({ sub: 'root' })).split('.')[1]}.${signature}`;
  });
  return attacks;
}

/** What the issuer did sign, for others, for another time, or in two ways. */
function terms(targets: Targets): Attack[] {
  const { attacks, refusedToken } = table();
  const { login } = targets;
  const now = Math.floor(Date.now() / 1_000);
  const refused = (name: string, reason: RegExp, all: () => Promise<Headers>): void => void attacks.push({ name, reason, headers: all });
  refusedToken('expired', /ended/, () => login.token({ iat: now - 900, exp: now - 61 }));
  refusedToken('not yet valid', /will be valid/, () => login.token({ nbf: now + 120 }));
  refusedToken('issued in the future', /will be issued/, () => login.token({ iat: now + 120 }));
  refusedToken('without an end', /no end/, () => login.token({ exp: undefined }));
  refusedToken('an end that is text', /times/, () => login.token({ exp: '9999999999' }));
  refusedToken('a wrong issuer', /none of the issuers/, () => login.token({ iss: 'https://id.evil' }));
  refusedToken('an issuer that differs in a slash', /none of the issuers/, () => login.token({ iss: `${login.url}/` }));
  refusedToken('without an issuer', /none of the issuers/, () => login.token({ iss: undefined }));
  refusedToken('a wrong audience', /audience "bank"/, () => login.token({ aud: 'bank' }));
  refusedToken('wrong audiences', /audience/, () => login.token({ aud: ['bank', 'shop '] }));
  refusedToken('without an audience', /no audience/, () => login.token({ aud: undefined }));

  refusedToken('a huge token', /characters, more than/, () => login.token({ groups: 'x'.repeat(20_000) }));
  refused('a huge scheme of blanks', /ended/, async () => [
    ['authorization', `Bearer${' '.repeat(10_000)}${await login.token({ exp: 1 })}`],
  ]);
  for (const [name, claims] of [
    ['sub', (token: object) => JSON.stringify(token).replace('{', '{"sub":"root",')],
    ['sub, written with an escape', (token: object) => JSON.stringify(token).replace('{', '{"s\\u0075b":"root",')],
  ] as const) {
    refusedToken(`the claim ${name} twice, well signed`, /name a member twice/, async () => {
      const { privateKey, kid, alg } = login.keys[1]!;
      const body = claims({ iss: login.url, aud: 'shop', sub: 'ann', exp: now + 600 });
      const input = `${encode({ alg, kid })}.${encode(body)}`;
      const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, Buffer.from(input));
      return `${input}.${Buffer.from(signature).toString('base64url')}`;
    });
  }
  refusedToken('the algorithm twice in the header, well signed', /names a member twice/, async () => {
    const { privateKey, kid, alg } = login.keys[1]!;
    const input = `${encode(`{"alg":"none","alg":"${alg}","kid":"${kid}"}`)}.${(await targets.parts())[1]}`;
    const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, Buffer.from(input));
    return `${input}.${Buffer.from(signature).toString('base64url')}`;
  });
  return attacks;
}

/** Headers that would have the token checked by other means. */
function headers(targets: Targets): Attack[] {
  const { attacks, refusedToken } = table();
  const { login, partner, stranger } = targets;
  refusedToken('an embedded key', /key of its own/, () => login.token({}, { jwk: stranger.jwk, kid: undefined }, stranger));
  refusedToken('an embedded key under a good name', /key of its own/, () =>
    login.token({}, { jwk: stranger.jwk, kid: login.keys[0]!.kid }, stranger),
  );
  refusedToken('a pointer to other keys (jku)', /key of its own/, () =>
    login.token({}, { jku: `${partner.url}/jwks`, kid: partner.keys[0]!.kid }, partner.keys[0]!),
  );
  refusedToken('a pointer to a certificate (x5u)', /key of its own/, () => login.token({}, { x5u: `${partner.url}/cert` }, stranger));
  refusedToken('a certificate (x5c)', /key of its own/, () => login.token({}, { x5c: [Buffer.from('x').toString('base64')] }, stranger));
  refusedToken('a well signed token that brings a key', /key of its own/, () => login.token({}, { jwk: login.keys[0]!.jwk }));

  refusedToken('an extension that must be understood', /"crit"/, async () => {
    const { privateKey, kid, alg } = login.keys[1]!;
    const input = `${encode({ alg, kid, crit: ['x'], x: 1 })}.${(await targets.parts())[1]}`;
    const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, Buffer.from(input));
    return `${input}.${Buffer.from(signature).toString('base64url')}`;
  });
  refusedToken('claims that are not encoded (b64: false)', /"crit"/, async () => {
    const [, claims, signature] = await targets.parts();
    return `${encode({ alg: 'RS256', b64: false, crit: ['b64'] })}.${claims}.${signature}`;
  });
  refusedToken('detached claims', /no claims/, async () => {
    const [header, , signature] = await targets.parts();
    return `${header}..${signature}`;
  });
  refusedToken('an encrypted token', /encrypted/, async () => {
    const { jwk } = await signingKey('RS256');
    const { use: _, alg: __, ...key } = jwk;
    return new CompactEncrypt(Buffer.from(JSON.stringify({ sub: 'root' })))
      .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' })
      .encrypt(await importJWK({ ...key, alg: 'RSA-OAEP-256' }, 'RSA-OAEP-256'));
  });
  refusedToken('a token of another type', /type "dpop/, () => login.token({}, { typ: 'dpop+jwt' }));
  return attacks;
}

/** Other ways to write a token, and to send it. */
function forms(targets: Targets): Attack[] {
  const { attacks, refusedToken } = table();
  const { login, partner } = targets;
  const refused = (name: string, reason: RegExp, all: () => Promise<Headers>): void => void attacks.push({ name, reason, headers: all });
  refusedToken('garbage behind it', /signature/, async () => `${await login.token()}AA`);
  refusedToken('a fourth part', /no JSON Web Token/, async () => `${await login.token()}.AAAA`);
  refusedToken('two tokens with a comma', /characters that no token has/, async () => `${await login.token()},${await login.token()}`);
  refusedToken('padding', /written in base64url/, async () => `${await login.token()}=`);
  refusedToken('a signature written another way', /written in base64url/, async () => {
    // 64 bytes leave four bits of the last character that mean nothing.
    const token = await login.token({}, {}, login.keys[1]!);
    const last = token.at(-1)!;
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return `${token.slice(0, -1)}${alphabet[alphabet.indexOf(last) + 1]!}`;
  });
  refusedToken('a DER signature in place of the one of RFC 7518', /signature is not by/, async () => {
    const { privateKey, kid, alg } = login.keys[1]!;
    const input = `${encode({ alg, kid })}.${(await targets.parts())[1]}`;
    return `${input}.${signBytes('sha256', Buffer.from(input), KeyObject.from(privateKey as never)).toString('base64url')}`;
  });
  refusedToken('a signature of zeros', /signature is not by/, async () => {
    const { kid, alg } = login.keys[1]!;
    return `${encode({ alg, kid })}.${(await targets.parts())[1]}.${Buffer.alloc(64).toString('base64url')}`;
  });
  refusedToken('no JSON Web Token at all', /no JSON Web Token/, () => Promise.resolve('letmein'));
  refusedToken('JSON in place of the compact form', /characters that no token has/, async () => {
    const [header, payload, signature] = await targets.parts();
    return JSON.stringify({ payload, protected: header, signature });
  });

  refused('the header twice', /something else than one token/, async () => [
    ...bearer(await login.token()),
    ...bearer(await login.token({ sub: 'bob' })),
  ]);
  refused('a scheme and nothing else', /something else than one token/, () => Promise.resolve([['authorization', 'Bearer']]));
  refused('a bad token in the header beside a good one in the cookie', /no JSON Web Token/, async () => [
    ...bearer('bad'),
    ['cookie', `session=${await login.token()}`],
  ]);
  refused('the cookie twice', /something else than one token/, async () => [
    ['cookie', `session=${await login.token()}; session=${await login.token({ sub: 'bob' })}`],
  ]);
  refused('a token of an issuer in a place where only those of another count', /none of the issuers/, async () => [
    ['cookie', `session=${await partner.token({ aud: 'other' })}`],
  ]);
  return attacks;
}
