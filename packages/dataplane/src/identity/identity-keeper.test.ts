import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { createMetrics, nodeGrpc, nodeRandom, spkiPin } from '@heddle/runtime/node';
import { IdentityKeeper, type IdentityKeeperOptions } from './identity-keeper.ts';
import { directoryIdentityStore, noIdentityStore } from './identity-store.ts';
import type { HeldIdentity } from './sign-call.ts';
import {
  type Answer,
  type LogLine,
  recordingLogger,
  signFor,
  startTestControl,
  type TestCall,
  TestClock,
  TestRoot,
  testToken,
  until,
} from './testing/control.ts';

const WORKLOAD = { namespace: 'default', service: 'orders', instance: 'orders-1' };
const HOUR_MS = 3_600_000;
const root = new TestRoot();

interface Bench {
  readonly keeper: IdentityKeeper;
  readonly clock: TestClock;
  readonly got: HeldIdentity[];
  readonly lines: LogLine[];
  readonly exposed: () => string;
}

function bench(t: TestContext, port: number, change: Partial<IdentityKeeperOptions> = {}): Bench {
  const clock = new TestClock();
  const got: HeldIdentity[] = [];
  const lines: LogLine[] = [];
  const metrics = createMetrics();
  const keeper = new IdentityKeeper({
    workload: WORKLOAD,
    control: { address: '127.0.0.1', port },
    grpc: nodeGrpc,
    store: noIdentityStore,
    clock,
    random: { ...nodeRandom, next: () => 0.5 },
    logger: recordingLogger(lines),
    metrics,
    onIdentity: (held) => got.push(held),
    ...change,
  });
  t.after(() => keeper.close());
  return { keeper, clock, got, lines, exposed: () => metrics.expose() };
}

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-identity-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('a workload joins once and renews over its certificate with a new key', async (t) => {
  const control = await startTestControl(t, { root });
  const { keeper, clock, got, exposed } = bench(t, control.port);
  assert.equal(keeper.offerToken(testToken(root)), undefined);
  assert.equal(keeper.status.health, 'none');
  await keeper.start();
  await until('joined', () => got.length === 1 && clock.sleepers === 1);
  assert.equal(keeper.status.health, 'good');
  assert.match(exposed(), /heddle_identity_expiry_timestamp_seconds\{workload="default\/orders\/orders-1"\} \d{10}/);
  // Ahead of the real time, at which certificates are made and TLS looks at them, by less than they live.
  clock.advance(HOUR_MS / 2 - 1_000);
  assert.equal(control.calls.length, 1);
  clock.advance(61_000);
  await until('renewed', () => got.length === 2);
  assert.deepEqual(
    control.calls.map(({ joinToken, peer }) => [joinToken === '', peer]),
    [
      [false, ''],
      [true, 'spiffe://shop/ns/default/svc/orders'],
    ],
  );
  assert.notEqual(spkiPin((got[0] as HeldIdentity).certificatePem), spkiPin((got[1] as HeldIdentity).certificatePem));
  assert.equal(keeper.held, got[1]);
});

test('tokens that cannot be for this workload are refused before anything is sent', async (t) => {
  const { keeper } = bench(t, 1);
  assert.match(keeper.offerToken('hello') ?? '', /does not begin with/);
  assert.match(keeper.offerToken(testToken(root, { service: 'web' })) ?? '', /is for default\/web, but the workload is of default\/orders/);
});

