// What a data plane tells, against a real server: on the connection that is given, as often as it says, and what it is asked besides.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type handleBidiStreamingCall, Server, status } from '@grpc/grpc-js';
import { telemetry } from '@heddle/api';
import type { AccessDecision } from '@heddle/core';
import type { GrpcChannel } from '@heddle/runtime';
import { createMetrics, nodeClock } from '@heddle/runtime/node';
import { openControlStream } from '../identity/control-channel.ts';
import { channelTo, controlServerCredentials } from '../identity/testing/channel.ts';
import { type LogLine, recordingLogger, until } from '../identity/testing/control.ts';
import { CallerMetrics } from '../telemetry/requests.ts';
import { Feed, type FeedSource } from './feed.ts';

type Call = Parameters<handleBidiStreamingCall<telemetry.ReadRequest, telemetry.AttachResponse>>[0];
type Kind = telemetry.FromDataPlane['$case'];

interface Peer {
  readonly calls: Call[];
  readonly received: telemetry.FromDataPlane[];
  readonly channel: GrpcChannel;
}

const instruct = (call: Call, intervalMs = 100): boolean => call.write({ message: { $case: 'instruction', value: { intervalMs } } });
const of = <K extends Kind>({ received }: Peer, kind: K) =>
  received.flatMap((message) => (message.$case === kind ? [message.value as Extract<telemetry.FromDataPlane, { $case: K }>['value']] : []));

async function peer(t: TestContext, answer: (call: Call) => void): Promise<Peer> {
  const server = new Server();
  const calls: Call[] = [];
  const received: telemetry.FromDataPlane[] = [];
  server.addService(telemetry.TelemetryService, {
    attach: (call: Call) => {
      calls.push(call);
      call.on('error', () => {});
      call.on('data', ({ message }: telemetry.ReadRequest) => {
        received.push(message ?? assert.fail('it is empty'));
        if (received.length === 1) answer(call);
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', controlServerCredentials(), (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  const channel = channelTo(port);
  t.after(() => {
    channel.close();
    server.forceShutdown();
  });
  return { calls, received, channel };
}

function feed(t: TestContext, source: Partial<FeedSource> = {}) {
  const metrics = createMetrics();
  const lines: LogLine[] = [];
  const state = { hash: '00000000000000aa' };
  const made = new Feed({
    node: 'n1',
    version: '1.2.3',
    stateHash: () => state.hash,
    refresh: async () => {},
    taps: { start: () => {}, stop: () => {}, stopAll: () => {} },
    families: () => metrics.families(),
    clock: nodeClock,
    logger: recordingLogger(lines),
    ...source,
  });
  t.after(() => made.use(undefined));
  const requests = new CallerMetrics(metrics, 'default/orders', 10).from('default/web', 'outbound').of('default', 'http1');
  return { feed: made, requests, lines, state };
}

test('tells who it is, and then its traffic and its decisions as often as it is asked to', async (t) => {
  const decision: AccessDecision = {
    ...{ timeMs: 1_700_000_000_000, service: 'default/orders', side: 'inbound', outcome: 'denied', source: 'unknown' },
    ...{ method: 'GET', path: '/', rule: '', by: 'default', reason: 'no rule allows it' },
  };
  const made = [decision];
  const control = await peer(t, (call) => instruct(call));
  const own = feed(t, { decisions: () => ({ decisions: made.splice(0), lost: 0 }) });
  own.feed.use(control.channel);
  own.requests.ended(200, '', 1);
  own.state.hash = '00000000000000bb';
  await until('two reports', () => of(control, 'report').length >= 2);
  assert.deepEqual(of(control, 'hello').map(telemetry.readHello), [{ node: 'n1', version: '1.2.3', stateHash: '00000000000000aa' }]);
  const [first, second] = of(control, 'report').map(telemetry.readReport);
  assert.deepEqual([first?.stateHash, first?.traffic.map(({ requests }) => requests), second?.traffic], ['00000000000000bb', [1], []]);
  assert.deepEqual(of(control, 'decisions').map(telemetry.readDecisions), [{ decisions: [decision], lost: 0 }]);
  own.feed.use(undefined);
  await until('the end', () => control.calls[0]?.cancelled === true);
});

test('answers questions, and tells live requests to who asks for them, until the stream is gone', async (t) => {
  const taps: string[] = [];
  const control = await peer(t, (call) => {
    const headers = [{ name: 'x-user', value: 'ann' }];
    call.write({ message: { $case: 'explainQuestion', value: { id: 'q1', from: 'web', method: 'GET', url: 'http://orders/', headers } } });
    call.write({
      message: { $case: 'tapStart', value: { id: 't1', filter: undefined, perSecond: 5, forMs: 1_000, headers: [], callers: [] } },
    });
    call.write({ message: { $case: 'tapStop', value: { id: 't1' } } });
  });
  const own = feed(t, {
    explain: async ({ from, headers }) => ({ explanation: JSON.stringify({ from, user: headers[0]?.value }) }),
    taps: {
      start: ({ id }, tell) => void taps.push(`start ${id} ${tell({ kind: 'records', id, records: [], lost: 3 })}`),
      stop: (id) => void taps.push(`stop ${id}`),
      stopAll: () => void taps.push('stop all'),
    },
  });
  own.feed.use(control.channel);
  await until(
    'the answers',
    () => of(control, 'explainAnswer').length === 1 && of(control, 'tapRecords').length === 1 && taps.length === 2,
  );
  const [answer] = of(control, 'explainAnswer');
  assert.equal(answer?.id, 'q1');
  assert.deepEqual(telemetry.readExplainAnswer(answer!), { explanation: '{"from":"web","user":"ann"}' });
  assert.equal(of(control, 'tapRecords')[0]?.lost, 3);
  own.feed.use(undefined);
  assert.deepEqual(taps, ['start t1 true', 'stop t1', 'stop all']);
});

test('leaves a control plane alone that wants to know nothing, and tries again later where the stream fails', async (t) => {
  for (const [code, told] of [
    [status.UNIMPLEMENTED, []],
    [status.INTERNAL, ['traffic cannot be reported; trying again']],
  ] as const) {
    const control = await peer(t, (call) => call.emit('error', { code, details: 'not now' }));
    const { feed: own, lines } = feed(t);
    own.use(control.channel);
    await until('the call', () => control.calls.length === 1);
    // On one connection what comes later is seen later.
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const witness = openControlStream(control.channel, telemetry.TelemetryService.attach, { onMessage() {}, onEnd: () => end() });
    witness.write({ message: { $case: 'tapEnded', value: { id: 'x', reason: '' } } });
    await until('the second call', () => control.calls.length === 2);
    control.calls[1]?.emit('error', { code, details: 'not now' });
    await ended;
    assert.deepEqual(
      lines.map(({ message }) => message),
      told,
    );
  }
});
