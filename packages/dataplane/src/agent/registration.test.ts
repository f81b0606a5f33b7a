// A registration against a real gRPC server that takes down every message, on a clock that the test moves.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Server, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { Instance } from '@heddle/core';
import type { GrpcChannel } from '@heddle/runtime';
import { createMetrics, nodeRandom } from '@heddle/runtime/node';
import { channelTo, controlServerCredentials } from '../identity/testing/channel.ts';
import { type LogLine, recordingLogger, TestClock, until } from '../identity/testing/control.ts';
import { Registration } from './registration.ts';

type Call = ServerDuplexStream<discovery.RegisterRequest, discovery.RegisterResponse>;

const TTL_MS = 9_000;
const INSTANCE: Instance = {
  service: { namespace: 'default', name: 'orders' },
  id: 'orders-1',
  node: 'n1',
  inbound: { address: '127.0.0.1', port: 1 },
  application: { address: '127.0.0.1', port: 2 },
  outbounds: [],
  version: '',
  labels: {},
  metadata: {},
  ports: {},
  weight: 1,
  health: 'starting',
  healthReason: '',
  revision: 0,
};
const HEALTHY = { state: 'healthy', reason: 'checks pass' } as const;

/** Takes every message down; answers as told. */
class Registry {
  readonly calls: Call[] = [];
  readonly messages: { readonly call: number; readonly registers: boolean; readonly health: discovery.Health; readonly reason: string }[] =
    [];
  readonly deregistered: string[] = [];
  readonly #server = new Server();
  port = 0;
  answers = true;
  /** What answers say of a drain. */
  drain: discovery.DrainProgressMessage | undefined;

  async start(t: TestContext): Promise<this> {
    const notHere = (_call: unknown, callback: (error: { code: status }) => void): void => callback({ code: status.UNIMPLEMENTED });
    this.#server.addService(discovery.DiscoveryService, {
      register: (call: Call) => this.#take(call),
      deregister: (
        call: { request: discovery.DeregisterRequest },
        callback: (error: null, response: discovery.DeregisterResponse) => void,
      ) => {
        this.deregistered.push(`${call.request.namespace}/${call.request.service}/${call.request.instance}`);
        callback(null, { existed: true });
      },
      listServices: notHere,
      getService: notHere,
      watch: () => {},
      reportHealth: notHere,
    });
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', controlServerCredentials(), (error, port) => (error === null ? resolve(port) : reject(error)));
    });
    t.after(() => this.#server.forceShutdown());
    return this;
  }

  channel(): () => GrpcChannel {
    return () => channelTo(this.port);
  }

  /** Unasked, or in answer. */
  say(call: number): void {
    this.calls[call]?.write({ leaseTtlMs: TTL_MS, revision: 1, instanceRevision: 1, drain: this.drain });
  }

  #take(call: Call): void {
    const index = this.calls.push(call) - 1;
    call.on('error', () => {});
    call.on('data', ({ instance, health, healthReason }: discovery.RegisterRequest) => {
      this.messages.push({ call: index, registers: instance !== undefined, health, reason: healthReason });
      if (this.answers) this.say(index);
    });
  }
}

interface Bench {
  readonly registry: Registry;
  readonly clock: TestClock;
  readonly registration: Registration;
  readonly lines: LogLine[];
  readonly metrics: ReturnType<typeof createMetrics>;
  /** Waits until so many messages have come in all. */
  readonly heard: (count: number) => Promise<void>;
}

async function bench(t: TestContext): Promise<Bench> {
  const registry = await new Registry().start(t);
  const clock = new TestClock();
  const lines: LogLine[] = [];
  const metrics = createMetrics();
  const registration = new Registration({
    metrics,
    instance: INSTANCE,
    clock,
    random: { ...nodeRandom, next: () => 0.5 },
    logger: recordingLogger(lines),
  });
  t.after(() => registration.stop());
  return {
    registry,
    clock,
    registration,
    lines,
    metrics,
    heard: (count) => until(`${count} messages`, () => registry.messages.length >= count),
  };
}

/** Lets time pass until the next heartbeat has come. */
async function beat({ clock, registry }: Bench): Promise<void> {
  const before = registry.messages.length;
  const startMs = clock.nowMs();
  await until('a heartbeat', () => {
    // Slowly, so that answers find their way over the socket meanwhile.
    clock.advance(1);
    return registry.messages.length > before;
  });
  assert.ok(clock.nowMs() - startMs < TTL_MS / 3, 'more than three heartbeats in a lease');
}

