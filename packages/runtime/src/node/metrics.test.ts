// Metrics: handles, exposition in both formats, limits, and mistakes that are said at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metricsOf } from '@heddle/core';
import { metricsFormatFor } from './metrics-text.ts';
import { createMetrics } from './metrics.ts';

const { counter, gauge, histogram } = metricsOf('proxy');

test('counts and exposes in the text format, labels sorted and escaped', () => {
  const metrics = createMetrics();
  const g = gauge('g', 'A gauge.');
  metrics.counter(counter('a_total', 'An "a".\nSecond line', 'z', 'b'), { z: '1', b: 'x"y\\\n' }).add(2);
  metrics.gauge(g).set(1.5);
  metrics.gauge(g).add(-3);
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
  const h = metrics.histogram(histogram('h_seconds', 'h', { all: [0.1, 1] }, 'a'), { a: 'b' });
  for (const value of [0.1, 0.5, 1, 7]) h.observe(value);
  assert.match(
    metrics.expose(),
    /h_seconds_bucket\{a="b",le="0\.1"\} 1\nh_seconds_bucket\{a="b",le="1"\} 3\nh_seconds_bucket\{a="b",le="\+Inf"\} 4\nh_seconds_sum\{a="b"\} 8\.6\nh_seconds_count\{a="b"\} 4\n/,
  );
});

test('of many bounds a few are shown, and nothing is lost between them', () => {
  const metrics = createMetrics();
  const h = metrics.histogram(histogram('h_seconds', 'h', { all: [1, 2, 3, 4, 5], shown: [2, 4] }));
  for (const value of [0.5, 2, 2.1, 4, 4.5, 100]) h.observe(value);
  assert.deepEqual([...metrics.families()[0]!.series.get('')!], [1, 1, 1, 1, 1, 1, 113.1]);
  assert.match(metrics.expose(), /le="2"\} 2\n.*le="4"\} 4\n.*le="\+Inf"\} 6\n/);
});

test('OpenMetrics has units, bounds with a point, and the latest recorded trace of each bucket', () => {
  const metrics = createMetrics();
  metrics.counter(counter('sent_bytes_total', 'Sent "x".', 'a'), { a: 'b' }).add(2);
  const h = metrics.histogram(histogram('h_seconds', 'h', { all: [0.5, 1] }));
  h.observe(0.25, 'a'.repeat(32));
  h.observe(0.3, 'b'.repeat(32));
  h.observe(0.31);
  h.observe(7, 'c'.repeat(32));
  const withoutTime = metrics.expose('openmetrics').replaceAll(/ \d{10}(\.\d+)?$/gm, ' TIME');
  assert.equal(
    withoutTime,
    [
      '# HELP sent_bytes Sent \\"x\\".',
      '# TYPE sent_bytes counter',
      '# UNIT sent_bytes bytes',
      'sent_bytes_total{a="b"} 2',
      '# HELP h_seconds h',
      '# TYPE h_seconds histogram',
      '# UNIT h_seconds seconds',
      `h_seconds_bucket{le="0.5"} 3 # {trace_id="${'b'.repeat(32)}"} 0.3 TIME`,
      'h_seconds_bucket{le="1.0"} 3',
      `h_seconds_bucket{le="+Inf"} 4 # {trace_id="${'c'.repeat(32)}"} 7 TIME`,
      'h_seconds_sum 7.86',
      'h_seconds_count 4',
      '# EOF',
      '',
    ].join('\n'),
  );
  assert.doesNotMatch(metrics.expose(), /trace_id|EOF|UNIT/);
});

