import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LocalProtocolError } from '../http1/errors.ts';
import { formatGrpcTimeout, parseGrpcTimeout } from './timeout.ts';

test('reads every unit', () => {
  const values: [string, number][] = [
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3_000],
    ['4m', 4],
    ['5u', 0.005],
    ['6n', 0.000006],
    ['0n', 0],
    ['00000001m', 1],
    ['99999999H', 99_999_999 * 3_600_000],
  ];
  for (const [value, timeoutMs] of values) assert.equal(parseGrpcTimeout(value), timeoutMs, value);
});

test('refuses everything else', () => {
  for (const value of ['', 'm', '1', '1s', '1h', '-1m', '+1m', ' 1m', '1m ', '1.5S', '123456789m', '1mm', 'mm', '１m', '1e3m']) {
    assert.equal(parseGrpcTimeout(value), undefined, value);
  }
});

test('writes whole milliseconds as such, and everything else as exactly as eight digits can', () => {
  const values: [number, string][] = [
    [0, '0m'],
    [1, '1m'],
    [99_999_999, '99999999m'],
    [100_000_000, '100000S'],
    [100_000_001, '100001S'],
    [0.5, '500000n'],
    [0.0000001, '1n'],
    [99.9999995, '100000u'],
    [1_500.25, '1500250u'],
    [100_000.5, '100001m'],
    [1e11 + 1, '1666667M'],
    [1e13, '2777778H'],
    [Number.MAX_VALUE, '99999999H'],
  ];
  for (const [timeoutMs, value] of values) assert.equal(formatGrpcTimeout(timeoutMs), value);
  for (const timeoutMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => formatGrpcTimeout(timeoutMs), LocalProtocolError);
});

test('what was written is read as no less, and not much more', () => {
  fc.assert(
    fc.property(fc.oneof(fc.nat(), fc.double({ min: 1e-3, max: 3e14, noNaN: true })), (timeoutMs) => {
      const value = formatGrpcTimeout(timeoutMs);
      assert.match(value, /^[0-9]{1,8}[HMSmun]$/);
      const read = parseGrpcTimeout(value)!;
      // The next coarser unit is up to 1,000 times as large and needs at least five digits; a double is exact to some 10^-15.
      assert.ok(read >= timeoutMs * (1 - 2e-15) && read <= timeoutMs * 1.001 + 1e-6, `${timeoutMs} → ${value} → ${read}`);
      assert.equal(parseGrpcTimeout(formatGrpcTimeout(read)), read);
    }),
    { numRuns: 1_000 },
  );
});