test('registers with the first message and sends heartbeats, of which a lease outlives three', async (t) => {
  const run = await bench(t);
  assert.deepEqual(run.registration.state, { registered: false, reason: 'not yet connected to the control plane' });
  run.registration.use(run.registry.channel());
  await until('registered', () => run.registration.state.registered);
  for (let beats = 0; beats < 4; beats++) await beat(run);
  assert.deepEqual(
    run.registry.messages.map(({ registers }) => registers),
    [true, false, false, false, false],
  );
  assert.equal(run.registry.messages[0]?.health, discovery.Health.HEALTH_STARTING);
});

test('goes on with heartbeats after the certificate was renewed', async (t) => {
  const run = await bench(t);
  run.registration.use(run.registry.channel());
  await until('registered', () => run.registration.state.registered);
  await beat(run);
  run.registration.use(run.registry.channel());
  await until('registered over the new connection', () => run.registry.calls.length === 2);
  for (let beats = 0; beats < 3; beats++) await beat(run);
  assert.deepEqual(
    run.registry.messages.filter(({ call }) => call === 1).map(({ registers }) => registers),
    [true, false, false, false],
  );
  assert.ok(run.registration.state.registered);
});

test('reports a verdict at once, also while the registration is still to be answered, and repeats it', async (t) => {
  const run = await bench(t);
  run.registry.answers = false;
  run.registration.use(run.registry.channel());
  await run.heard(1);
  run.registration.report(HEALTHY);
  await run.heard(2);
  assert.equal(run.registry.messages[1]?.health, discovery.Health.HEALTH_HEALTHY);
  run.registry.answers = true;
  run.registration.report({ state: 'unhealthy', reason: 'checks fail: answered 503' });
  await run.heard(3);
  await until('registered', () => run.registration.state.registered);
  await beat(run);
  assert.deepEqual(
    run.registry.messages.slice(2).map(({ health, reason }) => [health, reason]),
    [
      [discovery.Health.HEALTH_UNHEALTHY, 'checks fail: answered 503'],
      [discovery.Health.HEALTH_UNHEALTHY, 'checks fail: answered 503'],
    ],
  );
});

test('reports as draining from then on, whatever the checks say', async (t) => {
  const run = await bench(t);
  run.registration.use(run.registry.channel());
  await until('registered', () => run.registration.state.registered);
  run.registration.drain(30_000);
  await run.heard(2);
  run.registration.report(HEALTHY);
  await run.heard(3);
  await beat(run);
  assert.deepEqual(
    run.registry.messages.slice(1).map(({ health }) => health),
    Array(3).fill(discovery.Health.HEALTH_DRAINING),
  );
});

test('learns who may still choose the instance, also unasked, until it is back with a verdict of its own', async (t) => {
  const run = await bench(t);
  const { registration, registry } = run;
  registration.use(registry.channel());
  await until('registered', () => registration.state.registered);
  registration.report(HEALTHY);
  await run.heard(2);
  const progress = { dataPlanes: 2, acknowledged: 1, gone: 0, stragglers: [{ node: 'n2', reason: 'unacknowledged' }], stragglerCount: 1 };
  registry.drain = { outcome: discovery.DrainOutcome.DRAIN_OUTCOME_WAITING, ...progress };
  registration.drain(30_000);
  await until('the answer', () => registration.drainNews !== undefined);
  const numbers = { dataPlanes: 2, acknowledged: 1, gone: 0 };
  assert.deepEqual(registration.drainNews, { outcome: 'waiting', ...numbers, stragglers: ['n2'] });
  registry.drain = { outcome: discovery.DrainOutcome.DRAIN_OUTCOME_TIMED_OUT, ...progress };
  registry.say(0);
  await until('the end', () => registration.drainNews !== 'unsupported' && registration.drainNews?.outcome === 'timed-out');
  registration.undrain({ state: 'starting', reason: 'anew' });
  assert.equal(registration.drainNews, undefined);
  await run.heard(4);
  assert.deepEqual(
    registry.messages.map(({ health }) => health),
    [discovery.Health.HEALTH_STARTING, discovery.Health.HEALTH_HEALTHY, discovery.Health.HEALTH_DRAINING, discovery.Health.HEALTH_STARTING],
  );
});