test('roots that have changed bring a new certificate soon, once, and with certificates of the new root peace', async (t) => {
  const next = new TestRoot();
  let [signs, roots] = [root, root.pem];
  let told: string | undefined;
  const control = await startTestControl(t, { root, answer: (call) => ({ ...signFor(signs, call, HOUR_MS), rootsPem: roots }) });
  const { keeper, clock, got } = bench(t, control.port, { trusted: () => told });
  keeper.offerToken(testToken(root));
  await keeper.start();
  await until('joined', () => got.length === 1 && clock.sleepers === 1);
  told = root.pem;
  clock.advance(60_000);
  assert.equal(got.length, 1);
  roots = told = root.pem + next.pem;
  clock.advance(1_000);
  assert.equal(control.calls.length, 1, 'not at once: others have heard it too');
  clock.advance(15_000);
  await until('renewed with both roots', () => got.length === 2 && clock.sleepers === 1);
  assert.equal(got[1]?.rootsPem, roots);
  // From now on the new one is used, but this control plane does not know it yet.
  told = next.pem + root.pem;
  clock.advance(1_000);
  clock.advance(15_000);
  await until('renewed in vain', () => got.length === 3 && clock.sleepers === 1);
  clock.advance(60_000);
  assert.equal(control.calls.length, 3, 'tried once for each change');
  signs = next;
  roots = told = root.pem;
  clock.advance(1_000);
  roots = told = next.pem + root.pem;
  clock.advance(1_000);
  clock.advance(30_000);
  await until('of the new root', () => got.length === 4 && clock.sleepers === 1);
  clock.advance(60_000);
  assert.equal(control.calls.length, 4);
  assert.equal(keeper.status.health, 'good');
});

test('the last good certificate stays while renewal fails, and being late is an alarm', async (t) => {
  let away = false;
  const answer = (call: TestCall): Answer => (away ? { code: status.UNAVAILABLE, details: 'gone fishing' } : signFor(root, call, HOUR_MS));
  const control = await startTestControl(t, { root, answer });
  const { keeper, clock, got, lines, exposed } = bench(t, control.port);
  keeper.offerToken(testToken(root));
  await keeper.start();
  await until('joined', () => got.length === 1 && clock.sleepers === 1);
  away = true;
  // Certificates are made at the real time, which has gone on while this clock stood still.
  clock.advance(HOUR_MS / 2 + 60_000);
  await until('failed', () => keeper.status.reason.includes('gone fishing') && clock.sleepers === 1);
  assert.equal(keeper.status.health, 'good');
  assert.match(exposed(), /heddle_identity_overdue\{[^}]*\} 0/);
  clock.advance(HOUR_MS / 4);
  await until('told', () => lines.some((line) => line.level === 'error'));
  assert.match(lines.find((line) => line.level === 'error')?.message ?? '', /ALARM: the certificate should have been renewed/);
  assert.match(exposed(), /heddle_identity_overdue\{[^}]*\} 1/);
  assert.equal(keeper.status.health, 'overdue');
  assert.equal(got.length, 1);
  await until('failed again', () => clock.sleepers === 1);
  assert.equal(lines.filter((line) => line.level === 'error').length, 1, 'told once');
  away = false;
  clock.advance(60_000);
  await until('recovered', () => got.length === 2 && clock.sleepers === 1);
  assert.deepEqual([keeper.status.health, keeper.status.reason], ['good', '']);
  assert.match(exposed(), /heddle_identity_overdue\{[^}]*\} 0/);
});

test('a refused token is told and not sent again; the next one is', async (t) => {
  const good = testToken(root);
  const control = await startTestControl(t, {
    root,
    answer: (call) => (call.joinToken === good ? signFor(root, call, HOUR_MS) : { code: status.UNAUTHENTICATED, details: 'used already' }),
  });
  const { keeper, clock, got, lines } = bench(t, control.port);
  const bad = testToken(root);
  keeper.offerToken(bad);
  await keeper.start();
  await until('refused', () => lines.some((line) => line.message.includes('cannot join with this token')));
  await until('idle', () => clock.sleepers === 0);
  clock.advance(HOUR_MS / 2);
  assert.equal(keeper.offerToken(bad), undefined);
  assert.match(keeper.status.reason, /used already/);
  keeper.offerToken(good);
  await until('joined', () => got.length === 1);
  assert.deepEqual(
    control.calls.map((call) => call.joinToken),
    [bad, good],
  );
});

test('a lost answer is asked for again with the same token and key', async (t) => {
  let lost = 0;
  const control = await startTestControl(t, {
    root,
    answer: (call) => (lost++ === 0 ? { code: status.UNAVAILABLE, details: 'killed' } : signFor(root, call, HOUR_MS)),
  });
  const { keeper, clock, got } = bench(t, control.port);
  keeper.offerToken(testToken(root));
  await keeper.start();
  await until('failed once', () => keeper.status.reason !== '' && clock.sleepers === 1);
  clock.advance(300);
  await until('joined', () => got.length === 1);
  assert.equal(control.calls.length, 2);
  assert.deepEqual(control.calls[0], control.calls[1]);
});

