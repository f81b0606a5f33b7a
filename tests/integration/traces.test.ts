// Traces across three services of a real mesh, with the data planes beside the applications, inside them, and mixed; the access log that goes with them; and
// a mesh file that is changed while traffic flows.
import assert from 'node:assert/strict';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { Collector, type CollectedSpan } from '../../packages/dataplane/src/testing/collector.ts';
import { askDirect } from '../../packages/dataplane/src/testing/direct.ts';
import { linesOfTrace } from '../support/access-log.ts';
import { Cleanup, control, host, LOOPBACK, machine, meshOf, proxy, temporaryDirectory, through } from '../support/planes.ts';
import { callThroughProxy } from '../support/load.ts';
import { member } from '../support/member.ts';
import { waitFor } from '../support/wait.ts';

type Call = (headers: Readonly<Record<string, string>>) => Promise<string>;

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const cleanup = new Cleanup();
let collector: Collector;
let plane: RunningControl;
let shared: RunningProxy;
let log = '';
/** By the application that was asked last. */
let lastSeen = '';
/** As its application does. */
let webCalls: Call;

const meshFile = (telemetry: string, web = ''): string => `
mesh: test
services:
  web: { port: 80, health: { interval: 500ms, timeout: 500ms }, ${web} }
  orders: { port: 81, health: { interval: 500ms, timeout: 500ms } }
  stock: { port: 82, health: { interval: 500ms, timeout: 500ms } }
telemetry: ${telemetry}
`;

/** What an application with tracing does: the trace of a request goes on with the calls that it makes. */
function traceOf(request: IncomingMessage): Record<string, string> {
  const { traceparent, tracestate } = request.headers;
  return {
    ...(traceparent !== undefined && { traceparent: String(traceparent) }),
    ...(tracestate !== undefined && { tracestate: String(tracestate) }),
  };
}

function application(name: string, next: () => Call | undefined) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const call = next();
    if (request.url !== '/healthz') lastSeen = String(request.headers.traceparent);
    if (call === undefined) return void response.end(name);
    call(traceOf(request)).then(
      (answer) => response.end(`${name} ${answer}`),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  };
}

/** One instance of the service; resolves to how it calls another one. */
async function take(service: string, place: 'inside' | 'beside', calls: string | undefined): Promise<void> {
  let next: Call | undefined;
  const server = createServer(application(service, () => next));
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => (server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  const instance = `${service}-1`;
  if (place === 'beside') {
    const own = await proxy(cleanup, plane, { node: instance });
    const { outbounds } = await host(own, plane, instance, port, { uses: calls === undefined ? [] : [calls] });
    const [way] = outbounds;
    if (way !== undefined) next = (headers) => ask(way.listen.port, headers);
    if (service === 'web') webCalls = next!;
    return;
  }
  const mesh = await member(cleanup, plane, service, { instance, drainMs: 500, port });
  mesh.servers.add(port, server);
  await mesh.ready();
  if (calls === undefined) return;
  const authority = `${calls}.mesh.internal`;
  next = async (headers) => (await askDirect(mesh.calls, { authority, headers: Object.entries(headers).flat() })).text;
}

function ask(port: number, headers: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: LOOPBACK, port, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => void (text += part));
      response.on('end', () => resolve(text)).on('error', reject);
    }).on('error', reject);
  });
}

/** Through the shared proxy, as the operator. */
async function call(headers: Readonly<Record<string, string>> = {}): Promise<void> {
  const outcome = await callThroughProxy({ proxy: through(shared), url: 'http://web.mesh.internal/?key=secret', headers });
  assert.equal(outcome.body, 'web orders stock');
}

function spansOf(trace: string): CollectedSpan[] {
  return collector.spans.filter(({ traceId }) => traceId === trace);
}

describe('a trace across three services', () => {
  before(async () => {
    collector = await Collector.listen();
    cleanup.add(() => collector.close());
    log = join(await temporaryDirectory(cleanup), 'access.jsonl');
    plane = await control(cleanup, { mesh: meshOf(meshFile(telemetry(100))) });
    await take('web', 'beside', 'orders');
    await take('orders', 'inside', 'stock');
    await take('stock', 'beside', undefined);
    shared = await machine(cleanup, plane, { node: 'operator' });
    await waitFor('the way through all services', () => call().then(() => true));
  });
  after(() => cleanup.run());

  const telemetry = (percent: number): string =>
    `{ tracing: { otlp: "http://${LOOPBACK}:${collector.port}", sample: ${percent}% }, accessLog: { to: ${log}, headers: [x-request-id] } }`;

  test('is one, whose spans hang together from the caller to the last application', async () => {
    await call({ traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'vendor=1' });
    await waitFor('six spans', () => spansOf(TRACE).length === 6);
    const chain: CollectedSpan[] = [];
    for (let parent = PARENT; chain.length < 6; parent = chain.at(-1)!.spanId) {
      const found = spansOf(TRACE).filter(({ parentId }) => parentId === parent);
      assert.equal(found.length, 1, `children of ${parent}: ${found.length}`);
      chain.push(found[0]!);
    }
    assert.deepEqual(
      chain.map(({ kind, resource, attributes }) => [
        kind,
        resource['service.name'],
        attributes['heddle.source'],
        attributes['heddle.destination'],
      ]),
      [
        ['client', 'operator', 'heddle-system/operator', 'default/web'],
        ['server', 'web', 'heddle-system/operator', 'default/web'],
        ['client', 'web', 'default/web', 'default/orders'],
        ['server', 'orders', 'default/web', 'default/orders'],
        ['client', 'orders', 'default/orders', 'default/stock'],
        ['server', 'stock', 'default/orders', 'default/stock'],
      ],
    );
    assert.ok(chain.every(({ state }) => state === 'vendor=1'));
  });

  test('has a line in the access log at both ends of every call', async () => {
    const told = await linesOfTrace(log, TRACE, 6);
    assert.deepEqual(told.map(({ direction, source, destination, status }) => `${direction} ${source} ${destination} ${status}`).sort(), [
      'inbound default/orders default/stock 200',
      'inbound default/web default/orders 200',
      'inbound heddle-system/operator default/web 200',
      'outbound default/orders default/stock 200',
      'outbound default/web default/orders 200',
      'outbound heddle-system/operator default/web 200',
    ]);
    const ids = told.map(({ headers }) => headers?.['x-request-id']);
    assert.ok(told.every(({ path }) => path === '/') && ids.filter((id) => id !== undefined).length >= 3);
  });

  test('is not begun where the mesh file says so, which holds at once, and a service may have it otherwise', async () => {
    await plane.setMesh(meshOf(meshFile(telemetry(0), 'telemetry: { tracing: { sample: 100% } }')));
    await waitFor('an unsampled trace at the last application', async () => {
      await call();
      return lastSeen.endsWith('-00');
    });
    // Nobody but web itself decides about what it begins.
    assert.equal(await webCalls({}), 'orders stock');
    const root = await waitFor('the root of what web began', () =>
      collector.spans.find(({ parentId, resource }) => parentId === '' && resource['service.name'] === 'web'),
    );
    await waitFor('four spans', () => spansOf(root.traceId).length === 4);
    assert.equal(collector.spans.filter(({ parentId, resource }) => parentId === '' && resource['service.name'] === 'web').length, 1);
  });
});
