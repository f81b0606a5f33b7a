// What is counted of requests: by route, protocol and class, bounded whoever calls, and not more than was asked for.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DURATION_BOUNDS, SHOWN_DURATION_BOUNDS } from '@heddle/core';
import { createMetrics } from '@heddle/runtime/node';
import { InstanceMetricsTable } from './instances.ts';
import { CallerMetrics } from './requests.ts';

function counted(text: string, name: string): Record<string, number> {
  const rows = [...text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, 'gm'))];
  return Object.fromEntries(rows.filter(([, , value]) => value !== '0').map(([, labels = '', value]) => [labels, Number(value)]));
}

describe('metrics of requests', () => {
  test('tell routes, protocols and classes apart; each response is one observation', () => {
    const metrics = createMetrics();
    const pair = new CallerMetrics(metrics, 'default/orders', 10).from('default/web', 'outbound');
    const one = pair.of('beta', 'http1');
    one.ended(200, '', 3);
    one.ended(503, '', 30);
    one.ended(503, 'NO_HEALTHY_INSTANCE', 30);
    one.ended(0, 'CLIENT_GONE', 5_000);
    one.grpc.ended(200, '', 1);
    assert.equal(one.grpc, pair.of('beta', 'grpc'));
    const text = metrics.expose();
    const labels = (protocol: string, responseClass: string, error: string) =>
      `class="${responseClass}",destination="default/orders",direction="outbound",error="${error}",protocol="${protocol}",route="beta",source="default/web"`;
    assert.deepEqual(counted(text, 'heddle_requests_total'), {
      [labels('http1', '2xx', '')]: 1,
      [labels('http1', '5xx', '')]: 1,
      [labels('http1', '5xx', 'NO_HEALTHY_INSTANCE')]: 1,
      [labels('http1', 'none', 'CLIENT_GONE')]: 1,
      [labels('grpc', '2xx', '')]: 1,
    });
    const durations = counted(text, 'heddle_request_duration_seconds_count');
    assert.deepEqual(
      Object.values(durations).toSorted((a, b) => a - b),
      [1, 1, 1, 2],
    );
    assert.match(text, /requests_total\{class="2xx".* 1\n(.*\n)*.*requests_total\{class="4xx",.*error="",protocol="http1".* 0\n/);
  });

  test('are bounded by the callers and by the routes that are told apart', () => {
    const metrics = createMetrics();
    const callers = new CallerMetrics(metrics, 'default/orders', 2);
    for (let at = 0; at < 50; at++)
      callers
        .from(`default/${at}`, 'inbound')
        .of(`route-${at % 5}`, 'http2')
        .ended(200, '', 1);
    const rows = counted(metrics.expose(), 'heddle_requests_total');
    const sum = Object.values(rows).reduce((total, value) => total + value, 0);
    const sources = new Set(Object.keys(rows).map((labels) => /source="(.*?)"/.exec(labels)?.[1]));
    assert.deepEqual([sum, [...sources]], [50, ['default/0', 'default/1', 'other']]);
    assert.ok(Object.keys(rows).some((labels) => labels.includes('route="other",source="other"')));
  });

  test('go with the last cluster that has the instance', () => {
    const metrics = createMetrics();
    const table = new InstanceMetricsTable(metrics);
    const shown = () => counted(metrics.expose(), 'heddle_upstream_requests_total');
    const labels = 'destination="default/orders",destination_instance="orders-1",result="success"';
    const [first, second] = [table.hold('default/orders', 'orders-1'), table.hold('default/orders', 'orders-1')];
    assert.equal(first, second);
    first.ended('success', 10);
    table.release('default/orders', 'orders-1');
    second.ended('success', 10);
    assert.deepEqual(shown(), { [labels]: 2 });
    table.release('default/orders', 'orders-1');
    assert.deepEqual(shown(), {});
    assert.doesNotMatch(metrics.expose(), /orders-1/);
    table.hold('default/orders', 'orders-1').ended('success', 1);
    assert.deepEqual(shown(), { [labels]: 1 });
  });
});

test('durations are counted between ten bounds to a decade, of which Prometheus gets a few', () => {
  assert.equal(DURATION_BOUNDS.length, 61);
  assert.deepEqual([DURATION_BOUNDS[0], DURATION_BOUNDS[8], DURATION_BOUNDS[60]], [0.0001, 0.00063, 100]);
  for (const shown of SHOWN_DURATION_BOUNDS) assert.ok(DURATION_BOUNDS.includes(shown), String(shown));
});
