// The sum over processes: counts add up and never go back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricsSum } from './metrics-sum.ts';
import { createMetrics } from './metrics.ts';

test('adds the same series of several processes, histograms bucket by bucket', () => {
  const [own, one, two] = [createMetrics(), createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  own.gauge('own', 'own').set(7);
  for (const [index, metrics] of [one, two].entries()) {
    metrics.counter('c_total', 'c', { a: 'b' }).add(index + 1);
    metrics.counter('c_total', 'c', { only: String(index) }).add(10);
    metrics.gauge('g', 'g').set(3);
    const histogram = metrics.histogram('h_seconds', 'h', [1, 2]);
    for (const value of [0.5, 1.5, 9]) histogram.observe(value);
    sum.take(String(index), metrics.report());
  }
  const text = sum.expose();
  for (const line of ['own 7', 'c_total{a="b"} 3', 'c_total{only="0"} 10', 'c_total{only="1"} 10', 'g 6'])
    assert.ok(text.includes(`\n${line}\n`), line);
  assert.match(
    text,
    /h_seconds_bucket\{le="1"\} 2\nh_seconds_bucket\{le="2"\} 4\nh_seconds_bucket\{le="\+Inf"\} 6\nh_seconds_sum 22\nh_seconds_count 6\n/,
  );
  assert.equal(text.match(/# TYPE c_total counter/g)?.length, 1);
});

test('later reports describe only what is new, and replace the values', () => {
  const [own, one] = [createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  one.counter('a_total', 'a').add(1);
  sum.take('1', one.report());
  one.counter('a_total', 'a').add(1);
  one.counter('b_total', 'b').add(5);
  one.counter('a_total', 'a', { x: 'y' }).add(4);
  const report = one.report();
  assert.deepEqual([report.families.length, report.series.length, report.values.length], [1, 2, 3]);
  sum.take('1', report);
  assert.match(sum.expose(), /a_total 2\na_total\{x="y"\} 4\n[^]*b_total 5\n/);
});

test('what an ended process counted stays, its gauges go, and its successor counts on top', () => {
  const [own, one, next] = [createMetrics(), createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  one.counter('c_total', 'c').add(5);
  one.gauge('g', 'g').set(2);
  sum.take('1', one.report());
  sum.end('1');
  assert.match(sum.expose(), /c_total 5\n/);
  assert.doesNotMatch(sum.expose(), /g 2/);
  next.counter('c_total', 'c').add(1);
  sum.take('2', next.report());
  sum.end('2');
  assert.match(sum.expose(), /c_total 6\n/);
});
