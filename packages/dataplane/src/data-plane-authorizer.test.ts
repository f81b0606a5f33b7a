// An outside authorizer, on grpc-js and Envoy's contract, behind the mesh's own pools: what it is asked, and what becomes of its answers, also of those
// that come late, never, or make no sense.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type { Cluster, ExternalAuthorizer } from '@heddle/core';
import { OK, startAuthorizer } from './testing/authorizer.ts';
import type { Authorizer, Reply } from './testing/authorizer.ts';
import { decidingPlane, decisions, guard, policy, rule, WEB } from './testing/access.ts';
import { GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { Fleet, FleetOptions } from './testing/instances.ts';
import { endpoint, meshCluster, mustApply, routeOf, TestMesh } from './testing/mesh.ts';
import { isQuiet, single } from './testing/paths.ts';
import { connectRaw, DEAD_PORTS, RawServer, until } from './testing/raw-http.ts';

const AUTHZ = 'outbound/default/authz';
const EXTERNAL: ExternalAuthorizer = { cluster: AUTHZ, timeoutMs: 2_000, failOpen: false, bodyBytesMax: 0 };
const header = (key: string, value: string, append?: boolean) => ({
  header: { key, value },
  ...(append !== undefined && { append: { value: append } }),
});

describe('an outside authorizer', () => {
  let mesh = new TestMesh();
  let seen: { url: string; body: string; headers: Readonly<Record<string, unknown>> }[] = [];
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  interface Setting {
    readonly fleet: Fleet;
    readonly authorizer: Authorizer;
    /** Changes what it is asked by. */
    external(parts: Partial<ExternalAuthorizer>): Promise<void>;
  }

  function plainCluster(port: number): Cluster {
    return meshCluster('authz', { tls: undefined, endpoints: { kind: 'static', endpoints: [endpoint(port, 'authz-1')] } });
  }

  async function start(options: Pick<FleetOptions, 'hops' | 'version'>, parts: Partial<ExternalAuthorizer> = {}): Promise<Setting> {
    seen = [];
    const fleet = await startFleet(mesh, { count: 1, ...options }, (request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        seen.push({ url: request.url ?? '', body, headers: request.headers });
        response.setHeader('x-app', 'application');
        response.end('ok');
      });
    });
    const authorizer = await startAuthorizer(mesh);
    const { plane } = decidingPlane(fleet.way);
    await mustApply(plane, { kind: 'cluster', upserts: [plainCluster(authorizer.port)], removed: [] });
    const external = (more: Partial<ExternalAuthorizer>) =>
      guard(fleet.way, {
        access: {
          ...policy('allow', rule('no admin', 'deny', [{ paths: [{ kind: 'segments', value: '/admin' }] }])),
          external: { ...EXTERNAL, ...parts, ...more },
          labels: { destination: { tier: 'backend' }, sources: { [WEB]: { tier: 'frontend' } } },
        },
      });
    await external({});
    return { fleet, authorizer, external };
  }

  for (const way of WAYS) {
    describe(way.name, () => {
      test('is asked about what the rules allow, with all there is to know, and then the request goes on whole', async () => {
        const { fleet, authorizer } = await start(way);
        const answer = await fleet.client.call({
          method: 'POST',
          path: '/x/../a?b=c',
          headers: { 'x-a': ['1', '2'] },
          body: ['one ', 'two'],
        });
        assert.deepEqual([answer.status, seen[0]?.url, seen[0]?.body], [200, '/a?b=c', 'one two']);
        const [{ source, destination, request }] = authorizer.asked as [Authorizer['asked'][number]];
        const { method, path, host, scheme, protocol, headers, raw_body: raw } = request.http!;
        const isPair = way.hops === 'pair';
        assert.deepEqual(
          [method, path, host, scheme, protocol, raw.length],
          ['POST', '/a?b=c', 'orders.mesh.internal', 'http', isPair || way.version === 'http2' ? 'HTTP/2' : 'HTTP/1.1', 0],
        );
        assert.deepEqual(
          [headers['x-a']?.replace(' ', ''), headers[':path'], headers['proxy-authorization']],
          ['1,2', '/a?b=c', undefined],
        );
        assert.equal(source.address.socket_address.address, '127.0.0.1');
        assert.ok(source.address.socket_address.port_value > 0);
        assert.deepEqual(
          [source.principal, source.service, source.labels['tier'], destination.principal, destination.service, destination.labels['tier']],
          isPair
            ? [WEB, 'default/web', 'frontend', 'spiffe://shop.test/ns/default/svc/orders', 'default/orders', 'backend']
            : ['', '', undefined, '', 'unknown', 'backend'],
        );
        assert.equal((await fleet.client.call({ path: '/admin' })).status, 403);
        assert.equal((await fleet.client.call({ path: '/a;b' })).status, 400, 'nobody can say what it would be asked about');
        assert.equal(authorizer.asked.length, 1);
        await until(() => isQuiet(fleet.way.planes), 'nothing under way');
      });

      test('sets, adds and removes headers of the request, and adds some to the response', async () => {
        const { fleet, authorizer } = await start(way);
        authorizer.reply = () => ({
          status: { code: 0 },
          ok_response: {
            headers: [
              header('x-user', 'ann'),
              header('x-more', 'b', true),
              { ...header('x-kept', 'new'), append_action: 'ADD_IF_ABSENT' },
              { ...header('x-new', 'new'), append_action: 'ADD_IF_ABSENT' },
              { ...header('x-none', 'new'), append_action: 'OVERWRITE_IF_EXISTS' },
            ],
            headers_to_remove: ['X-Secret'],
            response_headers_to_add: [header('x-checked', 'yes')],
          },
        });
        const headers = { 'x-user': 'forged', 'x-more': 'a', 'x-secret': 's', 'x-kept': 'old' };
        const answer = await fleet.client.call({ headers });
        assert.deepEqual([answer.headers['x-checked'], answer.headers['x-app']], ['yes', 'application']);
        const { 'x-user': user, 'x-more': more, 'x-secret': secret, 'x-kept': kept, 'x-new': fresh, 'x-none': none } = seen[0]!.headers;
        assert.deepEqual([user, more, secret, kept, fresh, none], ['ann', 'a, b', undefined, 'old', 'new', undefined]);
        authorizer.reply = () => ({ status: { code: 0 } });
        const next = await fleet.client.call({ headers });
        assert.deepEqual(
          [next.headers['x-checked'], seen[1]!.headers['x-user']],
          [undefined, 'forged'],
          'one request inherits nothing of another',
        );
      });

      test('refuses in its own words, or with 403', async () => {
        const { fleet, authorizer } = await start(way);
        authorizer.reply = () => ({
          status: { code: 16 },
          denied_response: {
            status: { code: 401 },
            headers: [header('www-authenticate', 'Basic'), header('content-type', 'application/json')],
            body: '{"a":1}',
          },
        });
        const answer = await fleet.client.call({ method: 'POST', body: ['x'] });
        const { 'www-authenticate': challenge, 'content-type': type, 'x-heddle-error': code } = answer.headers;
        assert.deepEqual(
          [answer.status, challenge, type, code, answer.body.toString()],
          [401, 'Basic', 'application/json', 'ACCESS_DENIED', '{"a":1}'],
        );
        authorizer.reply = () => ({ status: { code: 7 } });
        assert.deepEqual([(await fleet.client.call()).status, seen.length], [403, 0]);
        assert.deepEqual(decisions(decidingPlane(fleet.way)), { 'denied authorizer': 2 });
        if (way.version === 'http1') return;
        const grpc = await fleet.client.call({ method: 'POST', headers: GRPC_HEADERS, body: ['\0\0\0\0\0'] });
        assert.deepEqual([grpc.status, grpc.headers['grpc-status']], [200, '7']);
      });

      test('gets the beginning of the body where it is to, and the application all of it', async () => {
        const { fleet, authorizer, external } = await start(way, { bodyBytesMax: 8 });
        const whole = await fleet.client.call({ method: 'POST', body: ['12', '34'] });
        const long = await fleet.client.call({ method: 'POST', body: ['1234', '5678', '9'] });
        const huge = await fleet.client.call({ method: 'POST', body: Array.from({ length: 20 }, () => 'x'.repeat(16_384)) });
        const none = await fleet.client.call();
        assert.deepEqual(
          [whole, long, huge, none].map(({ status }) => status),
          [200, 200, 200, 200],
        );
        assert.deepEqual(
          seen.map(({ body }) => body.length),
          [4, 9, 20 * 16_384, 0],
        );
        const told = authorizer.asked.map(({ request }) => [request.http!.body, request.http!.headers['x-envoy-auth-partial-body']]);
        assert.deepEqual(told, [
          ['1234', 'false'],
          ['12345678', 'true'],
          ['xxxxxxxx', 'true'],
          ['', 'false'],
        ]);
        // More than is kept of bodies otherwise.
        await external({ bodyBytesMax: 200_000 });
        const large = 'y'.repeat(150_000);
        assert.equal((await fleet.client.call({ method: 'POST', body: [large.slice(0, 90_000), large.slice(90_000)] })).status, 200);
        assert.deepEqual([seen.at(-1)!.body.length, authorizer.asked.pop()!.request.http!.body.length], [150_000, 150_000]);
        // A client that sends nothing more until it is answered is not waited for longer than the authorizer would be.
        await external({ timeoutMs: 50, bodyBytesMax: 8 });
        const call = fleet.client.begin({ method: 'POST', body: [] });
        call.write('ab');
        await until(() => authorizer.asked.length === 5, 'the question');
        const { body, headers } = authorizer.asked[4]!.request.http!;
        assert.deepEqual([body, headers['x-envoy-auth-partial-body']], ['ab', 'true']);
        call.end();
        assert.equal((await call.answer).status, 200);
      });

      test('that fails, is silent, or makes no sense lets nothing pass, unless it may fail', async () => {
        const { fleet, authorizer, external } = await start(way);
        const nonsense: Reply[] = [
          { code: 14, details: 'out of order' },
          { status: { code: 0 }, ok_response: { headers: [header('content-length', '0')] } },
          { status: { code: 0 }, ok_response: { headers: [header('x-heddle-peer', 'spiffe://forged')] } },
          { status: { code: 0 }, ok_response: { headers: [header('x-a', 'b\r\nx-c: d')] } },
          { status: { code: 0 }, ok_response: { query_parameters_to_remove: ['token'] } },
          { status: { code: 0 }, denied_response: {} },
          { status: { code: 7 }, denied_response: { status: { code: 100 } } },
        ];
        const { plane, lines } = decidingPlane(fleet.way);
        for (const reply of nonsense) {
          authorizer.reply = () => reply;
          const answer = await fleet.client.call();
          assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [503, 'AUTHORIZER_UNAVAILABLE'], JSON.stringify(reply));
        }
        assert.equal(lines.filter(({ decision }) => decision === 'unavailable').length, nonsense.length);
        await external({ failOpen: true });
        assert.equal((await fleet.client.call()).status, 200);
        authorizer.reply = () => undefined;
        await external({ timeoutMs: 30 });
        assert.equal((await fleet.client.call({ method: 'POST', body: ['a', 'b'] })).status, 503);
        await external({ timeoutMs: 30, failOpen: true });
        assert.equal((await fleet.client.call({ method: 'POST', body: ['a', 'b'] })).status, 200);
        await mustApply(plane, { kind: 'cluster', upserts: [plainCluster(DEAD_PORTS[0])], removed: [] });
        await external({});
        assert.equal((await fleet.client.call()).status, 503);
        await mustApply(plane, { kind: 'cluster', upserts: [], removed: [AUTHZ] });
        assert.equal((await fleet.client.call()).status, 503);
        assert.deepEqual(
          seen.map(({ body }) => body),
          ['', 'ab'],
        );
        await until(() => isQuiet(fleet.way.planes), 'nothing under way');
      });

      test('is not waited for by clients that have gone, and rules that changed meanwhile are asked again', async () => {
        const { fleet, authorizer, external } = await start(way, { timeoutMs: 60_000 });
        authorizer.reply = () => undefined;
        const gone = fleet.client.begin({ method: 'POST', body: [] });
        gone.answer.catch(() => {});
        gone.write('a');
        await until(() => authorizer.asked.length === 1, 'the question');
        gone.cancel();
        await until(() => isQuiet(fleet.way.planes), 'nothing under way');
        await external({ timeoutMs: 60 });
        const held = fleet.client.begin({ path: '/late' });
        await until(() => authorizer.asked.length === 2, 'the second question');
        authorizer.reply = () => OK;
        await external({});
        assert.equal((await held.answer).status, 200, 'the answer that never came was that to other rules');
        assert.equal(authorizer.asked.length, 3);
      });
    });
  }

  test('is reached through the mesh, with the identity of the service that asks', async () => {
    const { fleet, authorizer } = await start({ hops: 'pair', version: 'http2' });
    const { plane } = decidingPlane(fleet.way);
    const other = mesh.plane('authz');
    const port = await mesh.inbound(other.plane, 'authz', 'authz-1', authorizer.port, { local: { http: 'http2' } });
    const only = policy('deny', {
      ...rule('orders', 'allow', []),
      subjects: [{ identities: [{ kind: 'exact', id: 'spiffe://shop.test/ns/default/svc/orders' }] }],
    });
    const host = { name: 'all', domains: ['*'], routes: [routeOf('local/default/authz/authz-1')], access: only };
    await mustApply(other.plane, {
      kind: 'route',
      upserts: [{ name: 'inbound/default/authz/authz-1', virtualHosts: [host] }],
      removed: [],
    });
    await mustApply(plane, { kind: 'cluster', upserts: [meshCluster('authz')], removed: [] });
    await mustApply(plane, { kind: 'endpoints', upserts: [{ cluster: AUTHZ, endpoints: [endpoint(port, 'authz-1')] }], removed: [] });
    assert.equal((await fleet.client.call({ path: '/through' })).status, 200);
    assert.deepEqual(decisions(other), { 'allowed rule orders': 1 });
    assert.equal(authorizer.asked.at(-1)?.request.http?.path, '/through');
  });

  test('holds back nothing that a route does besides: copies get the whole body, failures and delays come after it', async () => {
    const { fleet, authorizer } = await start({ hops: 'single', version: 'http2' });
    const name = 'outbound/default/orders';
    const rules = (parts: Parameters<typeof routeOf>[1]) =>
      guard(fleet.way, { routes: [routeOf(name, parts)], access: { ...policy('allow'), external: EXTERNAL } });
    await rules({ mirrors: [{ cluster: name, percent: 100 }] });
    await fleet.client.call({ method: 'POST', headers: { 'x-n': '1' }, body: ['one ', 'two ', 'three'] });
    await until(() => seen.length === 2, 'the copy');
    assert.deepEqual(
      seen.map(({ body }) => body),
      ['one two three', 'one two three'],
    );
    const abort = { percent: 100, status: { kind: 'http', code: 418 } } as const;
    await rules({ fault: { delay: { percent: 100, delayMs: 20 }, abort } });
    assert.equal((await fleet.client.call({ method: 'POST', body: ['x'] })).status, 418);
    await rules({ rateLimits: [{ requests: 1, perMs: 3_600_000, burst: 1, by: { kind: 'all' } }] });
    authorizer.reply = () => ({ status: { code: 7 } });
    assert.equal((await fleet.client.call()).status, 403);
    authorizer.reply = () => OK;
    const statuses = [await fleet.client.call(), await fleet.client.call()].map(({ status }) => status);
    assert.deepEqual(statuses, [200, 429], 'what was refused took nothing of the limit');
    await until(() => isQuiet(fleet.way.planes), 'nothing under way');
  });

  test('is asked about upgrades too, whose first bytes wait', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const authorizer = await startAuthorizer(mesh);
    const way = await single(mesh, 'http1', [application.port]);
    await mustApply(decidingPlane(way).plane, { kind: 'cluster', upserts: [plainCluster(authorizer.port)], removed: [] });
    await guard(way, { access: { ...policy('allow'), external: EXTERNAL } });
    const ask = 'GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: telegram\r\n\r\n';
    const client = connectRaw(way.port).send(`${ask}early`);
    await until(() => application.peers[0]?.text.includes('telegram') === true, 'the request');
    application.peers[0]!.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: telegram\r\n\r\nhello');
    await client.expect(/^HTTP\/1\.1 101 [^]*hello$/);
    await application.peers[0]!.expect('early');
    assert.deepEqual([authorizer.asked[0]?.request.http?.method, authorizer.asked[0]?.request.http?.path], ['GET', '/chat']);
    client.socket.destroy();
    authorizer.reply = () => ({ status: { code: 7 } });
    const refused = connectRaw(way.port).send(ask);
    await refused.expect(/^HTTP\/1\.1 403 /);
    refused.socket.destroy();
    assert.equal(application.peers.length, 1);
  });

  test('of more requests than may wait, the others are refused at once', async () => {
    seen = [];
    const limited = { accessWaitsMax: 2 };
    const fleet = await startFleet(
      mesh,
      { count: 1, hops: 'single', version: 'http2', limits: limited },
      (_request, response) => void response.end('ok'),
    );
    const authorizer = await startAuthorizer(mesh);
    authorizer.reply = () => undefined;
    await mustApply(decidingPlane(fleet.way).plane, { kind: 'cluster', upserts: [plainCluster(authorizer.port)], removed: [] });
    await guard(fleet.way, { access: { ...policy('allow'), external: { ...EXTERNAL, timeoutMs: 100 } } });
    for (let round = 0; round < 2; round++) {
      const calls = await Promise.all([1, 2, 3, 4].map(() => fleet.client.call()));
      const codes = calls.map(({ headers }) => String(headers['x-heddle-error'])).sort((a, b) => a.localeCompare(b));
      assert.deepEqual(codes, ['AUTHORIZER_UNAVAILABLE', 'AUTHORIZER_UNAVAILABLE', 'OVERLOADED', 'OVERLOADED']);
    }
  });

  test('is asked about streams of bytes before the application hears of them, and early bytes are kept', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const authorizer = await startAuthorizer(mesh);
    const web = mesh.plane('web');
    const store = mesh.plane('store');
    const instance = await mesh.inbound(store.plane, 'store', 'store-1', application.port, { tcp: true });
    const port = await mesh.outbound(web.plane, 'store', [endpoint(instance, 'store-1')], { tcp: true });
    await mustApply(store.plane, { kind: 'cluster', upserts: [plainCluster(authorizer.port)], removed: [] });
    const routes = [routeOf('local/default/store/store-1', { connect: 'terminate' })];
    const host = { name: 'all', domains: ['*'], routes, access: { ...policy('allow'), external: EXTERNAL } };
    await mustApply(store.plane, {
      kind: 'route',
      upserts: [{ name: 'inbound/default/store/store-1', virtualHosts: [host] }],
      removed: [],
    });
    const admitted = connectRaw(port).send('hello');
    await until(() => application.peers[0]?.text === 'hello', 'the bytes');
    assert.deepEqual([authorizer.asked[0]?.request.http, authorizer.asked[0]?.source.principal], [null, WEB]);
    authorizer.reply = () => ({ status: { code: 7 } });
    const refused = connectRaw(port).send('hello');
    await refused.gone();
    assert.equal(application.peers.length, 1);
    admitted.socket.destroy();
    refused.socket.destroy();
  });
});
