import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LOAD_COUNT_MAX, LoadTable } from './load.ts';

const report = (over: object = {}) => ({
  source: 'default/web',
  destination: 'default/orders',
  issued: 100,
  succeeded: 90,
  failed: 10,
  inProgress: 3,
  dropped: 0,
  intervalMs: 10_000,
  ...over,
});

describe('the load table', () => {
  test('adds up what data planes report of the same pair, as rates of their intervals', () => {
    const table = new LoadTable();
    const [first, second] = [table.join('node-1'), table.join('node-2')];
    table.report(first, report(), 1_000);
    table.report(second, report({ issued: 50, failed: 0, intervalMs: 5_000, inProgress: 1, dropped: 5 }), 2_000);
    table.report(second, report({ destination: 'default/cache', failed: 0 }), 2_000);
    assert.deepEqual(table.list(3_000), [
      {
        source: 'default/web',
        destination: 'default/cache',
        requestsPerSecond: 10,
        errorsPerSecond: 0,
        droppedPerSecond: 0,
        inProgress: 3,
        nodes: ['node-2'],
        updatedMs: 2_000,
      },
      {
        source: 'default/web',
        destination: 'default/orders',
        requestsPerSecond: 20,
        errorsPerSecond: 1,
        droppedPerSecond: 1,
        inProgress: 4,
        nodes: ['node-1', 'node-2'],
        updatedMs: 2_000,
      },
    ]);
    assert.deepEqual(
      table.list(3_000, 'node-1').map(({ requestsPerSecond }) => requestsPerSecond),
      [10],
    );
  });

  test('a report takes the place of the one before; what comes to rest is shown so, and then forgotten', () => {
    const table = new LoadTable({ expiryMs: 1_000 });
    const reporter = table.join('n');
    table.report(reporter, report(), 0);
    table.report(reporter, report({ issued: 0, succeeded: 0, failed: 0, inProgress: 0 }), 900);
    assert.deepEqual(
      table.list(1_000).map(({ requestsPerSecond, updatedMs }) => [requestsPerSecond, updatedMs]),
      [[0, 0]],
    );
    assert.deepEqual(table.list(1_001), []);
    assert.equal(table.size, 0);
    // What never carried anything takes no place.
    table.report(reporter, report({ issued: 0, succeeded: 0, failed: 0, inProgress: 0 }), 2_000);
    assert.equal(table.size, 0);
  });

  test('a data plane that left takes what it said along', () => {
    const table = new LoadTable();
    const reporter = table.join('n');
    table.report(reporter, report(), 0);
    table.leave(reporter);
    table.leave(reporter);
    assert.deepEqual([table.list(0), table.size], [[], 0]);
    assert.equal(table.report(reporter, report(), 0), false);
  });

  test('holds no more than it may, of one and of all', () => {
    const table = new LoadTable({ edgesPerReporterMax: 2, edgesMax: 3 });
    const [first, second] = [table.join('a'), table.join('b')];
    const kept = (reporter: typeof first, count: number) =>
      Array.from({ length: count }, (_, index) => table.report(reporter, report({ destination: `d/${index}` }), 0));
    assert.deepEqual(kept(first, 3), [true, true, false]);
    assert.deepEqual(kept(second, 3), [true, false, false]);
    assert.equal(table.size, 3);
    assert.deepEqual(kept(first, 2), [true, true]);
    table.leave(first);
    assert.deepEqual(kept(second, 3), [true, true, false]);
  });

  test('believes no number that cannot be', () => {
    const table = new LoadTable();
    const reporter = table.join('n');
    table.report(reporter, report({ issued: Infinity, failed: NaN, inProgress: -5, dropped: 1e300, intervalMs: 0 }), 0);
    const [load] = table.list(0);
    assert.deepEqual([load?.requestsPerSecond, load?.errorsPerSecond, load?.inProgress], [0, 0, 0]);
    assert.equal(load?.droppedPerSecond, LOAD_COUNT_MAX * 1_000);
  });
});
