// What a change costs: its own encoding, and those who want it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ANY_REQUEST, DEFAULT_SECURITY } from '@heddle/core';
import type { Instance, ResourceKind, Service } from '@heddle/core';
import { Compiler } from '../compiler/compiler.ts';
import type { NodeScope } from '../compiler/compiler.ts';
import type { EventSink } from '../events/sink.ts';
import type { ServiceView } from '../registry/view.ts';
import { instance, service, silent } from '../testing/mesh.ts';
import { KINDS } from './encoded-maps.ts';
import { Publisher } from './publisher.ts';
import { RefusedRoutes } from './refused-routes.ts';
import { ScopedSource } from './scoped-source.ts';

const scope: NodeScope = { node: 'node-1', flavour: 'heddle', outboundProxy: undefined, identityDir: undefined, mayHost: () => true };

/** A registry of plain maps, with what is published of it. */
class Mesh {
  readonly #views = new Map<string, ServiceView>();
  readonly publisher: Publisher;
  readonly #compiler: Compiler;
  readonly errors: string[] = [];
  readonly events: string[] = [];

  constructor(names: readonly string[]) {
    for (const name of names) this.#views.set(`default/${name}`, { service: service(name), instances: [] });
    const instancesOfNode = (node: string): Instance[] =>
      [...this.#views.values()].flatMap(({ instances }) => instances.filter((one) => one.node === node));
    const source = {
      snapshot: () => ({ revision: 0, services: this.#views }),
      service: (key: string) => this.#views.get(key),
      instancesOfNode,
      egress: [],
      security: DEFAULT_SECURITY,
    };
    this.#compiler = new Compiler({ source, trustDomain: 'shop.test', rootsPem: 'pem' });
    const logger = { ...silent, error: (_fields: object, text: string) => this.errors.push(text) };
    const events: EventSink = { record: (kind, subject, message) => this.events.push(`${kind} ${subject}: ${message}`) };
    const refused = new RefusedRoutes({ events, logger: silent });
    this.publisher = new Publisher({ compiler: this.#compiler, encode: { trustDomain: 'shop.test' }, refused, logger });
  }

  setInstances(name: string, instances: readonly Instance[]): void {
    this.#set(`default/${name}`, { service: this.#views.get(`default/${name}`)?.service ?? service(name), instances });
  }

  setService(declared: Service): void {
    this.#set(`default/${declared.name}`, { service: declared, instances: [] });
  }

  remove(name: string): void {
    this.#set(`default/${name}`, undefined);
  }

  #set(key: string, view: ServiceView | undefined): void {
    const nodes = [...(this.#views.get(key)?.instances ?? []), ...(view?.instances ?? [])].map(({ node }) => node);
    if (view === undefined) this.#views.delete(key);
    else this.#views.set(key, view);
    this.publisher.apply(
      this.#compiler.apply({ revision: 1, services: new Set([key]), nodes: new Set(nodes), egress: false, security: false }),
    );
  }
}

/** Hears what it is told, as `<kind> <name>`. */
function subscriber(heard: string[]): { told(kind: ResourceKind, name: string): void } {
  return { told: (kind, name) => heard.push(`${kind} ${name}`) };
}

/** Envoy does not know its own identity when it changes headers. */
const unknown = (name: string, header: string): Service =>
  service(name, {
    rules: [
      {
        name: 'named',
        matches: [ANY_REQUEST],
        action: { kind: 'forward', to: [{ service: { namespace: 'default', name }, labels: {}, weight: 1 }] },
        requestHeaders: { set: { [header]: '%SOURCE_IDENTITY%' }, add: {}, remove: [] },
      },
    ],
  });

describe('a route that data planes of a flavour cannot follow', () => {
  test('is told once for each reason, however often and wherever it is encoded, and anew when it had been mended', () => {
    const mesh = new Mesh(['orders', 'web']);
    mesh.setService(unknown('orders', 'x-caller'));
    mesh.publisher.acquire('heddle');
    assert.deepEqual(mesh.events, []);
    const told = (): string[] => mesh.events.splice(0);
    mesh.publisher.acquire('envoy');
    const [event, ...others] = told();
    assert.match(
      event ?? '',
      /^route-refused default\/orders: Envoy cannot follow the route "named": request_headers: x-caller: .*501\) there$/,
    );
    assert.deepEqual(others, []);
    // The routes of the shared proxy are encoded anew, and everything when the next Envoy comes after the last has gone.
    mesh.setService(service('web', { timeoutMs: 5 }));
    mesh.publisher.release('envoy');
    mesh.publisher.acquire('envoy');
    assert.deepEqual(told(), []);
    mesh.setService(unknown('orders', 'x-other'));
    assert.equal(told().length, 1);
    mesh.setService(unknown('web', 'x-other'));
    assert.match(told().join(), /^route-refused default\/web: /);
    mesh.setService(service('orders'));
    mesh.remove('web');
    assert.deepEqual(told(), []);
    mesh.setService(unknown('orders', 'x-other'));
    mesh.setService(unknown('web', 'x-other'));
    assert.equal(told().length, 2);
  });
});

describe('publisher', () => {
  test('a change of one instance encodes its endpoints alone, and tells those who want these', () => {
    const mesh = new Mesh(['orders', 'web', 'cache']);
    const { shared, subscriptions } = mesh.publisher.acquire('heddle');
    const heard: Record<string, string[]> = { orders: [], web: [], all: [], clusters: [] };
    subscriptions.set(subscriber(heard['orders'] ?? []), 'endpoints', 'outbound/default/orders', true);
    subscriptions.set(subscriber(heard['web'] ?? []), 'endpoints', 'outbound/default/web', true);
    subscriptions.set(subscriber(heard['all'] ?? []), 'endpoints', undefined, true);
    subscriptions.set(subscriber(heard['clusters'] ?? []), 'cluster', undefined, true);
    const before = KINDS.flatMap((kind) => [...shared[kind].values()]);
    mesh.setInstances('orders', [instance('orders', 1)]);
    assert.deepEqual(heard, {
      orders: ['endpoints outbound/default/orders'],
      web: [],
      all: ['endpoints outbound/default/orders'],
      clusters: [],
    });
    const kept = new Set(KINDS.flatMap((kind) => [...shared[kind].values()]));
    assert.deepEqual(
      before.filter((one) => !kept.has(one)).map(({ kind, name }) => `${kind} ${name}`),
      ['endpoints outbound/default/orders'],
    );
    // Nothing that data planes could see.
    mesh.setInstances('orders', [instance('orders', 1, { healthReason: 'another' })]);
    assert.equal(heard['orders']?.length, 1);
  });

  test('a service that comes or goes changes its own resources and the route of the shared proxy', () => {
    const mesh = new Mesh(['orders']);
    const { subscriptions, shared } = mesh.publisher.acquire('heddle');
    const heard: string[] = [];
    for (const kind of KINDS) subscriptions.set(subscriber(heard), kind, undefined, true);
    mesh.setService(service('late'));
    const own = ['cluster outbound/default/late', 'endpoints outbound/default/late', 'route outbound/default/late', 'route outbound/mesh'];
    assert.deepEqual(heard.splice(0).sort(), own);
    mesh.remove('late');
    assert.deepEqual(heard.sort(), own);
    assert.deepEqual([...shared.cluster.keys()], ['outbound/default/orders']);
  });

  test('what cannot be encoded leaves the last good one, and is logged', () => {
    const mesh = new Mesh(['orders']);
    const { shared } = mesh.publisher.acquire('heddle');
    const good = shared.cluster.get('outbound/default/orders');
    mesh.setService(service('orders', { connectTimeoutMs: Number.NaN }));
    assert.equal(shared.cluster.get('outbound/default/orders'), good);
    assert.equal(mesh.errors.length, 1);
    mesh.setService(service('orders', { connectTimeoutMs: 7 }));
    assert.notEqual(shared.cluster.get('outbound/default/orders'), good);
  });

  test('a flavour is kept up to date while somebody speaks it', () => {
    const mesh = new Mesh(['orders']);
    const first = mesh.publisher.acquire('envoy');
    assert.equal(mesh.publisher.acquire('envoy'), first);
    mesh.publisher.release('envoy');
    mesh.setService(service('web'));
    assert.ok(first.shared.cluster.has('outbound/default/web'));
    mesh.publisher.release('envoy');
    mesh.setService(service('cache'));
    assert.ok(!first.shared.cluster.has('outbound/default/cache'));
    assert.ok(mesh.publisher.acquire('envoy').shared.cluster.has('outbound/default/cache'));
  });

  test('gRPC clients, and nobody else, get a listener by each name of a service that takes requests', () => {
    const mesh = new Mesh(['orders']);
    mesh.setService(service('cache', { protocol: 'tcp' }));
    const { shared } = mesh.publisher.acquire('grpc');
    assert.equal(mesh.publisher.acquire('heddle').shared.listener.size, 0);
    assert.ok(shared.listener.has('orders.mesh.internal'));
    assert.ok(shared.listener.has('orders.mesh.internal:8080'));
    assert.ok(![...shared.listener.keys()].some((name) => name.startsWith('cache')));
    mesh.remove('orders');
    assert.equal(shared.listener.size, 0);
  });
});

describe('what one stream should have', () => {
  function source(mesh: Mesh, over: Partial<NodeScope> = {}) {
    const heard: string[] = [];
    let due = 0;
    const one = new ScopedSource({
      publisher: mesh.publisher,
      scope: { ...scope, ...over },
      version: () => '1',
      onChange: (kind, name) => heard.push(`${kind} ${name}`),
      onDue: () => (due += 1),
    });
    one.refresh();
    return { source: one, heard: () => heard.splice(0), due: () => due };
  }

  test('the shared resources and its own, and word of what it wants and of its own', () => {
    const mesh = new Mesh(['orders', 'web']);
    const { source: one, heard, due } = source(mesh);
    assert.equal(one.resources.listener.has('inbound/default/orders/orders-1'), false);
    one.onSubscription('endpoints', 'outbound/default/orders', true);
    mesh.setInstances('orders', [instance('orders', 1)]);
    assert.deepEqual([heard(), due()], [['endpoints outbound/default/orders'], 1]);
    one.ownChanged();
    assert.equal(due(), 2);
    one.refresh();
    assert.deepEqual(heard().sort(), [
      'cluster local/default/orders/orders-1',
      'listener inbound/default/orders/orders-1',
      'route inbound/default/orders/orders-1',
    ]);
    assert.equal(one.resources.listener.get('inbound/default/orders/orders-1')?.kind, 'listener');
    assert.deepEqual([...one.resources.cluster.values()].map(({ name }) => name).sort(), [
      'local/default/orders/orders-1',
      'outbound/default/orders',
      'outbound/default/web',
    ]);
    // Health alone changes nothing of its own.
    mesh.setInstances('orders', [instance('orders', 1, { health: 'unhealthy' })]);
    one.ownChanged();
    one.refresh();
    assert.deepEqual(heard(), ['endpoints outbound/default/orders']);
    one.onSubscription('endpoints', 'outbound/default/orders', false);
    mesh.setInstances('orders', []);
    assert.deepEqual(heard(), []);
    one.refresh();
    assert.deepEqual(heard(), []);
    one.ownChanged();
    one.refresh();
    assert.equal(heard().length, 3);
  });
});
