// Whoever follows a watch knows what the registry knows: however slowly it reads, and however often it breaks off and comes back.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { openEventLog } from '../../events/log.ts';
import type { EventLog } from '../../events/log.ts';
import { openEmbeddedStore } from '../../registry/embedded/store.ts';
import { openRegistry } from '../../registry/registry.ts';
import type { Registry } from '../../registry/registry.ts';
import type { Store } from '../../registry/store.ts';
import { ManualClock } from '../../testing/clock.ts';
import { registration, service, silent } from '../../testing/mesh.ts';
import { until } from '../../testing/wait.ts';
import type { ConnectedProxy } from '../../xds-server/applied.ts';
import { selectInstances } from '../../admin/selection.ts';
import { presentInstance, presentService } from '../present.ts';
import { ProblemError } from '../problems.ts';
import { WATCH_EVENTS } from '../schema/watch.ts';
import type { Graph } from '../schema/traffic.ts';
import type { ProxySource, TrafficSource } from '../sources.ts';
import { Watches } from './open.ts';
import type { WatchRequest } from './open.ts';

const outsideNode: Graph['nodes'][number] = {
  ...{ id: 'outside', kind: 'outside', protocol: null, requestsPerSecond: 0, errorsPerSecond: 0, p50Ms: null, p99Ms: null },
  instances: { total: 0, healthy: 0, starting: 0, unhealthy: 0, draining: 0 },
};
const EMPTY_GRAPH: Graph = {
  ...{ revision: 1, windowMs: 10_000, updated: '2026-01-31T12:00:00.000Z', since: '2026-01-31T12:00:00.000Z', nodes: [], edges: [] },
};

interface Told {
  readonly event: keyof typeof WATCH_EVENTS;
  // oxlint-disable-next-line typescript/no-explicit-any -- checked against the schema; assertions say what it holds
  readonly data: any;
}

/** Reads a watch when told to, and keeps what it has heard by the rules of the description. */
class Follower {
  readonly held = new Map<string, Map<string, unknown>>();
  readonly told: Told[] = [];
  text = '';
  lastId: string | undefined;
  ended = false;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  open(watches: Watches, request: Partial<WatchRequest> = {}): void {
    const all = { kinds: ['services', 'instances', 'proxies', 'events'], namespace: undefined, ...request } as const;
    this.#reader = watches.open({ ...all, lastEventId: this.lastId }).getReader();
    this.ended = false;
  }

  /** One message, or a part of nothing. */
  async read(): Promise<void> {
    const reader = this.#reader;
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    // Left over from before it came back.
    if (reader !== this.#reader) return;
    if (done) {
      this.ended = true;
      return;
    }
    const text = new TextDecoder().decode(value);
    this.text += text;
    for (const block of text.split('\n\n')) if (block.includes('data: ')) this.#take(block);
  }

  follow(): void {
    void (async () => {
      while (!this.ended) await this.read();
    })();
  }

  async drop(): Promise<void> {
    await this.#reader?.cancel();
  }

  #take(block: string): void {
    const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
    const event = fields.get('event') as Told['event'];
    const data = WATCH_EVENTS[event].parse(JSON.parse(fields.get('data') ?? '')) as Told['data'];
    this.told.push({ event, data });
    const of = (kind: string): Map<string, unknown> => {
      const known = this.held.get(kind) ?? new Map<string, unknown>();
      this.held.set(kind, known);
      return known;
    };
    const keep = (kind: string, items: readonly Record<string, unknown>[]): void => {
      for (const item of items) of(kind).set(nameOf(kind, item), item);
    };
    if (event === 'snapshot') {
      if (data.first) of(data.kind).clear();
      keep(data.kind, data.items);
    } else if (event === 'changes') {
      keep(data.kind, data.changed);
      for (const name of data.removed) of(data.kind).delete(name);
    }
    if (fields.has('id')) this.lastId = fields.get('id');
  }
}

function nameOf(kind: string, item: Record<string, unknown>): string {
  const parts = kind === 'services' ? ['namespace', 'name'] : kind === 'instances' ? ['namespace', 'service', 'instance'] : ['id'];
  return parts.map((part) => String(item[part])).join('/');
}

const healthy = { health: 'healthy', reason: 'it answers' } as const;

