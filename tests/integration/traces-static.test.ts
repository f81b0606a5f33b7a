// Traces and access log of `heddle proxy` as it runs by itself, with several workers: each sends its own spans, and what they have when they are told to end.
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Collector } from '../../packages/dataplane/src/testing/collector.ts';
import { callThroughProxy } from '../support/load.ts';
import { Cleanup, temporaryDirectory } from '../support/planes.ts';
import { httpBackend, ProxyProcess } from '../support/proxy-process.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
let collector: Collector;
let proxy: ProxyProcess;
let port = 0;

/** Over a connection of its own, so that each worker has its share by chance. */
function get(path: string): Promise<{ readonly status: number }> {
  return callThroughProxy({ proxy: { host: '127.0.0.1', port }, url: `http://127.0.0.1:${port}${path}` }, new Agent());
}

describe('a proxy with workers and a file', () => {
  before(async () => {
    collector = await Collector.listen();
    cleanup.add(() => collector.close());
    const backend = await httpBackend(cleanup, 'a');
    const file = `listeners: [{ port: 0, service: web }]
services: { web: { endpoints: ["${backend.endpoint}"] } }
telemetry:
  tracing: { otlp: "http://127.0.0.1:${collector.port}", sample: 100%, headers: { x-key: { env: MY_OTLP_KEY } } }
  accessLog: { sample: 100% }
`;
    proxy = await ProxyProcess.start(cleanup, await temporaryDirectory(cleanup), file, ['--workers', '2'], {
      MY_OTLP_KEY: 'confidential',
    });
    port = await proxy.port('web');
  });
  after(() => cleanup.run());

  const lines = (): Record<string, unknown>[] =>
    proxy.output
      .split('\n')
      .filter((line) => line.includes('"direction"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test('sends the spans of all workers, with the secret that is in its environment alone', async () => {
    for (let count = 0; count < 40; count++) assert.equal((await get(`/${count}`)).status, 200);
    await waitFor('forty spans', () => collector.spans.length === 40);
    assert.deepEqual(new Set(collector.requests.map(({ headers }) => headers['x-key'])), new Set(['confidential']));
    assert.ok(collector.requests.length >= 2, 'two workers, a batch each at least');
    assert.deepEqual(new Set(collector.spans.map(({ resource }) => resource['service.name'])), new Set(['proxy']));
    const dump = await (await proxy.ask('/config_dump')).text();
    assert.ok(dump.includes('MY_OTLP_KEY') && !dump.includes('confidential') && !proxy.output.includes('confidential'));
  });

  test('writes a line for each request to its standard output', async () => {
    await waitFor('forty lines', () => lines().length === 40);
    const traces = new Set(lines().map(({ traceId }) => traceId));
    assert.deepEqual(traces, new Set(collector.spans.map(({ traceId }) => traceId)));
    assert.equal(await proxy.metric('heddle_access_log_lines_total'), 40);
    assert.equal(await proxy.metric('heddle_spans_exported_total'), 40);
  });

  test('has sent everything when it ends', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, count) => get(`/last/${count}`)));
    proxy.process.kill('SIGTERM');
    assert.equal(await proxy.ended, 0);
    assert.equal(collector.spans.length, 60);
    assert.equal(lines().length, 60);
  });
});
