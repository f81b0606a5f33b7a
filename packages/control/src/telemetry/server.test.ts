// The stream on which data planes are attached, over real connections: who is let in, what ends it, and what a hostile one gets.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { telemetry } from '@heddle/api';
import { type AccessDecision, NO_DURATIONS, type TrafficCounts } from '@heddle/core';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, join, operator } from '../testing/client.ts';
import { mesh, silent } from '../testing/mesh.ts';
import { TestStream } from '../testing/test-stream.ts';
import { until } from '../testing/wait.ts';

const HASH = '0123456789abcdef';
const ADMIN = 'heddle.admin.v1.Admin';
const hello = (node: string): telemetry.ReadRequest => ({ message: { $case: 'hello', value: { node, version: '', stateHash: HASH } } });
const counts = (over: Partial<TrafficCounts> = {}): TrafficCounts => ({
  ...{ side: 'outbound', source: 'default/orders', destination: 'default/web', route: 'default', protocol: 'http1', requests: 10 },
  ...{ classes: {}, errors: { '5xx': 2 }, durations: NO_DURATIONS, requestBytes: 0, responseBytes: 0, retries: 0, ...over },
});
const decision: AccessDecision = {
  ...{ timeMs: 1, service: 'default/web', side: 'outbound', outcome: 'denied', source: 'unknown', method: 'GET', path: '/' },
  ...{ rule: '', by: 'caller', reason: 'the called service allows it nothing' },
};
const report = (...traffic: TrafficCounts[]): telemetry.ReadRequest => ({
  message: telemetry.reportMessage({ intervalMs: 2_000, traffic, instances: [], inProgress: [], process: {} }, HASH),
});

describe('the stream of an attached data plane', () => {
  let control: RunningControl;
  let stateDir: string;
  let admin: TestClient;
  let orders: TestClient;
  let ordersId: string;
  const streams: TestStream<telemetry.ReadRequest, telemetry.AttachResponse>[] = [];

  before(async () => {
    stateDir = await mkdtemp(joinPath(tmpdir(), 'heddle-feed-'));
    const listen = { address: '127.0.0.1', port: 0 };
    const system = { logger: silent, clock: nodeClock, random: nodeRandom };
    control = await startControl({ mesh: mesh(), stateDir, store: 'memory', listen, rest: listen, ...system });
    admin = operator(control);
    const identity = await join(control, 'orders');
    orders = new TestClient(control, identity);
    ordersId = identity.spiffeId;
  });
  afterEach(() => {
    for (const stream of streams.splice(0)) stream.close();
  });
  after(async () => {
    for (const client of [admin, orders]) client.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  const open = (as: TestClient) => {
    const stream = new TestStream(as, telemetry.TelemetryService.attach);
    streams.push(stream);
    return stream;
  };
  const loads = async (): Promise<unknown[]> =>
    ((await admin.call(ADMIN, 'ListLoad', {}))['loads'] as Record<string, unknown>[]).map((load) => [
      load['source'],
      load['destination'],
      load['requests_per_second'],
      load['errors_per_second'],
    ]);

  test('begins with how often to report; what is reported is the load of now, of its own service', async () => {
    const stream = open(orders);
    stream.send(hello('node-1'));
    assert.deepEqual((await stream.next('the instruction')).message, { $case: 'instruction', value: { intervalMs: 5_000 } });
    stream.send(report(counts({ source: 'default/cache' }), counts({ destination: 'default/gone' })));
    await until('the load', async () => (await loads()).length > 0);
    assert.deepEqual(await loads(), [['default/orders', 'default/web', 5, 1]]);
    stream.close();
    await until('it to be forgotten', async () => (await loads()).length === 0);
  });

  test('a data plane that comes again takes the place of what it was', async () => {
    const first = open(orders);
    first.send(hello('node-2'));
    await first.next('the instruction');
    const second = open(orders);
    second.send(hello('node-2'));
    await second.next('the instruction');
    first.send(report(counts()));
    assert.equal((await first.refusal()).code, status.ABORTED);
  });

  const decisions = async (): Promise<unknown[]> => {
    const address = `http://127.0.0.1:${control.rest?.port}/api/v1/decisions`;
    const response = await fetch(address, { headers: { authorization: `Bearer ${control.operatorToken}` } });
    const { items } = (await response.json()) as { items: Record<string, unknown>[] };
    return items.map(({ side, service, source }) => [side, service, source]);
  };

  test('a workload is believed what its own service decided, and what its own calls were refused', async () => {
    const stream = open(orders);
    stream.send(hello('node-4'));
    await stream.next('the instruction');
    const web = 'spiffe://shop.test/ns/default/svc/web';
    const told: AccessDecision[] = [
      { ...decision, source: web },
      { ...decision, side: 'inbound', source: web },
      { ...decision, side: 'inbound', service: 'default/orders', source: web },
      { ...decision, source: ordersId },
      decision,
    ];
    stream.send({ message: telemetry.decisionsMessage(told, 0) });
    await until('the decisions', async () => (await decisions()).length > 0);
    assert.deepEqual(await decisions(), [
      ['inbound', 'default/orders', web],
      ['outbound', 'default/web', ordersId],
      ['outbound', 'default/web', 'unknown'],
    ]);
  });

  test('nobody is attached without a proof, and nonsense or a flood ends the stream, not the control plane', async () => {
    const stranger = open(new TestClient(control));
    stranger.send(hello('node-3'));
    assert.equal((await stranger.refusal()).code, status.UNAUTHENTICATED);
    const durations = { indexes: [3, 2], counts: [1, 1] };
    for (const [messages, details] of [
      [[report()], /first message must be `hello`/],
      [[hello('')], /^hello\.node: must have 1 to 253/],
      [[hello('n'), hello('n')], /`hello` is the first message alone/],
      [[hello('n'), { message: undefined }], /empty/],
      [[hello('n'), report(counts({ requests: 2 ** 50 }))], /^report\.traffic\[0\]\.requests: 1125899906842624 cannot be/],
      [[hello('n'), report(counts({ durations }))], /^report\.traffic\[0\]\.durations\.indexes\[1\]: 2 must be greater/],
      [[hello('n'), report(counts({ errors: { 'a b': 1 } }))], /^report\.traffic\[0\]\.errors: "a b" is no code/],
      [[hello('n'), report(counts({ source: 'x'.repeat(300) }))], /^report\.traffic\[0\]\.source: must have/],
      [[hello('n'), { message: telemetry.decisionsMessage([{ ...decision, timeMs: 8.7e15 }], 0) }], /^decisions\[0\]\.time_ms: .* no time/],
      [[hello('n'), ...Array.from({ length: 600 }, () => report())], /more than 50 messages a second/],
    ] as const) {
      const stream = open(orders);
      for (const message of messages) stream.send(message);
      assert.match((await stream.refusal()).details, details);
    }
    const garbled = open(orders);
    garbled.send(hello('n'));
    garbled.sendBytes(Buffer.from('ffffffffff', 'hex'));
    assert.match((await garbled.refusal()).details, /^the message is not valid: /);
    const large = open(orders);
    large.sendBytes(Buffer.alloc(5 * 1024 * 1024));
    assert.match((await large.refusal()).details, /it has 5242880 bytes; at most 4194304 are read/);
    assert.equal((await admin.call(ADMIN, 'GetMesh', {}))['mesh'], 'shop');
  });
});
