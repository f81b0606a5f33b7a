// Figures are read and summed up correctly, and failed requests are never counted as work done.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ratios, readWrk, spread, spreadText } from './results.ts';

const WRK = `Running 4s test @ http://127.0.0.1:9400/
  1 threads and 64 connections
  Latency Distribution
     50%    1.20ms
     75%    1.90ms
     90%    2.50ms
     99%  931.00us
  183401 requests in 4.00s, 30.90MB read
Requests/sec:  45812.11
`;

describe('figures of the benchmark', () => {
  test('are read from what wrk prints, in any unit', () => {
    assert.deepEqual(readWrk(WRK), { requests: 183_401, p99Ms: 0.931 });
    assert.equal(readWrk(WRK.replace('931.00us', '  1.25s')).p99Ms, 1250);
  });

  test('are refused when requests failed or none was made', () => {
    assert.throws(
      () => readWrk(`${WRK}  Socket errors: connect 0, read 3, write 0, timeout 0\n`),
      /requests failed: Socket errors.*read 3/,
    );
    assert.throws(() => readWrk(`${WRK}  Non-2xx or 3xx responses: 7\n`), /responses: 7/);
    assert.throws(() => readWrk(WRK.replace('183401', '0')), /measured nothing/);
    assert.throws(() => readWrk('unable to connect'), /measured nothing/);
  });

  test('are summed up as median, least and most, and compared round by round', () => {
    assert.deepEqual(spread([9, 1, 4]), { median: 4, min: 1, max: 9 });
    assert.deepEqual(spread([10, 1, 4, 2]), { median: 3, min: 1, max: 10 });
    assert.equal(spreadText(spread([9, 1, 4]), 1), '4.0 (1.0 – 9.0)');
    const round = (cpuUsPerRequest: number) => ({ cpuUsPerRequest, requestsPerSecond: 1, p99Ms: 1, residentMb: 1 });
    assert.deepEqual(
      ratios([round(3), round(8), round(5)], [round(2), round(2)], ({ cpuUsPerRequest }) => cpuUsPerRequest),
      [1.5, 4],
    );
  });
});
