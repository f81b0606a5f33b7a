import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StreamTable } from './stream-table.ts';
import { Http2Stream } from './stream.ts';

test('finds what was added and not deleted, as a Map does, whatever ids a peer chooses', () => {
  const id = fc.oneof(
    fc.integer({ min: 0, max: 40 }).map((at) => at * 2 + 1),
    fc.integer({ min: 0, max: 40 }).map((at) => at * 512 + 1),
    fc.integer({ min: 0, max: 0x3fffffff }).map((at) => at * 2 + 1),
  );
  const step = fc.record({ add: fc.boolean(), id, which: fc.nat(1_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const table = new StreamTable();
      const model = new Map<number, Http2Stream>();
      for (const { add, id, which } of steps) {
        if (add && !model.has(id)) {
          const stream = new Http2Stream(id, 0, 0);
          table.add(stream);
          model.set(id, stream);
        } else if (!add && model.size > 0) {
          const stream = [...model.values()][which % model.size]!;
          table.delete(stream);
          table.delete(stream);
          model.delete(stream.id);
        }
        assert.equal(table.size, model.size);
        assert.equal(table.get(id), model.get(id));
      }
      for (const { id } of steps) assert.equal(table.get(id), model.get(id));
      assert.deepEqual(
        table.list().map(({ id }) => id),
        [...model.keys()].sort((a, b) => a - b),
      );
      table.clear();
      assert.equal(table.list().length, 0);
    }),
    { numRuns: 500 },
  );
});

test('many streams and none again', () => {
  const table = new StreamTable();
  for (let round = 0; round < 3; round++) {
    const streams = Array.from({ length: 500 }, (_, at) => new Http2Stream(1 + 2 * (round * 500 + at), 0, 0));
    for (const stream of streams) table.add(stream);
    assert.equal(table.size, 500);
    for (const stream of streams) table.delete(stream);
    assert.equal(table.size, 0);
    assert.equal(table.get(1), undefined);
  }
});
