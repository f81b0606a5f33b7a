import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { PlainRequest } from '@heddle/core';
import type { Limits, TokenIssuer } from '@heddle/core';
import type { HeaderEffect, TokenAnswer, TokenGates } from '../stack/access-gate.ts';
import { authnDeps, signingKey, TestIssuer } from '../testing/issuer.ts';
import { until } from '../testing/raw-http.ts';
import { gatesOf } from './gates.ts';

type Headers = readonly (readonly [string, string])[];

interface Stage {
  readonly issuer: TestIssuer;
  readonly gates: TokenGates;
  readonly lines: readonly string[];
  readonly metrics: () => string;
  readonly later: (ms: number) => void;
  readonly timers: () => number;
  /** Also the answer in the same turn, where there was one. */
  readonly ask: (headers: Headers) => Promise<TokenAnswer & { readonly atOnce?: true }>;
  readonly bearer: (token: string) => Promise<TokenAnswer & { readonly atOnce?: true }>;
  readonly always: HeaderEffect;
}

const closers: (() => unknown)[] = [];

async function stage(
  config: Partial<TokenIssuer> | ((issuer: TestIssuer) => Partial<TokenIssuer>) = {},
  limits: Partial<Limits> = {},
): Promise<Stage> {
  const issuer = await TestIssuer.start();
  return staged(issuer, [issuer.config(typeof config === 'function' ? config(issuer) : config)], limits);
}

function staged(issuer: TestIssuer, issuers: readonly TokenIssuer[], limits: Partial<Limits> = {}): Stage {
  const { deps, lines, metrics, later, timers } = authnDeps(limits);
  const gates = gatesOf(deps);
  closers.push(() => issuer.close());
  closers.push(() => gates.close());
  const gate = gates.gateFor({ issuers });
  const ask: Stage['ask'] = async (headers) => {
    const answer = gate.check(new PlainRequest({ authority: 'orders', headers }), deps.clock.wallMs());
    return answer.kind === 'later' ? new Promise((resolve) => void answer.wait(resolve)) : { ...answer, atOnce: true };
  };
  return {
    issuer,
    gates,
    lines,
    metrics,
    later,
    timers,
    ask,
    bearer: (token) => ask([['authorization', `Bearer ${token}`]]),
    always: gate.always,
  };
}

after(async () => {
  for (const close of closers.reverse()) await close();
});

