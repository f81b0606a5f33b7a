// Who counts what: each call once, whoever has seen it, and nobody speaks for others.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { NO_DURATIONS, type TrafficCounts } from '@heddle/core';
import type { Registry } from '../registry/registry.ts';
import { instance, SERVICES } from '../testing/mesh.ts';
import { OPERATOR, TrafficBook } from './traffic-book.ts';

const registry: ConstructorParameters<typeof TrafficBook>[1]['registry'] = {
  service: (key: string) => {
    const service = SERVICES.find(({ name }) => key === `default/${name}`);
    return service === undefined ? undefined : { service, instances: [instance(service.name, 1)] };
  },
  egress: [{ host: 'api.example', port: 443, protocol: 'https' }],
  instance: ({ service: { name }, id }) => (id === `${name}-1` ? instance(name, 1) : undefined),
  revision: 1,
} satisfies Pick<Registry, 'service' | 'instance' | 'egress' | 'revision'>;

const counts = (source: string, destination: string, over: Partial<TrafficCounts> = {}): TrafficCounts => ({
  ...{ side: 'outbound', source, destination, route: 'default', protocol: 'http1', requests: 10, classes: {}, errors: {} },
  ...{ durations: { indexes: [20], counts: [10] }, requestBytes: 5, responseBytes: 5, retries: 0 },
  ...over,
});

describe('the book of traffic', () => {
  let book: TrafficBook;
  beforeEach(() => {
    book = new TrafficBook(0, { registry });
  });
  const report = (from: ReturnType<TrafficBook['join']>, ...traffic: TrafficCounts[]): void =>
    book.report(from, { traffic, instances: [], intervalMs: 5_000 }, 5_000);
  const edges = (): [string, string, number, number][] =>
    [...book.store.list('edge')].map((series) => {
      const sum = book.store.sum(series, 0, 60_000);
      return [series.part, series.destination, sum.requests, sum.durations[20] ?? 0];
    });

  test('a workload speaks for its own service, as a caller and as who is called; only the operator for others', () => {
    const web = book.join('default/web', false);
    report(
      web,
      counts('default/cache', 'default/orders'),
      counts('default/web', 'heddle-egress/api.example:443'),
      counts('default/web', 'default/gone'),
      counts('unknown', 'default/orders', { side: 'inbound' }),
      counts('unknown', 'default/web', { side: 'inbound' }),
    );
    const machine = book.join(OPERATOR, true);
    report(machine, counts('default/cache', 'default/web'), counts('default/gone', 'default/web'));
    assert.deepEqual(edges(), [
      ['default/web', 'default/orders', 10, 10],
      ['default/web', 'heddle-egress/api.example:443', 10, 10],
      ['outside', 'default/web', 10, 10],
      ['default/cache', 'default/web', 10, 10],
      [OPERATOR, 'default/web', 10, 10],
    ]);
  });

  test('what both sides have seen counts once; the called side counts again when nobody speaks for the caller any more', () => {
    const [web, orders] = [book.join('default/web', false), book.join('default/orders', false)];
    report(web, counts('default/web', 'default/orders'));
    const seen = counts('default/web', 'default/orders', { side: 'inbound' });
    report(orders, seen);
    assert.deepEqual(edges(), [['default/web', 'default/orders', 10, 10]]);
    book.leave(web);
    report(orders, seen);
    assert.deepEqual(edges(), [['default/web', 'default/orders', 20, 20]]);
  });

  test('who hosts a service no longer does not speak for it for ever', () => {
    const machine = book.join(OPERATOR, true);
    book.hosts(machine, 'default/web', 0);
    for (let nowMs = 5_000; nowMs <= 65_000; nowMs += 5_000) {
      book.hosts(machine, OPERATOR, nowMs);
      book.advance(nowMs);
    }
    assert.deepEqual([...book.covered()], [OPERATOR]);
    const load = { issued: 7, succeeded: 7, failed: 0, inProgress: 0, dropped: 0 };
    book.reportLoad('default/web', 'default/orders', load, 5_000, 65_000);
    assert.deepEqual(
      [...book.store.list('edge')].map(({ part }) => part),
      ['default/web'],
    );
    book.leave(machine);
    assert.deepEqual([...book.covered()], []);
  });

  test('of callers that report by LRS the counts are theirs, and how long it took is known from the called side', () => {
    const orders = book.join('default/orders', false);
    const load = { issued: 7, succeeded: 6, failed: 1, inProgress: 0, dropped: 0 };
    book.reportLoad('default/web', 'default/orders', load, 5_000, 5_000);
    report(orders, counts('default/web', 'default/orders', { side: 'inbound' }));
    assert.deepEqual(edges(), [['default/web', 'default/orders', 7, 10]]);
    // One whose data plane is ours is not believed twice.
    const web = book.join('default/web', false);
    book.hosts(web, 'default/web', 5_000);
    book.reportLoad('default/web', 'default/orders', load, 5_000, 5_000);
    assert.deepEqual(edges(), [['default/web', 'default/orders', 7, 10]]);
    book.leave(web);
    book.advance(60_000);
    book.report(
      orders,
      { traffic: [counts('default/web', 'default/orders', { side: 'inbound' })], instances: [], intervalMs: 1_000 },
      60_000,
    );
    assert.equal(book.store.sum([...book.store.list('edge')][0]!, 55_000, 61_000).requests, 10);
  });

  test('codes that a data plane makes up take no room from those that there are', () => {
    const liar = book.join('default/cache', false);
    for (const part of [0, 1, 2, 3]) {
      const errors = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`MADE_UP_${part}_${index}`, 1]));
      report(liar, counts('default/cache', 'default/orders', { errors }));
    }
    // Codes are given their places when a step is written down.
    book.advance(60_000);
    const web = book.join('default/web', false);
    const honest = counts('default/web', 'default/orders', { errors: { '5xx': 1, NO_HEALTHY_INSTANCE: 2 } });
    book.report(web, { traffic: [honest], instances: [], intervalMs: 5_000 }, 65_000);
    book.advance(120_000);
    const errorsOf = (source: string) => [...(book.store.sum(book.store.get('edge', 'default/orders', source)!, 0, 120_000).errors ?? [])];
    assert.deepEqual(errorsOf('default/cache'), [['OTHER', 200]]);
    assert.deepEqual(errorsOf('default/web'), [
      ['5xx', 1],
      ['NO_HEALTHY_INSTANCE', 2],
    ]);
  });

  test('keeps routes and instances that there are', () => {
    const web = book.join('default/web', false);
    const at = { destination: 'default/orders', requests: 3, failures: 1, durations: NO_DURATIONS };
    const instances = [
      { ...at, instance: 'orders-1' },
      { ...at, instance: 'made-up' },
    ];
    book.report(web, { traffic: [counts('default/web', 'default/orders', { route: 'v2' })], instances, intervalMs: 5_000 }, 5_000);
    assert.deepEqual(
      [...book.store.list('instance'), ...book.store.list('route')].map(({ part }) => part),
      ['orders-1', 'v2'],
    );
    assert.equal(book.store.sum(book.store.get('instance', 'default/orders', 'orders-1')!, 0, 60_000).errorCount, 1);
  });
});
