// A real Prometheus over a real mesh: what `heddle export prometheus` writes reads every target without an error, what was counted is what
// was sent, traces come along as exemplars, and each query of the dashboard of `heddle export grafana` is one.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { METRIC_GROUPS, type MetricDefinition, type MetricSource, REQUEST_METRICS } from '@heddle/core';
import { createMetrics, METRICS_CONTENT_TYPE, metricsFormatFor, nodeClock } from '@heddle/runtime/node';
import { pointsFromPrometheus } from '../../packages/control/src/telemetry/prometheus.ts';
import { callThroughProxy } from '../support/load.ts';
import { Cleanup } from '../support/planes.ts';
import { freePort } from '../support/ports.ts';
import { heddle, type RunningMesh, startUp } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';
import { run, skipWithout, start } from './support/programs.ts';

const MESH = `mesh: metered
services:
  orders:
    port: 8081
    run: '{{ECHO}}'
    replicas: 2
    breaker: { requests: 100 }
routes:
  - service: orders
    rules:
      - name: fast
        match: { path: { prefix: /fast } }
`;
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const FAST = 130;
const OTHERS = 70;
const UNKNOWN = 5;
const SECONDS = 60;

const skip = skipWithout('prometheus', 'promtool');
const cleanup = new Cleanup();
let mesh: RunningMesh;
let prometheus: { readonly url: string; readonly output: () => string };

/** As Prometheus answers at `/api/v1`. Throws with what it says of an error. */
async function ask<T>(path: string, query: Readonly<Record<string, string>> = {}): Promise<T> {
  const response = await fetch(`${prometheus.url}/api/v1/${path}?${new URLSearchParams(query).toString()}`);
  const answer = (await response.json()) as { status: string; error?: string; data: T };
  assert.equal(answer.status, 'success', `${JSON.stringify(query)}: ${answer.error}`);
  return answer.data;
}

/** Values by the labels of the series, without the name. */
async function values(query: string): Promise<Map<string, number>> {
  const { result } = await ask<{ result: { metric: Record<string, string>; value: [number, string] }[] }>('query', { query });
  return new Map(result.map(({ metric, value }) => [JSON.stringify(metric), Number(value[1])]));
}

const one = async (query: string): Promise<number> => [...(await values(query)).values()][0] ?? 0;