describe('keys of issuers', () => {
  test('are asked for once, before any token comes, however many tokens wait for them', async () => {
    const { issuer, bearer } = await stage();
    let open = (): void => {};
    issuer.gate = new Promise((resolve) => (open = resolve));
    const answers = Promise.all(Array.from({ length: 20 }, async (_, i) => bearer(await issuer.token({ sub: `user-${i}` }))));
    await until(() => issuer.count('/jwks') === 1, 'the question for keys');
    open();
    assert.deepEqual(new Set((await answers).map(({ kind }) => kind)), new Set(['valid']));
    assert.equal(issuer.count('/jwks'), 1);
  });

  test('a token that is known is answered at once, until it ends', async () => {
    const { issuer, bearer, later } = await stage();
    const token = await issuer.token({ exp: Math.floor(Date.now() / 1_000) + 100 });
    assert.equal((await bearer(token)).atOnce, undefined);
    const again = await bearer(token);
    assert.ok(again.kind === 'valid' && again.atOnce);
    assert.equal(again.token.issuer, 'login');
    assert.equal(again.token.claims.sub, 'ann');
    later(161_000);
    assert.match(((await bearer(token)) as { reason: string }).reason, /ended/);
  });

  test('a new key is asked for when a token names it; unknown names cause one question in 30 s', async () => {
    const { issuer, bearer, later } = await stage();
    assert.equal((await bearer(await issuer.token())).kind, 'valid');
    issuer.keys.unshift(await signingKey());
    assert.equal((await bearer(await issuer.token())).kind, 'valid', 'of the new key');
    assert.equal(issuer.count('/jwks'), 2);
    for (let i = 0; i < 5; i++) assert.equal((await bearer(await issuer.token({}, { kid: `unknown-${i}` }))).kind, 'invalid');
    assert.equal(issuer.count('/jwks'), 2);
    later(30_000);
    assert.equal((await bearer(await issuer.token({}, { kid: 'unknown' }))).kind, 'invalid');
    assert.equal(issuer.count('/jwks'), 3);
  });

  test('are asked for again by themselves when they are old, and not any more when no policy names them', async () => {
    const { issuer, gates, bearer, timers } = await stage({ keysMaxAgeMs: 20 });
    await until(() => issuer.count('/jwks') >= 3, 'more questions');
    const { keys } = issuer;
    issuer.keys = [await signingKey()];
    const answered = issuer.count('/jwks');
    await until(() => issuer.count('/jwks') >= answered + 2, 'the new keys');
    assert.equal((await bearer(await issuer.token())).kind, 'valid');
    assert.equal((await bearer(await issuer.token({}, {}, keys[0]!))).kind, 'invalid');
    assert.notEqual(timers(), 0);
    gates.retain([]);
    await until(() => timers() === 0, 'nothing that would ask again');
  });

  test('a key that was taken back takes the tokens along that were known by it', async () => {
    const { issuer, bearer, later } = await stage();
    const old = await issuer.token();
    assert.equal((await bearer(old)).kind, 'valid');
    issuer.keys = [await signingKey()];
    later(30_000);
    assert.equal((await bearer(await issuer.token())).kind, 'valid');
    assert.equal((await bearer(old)).kind, 'invalid');
  });

  test('a key that is for another algorithm from now on does, too', async () => {
    const issuer = await TestIssuer.start('RS256');
    const { bearer, later } = staged(issuer, [issuer.config()]);
    const old = await issuer.token();
    assert.equal((await bearer(old)).kind, 'valid');
    const [key] = issuer.keys;
    issuer.keys = [{ ...key!, jwk: { ...key!.jwk, alg: 'PS256' } }];
    later(30_000);
    await bearer(await issuer.token({}, { kid: 'unknown' }));
    assert.equal(issuer.count('/jwks'), 2);
    assert.equal((await bearer(old)).kind, 'invalid');
  });

  test('tokens stay known while keys only come to them', async () => {
    const { issuer, bearer } = await stage();
    const old = await issuer.token();
    await bearer(old);
    issuer.keys.push(await signingKey());
    assert.equal((await bearer(await issuer.token({}, {}, issuer.keys[1]!))).kind, 'valid');
    assert.ok((await bearer(old)).atOnce);
  });

  test('the last good keys serve while the issuer is away, and it is said', async () => {
    const { issuer, bearer, later, metrics, lines } = await stage();
    await bearer(await issuer.token());
    assert.match(metrics(), /heddle_issuer_unreachable\{issuer="login"\} 0/);
    issuer.isDown = true;
    later(30_000);
    assert.equal((await bearer(await issuer.token({}, { kid: 'unknown' }))).kind, 'invalid');
    assert.equal((await bearer(await issuer.token({ sub: 'new' }))).kind, 'valid', 'by the keys of before');
    assert.match(metrics(), /heddle_issuer_unreachable\{issuer="login"\} 1/);
    assert.match(metrics(), /heddle_issuer_failures_total\{issuer="login"\} [1-9]/);
    assert.ok(lines.some((line) => line.includes('those of before stay in use') && line.includes('/jwks')));
    issuer.isDown = false;
    issuer.replies.set('/jwks', () => ({ body: { keys: [] } }));
    later(30_000);
    await bearer(await issuer.token({}, { kid: 'unknown' }));
    assert.equal((await bearer(await issuer.token({ sub: 'newer' }))).kind, 'valid', 'an empty set does not take the keys away');
  });

  test('without any keys it is not known whether a token is valid; it is asked again by itself', async () => {
    const issuer = await TestIssuer.start();
    issuer.isDown = true;
    const { bearer } = staged(issuer, [issuer.config()]);
    const token = await issuer.token();
    const answer = await bearer(token);
    assert.equal(answer.kind, 'unavailable');
    assert.match((answer as { reason: string }).reason, /\/jwks closed the connection before its answer was complete/);
    issuer.isDown = false;
    await until(() => issuer.count('/jwks') > 1, 'the next question');
    const end = Date.now() + 5_000;
    while ((await bearer(token)).kind !== 'valid') assert.ok(Date.now() < end, 'the issuer is back');
  });

  test('discovery is believed only from the issuer itself', async () => {
    const good = await stage({ keys: { kind: 'discovery' } });
    assert.equal((await good.bearer(await good.issuer.token())).kind, 'valid');
    for (const document of [
      { issuer: 'https://id.evil', jwks_uri: `${good.issuer.url}/jwks` },
      { issuer: good.issuer.url },
      { issuer: good.issuer.url, jwks_uri: 'ftp://127.0.0.1/jwks' },
      { issuer: good.issuer.url, jwks_uri: 'http://198.51.100.1/jwks' },
      'no JSON',
    ]) {
      const issuer = await TestIssuer.start();
      issuer.replies.set('/.well-known/openid-configuration', () => ({ body: document }));
      const { bearer } = staged(issuer, [issuer.config({ keys: { kind: 'discovery' } })]);
      assert.equal((await bearer(await issuer.token())).kind, 'unavailable', JSON.stringify(document));
    }
  });

  test('keys in the configuration need no issuer at all', async () => {
    const { issuer, bearer } = await stage(({ keys }) => ({
      keys: { kind: 'inline', jwks: JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }) },
    }));
    assert.equal((await bearer(await issuer.token())).kind, 'valid');
    assert.equal((await bearer(await issuer.token({}, { kid: 'unknown' }))).kind, 'invalid');
    assert.equal(issuer.asked.length, 0);
  });
});

