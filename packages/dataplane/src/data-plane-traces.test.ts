// Spans of requests through two data planes, as a collector gets them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { afterEach, describe, test } from 'node:test';
import type { Listener, TracingPolicy } from '@heddle/core';
import { Collector } from './testing/collector.ts';
import type { CollectedSpan } from './testing/collector.ts';
import { endpoint, mustApply, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { connectRaw, DEAD_PORTS, until } from './testing/raw-http.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

interface Seen {
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

describe('a trace', () => {
  let mesh = new TestMesh();
  const seen: Seen[] = [];
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
    seen.length = 0;
  });

  async function collector(): Promise<Collector> {
    const made = await Collector.listen();
    mesh.onClose(() => made.close());
    return made;
  }

  function policyOf(url: string, samplePercent: number, more: Partial<TracingPolicy['collector']> = {}): TracingPolicy {
    return { collector: { url, headers: [], timeoutMs: 2_000, ...more }, samplePercent, attributes: { env: 'test' } };
  }

  /** All listeners of the data plane. */
  async function traced({ plane }: Plane, tracing: TracingPolicy | undefined): Promise<void> {
    const { listeners } = plane.configDump() as { listeners: (Listener & { status: unknown })[] };
    const upserts = listeners.map(({ status: _status, load: _load, ...listener }: Listener & { status: unknown; load?: unknown }) => {
      const { filter } = listener;
      return filter.kind === 'http' ? { ...listener, filter: { ...filter, tracing } } : listener;
    });
    await mustApply(plane, { kind: 'listener', upserts: upserts as Listener[], removed: [] });
  }

  async function pair(dead = false): Promise<{ web: Plane; orders: Plane; port: number }> {
    const web = mesh.plane('web-node');
    const orders = mesh.plane('orders-node');
    const application = await mesh.application((request, response) => {
      seen.push({
        traceparent: request.headers.traceparent as string | undefined,
        tracestate: request.headers.tracestate as string | undefined,
      });
      response.statusCode = request.url?.startsWith('/fail') === true ? 500 : 200;
      response.end('ok');
    });
    const inbound = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    const endpoints = [endpoint(inbound, 'orders-1'), ...(dead ? [endpoint(DEAD_PORTS[0], 'orders-dead')] : [])];
    const port = await mesh.outbound(web.plane, 'orders', endpoints);
    return { web, orders, port };
  }

  /** A listener that asks for no certificate. */
  async function plainInbound(web: Plane, applicationPort: number): Promise<number> {
    await mesh.inbound(web.plane, 'web', 'web-1', applicationPort, { mtls: 'off' });
    return web.plane.status().listeners[0]!.port;
  }

  function call(port: number, path = '/', headers: http.OutgoingHttpHeaders = {}): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = http.get({ port, host: '127.0.0.1', path, headers: { host: 'orders', ...headers }, agent: false }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      request.on('error', reject);
    });
  }

  test('goes from the call to the application, and its spans hang together', async () => {
    const { web, orders, port } = await pair();
    const to = await collector();
    await traced(web, policyOf(to.url, 100));
    await traced(orders, policyOf(to.url, 0, { gzip: true }));
    assert.equal(await call(port, '/items?key=secret'), 200);
    await until(() => to.spans.length === 2, 'two spans');
    const client = spanOf(to, 'client');
    const server = spanOf(to, 'server');
    assert.equal(client.parentId, '');
    assert.equal(server.traceId, client.traceId);
    assert.equal(server.parentId, client.spanId);
    assert.equal(seen[0]?.traceparent, `00-${client.traceId}-${server.spanId}-01`);
    assert.deepEqual([client.resource['service.name'], client.resource['service.instance.id']], ['web', 'web-1']);
    assert.deepEqual([server.resource['service.name'], server.resource['service.namespace']], ['orders', 'default']);
    assert.deepEqual(
      ['http.request.method', 'url.path', 'http.response.status_code', 'heddle.source', 'heddle.destination', 'heddle.instance', 'env'].map(
        (key) => client.attributes[key],
      ),
      ['GET', '/items', 200, 'default/web', 'default/orders', 'orders-1', 'test'],
    );
    assert.equal(server.attributes['heddle.peer.identity'], 'spiffe://shop.test/ns/default/svc/web');
    assert.ok(client.startMs <= client.endMs && Math.abs(client.startMs - Date.now()) < 60_000);
    assert.equal(to.requests[0]?.path, '/v1/traces');
    assert.ok(!JSON.stringify(to.spans).includes('secret'), 'queries stay out');
  });

  test('that comes along is taken up where it was sampled, left alone where it was not, and not believed where it is malformed', async () => {
    const { web, orders, port } = await pair();
    const to = await collector();
    await traced(web, policyOf(to.url, 0));
    await traced(orders, policyOf(to.url, 0));
    await call(port, '/', { traceparent: `00-${TRACE}-${PARENT}-00`, tracestate: 'a=1' });
    assert.deepEqual(seen.pop(), { traceparent: `00-${TRACE}-${PARENT}-00`, tracestate: 'a=1' });
    for (const bad of [`00-${TRACE.toUpperCase()}-${PARENT}-01`, `ff-${TRACE}-${PARENT}-01`, `00-${'0'.repeat(32)}-${PARENT}-01`, 'x']) {
      await call(port, '/', { traceparent: bad, tracestate: 'a=1' });
      const { traceparent = '', tracestate } = seen.pop()!;
      assert.match(traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
      assert.ok(!traceparent.includes(TRACE));
      assert.equal(tracestate, undefined);
    }
    await call(port, '/', { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'a=1,b=2' });
    await until(() => to.spans.length === 2, 'two spans');
    assert.deepEqual([...to.traces.keys()], [TRACE]);
    const client = spanOf(to, 'client');
    assert.deepEqual([client.parentId, client.state], [PARENT, 'a=1,b=2']);
    assert.equal(seen.pop()?.tracestate, 'a=1,b=2');
  });

  test('shows tries and errors', async () => {
    const { web, orders, port } = await pair(true);
    const to = await collector();
    await traced(web, policyOf(to.url, 100));
    await traced(orders, policyOf(to.url, 100));
    for (let count = 0; count < 4; count++) assert.equal(await call(port), 200);
    assert.equal(await call(port, '/fail'), 500);
    await until(() => to.spans.length === 10, 'ten spans');
    const retried = to.spans.find((span) => span.attributes['heddle.tries'] === 2)!;
    const tries = retried.events.map(({ attributes }) => [attributes['heddle.instance'], attributes['heddle.try.outcome']]);
    assert.deepEqual(tries, [
      ['orders-dead', 'CONNECT_FAILED'],
      ['orders-1', 'answered'],
    ]);
    assert.equal(retried.attributes['http.request.resend_count'], 1);
    const failed = to.spans.filter(({ attributes }) => attributes['http.response.status_code'] === 500);
    assert.deepEqual(
      failed.map(({ isError, attributes }) => [isError, attributes['error.type']]),
      [
        [true, '500'],
        [true, '500'],
      ],
    );
  });

  test('begins for the configured share, and follows the configuration on open connections', async () => {
    const { web, orders, port } = await pair();
    const to = await collector();
    await traced(web, policyOf(to.url, 20));
    await traced(orders, policyOf(to.url, 100));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    mesh.onClose(() => agent.destroy());
    const get = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const request = http.get({ port, host: '127.0.0.1', agent, headers: { host: 'orders' } }, (response) => {
          response.resume().on('end', resolve);
        });
        request.on('error', reject);
      });
    await Promise.all(Array.from({ length: 2_000 }, get));
    await traced(web, undefined);
    await traced(orders, undefined);
    await Promise.all(Array.from({ length: 20 }, get));
    // 2,000 draws at 20 %: 400 ± 18; seven standard deviations.
    await until(() => to.spans.length >= 2 * 275 && to.spans.length % 2 === 0, 'the sampled spans');
    await web.plane.drain(2_000, 'all', 0);
    await orders.plane.drain(2_000, 'all', 0);
    assert.ok(to.spans.length <= 2 * 525, `${to.spans.length} spans`);
    for (const spans of to.traces.values()) assert.equal(spans.length, 2);
  });

  test('is that of who calls by the shared proxy, and a request of nobody is none of its last caller', async () => {
    const { web, port } = await pair();
    const to = await collector();
    await mesh.inbound(web.plane, 'web', 'web-1', port);
    await traced(web, policyOf(to.url, 100));
    const bind = await web.plane.reserve({ address: '127.0.0.1', port: 0 });
    const filter = { kind: 'http', routeConfigName: 'outbound/default/orders' } as const;
    await mustApply(web.plane, {
      kind: 'listener',
      upserts: [{ name: 'outbound/proxy', direction: 'outbound', ...bind, filter }],
      removed: [],
    });
    web.plane.setCredential('key', 'default/web/web-1');
    const client = connectRaw(bind.port);
    const get = 'GET http://orders/ HTTP/1.1\r\nHost: orders\r\n';
    client.send(`${get}Proxy-Authorization: Basic ${Buffer.from('key:').toString('base64')}\r\n\r\n${get}\r\n`);
    await client.expect('UNKNOWN_WORKLOAD');
    client.socket.destroy();
    await web.plane.drain(2_000, 'all', 0);
    assert.deepEqual(
      to.spans.map(({ resource, attributes }) => [resource['service.name'], attributes['http.response.status_code']]),
      [['web', 200]],
    );
  });

  test('of a request that a drain cuts off is told, too', async () => {
    const to = await collector();
    const web = mesh.plane('web-node');
    const application = await mesh.application(() => {});
    const port = await plainInbound(web, application.port);
    await traced(web, policyOf(to.url, 100));
    const client = connectRaw(port);
    client.send('GET /slow HTTP/1.1\r\nHost: web\r\n\r\n');
    await until(() => web.plane.status().activeRequests === 1, 'under way');
    await web.plane.drain(50, 'all', 0);
    await until(() => to.spans.length === 1, 'its span');
    assert.equal(to.spans[0]?.attributes['heddle.error.code'], 'CLIENT_GONE');
  });

  test('costs no request while the collector is away, slow, busy or talks nonsense, and what it takes later arrives', async () => {
    const { web, port } = await pair();
    const to = await collector();
    const answers: ((response: http.ServerResponse) => void)[] = [
      (response) => response.socket?.destroy(),
      (response) => response.writeHead(503, { 'retry-after': '0' }).end(),
      (response) => response.writeHead(429, { 'retry-after': '0' }).end('x'.repeat(1_000)),
    ];
    to.answer = (_request, response) => {
      const next = answers.shift();
      next?.(response);
      return next !== undefined;
    };
    await traced(web, policyOf(to.url, 100));
    assert.equal(await call(port), 200);
    await until(() => to.spans.length === 1, 'the span', 20_000);
    // Another exporter, which has sent nothing yet and need not pause.
    await traced(web, policyOf(to.url, 100, { timeoutMs: 1_999 }));
    to.answer = (_request, response) => {
      response.writeHead(400).end('no');
      return true;
    };
    assert.equal(await call(port), 200);
    await until(() => web.metrics.expose().includes('heddle_spans_dropped_total{reason="refused"} 1'), 'the count');
    assert.ok(web.lines.some(({ msg }) => String(msg).includes('takes no spans')));
    to.answer = (_request, response) => {
      response.socket?.write('garbage\r\n\r\n');
      return true;
    };
    assert.equal(await call(port), 200);
    await traced(web, policyOf(`http://127.0.0.1:${DEAD_PORTS[1]}/v1/traces`, 100));
    assert.equal(await call(port), 200);
    assert.deepEqual(web.faults, []);
  });

  test('waits for a collector in little memory: what does not fit is counted, and the rest arrives', async () => {
    const to = await collector();
    const web = mesh.plane('web-node', { spanQueueBytesMax: 5_000 });
    const application = await mesh.application((_request, response) => response.end('ok'));
    const port = await plainInbound(web, application.port);
    const held = Promise.withResolvers<void>();
    to.before = held.promise;
    await traced(web, policyOf(to.url, 100));
    assert.equal(await call(port), 200);
    await until(() => to.requests.length === 1, 'a batch under way');
    for (let count = 0; count < 100; count++) assert.equal(await call(port), 200);
    held.resolve();
    await web.plane.drain(2_000, 'all', 0);
    const lost = Number(/heddle_spans_dropped_total\{reason="full"\} (\d+)/.exec(web.metrics.expose())?.[1]);
    assert.ok(lost >= 80 && lost < 100, `${lost} lost`);
    assert.equal(to.spans.length, 101 - lost);
    assert.deepEqual(web.faults, []);
  });

  test('is sent in batches that a collector takes, also with large spans', async () => {
    const to = await collector();
    const web = mesh.plane('web-node');
    const application = await mesh.application((_request, response) => response.end('ok'));
    const port = await plainInbound(web, application.port);
    await traced(web, { ...policyOf(to.url, 100), attributes: { note: 'x'.repeat(200_000) } });
    for (let count = 0; count < 16; count++) assert.equal(await call(port), 200);
    await web.plane.drain(2_000, 'all', 0);
    assert.equal(to.spans.length, 16);
    const sizes = to.requests.map(({ headers }) => Number(headers['content-length']));
    assert.ok(sizes.length > 1 && sizes.every((size) => size < 2_500_000), sizes.join(', '));
  });
});

function spanOf(to: Collector, kind: CollectedSpan['kind']): CollectedSpan {
  const found = to.spans.filter((span) => span.kind === kind);
  assert.equal(found.length, 1);
  return found[0]!;
}
