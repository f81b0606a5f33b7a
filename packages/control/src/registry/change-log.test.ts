// What a watcher has missed: known exactly, or known not to be known.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChangeLog } from './change-log.ts';
import { HISTORIES_MAX, isPast, readHistories, withHistory } from './history.ts';

test('what changed after a revision is told, each service once; before the floor nothing is known', () => {
  const log = new ChangeLog(10);
  log.note(['a', 'b'], 11, () => true);
  log.note(['a'], 12, () => true);
  assert.equal(log.since(9), undefined);
  assert.deepEqual(log.since(10)?.sort(), ['a', 'b']);
  assert.deepEqual(log.since(11), ['a']);
  assert.deepEqual(log.since(12), []);
});

test('however services come, change and go: what is told is right, what is forgotten is said to be, and memory is bounded', () => {
  const step = fc.record({ service: fc.integer({ min: 0, max: 30 }).map(String), goes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const log = new ChangeLog(0, 5);
      const present = new Set<string>();
      steps.forEach(({ service, goes }, index) => {
        if (goes) present.delete(service);
        else present.add(service);
        log.note([service], index + 1, (key) => present.has(key));
      });
      for (let revision = 0; revision <= steps.length; revision += 1) {
        const truth = new Set(steps.slice(revision).map(({ service }) => service));
        const told = log.since(revision);
        if (told === undefined) assert.ok(revision < log.floor);
        else assert.deepEqual(new Set(told), truth);
      }
      assert.ok([...(log.since(log.floor) ?? [])].filter((key) => !present.has(key)).length <= 7);
    }),
  );
});

test('a revision is of the past when its history is known and had got so far before the next began', () => {
  const histories = [
    { id: 'a', from: 0 },
    { id: 'b', from: 100 },
  ];
  assert.deepEqual(
    [
      isPast(histories, 'a', 0),
      isPast(histories, 'a', 100),
      isPast(histories, 'a', 101),
      isPast(histories, 'b', 500),
      isPast(histories, 'b', 99),
    ],
    [true, true, false, true, false],
  );
  assert.equal(isPast(histories, 'c', 50), false);
});

test('histories are bounded, and what cannot be read is none', () => {
  let histories = readHistories(undefined);
  for (let from = 0; from < HISTORIES_MAX + 5; from += 1) histories = withHistory(histories, { id: `h${from}`, from });
  assert.equal(histories.length, HISTORIES_MAX);
  assert.equal(histories[0]?.id, 'h5');
  assert.deepEqual(readHistories(JSON.stringify(histories)), histories);
  for (const text of ['', 'no json', '{}', 'null', '[null, 1, {"id":1}]']) assert.deepEqual(readHistories(text), []);
});