test('every algorithm that can be allowed is checked, by keys of its own kind', async () => {
  const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;
  const issuer = await TestIssuer.start(...algorithms);
  const { bearer } = staged(issuer, [issuer.config({ algorithms })]);
  for (const key of issuer.keys) {
    assert.equal((await bearer(await issuer.token({}, {}, key))).kind, 'valid', key.alg);
    assert.equal(
      (await bearer(await issuer.token({}, { kid: issuer.keys.find((other) => other !== key)!.kid }, key))).kind,
      'invalid',
      key.alg,
    );
  }
  assert.equal((await bearer(await issuer.token({}, { alg: 'Ed25519' }, issuer.keys.at(-1)))).kind, 'valid', 'by its new name');
});

describe('limits', () => {
  test('as many tokens are checked at once as the limit says', async () => {
    const { issuer, bearer } = await stage({}, { tokenChecksMax: 3 });
    let open = (): void => {};
    issuer.gate = new Promise((resolve) => (open = resolve));
    const first = Array.from({ length: 3 }, async (_, i) => bearer(await issuer.token({ sub: `user-${i}` })));
    await until(() => issuer.count('/jwks') === 1, 'the question for keys');
    await new Promise(setImmediate);
    const tooMany = await bearer(await issuer.token({ sub: 'one more' }));
    assert.equal(tooMany.kind, 'unavailable');
    open();
    for (const { kind } of await Promise.all(first)) assert.equal(kind, 'valid');
  });

  test('so many tokens are kept as the limits say', async () => {
    const { issuer, bearer } = await stage({}, { tokensKeptMax: 2 });
    const tokens = [await issuer.token({ sub: 'a' }), await issuer.token({ sub: 'b' }), await issuer.token({ sub: 'c' })];
    for (const token of tokens) await bearer(token);
    assert.equal((await bearer(tokens[2]!)).atOnce, true);
    assert.equal((await bearer(tokens[0]!)).atOnce, undefined, 'forgotten, and checked again');
  });
});