test('a control plane that comes later is joined then', async (t) => {
  const first = await startTestControl(t, { root });
  const { port } = first;
  await first.stop();
  const { keeper, clock, got } = bench(t, port);
  keeper.offerToken(testToken(root));
  await keeper.start();
  await until('failed', () => keeper.status.reason.includes('cannot be reached') && clock.sleepers === 1);
  await startTestControl(t, { root, port });
  clock.advance(10_000);
  await until('joined', () => got.length === 1);
});

test('closed while it asks, it takes nothing any more', async (t) => {
  const running: { keeper?: IdentityKeeper } = {};
  const control = await startTestControl(t, {
    root,
    answer: (call) => {
      running.keeper?.close();
      return signFor(root, call, HOUR_MS);
    },
  });
  const run = bench(t, control.port);
  running.keeper = run.keeper;
  run.keeper.offerToken(testToken(root));
  await run.keeper.start();
  await until('asked', () => control.calls.length === 1);
  await control.stop();
  assert.equal(run.got.length, 0);
  assert.equal(run.clock.sleepers, 0);
});

test('with a state directory a restarted workload needs no new token', async (t) => {
  const dir = directory(t);
  const control = await startTestControl(t, { root });
  const lines: LogLine[] = [];
  const store = directoryIdentityStore(dir, recordingLogger(lines));
  const file = join(dir, 'default/orders/orders-1.json');
  const first = bench(t, control.port, { store });
  first.keeper.offerToken(testToken(root));
  await first.keeper.start();
  await until('joined and kept', () => first.got.length === 1 && first.clock.sleepers === 1);
  first.keeper.close();
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(file, '..')), ['orders-1.json']);
  await control.stop();
  const second = bench(t, control.port, { store });
  await second.keeper.start();
  assert.deepEqual(second.got, first.got);
  assert.equal(second.keeper.status.health, 'good');
  assert.deepEqual(lines, []);
});

