// The load between reports, read from the very metrics that the data path keeps.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMetrics } from '@heddle/runtime/node';
import { LoadMeter } from './load-report.ts';
import { CallerMetrics } from './requests.ts';
import { StreamLoad } from './stream-load.ts';

const CLUSTER = 'outbound/default/orders';

function metered() {
  const metrics = createMetrics();
  const meter = new LoadMeter();
  const requests = (source: string, direction: 'inbound' | 'outbound' = 'outbound') =>
    new CallerMetrics(metrics, 'default/orders', 10).from(source, direction).of('default', 'http1');
  return { metrics, requests, take: () => meter.take(metrics.families(), 10_000) };
}

describe('the load of a data plane', () => {
  test('is what has happened since the report before, for each cluster and source', () => {
    const { requests, take } = metered();
    const [web, admin] = [requests('default/web'), requests('default/"admin"')];
    for (const status of [200, 204, 404, 500, 503]) {
      web.active.add(1);
      web.active.add(-1);
      web.ended(status, '', 3);
    }
    web.ended(503, 'NO_HEALTHY_INSTANCE', 0);
    web.ended(0, 'CLIENT_GONE', 0);
    admin.active.add(1);
    const [load] = take();
    assert.deepEqual(load, {
      cluster: CLUSTER,
      intervalMs: 10_000,
      ...{ issued: 8, succeeded: 3, failed: 3, inProgress: 1, dropped: 0 },
      bySource: new Map([
        ['default/web', { issued: 7, succeeded: 3, failed: 3, inProgress: 0, dropped: 0 }],
        ['default/"admin"', { issued: 1, succeeded: 0, failed: 0, inProgress: 1, dropped: 0 }],
      ]),
    });
    admin.active.add(-1);
    admin.ended(200, '', 20_000);
    assert.deepEqual(
      take().map(({ issued, succeeded, inProgress, bySource }) => [issued, succeeded, inProgress, [...bySource.keys()]]),
      [[0, 1, 0, ['default/"admin"']]],
    );
    assert.deepEqual(take(), []);
  });

  test('leaves out what comes in, and what leads to no service of the mesh', () => {
    const { metrics, requests, take } = metered();
    requests('default/web', 'inbound').ended(200, '', 1);
    new CallerMetrics(metrics, 'unknown', 10).from('default/web', 'outbound').of('default', 'http1').ended(404, '', 1);
    new StreamLoad(metrics, 'local/default/orders/orders-1', 'default/orders').total.add(1);
    assert.deepEqual(take(), []);
  });

  test('has opaque streams too: begun, ended, or without an endpoint', () => {
    const { metrics, requests, take } = metered();
    const streams = new StreamLoad(metrics, CLUSTER, 'default/web');
    streams.total.add(5);
    streams.open.add(5);
    streams.open.add(-3);
    streams.failed.add(1);
    requests('default/web').ended(200, '', 1);
    const counts = () => take().map(({ issued, succeeded, failed, inProgress }) => [issued, succeeded, failed, inProgress]);
    assert.deepEqual(counts(), [[6, 3, 1, 2]]);
    streams.open.add(-2);
    assert.deepEqual(counts(), [[0, 2, 0, 0]]);
  });

  test('is never below zero, though a worker took its part of it along', () => {
    const metrics = createMetrics();
    const meter = new LoadMeter();
    const requests = new CallerMetrics(metrics, 'default/orders', 10).from('a/b', 'outbound').of('default', 'http1');
    requests.active.add(5);
    meter.take(metrics.families(), 1_000);
    requests.active.set(0);
    assert.deepEqual(meter.take(metrics.families(), 1_000), []);
  });
});