describe('what applications get', () => {
  const claimHeaders = [
    { claim: ['sub'], header: 'X-User' },
    { claim: ['realm', 'roles'], header: 'x-roles' },
    { claim: ['mail'], header: 'x-mail' },
  ];

  test('what only we may say is taken from every request, also where it is written with underscores', async () => {
    const { always } = await stage({ claimHeaders });
    assert.deepEqual([...always.drop].sort(), ['x-mail', 'x-roles', 'x-user', 'x_mail', 'x_roles', 'x_user']);
    assert.deepEqual(always.set, []);
    const custom = await stage({ sources: [{ kind: 'header', name: 'X-Token', prefix: '' }] });
    assert.deepEqual(custom.always.drop, ['x_token'], 'what reads like the place of a token was not checked');
  });

  test('headers are made of the claims that are there', async () => {
    const { issuer, bearer } = await stage({ claimHeaders });
    const answer = await bearer(await issuer.token({ realm: { roles: ['a', 'b'] } }));
    assert.deepEqual(answer.kind === 'valid' && answer.headers, {
      drop: [],
      set: [
        ['x-user', 'ann'],
        ['x-roles', 'a,b'],
      ],
    });
  });

  test('a token that is not to be passed on is taken away, from the header or out of the cookies', async () => {
    const { issuer, ask } = await stage({
      forward: false,
      sources: [
        { kind: 'header', name: 'X-Token', prefix: '' },
        { kind: 'cookie', name: 'session' },
      ],
    });
    const token = await issuer.token();
    const header = await ask([['x-token', token]]);
    assert.deepEqual(header.kind === 'valid' && header.headers, { drop: ['x-token'], set: [] });
    const cookies = await ask([['cookie', `a=1; session=${token}; b=2`]]);
    assert.deepEqual(cookies.kind === 'valid' && cookies.headers, { drop: ['cookie'], set: [['cookie', 'a=1; b=2']] });
    const cookie = await ask([['cookie', `session=${token}`]]);
    assert.deepEqual(cookie.kind === 'valid' && cookie.headers, { drop: ['cookie'], set: [] });
  });

  test('the lists of names that are dropped are the same for every request', async () => {
    const { issuer, bearer } = await stage({ forward: false });
    const [one, two] = [await bearer(await issuer.token()), await bearer(await issuer.token({ sub: 'bob' }))];
    assert.ok(one.kind === 'valid' && two.kind === 'valid');
    assert.equal(one.headers.drop, two.headers.drop);
  });
});