describe('a watch', () => {
  let clock: ManualClock;
  let store: Store;
  let registry: Registry;
  let events: EventLog;
  let watches: Watches;
  let connected: ConnectedProxy[];
  let proxiesChanged: () => void;
  let reported: () => void;

  beforeEach(async () => {
    clock = new ManualClock();
    store = openEmbeddedStore({ path: undefined, clock });
    events = await openEventLog({ path: undefined, clock, logger: silent, max: 50 });
    registry = await openRegistry({ store, logger: silent, events, clock });
    await registry.declareServices([service('orders'), service('web'), service('web', { namespace: 'eu' })]);
    connected = [];
    proxiesChanged = () => {};
    const proxies: ProxySource = {
      drains: { begin: () => assert.fail('nobody drains here') },
      proxies: () => connected,
      onProxiesChange: (listener) => {
        proxiesChanged = listener;
        return { close: () => {} };
      },
      reported: () => undefined,
      processOf: () => undefined,
      loads: () => [],
    };
    const traffic: Pick<TrafficSource, 'graph' | 'onTraffic'> = {
      graph: (windowMs, namespace) => ({ ...EMPTY_GRAPH, windowMs, nodes: namespace === undefined ? [] : [outsideNode] }),
      onTraffic: (listener) => {
        reported = listener;
        return { close: () => {} };
      },
    };
    watches = new Watches({ registry, proxies, traffic, events, epoch: 'a1', clock });
  });
  afterEach(async () => {
    watches.close();
    registry.close();
    await store.close();
  });

  const knows = (follower: Follower): boolean => {
    const view = registry.snapshot();
    const services = [...view.services.values()].map(presentService);
    const instances = [...selectInstances(view)].map(presentInstance);
    const same = (kind: string, items: readonly object[]): boolean => {
      const expected = new Map(items.map((item) => [nameOf(kind, item as Record<string, unknown>), item]));
      const held = follower.held.get(kind) ?? new Map<string, unknown>();
      return held.size === expected.size && [...expected].every(([name, item]) => JSON.stringify(held.get(name)) === JSON.stringify(item));
    };
    return same('services', services) && same('instances', instances);
  };
  const learns = (follower: Follower): Promise<unknown> =>
    until(
      'the follower to know what the registry knows',
      () => {
        clock.advance(50);
        return knows(follower);
      },
      2_000,
    );

  test('begins with everything, goes on with changes, and sends what changed together as one', async () => {
    await registry.register(registration('orders', 1), 60_000, healthy);
    const follower = new Follower();
    follower.open(watches);
    follower.follow();
    await learns(follower);
    await until('all of it', () => follower.told.length >= 4);
    assert.deepEqual(
      follower.told.map(({ event, data }) => `${event} ${data.kind} ${data.items.length}`),
      ['snapshot services 3', 'snapshot instances 1', 'snapshot proxies 0', 'snapshot events 4'],
    );
    assert.match(follower.text, /^retry: 1000\n\n/);
    follower.told.length = 0;
    for (let index = 2; index <= 6; index += 1) await registry.register(registration('orders', index), 60_000, healthy);
    await registry.deregister({ service: { namespace: 'default', name: 'orders' }, id: 'orders-1' });
    await learns(follower);
    const instances = follower.told.filter(({ data }) => data.kind === 'instances');
    assert.ok(instances.length < 6, `${instances.length} messages`);
    assert.deepEqual(
      instances.flatMap(({ data }) => data.removed),
      ['default/orders/orders-1'],
    );
  });

  test('of one namespace tells of nothing else', async () => {
    const follower = new Follower();
    follower.open(watches, { kinds: ['services', 'instances'], namespace: 'eu' });
    follower.follow();
    await registry.register(registration('orders', 1), 60_000, healthy);
    await registry.register(registration('web', 1, { service: { namespace: 'eu', name: 'web' } }), 60_000, healthy);
    await until('the instance', () => {
      clock.advance(50);
      return follower.held.get('instances')?.has('eu/web/web-1');
    });
    assert.deepEqual([...(follower.held.get('services')?.keys() ?? [])], ['eu/web']);
    assert.doesNotMatch(follower.text, /orders/);
  });

  test('goes on where it broke off: only what changed since, also of events', async () => {
    const follower = new Follower();
    follower.open(watches);
    follower.follow();
    await learns(follower);
    await until('a place to go on from', () => follower.lastId);
    await follower.drop();
    await registry.register(registration('web', 1), 60_000, healthy);
    follower.told.length = 0;
    follower.open(watches);
    follower.follow();
    await learns(follower);
    await until('all of it', () => {
      clock.advance(50);
      return follower.told.length >= 6;
    });
    assert.deepEqual(
      follower.told.map(({ event, data }) => `${event} ${data.kind ?? data.kinds.join()}`),
      [
        'resumed services,instances,events',
        'resync proxies',
        'snapshot proxies',
        'changes services',
        'changes instances',
        'changes events',
      ].sort((a, b) => order(a) - order(b)),
    );
    assert.deepEqual(follower.told.find(({ data }) => data.kind === 'events')?.data.changed.length, 1);
  });
  /** As they come: what is said first, then by kind. */
  function order(told: string): number {
    return [
      'resumed services,instances,events',
      'resync proxies',
      'changes services',
      'changes instances',
      'snapshot proxies',
      'changes events',
    ].indexOf(told);
  }

  test('that cannot go on says so and begins anew: another control plane, another watch, too long ago, nonsense', async () => {
    const place = `a1.${registry.revision}.${events.lastId}.11110.`;
    const first = async (lastEventId: string, request: Partial<WatchRequest> = {}): Promise<string> => {
      const follower = new Follower();
      follower.lastId = lastEventId;
      follower.open(watches, request);
      await follower.read();
      await follower.drop();
      const [told] = follower.told;
      return `${told?.event} ${told?.data.kinds.join()}`;
    };
    assert.equal(await first(place), 'resumed services,instances,events');
    assert.equal(await first(place.replace('a1', 'b2')), 'resync services,instances,proxies,events');
    assert.equal(await first(place, { namespace: 'eu' }), 'resync services,instances,proxies,events');
    assert.equal(await first(place.replace('11110', '10000')), 'resumed services');
    for (const text of ['x', 'a1.999999.0.11110.', 'a1.0.0.11110.', 'a1.1.999999.11110.', `a1.1.1.11110.${'x'.repeat(99)}`])
      assert.match(await first(text), /^resync /, text);
  });

  test('a reader that does not read costs a set of names, and is told the newest state when it reads', async () => {
    const follower = new Follower();
    follower.open(watches, { kinds: ['instances'] });
    await follower.read();
    const ref = { service: { namespace: 'default', name: 'orders' }, id: 'orders-1' };
    await registry.register(registration('orders', 1), 300_000, healthy);
    for (let index = 0; index < 200; index += 1)
      await registry.reportHealth(
        ref,
        'prober',
        index % 2 === 0 ? { health: 'unhealthy', reason: `number ${index}` } : { health: 'healthy', reason: '' },
      );
    follower.told.length = 0;
    clock.advance(50);
    await follower.read();
    assert.equal(follower.told.length, 1);
    assert.equal(follower.told[0]?.data.changed.length, 1);
    assert.ok(JSON.stringify(follower.held.get('instances')?.get('default/orders/orders-1')).includes('"health":"healthy"'));
    await follower.drop();
    assert.equal(watches.count, 0);
  });

  test('events that were overwritten before they were read are told as a gap', async () => {
    const follower = new Follower();
    follower.open(watches, { kinds: ['events'] });
    await follower.read();
    for (let index = 0; index < 200; index += 1) events.record('token-created', 'default/orders', `number ${index}`);
    follower.told.length = 0;
    while (follower.told.at(-1)?.event !== 'snapshot') await follower.read();
    assert.deepEqual(
      follower.told.map(({ event }) => event),
      ['resync', 'snapshot'],
    );
    assert.match(JSON.stringify(follower.told[1]?.data.items.at(-1)), /"number 199"/);
    await follower.drop();
  });

  test('data planes are looked at twice a second at most, and only those that changed are told', async () => {
    const plane = (node: string): ConnectedProxy => ({
      ...{ node, identity: 'spiffe://x', flavour: 'heddle', userAgent: 'heddle 1', service: 'ADS delta', connectedMs: 1, sync: [] },
      resources: () => [],
    });
    connected = [plane('a'), plane('b')];
    const follower = new Follower();
    follower.open(watches, { kinds: ['proxies'] });
    follower.follow();
    await until('the snapshot', () => follower.held.get('proxies')?.size === 2);
    follower.told.length = 0;
    connected = [plane('a'), plane('c'), plane('c')];
    for (let index = 0; index < 100; index += 1) proxiesChanged();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(follower.told.length, 0);
    clock.advance(500);
    await until('the changes', () => follower.told.length === 1);
    assert.deepEqual(follower.told[0]?.data.removed, ['b@1']);
    assert.deepEqual([...(follower.held.get('proxies')?.keys() ?? [])], ['a@1', 'c@1', 'c@1.1']);
  });

  test('traffic is told to who asks for it: at once, and the newest of it in each interval, without a place to go on from', async () => {
    const follower = new Follower();
    follower.open(watches, { kinds: ['traffic'], namespace: 'eu' });
    await follower.read();
    reported();
    reported();
    await follower.read();
    assert.deepEqual(
      follower.told.map(({ event, data }) => [event, data.windowMs, data.nodes.length]),
      [
        ['traffic', 10_000, 1],
        ['traffic', 10_000, 1],
      ],
    );
    follower.open(watches, { kinds: ['traffic'] });
    await follower.read();
    assert.deepEqual([follower.told.length, follower.told[2]?.data.nodes.length], [3, 0]);
  });

  test('says now and then that it is there, and ends when the control plane does', async () => {
    const follower = new Follower();
    follower.open(watches, { kinds: ['instances'] });
    follower.follow();
    await until('the snapshot', () => follower.told.length === 1);
    follower.text = '';
    await until('a sign of life', () => {
      clock.advance(15_000);
      return follower.text !== '';
    });
    assert.match(follower.text, /^(: keep-alive\n\n)+$/);
    watches.close();
    await until('the end', () => follower.ended);
    assert.throws(
      () => follower.open(watches),
      (error: unknown) => error instanceof ProblemError && error.code === 'UNAVAILABLE',
    );
  });

  test('there are only so many', async () => {
    const many = Array.from({ length: 64 }, () => new Follower());
    for (const follower of many) follower.open(watches, { kinds: ['events'] });
    const surplus = new Follower();
    assert.throws(
      () => surplus.open(watches),
      (error: unknown) => error instanceof ProblemError && error.code === 'LIMIT',
    );
    await many[0]?.drop();
    surplus.open(watches);
    for (const follower of [...many, surplus]) await follower.drop();
    assert.equal(watches.count, 0);
  });

  test('whatever happens, however it is read, and however often it breaks off, in the end it knows everything', async () => {
    type Step = { readonly kind: 'register' | 'deregister' | 'report' | 'declare' | 'read' | 'drop' | 'open'; readonly number: number };
    const step: fc.Arbitrary<Step> = fc.record({
      kind: fc.constantFrom('register', 'register', 'deregister', 'report', 'declare', 'read', 'read', 'drop', 'open'),
      number: fc.nat(11),
    });
    const kinds = { kinds: ['services', 'instances'] } as const;
    const names = ['orders', 'web', 'cache', 'bank'];
    const apply = async ({ kind, number }: Step, follower: Follower): Promise<void> => {
      const name = names[number % 3] ?? '';
      const ref = { service: { namespace: 'default', name }, id: `${name}-${number}` };
      if (kind === 'register') await registry.register(registration(name, number), 300_000, healthy).catch(() => {});
      else if (kind === 'deregister') await registry.deregister(ref);
      else if (kind === 'report') await registry.reportHealth(ref, 'prober', { health: 'unhealthy', reason: `${number}` }).catch(() => {});
      else if (kind === 'declare') await registry.declareServices(names.slice(0, 1 + (number % 4)).map((declared) => service(declared)));
      else if (kind === 'read') {
        clock.advance(50);
        // What is there, up to four messages; reading nothing would wait.
        for (let index = 0; index < number % 5; index += 1)
          await Promise.race([follower.read(), new Promise((resolve) => setImmediate(resolve))]);
      } else if (kind === 'drop') await follower.drop();
      else {
        await follower.drop();
        follower.open(watches, kinds);
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await registry.declareServices(names.slice(0, 3).map((declared) => service(declared)));
        const follower = new Follower();
        follower.open(watches, kinds);
        for (const one of steps) await apply(one, follower);
        await apply({ kind: 'open', number: 0 }, follower);
        follower.follow();
        await learns(follower);
        await follower.drop();
        follower.ended = true;
      }),
      { numRuns: 40 },
    );
  });
});