test('OpenMetrics goes to who asks for it', () => {
  const prometheus =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
  for (const [accept, format] of [
    [prometheus, 'openmetrics'],
    ['application/openmetrics-text', 'openmetrics'],
    ['', 'text'],
    ['*/*', 'text'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text'],
    ['application/openmetrics-text;version=0.0.1', 'text'],
    ['text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5', 'text'],
    ['application/openmetrics-text;q=0', 'text'],
    [';;q=x,,', 'text'],
  ] as const)
    assert.equal(metricsFormatFor(accept), format, accept);
});

test('the same name and labels give the same handle; many series do not disturb one another', () => {
  const metrics = createMetrics();
  const c = counter('c_total', 'c', 'i');
  for (let round = 0; round < 2; round++) for (let i = 0; i < 3_000; i++) metrics.counter(c, { i: String(i) }).add(i);
  const text = metrics.expose();
  for (const i of [0, 1, 1_023, 1_024, 2_999]) assert.match(text, new RegExp(`c_total\\{i="${i}"\\} ${2 * i}\n`));
});

test('a metric has so many series and no more: further names count as `other`, and that is told', () => {
  const metrics = createMetrics({ seriesMax: 2 });
  const c = counter('c_total', 'c', 'source', 'direction', 'error');
  for (const source of ['a', 'b', 'c', 'd', 'a', 'd']) metrics.counter(c, { source, direction: 'inbound', error: '' }).add(1);
  const text = metrics.expose();
  assert.deepEqual(
    [...text.matchAll(/c_total(\{.*) (\d+)/g)].map(([, labels, value]) => `${labels} ${value}`),
    ['a', 'b', 'other'].map((source, at) => `{direction="inbound",error="",source="${source}"} ${[2, 1, 3][at]}`),
  );
  assert.match(text, /heddle_metrics_folded_total\{metric="c_total"\} 3\n/);
});

test('what nobody was told of need not be told to be gone', () => {
  const metrics = createMetrics();
  const c = counter('c_total', 'c', 'i');
  const comeAndGo = (): void => {
    metrics.counter(c, { i: 'x' }).add(1);
    metrics.forget(c, { i: 'x' });
  };
  comeAndGo();
  metrics.counter(c, { i: 'told' }).add(1);
  assert.deepEqual(metrics.report().forgotten, []);
  comeAndGo();
  metrics.forget(c, { i: 'told' });
  assert.deepEqual(metrics.report().forgotten, [1]);
});

test('a forgotten series is shown no more; its handle does no harm, and a new one begins at zero', () => {
  const metrics = createMetrics({ seriesMax: 2 });
  const c = counter('c_total', 'c', 'i');
  for (let i = 0; i < 10; i++) {
    const handle = metrics.counter(c, { i: 'x' });
    handle.add(1);
    assert.match(metrics.expose(), /c_total\{i="x"\} 1\n/);
    metrics.forget(c, { i: 'x' });
    handle.add(1);
    metrics.forget(c, { i: 'x' });
  }
  assert.doesNotMatch(metrics.expose(), /c_total|folded/);
});

test('values are brought up to date before each exposition', () => {
  const metrics = createMetrics();
  const now = metrics.gauge(gauge('now', 'now'));
  let value = 0;
  metrics.onExpose(() => now.set(++value));
  assert.match(metrics.expose(), /now 1\n/);
  assert.match(metrics.expose(), /now 2\n/);
});

test('mistakes are errors', () => {
  const metrics = createMetrics();
  metrics.counter(counter('x', 'x'));
  assert.throws(() => metrics.gauge(gauge('x', 'x')), /metric x is a counter, not a gauge/);
  assert.throws(() => metrics.counter(counter('1x', 'x')), /not valid/);
  assert.throws(() => metrics.counter(counter('y', 'y', 'a-b'), { 'a-b': '' }), /label name/);
  assert.throws(() => metrics.counter(counter('w', 'w', 'a', 'b'), { a: '' } as never), /has the labels a, b, not a/);
  assert.throws(() => metrics.counter(counter('v', 'v'), { a: '' } as never), /has the labels none, not a/);
  assert.throws(() => metrics.histogram(histogram('u', 'u', { all: [1, 1] })), /ascend/);
  assert.throws(() => metrics.histogram(histogram('t', 't', { all: [1], shown: [2] })), /none of its bounds/);
  metrics.histogram(histogram('z', 'z', { all: [1, 2] }));
  assert.throws(() => metrics.histogram(histogram('z', 'z', { all: [1, 3] })), /other bounds/);
});