describe('introspection', () => {
  async function withIntrospection(more: Partial<TokenIssuer> = {}): Promise<Stage> {
    const directory = await mkdtemp(join(tmpdir(), 'heddle-test-'));
    closers.push(() => rm(directory, { recursive: true }));
    const clientSecretFile = join(directory, 'secret');
    await writeFile(clientSecretFile, 's3cret:%\n');
    return stage((issuer) => ({
      introspection: { url: `${issuer.url}/introspect`, clientId: 'mesh', clientSecretFile, cacheMs: 5_000 },
      ...more,
    }));
  }
  const answer = (claims: object) => (): { body: object } => ({ body: { active: true, aud: 'shop', sub: 'ann', ...claims } });

  test('the issuer is asked as its client, once for a token while the answer is fresh', async () => {
    const { issuer, bearer, later } = await withIntrospection();
    issuer.replies.set('/introspect', answer({}));
    const [one, two] = await Promise.all([bearer('opaque-1'), bearer('opaque-1')]);
    assert.deepEqual([one.kind, two.kind], ['valid', 'valid']);
    assert.ok((await bearer('opaque-1')).atOnce);
    assert.equal(issuer.count('/introspect'), 1);
    const [asked] = issuer.asked;
    assert.equal(asked!.form.get('token'), 'opaque-1');
    assert.equal(Buffer.from(asked!.headers.authorization!.slice(6), 'base64').toString(), 'mesh:s3cret%3A%25');
    later(5_000);
    assert.equal((await bearer('opaque-1')).atOnce, undefined);
    assert.equal(issuer.count('/introspect'), 2);
  });

  test('an answer is believed no longer than the token lives', async () => {
    const { issuer, bearer, later } = await withIntrospection({ skewMs: 0 });
    issuer.replies.set('/introspect', answer({ exp: Math.floor(Date.now() / 1_000) + 2 }));
    assert.equal((await bearer('short')).kind, 'valid');
    later(2_000);
    assert.equal((await bearer('short')).kind, 'invalid');
  });

  test('what is not active, for others or of others is refused, and not asked about again at once', async () => {
    const { issuer, bearer } = await withIntrospection();
    const table: Record<string, object> = {
      inactive: { active: false },
      text: { active: 'true' },
      other: { aud: 'bank' },
      nobody: { aud: undefined },
      foreign: { iss: 'https://id.evil' },
      ended: { exp: 1 },
      early: { nbf: 1e10 },
    };
    for (const [token, claims] of Object.entries(table)) {
      issuer.replies.set('/introspect', answer(claims));
      assert.equal((await bearer(token)).kind, 'invalid', token);
      assert.ok((await bearer(token)).atOnce, token);
    }
    assert.equal(issuer.count('/introspect'), Object.keys(table).length);
  });

  test('signed tokens are checked by their signature, and bad ones are never sent to the issuer', async () => {
    const { issuer, bearer } = await withIntrospection();
    issuer.replies.set('/introspect', answer({}));
    assert.equal((await bearer(await issuer.token())).kind, 'valid');
    assert.equal((await bearer(await issuer.token({}, { kid: 'unknown' }))).kind, 'invalid');
    assert.equal((await bearer((await issuer.token()).replace(/[^.]*$/, ''))).kind, 'invalid');
    assert.equal(issuer.count('/introspect'), 0);
  });

  test('an issuer that does not answer, or does not know us, leaves it open; its answer shows no secret', async () => {
    const { issuer, bearer, lines } = await withIntrospection();
    issuer.replies.set('/introspect', () => ({ status: 401, body: { error: 'invalid_client', error_description: 's3cret:%' } }));
    const refused = await bearer('opaque');
    assert.equal(refused.kind, 'unavailable');
    assert.match((refused as { reason: string }).reason, /status 401 and the error "invalid_client"/);
    issuer.isDown = true;
    assert.equal((await bearer('opaque')).kind, 'unavailable');
    assert.ok(!lines.join('').includes('s3cret') && !lines.join('').includes('"opaque"'));
  });

  test('a limited number of questions is under way at once', async () => {
    const { issuer, bearer } = await withIntrospection();
    issuer.replies.set('/introspect', answer({}));
    let open = (): void => {};
    issuer.gate = new Promise((resolve) => (open = resolve));
    const answers = Array.from({ length: 70 }, (_, i) => bearer(`opaque-${i}`));
    await until(() => issuer.count('/introspect') === 64, '64 questions');
    open();
    for (const { kind } of await Promise.all(answers)) assert.equal(kind, 'valid');
    assert.equal(issuer.count('/introspect'), 70);
  });
});

test('a change of the configuration keeps what is known, and lets go of what is not named any more', async () => {
  const { issuer, gates, bearer } = await stage();
  const policy = { issuers: [issuer.config()] };
  await bearer(await issuer.token());
  assert.equal(gates.gateFor(structuredClone(policy)), gates.gateFor(policy));
  gates.retain([policy]);
  const before = gates.gateFor(policy);
  gates.gateFor({ issuers: [issuer.config({ audiences: ['else'] })] });
  assert.equal(issuer.count('/jwks'), 1, 'the same keys for both');
  gates.retain([]);
  assert.notEqual(gates.gateFor(policy), before);
});
