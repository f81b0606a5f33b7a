// The sum over processes: counts add up and never go back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metricsOf } from '@heddle/core';
import { MetricsSum } from './metrics-sum.ts';
import { createMetrics } from './metrics.ts';

const { counter, gauge, highest, histogram } = metricsOf('proxy');
const COUNT = counter('c_total', 'c');
const BY_A = counter('a_total', 'a', 'a');
const GAUGE = gauge('g', 'g');
const HISTOGRAM = histogram('h_seconds', 'h', { all: [1, 2] });

test('adds the same series of several processes, histograms bucket by bucket', () => {
  const [own, one, two] = [createMetrics(), createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  const high = highest('high', 'The highest counts.');
  own.gauge(gauge('own', 'own')).set(7);
  for (const [index, metrics] of [one, two].entries()) {
    metrics.counter(BY_A, { a: 'b' }).add(index + 1);
    metrics.counter(BY_A, { a: String(index) }).add(10);
    metrics.gauge(GAUGE).set(3);
    metrics.gauge(high).set(9 - index);
    const h = metrics.histogram(HISTOGRAM);
    for (const value of [0.5, 1.5, 9]) h.observe(value);
    sum.take(String(index), metrics.report());
  }
  const text = sum.expose();
  for (const line of ['own 7', 'a_total{a="b"} 3', 'a_total{a="0"} 10', 'a_total{a="1"} 10', 'g 6', 'high 9'])
    assert.ok(text.includes(`\n${line}\n`), line);
  assert.match(
    text,
    /h_seconds_bucket\{le="1"\} 2\nh_seconds_bucket\{le="2"\} 4\nh_seconds_bucket\{le="\+Inf"\} 6\nh_seconds_sum 22\nh_seconds_count 6\n/,
  );
  assert.equal(text.match(/# TYPE a_total counter/g)?.length, 1);
});

test('later reports describe only what is new, and replace the values', () => {
  const [own, one] = [createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  one.counter(BY_A, { a: '' }).add(1);
  sum.take('1', one.report());
  one.counter(BY_A, { a: '' }).add(1);
  one.counter(COUNT).add(5);
  one.counter(BY_A, { a: 'y' }).add(4);
  const report = one.report();
  assert.deepEqual([report.families.length, report.series.length, report.values.length], [1, 2, 3]);
  sum.take('1', report);
  assert.match(sum.expose(), /a_total\{a=""\} 2\na_total\{a="y"\} 4\n[^]*c_total 5\n/);
});

test('what an ended process counted stays, its gauges go, and its successor counts on top', () => {
  const [own, one, next] = [createMetrics(), createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  one.counter(COUNT).add(5);
  one.gauge(GAUGE).set(2);
  sum.take('1', one.report());
  sum.end('1');
  assert.match(sum.expose(), /c_total 5\n/);
  assert.doesNotMatch(sum.expose(), /g 2/);
  next.counter(COUNT).add(1);
  sum.take('2', next.report());
  sum.end('2');
  assert.match(sum.expose(), /c_total 6\n/);
});

test('a series that one process forgets stays as it was until all have', () => {
  const [own, one, two] = [createMetrics(), createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  for (const [index, metrics] of [one, two].entries()) {
    metrics.counter(BY_A, { a: 'going' }).add(10 + index);
    metrics.counter(BY_A, { a: 'staying' }).add(1);
    sum.take(String(index), metrics.report());
  }
  const left = (): string => [...sum.expose().matchAll(/a="(.*?)"\} (\d+)/g)].map(([, a, value]) => `${a} ${value}`).join();
  one.forget(BY_A, { a: 'going' });
  one.counter(BY_A, { a: 'staying' }).add(1);
  sum.take('0', one.report());
  assert.equal(left(), 'staying 3,going 21');
  two.forget(BY_A, { a: 'going' });
  sum.take('1', two.report());
  assert.equal(left(), 'staying 3');
  two.counter(BY_A, { a: 'going' }).add(5);
  sum.take('1', two.report());
  assert.equal(left(), 'staying 3,going 5');
});

test('has the latest trace of each bucket', () => {
  const [own, one, two] = [createMetrics(), createMetrics(), createMetrics()];
  const sum = new MetricsSum(own);
  for (const [index, metrics] of [one, two].entries()) {
    metrics.histogram(HISTOGRAM).observe(0.5, `${index}`.repeat(32));
    sum.take(String(index), metrics.report());
  }
  assert.deepEqual(two.report().exemplars, []);
  assert.match(sum.expose('openmetrics'), /le="1.0"\} 2 # \{trace_id="1{32}"\} 0\.5 \d+/);
});
