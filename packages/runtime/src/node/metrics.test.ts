// Metrics: handles, exposition, and mistakes that are said at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from './metrics.ts';

test('counts and exposes in the text format, labels sorted and escaped', () => {
  const metrics = createMetrics();
  metrics.counter('a_total', 'An "a".\nSecond line', { z: '1', b: 'x"y\\\n' }).add(2);
  metrics.gauge('g', 'A gauge.').set(1.5);
  metrics.gauge('g', 'A gauge.').add(-3);
  assert.equal(
    metrics.expose(),
    [
      '# HELP a_total An "a".\\nSecond line',
      '# TYPE a_total counter',
      'a_total{b="x\\"y\\\\\\n",z="1"} 2',
      '# HELP g A gauge.',
      '# TYPE g gauge',
      'g -1.5',
      '',
    ].join('\n'),
  );
});

test('histograms are cumulative, bounds inclusive', () => {
  const metrics = createMetrics();
  const histogram = metrics.histogram('h_seconds', 'h', [0.1, 1], { a: 'b' });
  for (const value of [0.1, 0.5, 1, 7]) histogram.observe(value);
  assert.match(
    metrics.expose(),
    /h_seconds_bucket\{a="b",le="0\.1"\} 1\nh_seconds_bucket\{a="b",le="1"\} 3\nh_seconds_bucket\{a="b",le="\+Inf"\} 4\nh_seconds_sum\{a="b"\} 8\.6\nh_seconds_count\{a="b"\} 4\n/,
  );
});

test('the same name and labels give the same handle; many series do not disturb one another', () => {
  const metrics = createMetrics();
  for (let round = 0; round < 2; round++) for (let i = 0; i < 3_000; i++) metrics.counter('c_total', 'c', { i: String(i) }).add(i);
  const text = metrics.expose();
  for (const i of [0, 1, 1_023, 1_024, 2_999]) assert.match(text, new RegExp(`c_total\\{i="${i}"\\} ${2 * i}\n`));
});

test('values are brought up to date before each exposition', () => {
  const metrics = createMetrics();
  const gauge = metrics.gauge('now', 'now');
  let value = 0;
  metrics.onExpose(() => gauge.set(++value));
  assert.match(metrics.expose(), /now 1\n/);
  assert.match(metrics.expose(), /now 2\n/);
});

test('mistakes are errors', () => {
  const metrics = createMetrics();
  metrics.counter('x', 'x');
  assert.throws(() => metrics.gauge('x', 'x'), /metric x is a counter, not a gauge/);
  assert.throws(() => metrics.counter('1x', 'x'), /not valid/);
  assert.throws(() => metrics.counter('y', 'y', { 'a-b': '' }), /label name/);
  assert.throws(() => metrics.histogram('z', 'z', [1, 1]), /ascend/);
  metrics.histogram('z', 'z', [1, 2]);
  assert.throws(() => metrics.histogram('z', 'z', [1, 3]), /other bounds/);
});
