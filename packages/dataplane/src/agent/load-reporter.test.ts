// Load reports against a real server: on the connection that is given, as often as it says, only what it asks for.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { lrs } from '@heddle/api';
import { type handleBidiStreamingCall, Server, status } from '@grpc/grpc-js';
import type { GrpcChannel } from '@heddle/runtime';
import { createMetrics, nodeClock } from '@heddle/runtime/node';
import { openControlStream } from '../identity/control-channel.ts';
import { channelTo, controlServerCredentials } from '../identity/testing/channel.ts';
import { type LogLine, recordingLogger, until } from '../identity/testing/control.ts';
import { CallerMetrics } from '../telemetry/requests.ts';
import { LoadReporter } from './load-reporter.ts';

type Call = Parameters<handleBidiStreamingCall<lrs.LoadStatsRequest, lrs.LoadStatsResponse>>[0];

interface Peer {
  readonly calls: Call[];
  readonly received: lrs.LoadStatsRequest[];
  readonly channel: GrpcChannel;
}

async function peer(t: TestContext, answer: (call: Call) => void): Promise<Peer> {
  const server = new Server();
  const calls: Call[] = [];
  const received: lrs.LoadStatsRequest[] = [];
  server.addService(lrs.LoadReportingService, {
    streamLoadStats: (call: Call) => {
      calls.push(call);
      call.on('error', () => {});
      call.on('data', (request: lrs.LoadStatsRequest) => {
        received.push(request);
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

function reporter(t: TestContext) {
  const metrics = createMetrics();
  const lines: LogLine[] = [];
  const state = { hash: '00000000000000aa' };
  const made = new LoadReporter({
    node: 'n1',
    stateHash: () => state.hash,
    refresh: async () => {},
    families: () => metrics.families(),
    clock: nodeClock,
    logger: recordingLogger(lines),
  });
  t.after(() => made.use(undefined));
  const requests = (destination: string) =>
    new CallerMetrics(metrics, destination, 10).from('default/web', 'outbound').of('default', 'http1');
  return { reporter: made, requests, lines, state };
}

test('tells who it is and what it has, and then its load as often as it is asked to', async (t) => {
  const { calls, received, channel } = await peer(t, (call) =>
    call.write(lrs.instructionToMessage({ clusters: 'all', intervalMs: 100, inParts: true })),
  );
  const { reporter: own, requests, state } = reporter(t);
  own.use(channel);
  await until('the first message', () => received.length > 0);
  assert.deepEqual(lrs.readReportingNode(received[0] ?? {}), { id: 'n1', sendsAllClusters: true, stateHash: '00000000000000aa' });
  requests('default/orders').ended(200, '', 1);
  state.hash = '00000000000000bb';
  const all = () => received.flatMap((message) => lrs.readLoad(message));
  await until('the report', () => all().length > 0);
  assert.deepEqual(all()[0]?.bySource.get('default/web'), { issued: 1, succeeded: 1, failed: 0, inProgress: 0, dropped: 0 });
  assert.equal(lrs.readReportingNode(received.at(-1) ?? {}).stateHash, '00000000000000bb');
  requests('default/orders').ended(500, '', 1);
  await until('the next report', () => all().some(({ failed }) => failed === 1));
  assert.equal(
    all().reduce((sum, { issued }) => sum + issued, 0),
    2,
  );

  own.use(undefined);
  await until('the end', () => calls[0]?.cancelled === true);
});

test('reports the clusters that are asked for, and no sources where these are not wanted', async (t) => {
  const { received, channel } = await peer(t, (call) =>
    call.write(lrs.instructionToMessage({ clusters: ['outbound/default/orders'], intervalMs: 100, inParts: false })),
  );
  const { reporter: own, requests } = reporter(t);
  own.use(channel);
  requests('default/other').ended(200, '', 1);
  requests('default/orders').ended(200, '', 1);
  await until('the report', () => received.some((message) => lrs.readLoad(message).length > 0));
  const loads = received.flatMap((message) => lrs.readLoad(message));
  assert.deepEqual(
    loads.map(({ cluster, bySource }) => [cluster, bySource.size]),
    [['outbound/default/orders', 0]],
  );
});

test('leaves a control plane alone that takes no reports, and tries again later where one fails', async (t) => {
  for (const [code, told] of [
    [status.UNIMPLEMENTED, []],
    [status.INTERNAL, ['load cannot be reported; trying again']],
  ] as const) {
    const { calls, channel } = await peer(t, (call) => call.emit('error', { code, details: 'not now' }));
    const { reporter: own, lines } = reporter(t);
    own.use(channel);
    await until('the call', () => calls.length === 1);
    // On one connection what comes later is seen later.
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const witness = openControlStream(channel, lrs.LoadReportingService.streamLoadStats, { onMessage() {}, onEnd: () => end() });
    witness.write({});
    await until('the second call', () => calls.length === 2);
    calls[1]?.emit('error', { code, details: 'not now' });
    await ended;
    assert.deepEqual(
      lines.map(({ message }) => message),
      told,
    );
  }
});
