import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { type IssuedLedger, type IssuedRecord, openLedger } from './ledger.ts';

const HOUR_MS = 3_600_000;

interface Bench {
  readonly path: string;
  readonly clock: ManualClock;
  readonly open: (fileBytesMax?: number) => Promise<IssuedLedger>;
  readonly record: (serial: string, change?: Partial<IssuedRecord>) => IssuedRecord;
}

function bench(t: TestContext): Bench {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-ledger-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const clock = new ManualClock();
  const path = join(directory, 'issued.jsonl');
  return {
    path,
    clock,
    open: (fileBytesMax) => openLedger({ path, clock, logger: silent, ...(fileBytesMax !== undefined && { fileBytesMax }) }),
    record: (serial, change) => ({
      ...{ timeMs: clock.wallMs(), serial, id: 'spiffe://shop/ns/default/svc/orders', keyPin: `key-${serial}` },
      ...{ untilMs: clock.wallMs() + HOUR_MS, why: 'renewal', root: 'root' },
      ...change,
    }),
  };
}

const serials = (ledger: IssuedLedger): string[] => Array.from(ledger.valid(), ({ serial }) => serial);

test('what has ended or was replaced is not valid, and a restart knows the same', async (t) => {
  const { clock, open, record } = bench(t);
  const ledger = await open();
  await ledger.record(record('01', { untilMs: clock.wallMs() + 1_000 }));
  await ledger.record(record('02'));
  await ledger.record(record('03'));
  await ledger.record(record('04', { replaces: '02' }));
  await ledger.record(record('05', { keyPin: 'key-03' }));
  assert.deepEqual(serials(ledger), ['01', '04', '05']);
  clock.advance(1_000);
  assert.deepEqual(serials(ledger), ['04', '05']);
  assert.deepEqual(serials(await open()), ['04', '05']);
  assert.equal((await open()).of('04')?.replaces, '02');
});

test('certificates of workloads are those that have not ended, without the ones of the control plane', async (t) => {
  const { clock, open, record } = bench(t);
  const ledger = await open();
  await ledger.record(record('01', { untilMs: clock.wallMs() + 1_000 }));
  await ledger.record(record('02'));
  await ledger.record(record('03', { why: 'control' }));
  const ofWorkloads = (): string[] => ledger.validOfWorkloads().map(({ serial }) => serial);
  assert.deepEqual(ofWorkloads(), ['01', '02']);
  clock.advance(1_000);
  assert.deepEqual(ofWorkloads(), ['02']);
});

test('records are lines for people, in a file for the owner alone', async (t) => {
  const { path, clock, open, record } = bench(t);
  const ledger = await open();
  await Promise.all([ledger.record(record('0a', { why: 'token' })), ledger.record(record('0b', { replaces: '0a' }))]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const [first, second] = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(first, {
    ...{ time: new Date(clock.wallMs()).toISOString(), serial: '0a', id: 'spiffe://shop/ns/default/svc/orders', key: 'key-0a' },
    ...{ until: new Date(clock.wallMs() + HOUR_MS).toISOString(), why: 'token', root: 'root' },
  });
  assert.equal(second?.['replaces'], '0a');
});

test('a file that is cut off or damaged gives what can be read, and goes on', async (t) => {
  const { path, open, record } = bench(t);
  const ledger = await open();
  await ledger.record(record('01'));
  await ledger.record(record('02'));
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, `nonsense\n${text.slice(0, -20)}`);
  const again = await open();
  assert.deepEqual(serials(again), ['01']);
  await again.record(record('03'));
  assert.deepEqual(serials(await open()), ['01', '03']);
});

test('a large file is set aside, the new one begins with what is valid, and only a few old ones are kept', async (t) => {
  const { path, clock, open, record } = bench(t);
  const ledger = await open(1_000);
  for (let number = 0; number < 60; number += 1)
    await ledger.record(record(String(number), number === 0 ? { untilMs: clock.wallMs() + 100 * HOUR_MS } : {}));
  assert.deepEqual(readdirSync(join(path, '..')).length, 5);
  clock.advance(2 * HOUR_MS);
  assert.deepEqual(serials(await open()), ['0'], 'the oldest one is still known');
});

test('a log that cannot be written is an alarm, and certificates go on', async (t) => {
  const { path, open, record } = bench(t);
  const ledger = await open();
  const folder = join(path, '..');
  rmSync(folder, { recursive: true });
  await ledger.record(record('01'));
  assert.equal(ledger.failing, true);
  assert.deepEqual(serials(ledger), ['01']);
});

test('an answer waits for the disk, many wait for it together, and none for those that come later', async (t) => {
  const { path, open, record } = bench(t);
  const ledger = await open();
  const handle = await openFile(path, 'a');
  const { promise: disk, resolve: spin } = Promise.withResolvers<void>();
  const { mock } = t.mock.method(Object.getPrototypeOf(handle) as { datasync(): Promise<void> }, 'datasync', () => disk);
  await handle.close();
  let answered = 0;
  const first = Array.from({ length: 100 }, (_, number) => ledger.record(record(`a${number}`)).then(() => (answered += 1)));
  while (mock.callCount() === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = Array.from({ length: 100 }, (_, number) => ledger.record(record(`b${number}`)));
  assert.deepEqual([answered, mock.callCount()], [0, 1]);
  spin();
  // Others come all the time; nobody is kept waiting by that.
  let [isOver, later] = [false, 0];
  const deadlineMs = Date.now() + 20_000;
  const flood = (async () => {
    for (; !isOver && Date.now() < deadlineMs; later += 1) {
      void ledger.record(record(`c${later}`));
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await Promise.all([...first, ...second]);
  isOver = true;
  await flood;
  assert.ok(Date.now() < deadlineMs, 'answered while others came');
  assert.equal(answered, 100);
  await ledger.close();
  assert.equal(serials(await open()).length, 200 + later);
});

test('what could not be written is written with the next one', async (t) => {
  const { path, open, record } = bench(t);
  const ledger = await open();
  await ledger.record(record('01'));
  renameSync(path, `${path}.away`);
  mkdirSync(path);
  await ledger.record(record('02'));
  assert.equal(ledger.failing, true);
  rmSync(path, { recursive: true });
  renameSync(`${path}.away`, path);
  await ledger.record(record('03'));
  assert.equal(ledger.failing, false);
  assert.deepEqual(serials(await open()), ['01', '02', '03']);
});
