import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  drawTraceparent,
  formatTraceparent,
  isTracestate,
  newSpanId,
  parentIdOf,
  SAMPLED,
  traceFlags,
  traceIdOf,
} from './trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const id = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text));

describe('traceparent', () => {
  it('gives back what was written', () => {
    fc.assert(
      fc.property(id(32), id(16), fc.integer({ min: 0, max: 3 }), (trace, parent, flags) => {
        const value = formatTraceparent(trace, parent, flags);
        assert.deepEqual([traceIdOf(value), parentIdOf(value), traceFlags(value)], [trace, parent, flags]);
      }),
    );
  });

  it('is malformed with any other character anywhere', () => {
    const good = formatTraceparent(TRACE, PARENT, SAMPLED);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.constantFrom('g', 'A', ' ', '_', '\u0000', 'é'), (at, character) => {
        assert.equal(traceFlags(good.slice(0, at) + character + good.slice(at + 1)), -1);
      }),
    );
  });

  const cases: readonly (readonly [string, number])[] = [
    [`00-${TRACE}-${PARENT}-00`, 0],
    [`00-${TRACE}-${PARENT}-03`, 3],
    // Flags that nobody knows yet are not passed on.
    [`00-${TRACE}-${PARENT}-ff`, 3],
    [`00-${TRACE}-${PARENT}-01-more`, -1],
    [`00-${TRACE}-${PARENT}-01 `, -1],
    [`00-${TRACE}-${PARENT}-1`, -1],
    [`00-${'0'.repeat(32)}-${PARENT}-01`, -1],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, -1],
    [`ff-${TRACE}-${PARENT}-01`, -1],
    // A later version begins like this one.
    [`01-${TRACE}-${PARENT}-01`, 1],
    [`cc-${TRACE}-${PARENT}-01-what-the-future-brings`, 1],
    [`cc-${TRACE}-${PARENT}-01.what`, -1],
    [`00-${TRACE.toUpperCase()}-${PARENT}-01`, -1],
    ['', -1],
  ];
  for (const [value, flags] of cases) it(`${value} has the flags ${flags}`, () => assert.equal(traceFlags(value), flags));
});

describe('tracestate', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['a=1', true],
    ['a=1,b=2', true],
    ['a=1 , b=2,,', true],
    ['1tenant@vendor=x', true],
    ['a=1,a=2', false],
    ['A=1', false],
    ['a', false],
    ['a=', false],
    ['a=1=2', false],
    ['a=b\u0001', false],
    ['a=b ', true],
    [Array.from({ length: 32 }, (_, index) => `k${index}=1`).join(), true],
    [Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(), false],
  ];
  for (const [value, fits] of cases)
    it(`${value.slice(0, 30)} is ${fits ? '' : 'not '}passed on`, () => assert.equal(isTracestate(value), fits));
});

describe('a new trace', () => {
  let state = 7;
  // A generator of Lehmer's, so that the counts are the same each time.
  const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;

  it('is sampled by its id, the same way wherever the id is looked at', () => {
    for (let count = 0; count < 2_000; count++) {
      const value = drawTraceparent(30, random);
      const isSampled = BigInt(`0x${traceIdOf(value).slice(-14)}`) >= BigInt(0.7 * 2 ** 56);
      assert.equal(traceFlags(value), isSampled ? SAMPLED : 0, value);
    }
  });

  it('is sampled for the share that is asked for, and never or always at the ends', () => {
    const count = (percent: number): number =>
      Array.from({ length: 20_000 }, () => traceFlags(drawTraceparent(percent, random))).filter(Boolean).length;
    assert.deepEqual([count(0), count(100)], [0, 20_000]);
    // Standard deviation 42 and 14.
    assert.ok(Math.abs(count(10) - 2_000) < 200, String(count(10)));
    assert.ok(Math.abs(count(1) - 200) < 70, String(count(1)));
    assert.equal(new Set(Array.from({ length: 5_000 }, () => traceIdOf(drawTraceparent(1, random)))).size, 5_000);
  });

  it('has ids that are never all 0, of traces and of spans', () => {
    for (const chance of [() => 0, () => 1 - Number.EPSILON / 2]) {
      assert.notEqual(traceFlags(drawTraceparent(50, chance)), -1);
      assert.match(newSpanId(chance), /^(?!0+$)[0-9a-f]{16}$/);
    }
  });
});
