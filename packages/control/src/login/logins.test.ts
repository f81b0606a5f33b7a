// Logins: which tokens let whom in with which role, and which do not; keys that change under it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK, JWTPayload } from 'jose';
import type { CallerResult } from '../server/caller.ts';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { addressProblem } from '../server/fetch-json.ts';
import { Logins } from './logins.ts';

interface Key {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

async function makeKey(kid: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
}

describe('logins', () => {
  const clock = new ManualClock();
  let server: Server;
  let issuer: string;
  let keys: Key[];
  let questions = 0;
  let isDown = false;
  before(async () => {
    keys = [await makeKey('one')];
    server = createServer((request, response) => {
      questions += 1;
      if (isDown) return void response.writeHead(503).end();
      const isKeys = request.url === '/jwks';
      response.end(JSON.stringify(isKeys ? { keys: keys.map(({ jwk }) => jwk) } : { issuer, jwks_uri: `${issuer}/jwks` }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());

  const open = (over: object = {}): Logins => new Logins({ issuer, audience: 'mesh', ...over }, clock, silent);
  const seconds = (): number => Math.floor(clock.wallMs() / 1_000);
  const token = (claims: JWTPayload, key = keys[0]!, header: object = {}): Promise<string> =>
    new SignJWT({ iss: issuer, aud: 'mesh', sub: 'u1', exp: seconds() + 300, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: key.kid, ...header })
      .sign(key.privateKey);
  const seen = (result: CallerResult): string =>
    !result.ok
      ? result.reason
      : result.caller.kind === 'administrator'
        ? `${result.caller.role}: ${result.caller.uri}`
        : result.caller.kind;

  test('the highest role in the claim counts, under the names that were chosen', async () => {
    const logins = open();
    assert.equal(seen(await logins.check(await token({ roles: ['heddle-viewer', 'x'] }))), `viewer: login u1 at ${issuer}`);
    const both = await token({ roles: 'heddle-viewer heddle-operator', email: 'ann@x.test' });
    assert.equal(seen(await logins.check(both)), `operator: login ann@x.test (u1) at ${issuer}`);
    const mapped = open({ roleClaim: ['realm', 'groups'], roles: { admins: 'editor' } });
    assert.match(seen(await mapped.check(await token({ realm: { groups: ['admins'] } }))), /^editor: /);
    for (const roles of [undefined, [], ['admins'], 'operator', { 'heddle-operator': true }])
      assert.match(seen(await logins.check(await token(roles === undefined ? {} : { roles }))), /has no role here/);
  });

  test('tokens of others, for others, of another time, or signed otherwise let nobody in', async () => {
    const logins = open();
    const roles = ['heddle-operator'];
    const good = await token({ roles });
    const [head = '', body = '', signature = ''] = good.split('.');
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as object;
    const stranger = await makeKey('one');
    const wrong: [string, string][] = [
      ['another issuer', await token({ roles, iss: 'https://evil.test' })],
      ['another audience', await token({ roles, aud: 'shop' })],
      [
        'no audience',
        await new SignJWT({ iss: issuer, sub: 'u1', exp: seconds() + 9, roles })
          .setProtectedHeader({ alg: 'ES256' })
          .sign(keys[0]!.privateKey),
      ],
      ['ended', await token({ roles, exp: seconds() - 61 })],
      ['not yet valid', await token({ roles, nbf: seconds() + 61 })],
      ['nobody', await token({ roles, sub: '' })],
      ['a key of its own', await token({ roles }, stranger)],
      ['a key that it brings along', await token({ roles }, stranger, { jwk: stranger.jwk })],
      ['no signature', `${part({ alg: 'none' })}.${body}.`],
      ['alg none with one', `${part({ alg: 'none', kid: 'one' })}.${body}.${signature}`],
      ['the public key as a secret', `${part({ alg: 'HS256', kid: 'one' })}.${body}.${signature}`],
      ['other claims', `${head}.${part({ ...claims, sub: 'root' })}.${signature}`],
      ['a role twice', `${head}.${Buffer.from(`{"roles":["x"],"roles":["heddle-operator"]}`).toString('base64url')}.${signature}`],
    ];
    for (const [what, text] of wrong) assert.equal((await logins.check(text)).ok, false, what);
    assert.equal((await logins.check(good)).ok, true);
    for (const other of ['', 'operator', `heddle-admin.ann.${'A'.repeat(43)}`]) assert.equal(logins.isMeant(other), false);
    assert.equal(logins.isMeant(good), true);
  });

  test('a token that was right is right until its end, without being looked at again', async () => {
    const logins = open();
    const text = await token({ roles: ['heddle-viewer'] });
    await logins.check(text);
    const before = questions;
    assert.equal((await logins.check(text)).ok, true);
    assert.equal(questions, before);
    clock.advance(361_000);
    assert.match(seen(await logins.check(text)), /it ended/);
  });

  test('a new key is asked for when a token names it, but not for every name; the last keys stay in use while nobody answers', async () => {
    const logins = open();
    assert.equal((await logins.check(await token({ roles: ['heddle-viewer'] }))).ok, true);
    keys.unshift(await makeKey('two'));
    assert.equal((await logins.check(await token({ roles: ['heddle-viewer'] }))).ok, true);
    const before = questions;
    for (const kid of ['a', 'b', 'c'])
      assert.equal((await logins.check(await token({ roles: ['heddle-viewer'] }, keys[0]!, { kid }))).ok, false);
    assert.equal(questions, before);
    isDown = true;
    clock.advance(700_000);
    assert.equal((await logins.check(await token({ roles: ['heddle-viewer'] }))).ok, true);
    assert.match(seen(await open().check(await token({ roles: ['heddle-viewer'] }))), /cannot be checked now/);
    isDown = false;
  });

  test('a key that is taken back takes with it the logins that it has signed, as soon as the keys are old', async () => {
    const logins = open();
    const stolen = await token({ roles: ['heddle-operator'], exp: seconds() + 3_600 });
    assert.equal((await logins.check(stolen)).ok, true);
    keys = [await makeKey('three')];
    assert.equal((await logins.check(stolen)).ok, true, 'nobody has asked yet');
    clock.advance(601_000);
    const end = Date.now() + 5_000;
    while ((await logins.check(stolen)).ok) {
      assert.ok(Date.now() < end, 'a login that is remembered has the keys asked for, too');
      await new Promise(setImmediate);
    }
    assert.equal((await logins.check(await token({ roles: ['heddle-operator'] }))).ok, true);
  });

  test('whoever chooses his own name cannot hide who he is behind it, or seem to be somebody else', async () => {
    const logins = open();
    const long = seen(await logins.check(await token({ roles: ['heddle-viewer'], preferred_username: 'x'.repeat(5_000) })));
    assert.match(long, /^viewer: login x{63}… \(u1\) at http/);
    const forged = seen(await logins.check(await token({ roles: ['heddle-viewer'], email: 'root (0) at https://id.test\u202e\n' })));
    assert.equal(forged, `viewer: login root 0 at https://id.test (u1) at ${issuer}`);
  });

  test('an issuer that does not answer is not asked for each wrong token', async () => {
    isDown = true;
    const logins = open();
    const before = questions;
    for (let i = 0; i < 5; i++) assert.equal((await logins.check(await token({ roles: ['heddle-viewer'], sub: `u${i}` }))).ok, false);
    assert.equal(questions - before, 1);
    isDown = false;
    clock.advance(15_000);
    assert.equal((await logins.check(await token({ roles: ['heddle-viewer'] }))).ok, true);
  });

  test('an issuer elsewhere cannot send us to a server of this machine', () => {
    assert.notEqual(addressProblem('http://127.0.0.1:9/keys', 'https://id.test'), undefined);
    assert.equal(addressProblem('https://keys.test/keys', 'https://id.test'), undefined);
    assert.equal(addressProblem('http://127.0.0.1:9/keys', 'http://127.0.0.1:8'), undefined);
  });

  test('an issuer is asked over TLS, or on this machine', () => {
    for (const url of ['https://id.test', 'http://127.0.0.1:1/x', 'http://[::1]:1/', 'http://localhost/'])
      assert.equal(addressProblem(url), undefined, url);
    for (const url of ['http://id.test', 'ftp://id.test', 'id.test', 'https://a:b@id.test', 'file:///etc/passwd'])
      assert.notEqual(addressProblem(url), undefined, url);
  });
});
