import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, bytes, latency, percent, plain, rate, shortName, span } from './format.ts';

test('numbers have their unit and three digits at most', () => {
  assert.deepEqual([0, 0.001, 0.123, 9.87, 12.34, 123.4, 1234, 12_345, 1_234_567].map(rate), [
    '0/s',
    '<0.01/s',
    '0.12/s',
    '9.87/s',
    '12.3/s',
    '123/s',
    '1234/s',
    '12.3 k/s',
    '1.23 M/s',
  ]);
  assert.deepEqual([null, 0.25, 0.9999, 1.5, 14.23, 999, 999.6, 12_300].map(latency), [
    '–',
    '250 µs',
    '1 ms',
    '1.5 ms',
    '14.2 ms',
    '999 ms',
    '1 s',
    '12.3 s',
  ]);
  assert.deepEqual([0, 999, 1_000, 34_500, 2e6, 3.21e9].map(bytes), ['0 B', '999 B', '1 kB', '34.5 kB', '2 MB', '3.21 GB']);
  assert.deepEqual([percent(0, 0), percent(1, 5_000), percent(1, 40), percent(1, 2)], ['0 %', '<0.1 %', '2.5 %', '50 %']);
});

test('times are told by their two largest units', () => {
  assert.deepEqual([0, 45_000, 65_000, 3_600_000, 7_500_000, 90_000_000].map(span), [
    '0 s',
    '45 s',
    '1 min 5 s',
    '1 h',
    '2 h 5 min',
    '1 d 1 h',
  ]);
  assert.deepEqual([ago(0, 1_000), ago(0, 200_000), ago(7_500_000, 0)], ['just now', '3 min ago', 'in 2 h']);
});

test('names and values are as short as they can be understood', () => {
  assert.deepEqual([shortName('default/web'), shortName('eu/web')], ['web', 'eu/web']);
  assert.deepEqual(['heddle-egress/a.example:443', 'heddle-system/operator', 'outside'].map(shortName), [
    'a.example:443',
    'operator',
    'outside the mesh',
  ]);
  assert.equal(
    plain({ kind: 'http', on: ['a', 'b'], backoff: { baseMs: 25 }, isActive: true, ejectMs: 300_000 }),
    'http, on (a, b), backoff (base 25 ms), is active yes, eject 5 min',
  );
});