interface Targets {
  readonly activeTargets: readonly {
    readonly scrapePool: string;
    readonly scrapeUrl: string;
    readonly health: string;
    readonly lastError: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
}

interface Dashboard {
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly { readonly title: string; readonly type: string; readonly targets?: readonly { readonly expr: string }[] }[];
}

/** Something that shows a histogram with a trace: the mesh of this test records none. */
async function tracedTarget(): Promise<string> {
  const metrics = createMetrics();
  const { direction, source, destination, route, protocol } = { ...PAIR, direction: 'outbound' };
  const labels = { direction, source, destination, route, protocol, class: '2xx' };
  metrics.histogram(REQUEST_METRICS.duration, labels).observe(0.03, TRACE);
  const server = createServer((request, response) => {
    const format = metricsFormatFor(request.headers.accept ?? '');
    response.setHeader('content-type', METRICS_CONTENT_TYPE[format]).end(metrics.expose(format));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const PAIR = { source: 'traced/caller', destination: 'traced/called', route: 'default', protocol: 'http1' };

before(async () => {
  if (skip !== false) return;
  mesh = await startUp(MESH);
  cleanup.add(() => mesh.stop());
  const token = await mesh.heddle('token', 'create', '--admin', 'prometheus', '--role', 'viewer');
  await writeFile(join(mesh.stateDirectory, 'prometheus.token'), token.stdout, { mode: 0o600 });
  const file = join(mesh.directory, 'prometheus.yml');
  const exported = await mesh.heddle('export', 'prometheus', '--interval', '1s', '-o', file);
  assert.deepEqual([exported.code, exported.stderr], [0, '']);
  const { code, stdout, stderr } = await run('promtool', ['check', 'config', file]);
  assert.equal(code, 0, `${stdout.toString()}${stderr}`);
  await writeFile(
    file,
    `${await readFile(file, 'utf8')}
  - job_name: traced
    static_configs: [{ targets: ["${await tracedTarget()}"] }]
`,
  );
  const port = await freePort();
  const running = start(cleanup, 'prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(mesh.directory, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--enable-feature=exemplar-storage',
  ]);
  await running.until(/Server is ready to receive web requests/);
  prometheus = { url: `http://127.0.0.1:${port}`, output: running.output };
  await waitFor('all targets to be read', async () => {
    const { activeTargets } = await ask<Targets>('targets');
    if (activeTargets.length < 3 || activeTargets.some(({ health }) => health !== 'up'))
      throw new Error(JSON.stringify(activeTargets.map(({ scrapePool, health, lastError }) => [scrapePool, health, lastError])));
    return true;
  });
});
after(() => cleanup.run());

async function pageOf(source: MetricSource): Promise<{ readonly url: string; readonly headers: Record<string, string> }> {
  const { activeTargets } = await ask<Targets>('targets');
  const pool = source === 'proxy' ? 'heddle-data-planes' : 'heddle-control';
  const token = await readFile(join(mesh.stateDirectory, 'prometheus.token'), 'utf8');
  return {
    url: activeTargets.find(({ scrapePool }) => scrapePool === pool)!.scrapeUrl,
    headers: source === 'proxy' ? {} : { authorization: `Bearer ${token.trim()}` },
  };
}

describe('Prometheus over a mesh', { skip }, () => {
  test('reads every target without an error, as OpenMetrics', async () => {
    const { activeTargets } = await ask<Targets>('targets');
    const found = activeTargets.map(({ scrapePool, health, lastError, labels }) => [
      scrapePool,
      health,
      lastError,
      labels['node'] !== undefined,
    ]);
    assert.deepEqual(
      found.toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
      [
        ['heddle-control', 'up', '', false],
        ['heddle-data-planes', 'up', '', true],
        ['traced', 'up', '', false],
      ],
    );
  });

  test('has counted what was sent, by route, class and error, and what each instance got', async () => {
    const send = (path: string, host = 'orders.mesh.internal') => callThroughProxy({ proxy: mesh.proxy, url: `http://${host}${path}` });
    const COUNTS = 'sum by (route, class, error) (heddle_requests_total{direction="outbound",protocol="http1"})';
    const INSTANCES = 'sum by (destination_instance) (heddle_upstream_requests_total{destination="default/orders",result="success"})';
    const DURATIONS = 'sum(heddle_request_duration_seconds_count{direction="outbound",source!~"traced.*"})';
    const INBOUND = 'sum(heddle_requests_total{direction="inbound",destination="default/orders"})';
    // One of each first, so that every series is there.
    for (const path of ['/fast', '/']) assert.equal((await send(path)).status, 200);
    assert.equal((await send('/', 'nobody.mesh.internal')).status, 404);
    await waitFor('the first requests to be read', async () => (await one(DURATIONS)) === 3);
    for (let count = 0; count < FAST; count++) assert.equal((await send('/fast/lane')).status, 200);
    for (let count = 0; count < OTHERS; count++) assert.equal((await send('/')).status, 200);
    for (let count = 0; count < UNKNOWN; count++) assert.equal((await send('/', 'nobody.mesh.internal')).status, 404);
    await waitFor('the requests to be read', async () => (await one(DURATIONS)) === FAST + OTHERS + UNKNOWN + 3);
    const counted = [...(await values(COUNTS))].filter(([, value]) => value > 0);
    const labels = (route: string, responseClass: string, error?: string) =>
      JSON.stringify({ class: responseClass, ...(error && { error }), route });
    assert.deepEqual(
      new Map(counted),
      new Map([
        [labels('fast', '2xx'), FAST + 1],
        [labels('default', '2xx'), OTHERS + 1],
        [labels('none', '4xx', 'NO_SUCH_SERVICE'), UNKNOWN + 1],
      ]),
    );
    const instances = await values(INSTANCES);
    assert.equal(instances.size, 2);
    assert.equal(
      [...instances.values()].reduce((sum, count) => sum + count),
      FAST + OTHERS + 2,
    );
    assert.equal(await one(INBOUND), FAST + OTHERS + 2);
  });

  test('keeps trace ids beside durations', async () => {
    const now = Math.floor(Date.now() / 1_000);
    const query = { query: 'heddle_request_duration_seconds_bucket', start: String(now - SECONDS), end: String(now + SECONDS) };
    type Exemplars = { seriesLabels: Record<string, string>; exemplars: { labels: object; value: string }[] };
    const [found] = await ask<Exemplars[]>('query_exemplars', query);
    assert.equal(found?.seriesLabels['destination'], PAIR.destination);
    assert.deepEqual(
      found?.exemplars.map(({ labels, value }) => [labels, value]),
      [[{ trace_id: TRACE }, '0.03']],
    );
  });

  test('takes each query of the dashboard, and has an answer to all that something must have happened for', async () => {
    const { stdout } = await heddle(['export', 'grafana']);
    const dashboard = JSON.parse(stdout) as Dashboard;
    assert.deepEqual(
      dashboard.templating.list.map(({ name, type }) => [name, type]),
      [
        ['datasource', 'datasource'],
        ['service', 'query'],
      ],
    );
    const empty: string[] = [];
    for (const { title, type, targets = [] } of dashboard.panels) {
      assert.equal(targets.length > 0, type !== 'row', title);
      for (const { expr } of targets) {
        const query = expr.replaceAll('$__rate_interval', `${SECONDS}s`).replaceAll('$service', '.+/.+');
        assert.doesNotMatch(query, /\$/);
        if ((await values(query)).size === 0) empty.push(title);
      }
    }
    // Nothing of it has happened: nobody was retried, refused or left out.
    assert.deepEqual([...new Set(empty)], ['Retries', 'Instances', 'Refused by breakers', 'Refused TLS handshakes']);
  });

  test('every metric of the mesh is in the reference, with its type, its labels and who shows it, and says something to promtool', async () => {
    const defined = new Map(
      Object.values(METRIC_GROUPS).flatMap((group) => group.map((metric): [string, MetricDefinition] => [metric.name, metric])),
    );
    for (const source of ['proxy', 'control plane'] as const) {
      const { url, headers } = await pageOf(source);
      const text = await (await fetch(url, { headers })).text();
      const { stdout, stderr, code } = await run('promtool', ['check', 'metrics'], { input: Buffer.from(text) });
      assert.equal(code, 0, `${stdout.toString()}${stderr}`);
      const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]));
      for (const [name, type] of types) {
        const metric = defined.get(name);
        assert.deepEqual([metric?.type, metric?.of.includes(source)], [type, true], `${name} of the ${source}`);
      }
      for (const [, sample = '', labels = ''] of text.matchAll(/^([a-z]\w*)(?:\{(.*)\})? \S+$/gm)) {
        const name = types.has(sample) ? sample : sample.replace(/_(bucket|sum|count)$/, '');
        const shown = [...labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)].map(([, label = '']) => label).filter((label) => label !== 'le');
        assert.deepEqual(shown.toSorted(), defined.get(name)?.labels.toSorted(), sample);
      }
      for (const metric of defined.values())
        if (metric.of.includes(source) && !types.has(metric.name))
          assert.ok(SELDOM.test(metric.name), `${metric.name} of the ${source} is never shown`);
    }
  });

