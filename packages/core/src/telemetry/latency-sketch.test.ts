import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LatencySketch } from './latency-sketch.ts';

describe('the sketch of latencies', () => {
  it('gives every quantile within its error (property)', () => {
    const latencies = fc.array(fc.double({ min: 0.04, max: 200_000, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(latencies, fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(1, 4, 16), (values, quantile, steps) => {
        const sketch = new LatencySketch(steps);
        for (const value of values) sketch.add(value);
        const exact = values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(quantile * values.length)) - 1]!;
        const error = Math.abs(Math.log2(sketch.quantileMs(quantile) / exact));
        assert.ok(error <= 0.5 / steps + 1e-9, `2^${error}`);
      }),
    );
  });

  it('counts what is out of range at its ends', () => {
    const sketch = new LatencySketch(4);
    for (const value of [0, -1, 1e-9]) sketch.add(value);
    assert.ok(sketch.quantileMs(1) < 0.04);
    for (let count = 0; count < 10; count += 1) sketch.add(1e12);
    assert.ok(sketch.quantileMs(0.5) > 200_000);
    assert.equal(sketch.count, 13);
  });

  it('begins anew', () => {
    const sketch = new LatencySketch(4);
    assert.equal(sketch.quantileMs(0.5), 0);
    sketch.add(100);
    sketch.clear();
    assert.equal(sketch.quantileMs(0.5), 0);
    sketch.add(1);
    assert.ok(sketch.quantileMs(1) < 2);
  });
});
