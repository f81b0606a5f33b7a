// What a rule does with a request besides choosing where it goes: answers, rewrites, headers, copies, failures, limits.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type { ForwardAction, RateLimit, Route, RouteAction } from '@heddle/core';
import { ANY_REQUEST, forwardTo } from '@heddle/core';
import { createClient } from './testing/clients.ts';
import type { Client } from './testing/clients.ts';
import { GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { Fleet, FleetOptions } from './testing/instances.ts';
import { endpoint, meshCluster, mustApply, TestMesh } from './testing/mesh.ts';
import { isQuiet, pair, startApplication } from './testing/paths.ts';
import { until } from './testing/raw-http.ts';

const ROUTES = 'outbound/default/orders';
const FORWARD: ForwardAction = { ...forwardTo(ROUTES), timeoutMs: 5_000 };
type Rule = Partial<Omit<Route, 'action'>> & { readonly action?: RouteAction | Partial<ForwardAction> };

/** In the order of the list; the last one takes everything. */
async function apply(fleet: Fleet, ...rules: readonly Rule[]): Promise<void> {
  const routes = rules.map((rule, index): Route => {
    const { action } = rule;
    const whole = action === undefined || action.kind === undefined || action.kind === 'forward' ? { ...FORWARD, ...action } : action;
    return { name: `rule ${index + 1}`, match: ANY_REQUEST, ...rule, action: whole as RouteAction };
  });
  const config = { name: ROUTES, virtualHosts: [{ name: 'orders', domains: ['*'], routes }] };
  await mustApply(fleet.way.planes[0]!.plane, { kind: 'route', upserts: [config], removed: [] });
}

const at = (kind: 'exact' | 'prefix' | 'segments' | 'template', value: string) => ({ kind: 'request', path: { kind, value } }) as const;

describe('rules', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });
  const ways = (options: Partial<FleetOptions>, answer: Parameters<typeof startFleet>[2]) =>
    startFleet(mesh, { count: 1, ...options } as never, answer);

  for (const way of WAYS) {
    describe(way.name, () => {
      test('a redirect and a fixed answer come from the data plane, and the connection goes on', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('application'));
        const moved = {
          kind: 'redirect',
          status: 308,
          scheme: 'https',
          authority: 'new.test',
          path: { kind: 'prefix', value: '/v2' },
        } as const;
        await apply(
          fleet,
          { match: at('prefix', '/v1'), action: moved, responseHeaders: { set: { 'x-rule': 'moved' }, add: {}, remove: [] } },
          { match: at('exact', '/robots.txt'), action: { kind: 'respond', status: 200, body: 'Disallow: ü', contentType: 'text/plain' } },
          { match: at('exact', '/empty'), action: { kind: 'respond', status: 204, body: '', contentType: 'text/plain' } },
          {},
        );
        const { client } = fleet;
        const redirect = await client.call({ path: '/v1/items?a=1' });
        assert.deepEqual(
          [redirect.status, redirect.headers['location'], redirect.headers['x-rule'], redirect.body.length],
          [308, 'https://new.test/v2/items?a=1', 'moved', 0],
        );
        const fixed = await client.call({ path: '/robots.txt' });
        assert.deepEqual([fixed.status, fixed.headers['content-type'], fixed.body.toString()], [200, 'text/plain', 'Disallow: ü']);
        const head = await client.call({ method: 'HEAD', path: '/robots.txt' });
        assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '12', 0]);
        const empty = await client.call({ path: '/empty' });
        assert.deepEqual([empty.status, empty.headers['content-length']], [204, undefined]);
        const posted = await client.call({ method: 'POST', path: '/robots.txt', body: ['some', 'thing'] });
        assert.equal(posted.status, 200);
        assert.equal((await client.call()).body.toString(), 'application');
        assert.equal(fleet.requests(), 1);
        assert.ok(isQuiet(fleet.way.planes));
      });

      test('path and host are rewritten, and headers are set, added and removed in both directions', async () => {
        const fleet = await ways(way, (request, response) => {
          const { host, ':authority': authority = host, 'x-set': set, 'x-add': add, 'x-gone': gone, 'x-who': who } = request.headers;
          for (const name of ['x-old', 'x-gone', 'x-add']) response.setHeader(name, 'application');
          response.end(JSON.stringify({ url: request.url, authority, set, add, gone: gone ?? null, who }));
        });
        await apply(fleet, {
          match: at('template', '/orders/{id}/{rest=**}'),
          action: { rewrite: { path: { kind: 'full', value: '/v2/{rest}/of/{id}' }, authority: 'inner.test' } },
          requestHeaders: { set: { 'x-set': 'rule 100%%', 'x-who': '%SOURCE_IDENTITY%' }, add: { 'x-add': 'rule' }, remove: ['x-gone'] },
          responseHeaders: { set: { 'x-old': 'rule' }, add: { 'x-add': 'rule' }, remove: ['x-gone'] },
        });
        const headers = { 'x-set': 'client', 'x-add': 'client', 'x-gone': 'client' };
        const answer = await fleet.client.call({ path: '/orders/17/a/b?q=1', headers });
        assert.deepEqual(JSON.parse(answer.body.toString()), {
          url: '/v2/a/b/of/17?q=1',
          authority: 'inner.test',
          set: 'rule 100%',
          add: 'client, rule',
          gone: null,
          who: way.hops === 'pair' ? 'spiffe://shop.test/ns/default/svc/web' : '',
        });
        const { 'x-old': old, 'x-add': added, 'x-gone': gone } = answer.headers;
        assert.deepEqual([old, added, gone], ['rule', 'application, rule', undefined]);
      });

      test('each side of a split has header changes of its own, which the next request does not inherit', async () => {
        const fleet = await ways(way, (request, response) => void response.end(String(request.headers['x-side'])));
        const side = (name: string, weight: number) => ({
          cluster: ROUTES,
          weight,
          requestHeaders: { set: { 'x-side': name }, add: {}, remove: [] },
          responseHeaders: { set: { 'x-side': name }, add: {}, remove: [] },
        });
        await apply(fleet, { match: at('prefix', '/split'), action: { clusters: [side('a', 1), side('b', 1)] } }, {});
        const seen = new Set<string>();
        for (let call = 0; call < 40; call += 1) {
          const answer = await fleet.client.call({ path: '/split' });
          assert.equal(answer.headers['x-side'], answer.body.toString());
          seen.add(answer.body.toString());
        }
        assert.deepEqual([...seen].sort(), ['a', 'b']);
        const plain = await fleet.client.call();
        assert.deepEqual([plain.body.toString(), plain.headers['x-side']], ['undefined', undefined]);
      });

      test('a limit refuses what is above it, says when to come again, and goes on counting when the configuration changes', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('ok'));
        const limit: RateLimit = { requests: 1, perMs: 3_600_000, burst: 2, by: { kind: 'header', name: 'x-user' } };
        await apply(fleet, { rateLimits: [limit] });
        const call = async (user: string) => (await fleet.client.call({ headers: { 'x-user': user } })).status;
        assert.deepEqual([await call('a'), await call('a'), await call('a'), await call('b')], [200, 200, 429, 200]);
        await apply(fleet, { rateLimits: [limit], responseHeaders: { set: { 'x-new': '1' }, add: {}, remove: [] } });
        const refused = await fleet.client.call({ headers: { 'x-user': 'a' } });
        assert.deepEqual(
          [refused.status, refused.headers['x-heddle-error'], refused.headers['retry-after']],
          [429, 'RATE_LIMITED', '3600'],
        );
        assert.equal(await call('b'), 200);
        assert.equal(await call('b'), 429);
        assert.equal(fleet.requests(), 4);
        assert.match(fleet.metrics(), /heddle_requests_total\{class="4xx"[^}]*error="RATE_LIMITED"[^}]*\} 3\n/);
      });

      test('limits of a route that fit only some requests hold for these, beside the others', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('ok'));
        const limit = { requests: 1, perMs: 3_600_000, by: { kind: 'all' } } as const;
        await apply(fleet, {
          rateLimits: [
            { ...limit, burst: 4 },
            { ...limit, burst: 1, match: { ...at('prefix', '/dear'), methods: ['POST'] } },
          ],
        });
        const call = async (method: string, path: string) => (await fleet.client.call({ method, path })).status;
        assert.deepEqual([await call('POST', '/dear'), await call('POST', '/dear'), await call('GET', '/dear')], [200, 429, 200]);
        // What one limit refuses takes no token of the other.
        assert.deepEqual([await call('POST', '/'), await call('GET', '/'), await call('GET', '/')], [200, 200, 429]);
      });

      test('a failure is injected in the share that was asked for, with its status, at once or after a while', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('ok'));
        const abort = { percent: 100, status: { kind: 'http', code: 418 } } as const;
        await apply(
          fleet,
          { match: at('exact', '/abort'), fault: { abort } },
          { match: at('exact', '/both'), fault: { delay: { percent: 100, delayMs: 20 }, abort } },
          { match: at('exact', '/never'), fault: { delay: { percent: 0, delayMs: 60_000 }, abort: { ...abort, percent: 0 } } },
          { match: at('exact', '/late'), fault: { delay: { percent: 100, delayMs: 20 } } },
          { match: at('exact', '/some'), fault: { abort: { ...abort, percent: 50 } } },
          {},
        );
        const { client } = fleet;
        for (const path of ['/abort', '/both']) {
          const answer = await client.call({ method: 'POST', path, body: ['body'] });
          assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [418, 'FAULT_INJECTED'], path);
        }
        assert.equal(fleet.requests(), 0);
        for (const path of ['/never', '/late', '/'])
          assert.equal((await client.call({ method: 'POST', path, body: ['one', 'two'] })).body.toString(), 'ok', path);
        const statuses = new Set<number>();
        for (let call = 0; call < 40; call += 1) statuses.add((await client.call({ path: '/some' })).status);
        assert.deepEqual(statuses, new Set([200, 418]));
        assert.match(fleet.metrics(), /error="FAULT_INJECTED"[^}]*\} \d/);
        assert.ok(isQuiet(fleet.way.planes));
      });

      test('what is answered here has the limits and failures of its route, and its changes of headers', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('application'));
        const respond = { kind: 'respond', status: 200, body: 'here', contentType: 'text/plain' } as const;
        const limit = { requests: 1, perMs: 3_600_000, burst: 1, by: { kind: 'all' } } as const;
        const abort = { percent: 100, status: { kind: 'http', code: 503 } } as const;
        const delay = { percent: 100, delayMs: 20 };
        const marked = { responseHeaders: { set: { 'x-mark': 'yes', 'content-type': 'text/x-mine' }, add: {}, remove: [] } };
        await apply(
          fleet,
          { match: at('exact', '/limit'), action: respond, rateLimits: [limit], ...marked },
          { match: at('exact', '/abort'), action: respond, fault: { abort }, ...marked },
          { match: at('exact', '/late'), action: respond, fault: { delay }, ...marked },
          { match: at('exact', '/both'), action: respond, fault: { delay, abort }, ...marked },
          { match: at('exact', '/failed'), fault: { delay, abort }, ...marked },
          { match: at('exact', '/refused'), rateLimits: [limit], ...marked },
          { match: at('exact', '/slow'), action: { timeoutMs: 20 }, fault: { delay: { percent: 100, delayMs: 60_000 } }, ...marked },
        );
        const said = async (path: string, body?: string[]): Promise<unknown[]> => {
          const { status, headers } = await fleet.client.call({ path, ...(body !== undefined && { method: 'POST', body }) });
          assert.deepEqual([headers['x-mark'], headers['content-type']], ['yes', 'text/x-mine'], path);
          return [status, headers['x-heddle-error']];
        };
        assert.deepEqual(await said('/limit'), [200, undefined]);
        assert.deepEqual(await said('/limit'), [429, 'RATE_LIMITED']);
        assert.deepEqual(await said('/abort'), [503, 'FAULT_INJECTED']);
        const startMs = performance.now();
        assert.deepEqual(await said('/late'), [200, undefined]);
        assert.deepEqual(await said('/late', ['some', 'thing']), [200, undefined]);
        assert.deepEqual(await said('/both'), [503, 'FAULT_INJECTED']);
        assert.ok(performance.now() - startMs >= 55);
        assert.deepEqual(await said('/failed'), [503, 'FAULT_INJECTED']);
        assert.deepEqual(await said('/refused'), [200, undefined]);
        assert.deepEqual(await said('/refused'), [429, 'RATE_LIMITED']);
        assert.deepEqual(await said('/slow'), [504, 'REQUEST_TIMEOUT']);
        assert.equal(fleet.requests(), 1);
        assert.ok(isQuiet(fleet.way.planes));
      });

      test('a redirect keeps the scheme that the client used with whoever is in front', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('application'));
        await apply(fleet, { action: { kind: 'redirect', status: 302, authority: 'new.test' } });
        const location = async (proto: string): Promise<unknown> =>
          (await fleet.client.call({ path: '/a', headers: { 'x-forwarded-proto': proto } })).headers['location'];
        assert.equal(await location('https'), 'https://new.test/a');
        assert.equal(await location('http'), 'http://new.test/a');
        assert.equal(await location('gopher'), 'http://new.test/a');
      });

      test('the source is whoever the request first came from, else who has sent it', async () => {
        const fleet = await ways(way, (request, response) => void response.end(String(request.headers['x-from'])));
        await apply(fleet, { requestHeaders: { set: { 'x-from': '%SOURCE_ADDRESS%' }, add: {}, remove: [] } });
        const from = async (headers: Record<string, string>): Promise<string> => (await fleet.client.call({ headers })).body.toString();
        assert.equal(await from({}), '127.0.0.1');
        assert.equal(await from({ 'x-forwarded-for': '192.0.2.1, 192.0.2.2' }), '192.0.2.1');
      });

      test('each line of a header is compared by itself', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('application'));
        const closed = { kind: 'respond', status: 403, body: '', contentType: '' } as const;
        const admin = [{ name: 'x-role', match: { kind: 'exact', value: 'admin' } }] as const;
        await apply(fleet, { match: { ...at('prefix', '/'), headers: admin }, action: closed }, {});
        const status = async (...roles: string[]): Promise<number> => (await fleet.client.call({ headers: { 'x-role': roles } })).status;
        assert.deepEqual(
          [await status('admin'), await status('user', 'admin'), await status('user'), await status('user,admin')],
          [403, 403, 200, 200],
        );
      });

      test('a request that a rule holds back can be given up', async () => {
        const fleet = await ways(way, (_request, response) => void response.end('ok'));
        await apply(fleet, { fault: { delay: { percent: 100, delayMs: 60_000 } } });
        const call = fleet.client.begin({ method: 'POST', body: ['body'] });
        const { plane } = fleet.way.planes[0]!;
        await until(() => plane.status().activeRequests === 1, 'held back');
        call.cancel();
        await until(() => plane.status().activeRequests === 0, 'given up');
        await assert.rejects(call.answer);
        assert.equal(fleet.requests(), 0);
      });
    });
  }

  test('gRPC calls are refused and failed in their own words', async () => {
    const [, way] = WAYS;
    const fleet = await ways({ ...way, version: 'http2' }, (_request, response) => void response.end());
    await apply(
      fleet,
      { match: at('exact', '/a.B/Limited'), rateLimits: [{ requests: 1, perMs: 10_000, burst: 1, by: { kind: 'all' } }] },
      { match: at('exact', '/a.B/Grpc'), fault: { abort: { percent: 100, status: { kind: 'grpc', code: 9 } } } },
      { match: at('exact', '/a.B/Http'), fault: { abort: { percent: 100, status: { kind: 'http', code: 503 } } } },
    );
    const call = async (method: string) => {
      const answer = await fleet.client.call({ method: 'POST', path: `/a.B/${method}`, headers: GRPC_HEADERS, body: ['\0\0\0\0\0'] });
      return [answer.status, answer.headers['grpc-status'], answer.headers['x-heddle-error']];
    };
    await call('Limited');
    assert.deepEqual(await call('Limited'), [200, '8', 'RATE_LIMITED']);
    assert.deepEqual(await call('Grpc'), [200, '9', 'FAULT_INJECTED']);
    assert.deepEqual(await call('Http'), [200, '14', 'FAULT_INJECTED']);
  });

  test('a limit by identity counts each calling service on its own, at the called side', async () => {
    const application = await startApplication(mesh, 'http1', (_request, response) => void response.end('ok'));
    const orders = mesh.plane('orders');
    const rateLimits: RateLimit[] = [{ requests: 1, perMs: 3_600_000, burst: 1, by: { kind: 'identity' } }];
    const port = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port, { route: { rateLimits } });
    const clients: Client[] = [];
    for (const service of ['web', 'shop']) {
      const caller = mesh.plane(service);
      const workload = `default/${service}/${service}-1`;
      const local = await mesh.outbound(caller.plane, 'orders', [endpoint(port, 'orders-1')], {
        workload,
        route: { retry: { attempts: 0 } },
      });
      const client = createClient('http1', local);
      mesh.onClose(() => client.close());
      clients.push(client);
    }
    const [web, shop] = clients as [Client, Client];
    assert.deepEqual([(await web.call()).status, (await web.call()).status, (await shop.call()).status], [200, 429, 200]);
  });

  test('copies go to another cluster with the whole body, and what becomes of them changes nothing', async () => {
    const seen: string[] = [];
    const shadow = await startApplication(mesh, 'http1', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        seen.push(
          `${request.method} ${request.url} ${request.headers.host} ${Buffer.concat(chunks).length} ${String(request.headers['x-a'])}`,
        );
        response.writeHead(500).end('nobody reads this');
      });
    });
    const application = await startApplication(mesh, 'http1', (request, response) => {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => void (bytes += chunk.length));
      request.on('end', () => void response.end(String(bytes)));
    });
    const way = await pair(mesh, 'http1', application.port);
    const { plane } = way.planes[0]!;
    const mirrored = meshCluster('shadow', {
      http: 'http1',
      tls: undefined,
      endpoints: { kind: 'static', endpoints: [endpoint(shadow.port, 'shadow-1')] },
    });
    const gone = { ...mirrored, name: 'gone', endpoints: { kind: 'static', endpoints: [endpoint(1, 'gone-1')] } } as const;
    await mustApply(plane, { kind: 'cluster', upserts: [mirrored, gone], removed: [] });
    const mirrors = [
      { cluster: mirrored.name, percent: 100 },
      { cluster: 'gone', percent: 100 },
      { cluster: 'not there yet', percent: 100 },
      { cluster: mirrored.name, percent: 0 },
    ];
    const rewrite = { path: { kind: 'prefix', value: '/v2' } } as const;
    const route: Route = { name: 'all', match: at('segments', '/v1'), action: { ...FORWARD, mirrors, rewrite } };
    const config = { name: ROUTES, virtualHosts: [{ name: 'orders', domains: ['*'], routes: [route] }] };
    await mustApply(plane, { kind: 'route', upserts: [config], removed: [] });
    for (const version of ['http1', 'http2'] as const) {
      const client = way.client(version);
      const get = await client.call({ path: '/v1/x?y', headers: { 'x-a': 'b' } });
      assert.deepEqual([get.status, get.body.toString()], [200, '0']);
      const body = [Buffer.alloc(10_000, 1), Buffer.alloc(10_000, 2)];
      assert.equal((await client.call({ method: 'POST', path: '/v1/y', body })).body.toString(), '20000');
      await until(() => seen.length === 2, 'both copies');
      const host = 'orders.mesh.internal-shadow';
      assert.deepEqual(seen.splice(0).sort(), [`GET /v2/x?y ${host} 0 b`, `POST /v2/y ${host} 20000 undefined`]);
      // Far more than is kept for a copy that does not get through.
      const large = Array.from({ length: 40 }, () => Buffer.alloc(65_536));
      assert.equal((await client.call({ method: 'POST', path: '/v1/z', body: large })).body.toString(), String(40 * 65_536));
      await until(() => plane.status().activeRequests === 0, 'all over');
      seen.length = 0;
    }
    assert.match(way.planes[0]!.metrics.expose(), /heddle_requests_total\{class="5xx",destination="default\/shadow",direction="mirror"/);
    assert.ok(isQuiet(way.planes));
  });
});
