// The real Envoy with the traces and access logs of the mesh file: its spans are part of the same traces as ours, and its lines say the same.
import assert from 'node:assert/strict';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunningProxy } from '@heddle/proxy';
import { Collector, type CollectedSpan } from '../../packages/dataplane/src/testing/collector.ts';
import { linesOfTrace } from '../support/access-log.ts';
import { callThroughProxy } from '../support/load.ts';
import { Cleanup, host, LOOPBACK, machine, temporaryDirectory, through } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { ControlProcess, type Envoy, startEnvoy } from './support/envoy.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { reason } from './support/programs.ts';

const HEALTH = 'health: { interval: 300ms, timeout: 300ms, unhealthyAfter: 2 }';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);
const cleanup = new Cleanup();
let collector: Collector;
let log = '';
let near: RunningProxy;
let alpha: Envoy;

/** Takes the trace of its request along with its call, if it makes one. */
async function application(name: string, next: () => string | undefined): Promise<number> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const url = request.url === '/healthz' ? undefined : next();
    if (url === undefined) return void response.end(name);
    const { traceparent } = request.headers;
    get(url, { headers: traceparent === undefined ? {} : { traceparent: String(traceparent) } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => void (text += part));
      answer.on('end', () => response.writeHead(answer.statusCode ?? 502).end(`${name} ${text}`));
    }).on('error', (error) => response.writeHead(502).end(error.message));
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => (server.closeAllConnections(), server.close()));
  return (server.address() as AddressInfo).port;
}

async function call(headers: Readonly<Record<string, string>> = {}): Promise<string> {
  return (await callThroughProxy({ proxy: through(near), url: 'http://alpha.mesh.internal/?key=secret', headers })).body;
}

describe('traces and access logs with an Envoy in the mesh', { skip }, () => {
  before(async () => {
    collector = await Collector.listen();
    cleanup.add(() => collector.close());
    log = join(await temporaryDirectory(cleanup), 'envoy.jsonl');
    const mesh = `mesh: interop
services:
  alpha: { port: 8001, ${HEALTH} }
  beta: { port: 8002, ${HEALTH} }
telemetry:
  tracing: { otlp: "http://${LOOPBACK}:${collector.port}", sample: 0%, attributes: { env: test } }
  accessLog: { to: ${log}, status: [2xx], slowerThan: 1h, errors: true, rest: 1%, headers: [x-request-id] }
`;
    const plane = await ControlProcess.start(cleanup, mesh);
    near = await machine(cleanup, plane.ref, { node: 'near' });
    await host(near, plane.ref, 'beta-1', await application('beta', () => undefined));
    alpha = await startEnvoy(cleanup, found as string, plane, {
      ...{ service: 'alpha', instance: 'alpha-1', uses: ['beta'] },
      applicationPort: await application('alpha', () => alpha.url('beta')),
    });
    await waitFor('the way through both', async () => (await call()) === 'alpha beta');
  });
  after(() => cleanup.run());

  test('are taken by it whole', async () => assert.deepEqual((await alpha.config()).errors, []));

  test('make one trace of a call through ours and through it', async () => {
    const before = collector.spans.length;
    assert.equal(await call(), 'alpha beta');
    await call({ traceparent: `00-${TRACE}-${PARENT}-01` });
    const spans = (): CollectedSpan[] => collector.spans.filter(({ traceId }) => traceId === TRACE);
    await waitFor('four spans', () => spans().length === 4);
    const chain: CollectedSpan[] = [];
    for (let parent = PARENT; chain.length < 4; parent = chain.at(-1)!.spanId) {
      const next = spans().find(({ parentId }) => parentId === parent);
      assert.ok(next, `a child of ${parent} among ${JSON.stringify(spans())}`);
      chain.push(next);
    }
    assert.deepEqual(
      chain.map(({ kind, resource }) => [kind, resource['service.name']]),
      [
        ['client', 'operator'],
        ['server', 'alpha'],
        ['client', 'alpha'],
        ['server', 'beta'],
      ],
    );
    assert.ok(chain.every(({ attributes }) => attributes['env'] === 'test'));
    // What nobody sampled is in no trace.
    assert.equal(collector.spans.length, before + 4);
  });

  test('have a line for each request by it as by ours', async () => {
    // Envoy writes its file every ten seconds.
    const told = await linesOfTrace(log, TRACE, 4);
    assert.deepEqual(told.map(({ direction, method, path, status }) => `${direction} ${method} ${path} ${status}`).sort(), [
      'inbound GET / 200',
      'inbound GET / 200',
      'outbound GET / 200',
      'outbound GET / 200',
    ]);
    // All but the caller's own side, which logs what came.
    assert.equal(told.filter(({ headers }) => headers?.['x-request-id'] !== undefined).length, 3);
  });
});
