// Figures are read and summed up correctly, and failed requests are never counted as work done.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { percentiles, ratios, readH2load, readH2loadLog, readWrk, spread, spreadText } from './figures.ts';

const WRK = `Running 4s test @ http://127.0.0.1:9400/
  1 threads and 64 connections
  183401 requests in 4.00s, 30.90MB read
Requests/sec:  45812.11
`;
const H2LOAD = `finished in 2.00s, 495904.00 req/s, 494.21MB/s
requests: 991808 total, 991936 started, 991808 done, 991808 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 991808 2xx, 0 3xx, 0 4xx, 0 5xx
`;

describe('figures of the benchmark', () => {
  test('are read from what the load generators print', () => {
    assert.equal(readWrk(WRK), 183_401);
    assert.equal(readH2load(H2LOAD), 991_808);
  });

  test('are refused when requests failed or none was made', () => {
    assert.throws(
      () => readWrk(`${WRK}  Socket errors: connect 0, read 3, write 0, timeout 0\n`),
      /requests failed: Socket errors.*read 3/,
    );
    assert.throws(() => readWrk(`${WRK}  Non-2xx or 3xx responses: 7\n`), /responses: 7/);
    assert.throws(() => readWrk(WRK.replace('183401', '0')), /measured nothing/);
    assert.throws(() => readWrk('unable to connect'), /measured nothing/);
    assert.throws(() => readH2load(H2LOAD.replace('991808 succeeded, 0 failed', '991807 succeeded, 1 failed')), /requests failed/);
    assert.throws(() => readH2load(H2LOAD.replaceAll('991808', '0')), /measured nothing/);
    assert.throws(() => readH2load(''), /measured nothing/);
  });

  test('are taken from the lines that h2load logs, without those of the warm-up', () => {
    const log = '1000000\t200\t50\n1400000\t200\t60\n1600000\t200\t70\n';
    assert.deepEqual([...readH2loadLog(log, 0)], [50, 60, 70]);
    assert.deepEqual([...readH2loadLog(log, 500)], [70]);
    assert.throws(() => readH2loadLog(log.replace('200\t60', '503\t60'), 500), /requests failed: 1400000/);
    assert.throws(() => readH2loadLog('', 0), /logged nothing/);
  });

  test('become percentiles by nearest rank', () => {
    const values = Float64Array.from({ length: 1000 }, (_, index) => 1000 - index);
    assert.deepEqual(percentiles(values), { p50Us: 500, p99Us: 990, p999Us: 999 });
    assert.deepEqual(percentiles(Float64Array.of(7)), { p50Us: 7, p99Us: 7, p999Us: 7 });
  });

  test('are summed up as median, least and most, and compared round by round', () => {
    assert.deepEqual(spread([9, 1, 4]), { median: 4, min: 1, max: 9 });
    assert.deepEqual(spread([10, 1, 4, 2]), { median: 3, min: 1, max: 10 });
    assert.equal(spreadText(spread([9, 1, 4]), 1), '4.0 (1.0 – 9.0)');
    assert.equal(spreadText(spread([12_345]), 0), '12,345');
    assert.deepEqual(ratios([3, 8, 5], [2, 2]), [1.5, 4]);
  });
});