  test('gave Prometheus nothing to complain about', () => {
    assert.doesNotMatch(prometheus.output(), /level=(warn|error)/);
  });

  test('is asked by the control plane for what happened before it was started, in queries that it understands', async () => {
    const question = { destination: 'default/orders', stepMs: 15_000, count: 20 };
    const read = (more: object = {}) =>
      pointsFromPrometheus(prometheus.url, { ...question, startMs: Date.now() - 19 * 15_000, ...more }, nodeClock);
    const known = (values: readonly (number | null)[]): number => Math.max(0, ...values.map((value) => value ?? 0));
    const points = await waitFor('the requests to be read', async () => {
      const found = await read({ route: 'fast' });
      return known(found.requestsPerSecond) > 0 && known(found.p99Ms) > 0 && found;
    });
    assert.equal(known(points.errorsPerSecond), 0);
    assert.ok(known(points.p50Ms) <= known(points.p99Ms) && known(points.bytesPerSecond) > 0);
    const [instance] = ['orders-1', 'orders-2'];
    assert.ok(known((await read({ instance })).requestsPerSecond) > 0);
    assert.equal(known((await read({ route: 'a"} or vector(7) #' })).requestsPerSecond), 0);
  });
});

/** What is shown once it has happened, or where the mesh has such a thing. */
const SELDOM =
  /_(retries|retry_decisions|try_timeouts|hedges|hedges_won|outlier_ejections|breaker_refusals|refused_handshakes|tls_failures|connect_failures|broken_connections|connections_closed|stream_restarts|access_decisions|internal_faults|folded|rejections|load_probes|access_log_lines|access_log_dropped|spans_exported|spans_dropped)_total$|_outliers$|_concurrency_limit$|_(issuer|token|outbound_token|dns|workers?|upstream_streams|gc_pause|process_requests)_|_workers$|_streams$|_tokens_total$|_issuer_unreachable$/;
