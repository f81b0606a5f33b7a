// The log of events: bounded, kept over restarts, and nobody's problem when the disk is.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Logger } from '@heddle/runtime';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { openEventLog } from './log.ts';
import type { EventLog } from './log.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-events-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const open = (name: string | undefined, logger: Logger = silent): Promise<EventLog> =>
  openEventLog({ path: name === undefined ? undefined : join(directory, name), clock: new ManualClock(), logger, max: 8 });
const ids = (log: EventLog, filter = {}): number[] => log.list(filter).map(({ id }) => id);

test('keeps the newest, oldest first, with ids that go on; filters by subject and kind', async () => {
  const log = await open(undefined);
  assert.deepEqual([log.lastId, log.list()], [0, []]);
  for (let index = 1; index <= 20; index += 1)
    log.record(index % 2 === 0 ? 'instance-expired' : 'instance-registered', `default/s${index % 3}/i`, 'x');
  assert.equal(log.lastId, 20);
  assert.deepEqual(ids(log), [13, 14, 15, 16, 17, 18, 19, 20]);
  assert.deepEqual(ids(log, { limit: 2 }), [19, 20]);
  assert.deepEqual(ids(log, { after: 17 }), [18, 19, 20]);
  assert.deepEqual(ids(log, { after: 2, limit: 2 }), [13, 14]);
  assert.deepEqual(ids(log, { after: 99 }), []);
  assert.deepEqual(ids(log, { kind: 'instance-expired' }), [14, 16, 18, 20]);
  assert.deepEqual(ids(log, { subject: 'default/s1' }), [13, 16, 19]);
  assert.deepEqual(ids(log, { subject: 'default/s' }), []);
});

test('tells listeners, and says what came on one line that a terminal can show', async () => {
  const log = await open(undefined);
  const told: string[] = [];
  const listening = log.onEvent(({ message }) => told.push(message));
  log.record('instance-health', 'default/a/b', `\u001b[2Ja\n${'x'.repeat(900)}`);
  listening.close();
  log.record('instance-health', 'default/a/b', 'y');
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /^\[2Ja x+…$/);
  assert.equal(told[0]?.length, 500);
});

test('what was recorded is there after a restart, in a file that only its owner can read and that does not grow for ever', async () => {
  const first = await open('kept.jsonl');
  for (let index = 0; index < 5; index += 1) first.record('token-created', 'default/a', `number ${index}`);
  await first.close();
  const second = await open('kept.jsonl');
  assert.deepEqual(second.list(), first.list());
  for (let index = 0; index < 100; index += 1) {
    second.record('token-created', 'default/a', `more ${index}`);
    if (index % 7 === 0) await second.close();
  }
  await second.close();
  assert.deepEqual(ids(await open('kept.jsonl')), [98, 99, 100, 101, 102, 103, 104, 105]);
  const path = join(directory, 'kept.jsonl');
  assert.ok((await readFile(path, 'utf8')).split('\n').length <= 17);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('a line cut off by a crash, or written by nobody knows whom, is left out, and what follows it is whole', async () => {
  const first = await open('torn.jsonl');
  first.record('token-created', 'default/a', 'one');
  await first.close();
  const path = join(directory, 'torn.jsonl');
  await writeFile(path, `${await readFile(path, 'utf8')}{"id":2,"timeM`);
  const second = await open('torn.jsonl');
  second.record('token-created', 'default/a', 'two');
  await second.close();
  assert.deepEqual(
    (await open('torn.jsonl')).list().map(({ id, message }) => [id, message]),
    [
      [1, 'one'],
      [2, 'two'],
    ],
  );
  await writeFile(path, 'null\n{}\nnot json\n{"id":"x"}\n');
  assert.deepEqual((await open('torn.jsonl')).list(), []);
});

test('a file that cannot be written is one line in the log, and the events are in memory', async () => {
  const lines: string[] = [];
  const logger: Logger = { ...silent, error: (_fields: object, message: string) => void lines.push(message) };
  const log = await open('missing/events.jsonl', logger);
  for (let index = 0; index < 3; index += 1) {
    log.record('token-created', 'default/a', String(index));
    await log.close();
  }
  assert.deepEqual(ids(log), [1, 2, 3]);
  assert.deepEqual(lines, ['events cannot be written; the newest are kept in memory']);
  // A directory in its place cannot even be read.
  assert.deepEqual((await openEventLog({ path: directory, clock: new ManualClock(), logger })).list(), []);
});