test('notices a control plane that does not tell who may still choose the instance', async (t) => {
  const run = await bench(t);
  run.registration.use(run.registry.channel());
  await until('registered', () => run.registration.state.registered);
  let told = 0;
  run.registration.onDrainNews = () => {
    told += 1;
  };
  run.registration.drain(30_000);
  await until('the answer', () => run.registration.drainNews === 'unsupported');
  assert.equal(told, 1);
});

test('registers again, with what is known of the application, when the stream breaks', async (t) => {
  const run = await bench(t);
  run.registration.use(run.registry.channel());
  await until('registered', () => run.registration.state.registered);
  run.registration.report(HEALTHY);
  await run.heard(2);
  run.registry.calls[0]?.emit('error', { code: status.FAILED_PRECONDITION, details: 'its lease ended; register again' });
  await until('told', () => !run.registration.state.registered);
  assert.match(run.registration.state.reason, /its lease ended; register again/);
  run.clock.advance(200);
  await run.heard(3);
  assert.deepEqual(run.registry.messages[2], { call: 1, registers: true, health: discovery.Health.HEALTH_HEALTHY, reason: 'checks pass' });
  await until('registered again', () => run.registration.state.registered);
  await beat(run);
});

test('deregisters when it stops, leaves no timer, and does not wait for a control plane that is away', async (t) => {
  const run = await bench(t);
  run.registration.use(run.registry.channel());
  await until('registered', () => run.registration.state.registered);
  await run.registration.stop();
  assert.deepEqual(run.registry.deregistered, ['default/orders/orders-1']);
  assert.equal(run.clock.sleepers, 0);
  await run.registration.stop();
  assert.equal(run.registry.deregistered.length, 1);

  const other = new Registration({
    instance: INSTANCE,
    clock: run.clock,
    random: nodeRandom,
    logger: recordingLogger(run.lines),
    metrics: run.metrics,
  });
  other.use(() => channelTo(1));
  await until('failed', () => other.state.reason.includes('ECONNREFUSED'));
  await other.stop();
  assert.ok(run.lines.some(({ message }) => message.includes('could not deregister')));
  assert.equal(run.clock.sleepers, 0);
});

test('a control plane that takes heartbeats and answers none is given up for a new connection', async (t) => {
  const run = await bench(t);
  run.registration.use(run.registry.channel());
  await until('registered', () => run.registration.state.registered);
  run.registry.answers = false;
  await until('given up', () => {
    run.clock.advance(1);
    return !run.registration.state.registered;
  });
  assert.match(run.registration.state.reason, /does not answer heartbeats/);
  assert.match(run.metrics.expose(), /heddle_control_stream_restarts_total\{reason="stalled",stream="registration"\} 1/);
  run.registry.answers = true;
  run.clock.advance(200);
  await until('registered again', () => run.registration.state.registered);
  assert.equal(run.registry.calls.length, 2);
});

test('streams that are taken and ended at once do not make it try faster', async (t) => {
  const run = await bench(t);
  run.registration.use(run.registry.channel());
  for (let calls = 1; calls <= 4; calls++) {
    await until(`call ${calls}`, () => run.registry.calls.length === calls && run.registration.state.registered);
    run.registry.calls[calls - 1]?.emit('error', { code: status.UNAVAILABLE, details: 'full' });
    await until('told', () => !run.registration.state.registered);
    run.clock.advance(1_000);
  }
  const pauses = run.lines
    .filter(({ message }) => message.startsWith('registration broke'))
    .map(({ text }) => (JSON.parse(text) as { delayMs: number }).delayMs);
  // Half of a bound that doubles.
  assert.deepEqual(pauses, [100, 200, 400, 800]);
});

test('word that the control plane answers others makes a try that waits begin anew, and leaves one that has just begun alone', async (t) => {
  const run = await bench(t);
  run.registry.answers = false;
  run.registration.use(run.registry.channel());
  await run.heard(1);
  run.registration.hurry();
  assert.equal(run.registry.calls.length, 1);
  run.clock.advance(1_500);
  run.registry.answers = true;
  run.registration.hurry();
  await until('registered', () => run.registration.state.registered);
  assert.equal(run.registry.calls.length, 2);
  run.clock.advance(1_500);
  run.registration.hurry();
  await beat(run);
  assert.equal(run.registry.calls.length, 2, 'what is registered stays');
});
