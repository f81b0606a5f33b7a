// Tokens of a real issuer, told to all data planes by the control plane: those that callers send, by signature and by introspection; those that calls get; keys that rotate
// under load; and an issuer that is away.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { startLoad, summarize } from '../support/load.ts';
import { CLIENTS, OidcIssuer, SHOP, SHOP_OPAQUE } from '../support/oidc-issuer.ts';
import {
  adminCall,
  type Answered,
  application,
  call,
  Cleanup,
  control,
  host,
  machine,
  meshOf,
  metric,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
  type Workload,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const meshFile = (issuer: string, secrets: string, outsidePort: number): string => `
mesh: test
services:
  web: { port: 80 }
  orders: { port: 81 }
  billing: { port: 82 }
  ledger: { port: 83 }
egress:
  - { host: 127.0.0.1, port: ${outsidePort}, protocol: http }
security:
  issuers:
    - name: login
      issuer: ${issuer}
      audiences: ["${SHOP}"]
      algorithms: [ES256]
      claimHeaders: { x-user: sub, x-roles: roles }
      introspection: { url: ${issuer}/token/introspection, clientId: mesh, clientSecretFile: ${secrets}/mesh, cache: 500ms }
  access:
    default: deny
    rules:
      - { from: [web], to: orders, jwt: login, claims: { roles: web-role } }
      - { from: [orders], to: [billing, ledger], jwt: login, claims: { scope: bill } }
  outbound:
    - { name: billing-api, from: [orders], to: [billing], grant: token-exchange, url: ${issuer}/token, clientId: orders, clientSecretFile: ${secrets}/orders, scopes: [bill], audience: "${SHOP}" }
    - { name: ledger-api, from: [orders], to: [ledger], url: ${issuer}/token, clientId: orders, clientSecretFile: ${secrets}/orders, scopes: [bill], audience: "${SHOP}" }
    - { name: outside-api, from: [orders], to: ["127.0.0.1:${outsidePort}"], url: ${issuer}/token, clientId: orders, clientSecretFile: ${secrets}/orders, scopes: [bill], audience: "${SHOP}" }
`;

describe('tokens of a real issuer', () => {
  const cleanup = new Cleanup();
  let issuer: OidcIssuer;
  let proxy: RunningProxy;
  let web: Workload;
  let orders: Workload;
  let outsidePort: number;

  before(async () => {
    issuer = await OidcIssuer.start();
    cleanup.add(() => issuer.close());
    const secrets = await temporaryDirectory(cleanup);
    for (const [client, secret] of Object.entries(CLIENTS)) await writeFile(join(secrets, client), `${secret}\n`, { mode: 0o600 });
    outsidePort = (await application(cleanup, 'outside')).port;
    const plane: RunningControl = await control(cleanup, { mesh: meshOf(meshFile(issuer.url, secrets, outsidePort)) });
    proxy = await machine(cleanup, plane, { node: 'n1' });
    const start = async (name: string): Promise<Workload> => host(proxy, plane, name, (await application(cleanup, name)).port);
    [web, orders] = [await start('web-1'), await start('orders-1')];
    await start('billing-1');
    await start('ledger-1');
    await untilReady(proxy);
    for (const service of ['orders', 'billing', 'ledger']) await untilEndpoints(proxy, service, [`${service}-1`]);
  });
  after(() => cleanup.run());

  /** @param token absent: none. */
  function ask(from: Workload, to: string, token?: string): Promise<Answered> {
    const headers = { ...(token !== undefined && { authorization: `Bearer ${token}` }) };
    return call({ proxy: through(proxy), url: `http://${to}.mesh.internal/`, headers }, from.proxyCredential);
  }
  const claimsOf = (authorization: string | undefined): Record<string, unknown> =>
    JSON.parse(Buffer.from(authorization?.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

  test('a signed token lets its bearer in, and its claims reach the application', async () => {
    const { status, headers } = await ask(web, 'orders', await issuer.token());
    assert.deepEqual([status, headers['x-user'], headers['x-roles']], [200, 'web', 'web-role,reader']);
    const known = issuer.asked.get('/jwks');
    for (let i = 0; i < 3; i++) assert.equal((await ask(web, 'orders', await issuer.token())).status, 200);
    assert.equal(issuer.asked.get('/jwks'), known, 'the keys are known');
  });

  test('other tokens, and none, do not', async () => {
    assert.match((await ask(web, 'orders')).body, /TOKEN_REQUIRED/);
    assert.match((await ask(web, 'orders', await issuer.token('web', 'urn:elsewhere'))).body, /TOKEN_INVALID/);
    assert.match((await ask(web, 'orders', `${await issuer.token()}x`)).body, /TOKEN_INVALID/);
    assert.match((await ask(web, 'orders', await issuer.token('orders'))).body, /ACCESS_DENIED/);
    assert.match((await ask(web, 'billing', await issuer.token())).body, /ACCESS_DENIED/);
  });

  test('an opaque token is asked about, and its revocation is felt', async () => {
    const token = await issuer.token('web', SHOP_OPAQUE);
    assert.ok(!token.includes('.'));
    const { status, headers } = await ask(web, 'orders', token);
    assert.deepEqual([status, headers['x-roles']], [200, 'web-role,reader']);
    await issuer.revoke('web', token);
    await waitFor('the revocation', async () => (await ask(web, 'orders', token)).status === 401);
  });

  test('calls get a token in the name of the caller', async () => {
    const first = await ask(orders, 'ledger');
    assert.equal(first.status, 200, first.body);
    const { sub, scope, aud } = claimsOf(first.headers['authorization']);
    assert.deepEqual([sub, scope, aud], ['orders', 'bill', SHOP]);
    const again = await ask(orders, 'ledger', 'of-the-application');
    assert.equal(
      again.headers['authorization'],
      first.headers['authorization'],
      'it is kept, and what the application sends does not count',
    );
    assert.equal((await ask(web, 'ledger')).status, 403, 'others get none');
  });

  test('calls to hosts outside the mesh get one, too', async () => {
    const outside = (from: Workload): Promise<Answered> =>
      call({ proxy: through(proxy), url: `http://127.0.0.1:${outsidePort}/`, headers: {} }, from.proxyCredential);
    const { status, headers, body } = await outside(orders);
    assert.equal(status, 200, body);
    assert.equal(claimsOf(headers['authorization'])['sub'], 'orders');
    assert.equal((await outside(web)).headers['authorization'], undefined, 'others get none');
  });

  test('the token of an incoming call is exchanged for one on its behalf', async () => {
    const received = await ask(web, 'orders', await issuer.token());
    const incoming = received.headers['authorization']!.slice('Bearer '.length);
    const { status, headers, body } = await ask(orders, 'billing', incoming);
    assert.equal(status, 200, body);
    assert.notEqual(headers['authorization'], `Bearer ${incoming}`);
    assert.deepEqual([claimsOf(headers['authorization'])['sub'], headers['x-user']], ['web by orders', 'web by orders']);
    assert.match((await ask(orders, 'billing')).body, /TOKEN_REQUIRED/, 'on behalf of nobody there is none');
  });

  test('keys rotate under load without a failed request', async () => {
    const target = (token: string) => ({
      proxy: through(proxy),
      url: 'http://orders.mesh.internal/',
      headers: {
        authorization: `Bearer ${token}`,
        'proxy-authorization': `Basic ${Buffer.from(`${web.proxyCredential}:`).toString('base64')}`,
      },
    });
    const old = startLoad(target(await issuer.token()), 50);
    await waitFor('load', () => old.outcomes.length > 20);
    await issuer.rotate();
    const fresh = await Promise.all(Array.from({ length: 5 }, () => issuer.token()));
    const loads = [old, ...fresh.map((token) => startLoad(target(token), 20))];
    await waitFor('load with the new key', () => loads.every(({ outcomes }) => outcomes.length > 20));
    const outcomes = (await Promise.all(loads.map((load) => load.stop()))).flat();
    assert.deepEqual(summarize(outcomes), { 200: outcomes.length });
  });

  test('while the issuer is away, signed tokens are checked by the known keys; opaque ones cannot be, and that is said', async () => {
    const [signed, opaque, incoming] = [await issuer.token(), await issuer.token('web', SHOP_OPAQUE), await issuer.token()];
    issuer.isDown = true;
    assert.equal((await ask(web, 'orders', signed)).status, 200);
    assert.equal((await ask(orders, 'ledger')).status, 200, 'the token that is held');
    for (const answer of [await ask(web, 'orders', opaque), await ask(orders, 'billing', incoming)]) {
      assert.equal(answer.status, 503);
      assert.match(answer.body, /AUTHORIZER_UNAVAILABLE/);
    }
    assert.ok((await metric(proxy, 'heddle_token_checks_total', 'result="unavailable"')) > 0);
    issuer.isDown = false;
    await waitFor('the issuer is back', async () => (await ask(web, 'orders', opaque)).status === 200);
  });

  test('no secret is in the configuration that data planes show', async () => {
    const dump = await (await adminCall(proxy, 'GET', '/config_dump')).text();
    assert.ok(dump.includes('billing-api'));
    for (const secret of Object.values(CLIENTS)) assert.ok(!dump.includes(secret));
  });
});
