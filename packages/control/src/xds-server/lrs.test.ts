// Load reports over real connections to a running control plane: who may say what, what is kept of it, and what a hostile client gets.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { lrs } from '@heddle/api';
import { ANY_REQUEST } from '@heddle/core';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, join, operator } from '../testing/client.ts';
import type { Message } from '../testing/client.ts';
import { mesh, silent } from '../testing/mesh.ts';
import { TestStream } from '../testing/test-stream.ts';
import { until } from '../testing/wait.ts';

const ADMIN = 'heddle.admin.v1.Admin';
const { streamLoadStats } = lrs.LoadReportingService;
const HASH = '0123456789abcdef';
const counts = (issued: number, failed = 0, inProgress = 0) => ({ issued, succeeded: issued - failed, failed, inProgress, dropped: 0 });
type Counts = ReturnType<typeof counts>;
const load = (service: string, all: Counts, bySource: Record<string, Counts> = {}): lrs.ClusterLoad => ({
  cluster: `outbound/default/${service}`,
  intervalMs: 2_000,
  ...all,
  bySource: new Map(Object.entries(bySource)),
});

describe('load reports', () => {
  let control: RunningControl;
  let stateDir: string;
  let admin: TestClient;
  let orders: TestClient;
  const streams: TestStream<lrs.LoadStatsRequest, lrs.LoadStatsResponse>[] = [];

  before(async () => {
    stateDir = await mkdtemp(joinPath(tmpdir(), 'heddle-lrs-'));
    const listen = { address: '127.0.0.1', port: 0 };
    control = await startControl({ mesh: mesh(), stateDir, store: 'memory', listen, logger: silent, clock: nodeClock, random: nodeRandom });
    admin = operator(control);
    orders = new TestClient(control, await join(control, 'orders'));
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.close();
    await until('everything to be forgotten', async () => (await loads()).length === 0);
  });
  after(async () => {
    for (const client of [admin, orders]) client.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  function open(as: TestClient) {
    const stream = new TestStream(as, streamLoadStats);
    streams.push(stream);
    return stream;
  }
  const say = (id: string, ...reported: lrs.ClusterLoad[]) => lrs.loadMessage({ id, stateHash: HASH }, reported);
  const loads = async (request: Message = {}): Promise<Message[]> => (await admin.call(ADMIN, 'ListLoad', request))['loads'];
  const edges = async (request: Message = {}): Promise<unknown[]> =>
    (await loads(request)).map((edge) => [
      edge['source'],
      edge['destination'],
      edge['requests_per_second'],
      edge['errors_per_second'],
      edge['in_progress'],
      edge['nodes'],
    ]);

  test('a data plane is told what to report; a workload reports for its own service, whatever it says of others', async () => {
    const stream = open(orders);
    stream.send(say('node-1'));
    const told = lrs.instructionFromMessage(await stream.next('what to report'));
    assert.deepEqual(told, { clusters: 'all', intervalMs: 5_000, inParts: false });
    stream.send(say('node-1', load('web', counts(20, 4, 1), { 'default/cache': counts(20) }), load('nowhere', counts(9))));
    await until('the report', async () => (await loads()).length > 0);
    assert.deepEqual(await edges(), [['default/orders', 'default/web', 10, 2, 1, ['node-1']]]);
    assert.ok(Math.abs((await loads())[0]?.['updated_ms'] - Date.now()) < 60_000);
  });

  test('a data plane of the operator tells its sources apart; what it does not tell apart is its own', async () => {
    const stream = open(admin);
    stream.send(say('node-1'));
    assert.equal(lrs.instructionFromMessage(await stream.next('what to report')).inParts, true);
    const parts = {
      'default/web': counts(6, 2),
      'default/cache': counts(2),
      'default/ghost': counts(1),
      'heddle-system/operator': counts(3),
    };
    stream.send(say('node-1', load('orders', counts(14, 2), parts)));
    const other = open(admin);
    other.send(say('node-2', load('orders', counts(4, 0, 2), { 'default/web': counts(4, 0, 2) })));
    await until('both reports', async () => (await loads()).some(({ nodes }) => nodes.length === 2));
    assert.deepEqual(await edges(), [
      ['default/cache', 'default/orders', 1, 0, 0, ['node-1']],
      ['default/web', 'default/orders', 5, 1, 2, ['node-1', 'node-2']],
      ['heddle-system/operator', 'default/orders', 3, 0, 0, ['node-1']],
    ]);
    assert.deepEqual(await edges({ node: 'node-2' }), [['default/web', 'default/orders', 2, 0, 2, ['node-2']]]);
  });

  test('a client that cannot send all clusters is told their names, and again when there are others', async () => {
    const stream = open(orders);
    stream.send({ node: { id: 'old' } });
    const told = await stream.next('what to report');
    assert.deepEqual(told.clusters?.toSorted(), ['outbound/default/cache', 'outbound/default/orders', 'outbound/default/web']);
    assert.equal(told.sendAllClusters, false);
    await control.setMesh(
      mesh(
        mesh()
          .services.map(({ service }) => service)
          .slice(0, 2),
      ),
    );
    stream.send({ clusterStats: [] });
    assert.equal((await stream.next('what is left')).clusters?.length, 2);
    await control.setMesh(mesh());
  });

  test('what goes to some instances of a service by their labels goes to the service', async () => {
    const [ordersService, ...others] = mesh().services.map(({ service }) => service);
    const to = { service: { namespace: 'default', name: 'orders' }, labels: { version: 'v1' }, weight: 1 };
    const rule = { name: 'all', matches: [ANY_REQUEST], action: { kind: 'forward' as const, to: [to] } };
    await control.setMesh(mesh([...others, { ...(ordersService ?? assert.fail()), rules: [rule] }]));
    const old = open(orders);
    old.send({ node: { id: 'old' } });
    assert.ok((await old.next('what to report')).clusters?.includes('outbound/default/orders{version=v1}'));
    const stream = open(admin);
    const parts = (issued: number) => ({ 'default/web': counts(issued) });
    const part = { ...load('orders', counts(10, 2, 1), parts(4)), cluster: 'outbound/default/orders{version=v1}' };
    stream.send(say('node-1', load('orders', counts(4), parts(2)), part));
    await until('the report', async () => (await loads()).length === 2);
    assert.deepEqual(await edges(), [
      ['default/web', 'default/orders', 3, 0, 0, ['node-1']],
      ['heddle-system/operator', 'default/orders', 4, 1, 1, ['node-1']],
    ]);
    await control.setMesh(mesh());
  });

  test('a data plane that comes again takes the place of what it was', async () => {
    const first = open(orders);
    first.send(say('node-1', load('web', counts(20))));
    await first.next('what to report');
    const second = open(orders);
    second.send(say('node-1', load('cache', counts(2))));
    await second.next('what to report');
    assert.deepEqual(await edges(), [['default/orders', 'default/cache', 1, 0, 0, ['node-1']]]);
    first.send(say('node-1', load('web', counts(20))));
    assert.deepEqual(
      [(await first.refusal()).code, (await first.refusal()).details],
      [status.ABORTED, 'another stream reports for this data plane by now'],
    );
    assert.deepEqual(await edges(), [['default/orders', 'default/cache', 1, 0, 0, ['node-1']]]);
    // Programs with a gRPC library share one bootstrap file, and so one name.
    for (let index = 0; index < 2; index += 1) {
      const { node: _, ...stats } = say('', load('web', counts(2)));
      const process = open(orders);
      process.send({ node: { id: 'shared' }, ...stats });
      await process.next('what to report');
    }
    assert.deepEqual((await edges({ node: 'shared' }))[0], ['default/orders', 'default/web', 2, 0, 0, ['shared']]);
  });

  test('nobody reports without a proof, without a name, or only nonsense; who floods is cut off', async () => {
    const stranger = new TestClient(control);
    assert.equal((await open(stranger).refusal()).code, status.UNAUTHENTICATED);
    stranger.close();
    const nameless = open(orders);
    nameless.send({ clusterStats: [] });
    assert.deepEqual(
      [(await nameless.refusal()).code, (await nameless.refusal()).details],
      [status.INVALID_ARGUMENT, 'the first request must say in `node.id` which data plane reports'],
    );
    const liar = open(orders);
    liar.send({
      node: { id: 'liar' },
      clusterStats: [{ clusterName: 'outbound/default/web', upstreamLocalityStats: [{ totalIssuedRequests: 2 ** 52 }] }],
    });
    assert.match(
      (await liar.refusal()).details,
      /^cluster_stats\[0\]\.upstream_locality_stats\[0\]\.total_issued_requests: \d+ requests cannot be/,
    );
    const many = open(orders);
    many.send({ node: { id: 'many' }, clusterStats: Array.from({ length: 20_001 }, () => ({ clusterName: 'x' })) });
    assert.match((await many.refusal()).details, /^cluster_stats: 20001 clusters; at most 20000 in one report$/);
    const huge = open(orders);
    huge.send({ node: { id: 'huge', cluster: 'x'.repeat(9 * 1024 * 1024) } });
    assert.equal((await huge.refusal()).code, status.RESOURCE_EXHAUSTED);
    const large = open(orders);
    large.send({ node: { id: 'large', cluster: 'x'.repeat(1024 * 1024) } });
    assert.match((await large.refusal()).details, /is not a valid LoadStatsRequest: it has 1\d{6} bytes; at most 1048576 are read$/);
    const flood = open(orders);
    for (let index = 0; index < 100; index += 1) flood.send(say('flood', load('web', counts(1))));
    const refusal = await flood.refusal();
    assert.equal(refusal.code, status.RESOURCE_EXHAUSTED);
    assert.match(refusal.details, /more than 20 load reports came within 5000 ms; one is asked for/);
  });

  test('numbers beyond what can be counted end the stream, not the control plane', async () => {
    const stream = open(orders);
    // total_issued_requests = 2^63, which no number of ours can hold: cluster_stats { cluster_name: "x" upstream_locality_stats { 8: … } }.
    const locality = [0x40, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    const cluster = [0x0a, 1, 0x78, 0x12, locality.length, ...locality];
    stream.sendBytes(Uint8Array.from([0x12, cluster.length, ...cluster]));
    assert.deepEqual(
      [(await stream.refusal()).code, (await stream.refusal()).details],
      [status.INVALID_ARGUMENT, 'request: is not a valid LoadStatsRequest: Value is larger than Number.MAX_SAFE_INTEGER'],
    );
    const next = open(orders);
    next.send(say('node-1', load('web', counts(2))));
    await next.next('what to report');
    assert.equal((await edges()).length, 1);
  });
});