test('a kept identity that cannot be used counts as absent, and why is told', async (t) => {
  const dir = directory(t);
  // Ends before the root, as certificates do.
  const control = await startTestControl(t, { root, answer: (call) => signFor(root, call, HOUR_MS / 2) });
  const lines: LogLine[] = [];
  const store = directoryIdentityStore(dir, recordingLogger(lines));
  const run = bench(t, control.port, { store });
  run.keeper.offerToken(testToken(root));
  await run.keeper.start();
  await until('kept', () => run.got.length === 1 && run.clock.sleepers === 1);
  const file = join(dir, 'default/orders/orders-1.json');
  const good = readFileSync(file, 'utf8');
  const load = (text: string, nowMs = Date.now()): Promise<HeldIdentity | undefined> => {
    writeFileSync(file, text);
    return store.load(WORKLOAD, nowMs);
  };
  assert.notEqual(await load(good), undefined);
  const other = JSON.parse(good) as Record<string, unknown>;
  for (const [text, reason] of [
    ['{', /JSON/],
    [good.slice(0, 100), /JSON/],
    [JSON.stringify({ ...other, format: 2 }), /format 2/],
    [JSON.stringify({ ...other, keyPem: undefined }), /not complete/],
    [JSON.stringify({ ...other, keyPem: root.key.keyPem }), /do not belong together/],
    [JSON.stringify({ ...other, rootsPem: new TestRoot().pem }), /not issued by any/],
  ] as const) {
    lines.length = 0;
    assert.equal(await load(text), undefined);
    assert.match(lines.map((line) => line.text).join(), reason);
    assert.doesNotMatch(lines.map((line) => line.text).join(), /PRIVATE/);
  }
  const ended = await load(good, Date.now() + 2 * HOUR_MS);
  assert.ok(ended !== undefined && ended.notAfterMs < Date.now() + 2 * HOUR_MS, 'it may still be renewed');
  writeFileSync(join(dir, 'default/orders/orders-2.json'), good);
  assert.notEqual(await store.load({ ...WORKLOAD, instance: 'orders-2' }, Date.now()), undefined);
  await store.save({ ...WORKLOAD, service: 'web', instance: 'web-1' }, run.got[0] as HeldIdentity);
  assert.equal(await store.load({ ...WORKLOAD, service: 'web', instance: 'web-1' }, Date.now()), undefined, 'of another service');
  chmodSync(file, 0o644);
  await load(good);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('names that would leave the directory are refused', async (t) => {
  const lines: LogLine[] = [];
  const store = directoryIdentityStore(directory(t), recordingLogger(lines));
  for (const instance of ['../../etc', '..', '', 'a/b'])
    await assert.rejects(store.save({ ...WORKLOAD, instance }, {} as HeldIdentity), RangeError);
});

test('a machine that slept through the end of its certificate renews it with the old key, and no token', async (t) => {
  const control = await startTestControl(t, { root });
  const { keeper, clock, got, lines, exposed } = bench(t, control.port);
  keeper.offerToken(testToken(root));
  await keeper.start();
  await until('joined', () => got.length === 1 && clock.sleepers === 1);
  assert.match(exposed(), /heddle_identity_seconds_left\{[^}]*\} 3(600|59\d)$/m);
  // While a machine sleeps its timers stand still, and the time of day goes on.
  clock.sleep(24 * HOUR_MS);
  assert.equal(keeper.status.health, 'expired');
  clock.advance(1_000);
  await until('asked', () => control.calls.length === 2);
  assert.deepEqual(control.calls[1]?.late, { peer: 'spiffe://shop/ns/default/svc/orders', isProven: true });
  assert.deepEqual([control.calls[1]?.joinToken, control.calls[1]?.peer], ['', '']);
  assert.match(exposed(), /heddle_identity_seconds_left\{[^}]*\} -\d{5}/);
  assert.ok(lines.some(({ level, message }) => level === 'error' && message.includes('ALARM: the certificate has ended')));
});

test('a kept certificate that has ended is not used, but renewed', async (t) => {
  const dir = directory(t);
  const store = directoryIdentityStore(dir, recordingLogger([]));
  const short = await startTestControl(t, { root, answer: (call) => signFor(root, call, 1_000) });
  const first = bench(t, short.port, { store });
  first.keeper.offerToken(testToken(root));
  await first.keeper.start();
  await until('joined and kept', () => first.got.length === 1 && first.clock.sleepers === 1);
  first.keeper.close();
  await until('its end', () => Date.now() >= (first.got[0] as HeldIdentity).notAfterMs);
  const control = await startTestControl(t, { root });
  const second = bench(t, control.port, { store });
  await second.keeper.start();
  await until('renewed', () => second.got.length === 1);
  assert.ok((second.got[0] as HeldIdentity).notAfterMs > Date.now());
  assert.equal(control.calls[0]?.late?.isProven, true);
  assert.equal(second.keeper.status.health, 'good');
});

test('an ended certificate that is refused makes way for a token', async (t) => {
  const control = await startTestControl(t, {
    root,
    answer: (call) =>
      call.late === undefined
        ? signFor(root, call, call.joinToken === '' ? HOUR_MS : 1_000)
        : { code: status.UNAUTHENTICATED, details: 'longer ago than seven days' },
  });
  const { keeper, clock, got, lines } = bench(t, control.port);
  keeper.offerToken(testToken(root));
  await keeper.start();
  await until('joined', () => got.length === 1 && clock.sleepers === 1);
  clock.sleep(5_000);
  clock.advance(1_000);
  // The token of the beginning is tried as well.
  await until('joined anew', () => control.calls.length >= 3);
  assert.deepEqual(
    control.calls.map(({ joinToken, late }) => [joinToken !== '', late !== undefined]),
    [
      [true, false],
      [false, true],
      [true, false],
    ],
  );
  assert.ok(lines.some(({ text }) => text.includes('longer ago than seven days')));
});
