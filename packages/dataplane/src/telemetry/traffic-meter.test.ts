// The traffic between reports, read from the very metrics that the data path keeps.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONFIGURATION_METRICS, durationBucket, IDENTITY_METRICS } from '@heddle/core';
import { createMetrics } from '@heddle/runtime/node';
import { InstanceMetricsTable } from './instances.ts';
import { CallerMetrics } from './requests.ts';
import { StreamLoad } from './stream-load.ts';
import { TrafficMeter } from './traffic-meter.ts';

function metered() {
  const metrics = createMetrics();
  const meter = new TrafficMeter();
  const callers = new CallerMetrics(metrics, 'default/orders', 10);
  return { metrics, callers, take: () => meter.take(metrics.families(), 5_000) };
}

describe('the traffic of a data plane', () => {
  test('is what has happened since the report before, by source, route, protocol and side', () => {
    const { callers, take } = metered();
    const web = callers.from('default/web', 'outbound').of('v2', 'http2');
    for (const status of [200, 204, 404, 500]) web.ended(status, '', 3);
    web.ended(503, 'NO_HEALTHY_INSTANCE', 0.05);
    web.ended(0, 'CLIENT_GONE', 200_000);
    web.requestBytes.add(100);
    web.responseBytes.add(2_000);
    web.retried('503');
    callers.from('default/"admin"', 'inbound').of('default', 'grpc').ended(200, '', 1);
    callers.from('default/web', 'mirror').of('default', 'http1').ended(200, '', 1);
    const { intervalMs, traffic, inProgress } = take();
    assert.deepEqual([intervalMs, inProgress], [5_000, []]);
    assert.deepEqual(
      traffic.toSorted((a, b) => (a.side < b.side ? 1 : -1)),
      [
        {
          ...{ side: 'outbound', source: 'default/web', destination: 'default/orders', route: 'v2', protocol: 'http2', requests: 6 },
          classes: { '2xx': 2, '4xx': 1, '5xx': 2, none: 1 },
          errors: { '5xx': 1, NO_HEALTHY_INSTANCE: 1 },
          durations: { indexes: [durationBucket(0.00005), durationBucket(0.003), durationBucket(200)], counts: [1, 4, 1] },
          ...{ requestBytes: 100, responseBytes: 2_000, retries: 1 },
        },
        {
          ...{ side: 'inbound', source: 'default/"admin"', destination: 'default/orders', route: 'default', protocol: 'grpc', requests: 1 },
          ...{ classes: { '2xx': 1 }, errors: {}, durations: { indexes: [durationBucket(0.001)], counts: [1] } },
          ...{ requestBytes: 0, responseBytes: 0, retries: 0 },
        },
      ],
    );
    assert.deepEqual(take().traffic, []);
    web.ended(200, '', 30);
    const [again] = take().traffic;
    assert.deepEqual(
      [again?.requests, again?.classes, again?.durations],
      [1, { '2xx': 1 }, { indexes: [durationBucket(0.03)], counts: [1] }],
    );
  });

  test('has what is under way to services, and leaves out what found no way', () => {
    const { metrics, callers, take } = metered();
    callers.from('default/web', 'outbound').of('default', 'http1').active.add(3);
    new StreamLoad(metrics, 'outbound/default/orders{version=v1}', 'default/web').open.add(2);
    new StreamLoad(metrics, 'local/default/orders/orders-1', 'default/orders').open.add(1);
    new CallerMetrics(metrics, 'unknown', 10).from('default/web', 'outbound').of('none', 'http1').ended(404, 'NO_SUCH_SERVICE', 1);
    const { inProgress, traffic } = take();
    assert.deepEqual([inProgress, traffic], [[{ source: 'default/web', destination: 'default/orders', requests: 5 }], []]);
  });

  test('tells instances apart, without tries that were cancelled; one that comes again begins anew', () => {
    const { metrics, take } = metered();
    const table = new InstanceMetricsTable(metrics);
    const first = table.hold('default/orders', 'orders-1');
    for (const result of ['success', 'server-error', 'local-error', 'cancelled'] as const) first.ended(result, 10);
    const at = { destination: 'default/orders', instance: 'orders-1' };
    const durations = (count: number) => ({ indexes: [durationBucket(0.01)], counts: [count] });
    assert.deepEqual(take().instances, [{ ...at, requests: 3, failures: 2, durations: durations(3) }]);
    table.release('default/orders', 'orders-1');
    assert.deepEqual(take().instances, []);
    table.hold('default/orders', 'orders-1').ended('success', 10);
    assert.deepEqual(take().instances, [{ ...at, requests: 1, failures: 0, durations: durations(1) }]);
  });

  test('says how the process is, as far as it is known: the certificate that ends first, the age of the configuration', () => {
    const { metrics, take } = metered();
    assert.deepEqual(take().process, {});
    for (const [workload, left] of [
      ['a/b/1', 0],
      ['a/b/2', 1_800],
      ['a/b/3', 60],
    ] as const)
      metrics.gauge(IDENTITY_METRICS.left, { workload }).set(left);
    const age = metrics.gauge(CONFIGURATION_METRICS.age);
    age.set(-1);
    assert.deepEqual(take().process, { certificateSecondsLeft: 60 });
    age.set(2);
    assert.deepEqual(take().process, { certificateSecondsLeft: 60, snapshotAgeMs: 2_000 });
  });
});
