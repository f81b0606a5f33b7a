// Instances that a data plane of others brings along on its ADS stream, over real connections to a running control plane.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, before, describe, type TestContext, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { hds } from '@heddle/api';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry } from '../registry/registry.ts';
import type { Caller } from '../server/caller.ts';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, join, operator } from '../testing/client.ts';
import { ManualClock } from '../testing/clock.ts';
import { TestDataPlane } from '../testing/data-plane.ts';
import { SERVICES, mesh, silent } from '../testing/mesh.ts';
import { TestStream } from '../testing/test-stream.ts';
import { until } from '../testing/wait.ts';
import { AttachedInstances } from './attached-instances.ts';

const ATTACHED = {
  id: 'orders-1',
  service: 'orders',
  inbound: { address: '10.0.0.7', port: 15_006 },
  application: { address: '127.0.0.1', port: 8081 },
  outbounds: [{ service: 'web', address: '127.0.0.1', port: 20_001 }],
};

describe('an attached instance', () => {
  let control: RunningControl;
  let stateDir: string;
  let orders: TestClient;
  const planes: TestDataPlane[] = [];
  const streams: TestStream<hds.HealthRequest, hds.HealthCheckSpecifier>[] = [];

  before(async () => {
    stateDir = await mkdtemp(joinPath(tmpdir(), 'heddle-attached-'));
    control = await startControl({
      ...{ mesh: mesh(), stateDir, store: 'memory', listen: { address: '127.0.0.1', port: 0 } },
      ...{ logger: silent, clock: nodeClock, random: nodeRandom },
    });
    orders = new TestClient(control, await join(control, 'orders'));
  });
  afterEach(async () => {
    for (const plane of planes.splice(0)) plane.close();
    for (const stream of streams.splice(0)) stream.close();
    const admin = operator(control);
    await admin.call('heddle.discovery.v1.Discovery', 'Deregister', { namespace: 'default', service: 'orders', instance: 'orders-1' });
    admin.close();
  });
  after(async () => {
    orders.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  function attach(as: TestClient, instance: unknown, node = 'envoy-1', refusal?: string): TestDataPlane {
    const plane = new TestDataPlane(as, node, { heddle: { instance } });
    plane.refusal = refusal;
    planes.push(plane);
    return plane;
  }
  async function health(): Promise<string | undefined> {
    const admin = operator(control);
    const { instances } = await admin.call('heddle.admin.v1.Admin', 'ListInstances');
    admin.close();
    const found = (instances as { id: string; health: string; health_reason: string }[]).find(({ id }) => id === 'orders-1');
    return found && `${found.health} ${found.health_reason}`;
  }

  test('is registered by its stream, gets its listeners, and is healthy when they are taken', async () => {
    const plane = attach(orders, { ...ATTACHED, version: 'v2', weight: 3, locality: { region: 'eu', zone: 'a' } });
    await until('its health', async () => (await health()) === 'HEALTH_HEALTHY its data plane has taken its listener');
    assert.deepEqual(plane.names('listener'), ['inbound/default/orders/orders-1', 'outbound/default/orders/orders-1/default/web']);
    const set = plane.held.endpoints.get('outbound/default/orders');
    await until('the endpoint', () => plane.held.endpoints.get('outbound/default/orders')?.endpoints[0]?.health === 'healthy');
    assert.equal(set?.endpoints[0]?.address ?? '10.0.0.7', '10.0.0.7');
  });

  test('is unhealthy with the reason for which its data plane refuses what it gets', async () => {
    attach(orders, ATTACHED, 'envoy-1', "Listener 'inbound/default/orders/orders-1': cannot bind 10.0.0.7:15006");
    await until('the reason', async () =>
      /^HEALTH_UNHEALTHY its data plane refused the listener: Listener '.*cannot bind/.test((await health()) ?? ''),
    );
  });

  test('is nobody else’s to bring, and nothing is told to who tries', async () => {
    const web = new TestClient(control, await join(control, 'web'));
    const plane = attach(web, ATTACHED);
    await until('the end', () => plane.ended);
    assert.equal(plane.ended?.code, status.PERMISSION_DENIED);
    assert.match(plane.ended?.details ?? '', /svc\/web may not attach instances of default\/orders, only of its own service/);
    assert.deepEqual(plane.updates, []);
    assert.equal(await health(), undefined);
    web.close();
  });

  test('says what is wrong with its description', async () => {
    const wrong: readonly (readonly [object, RegExp])[] = [
      [
        { ...ATTACHED, inbound: { address: '0.0.0.0', port: 1 } },
        /^node\.metadata\.heddle\.instance\.inbound\.address 0\.0\.0\.0 stands for/,
      ],
      [{ ...ATTACHED, colour: 'red' }, /^node\.metadata\.heddle\.instance\.colour is not known; there are /],
      [{ ...ATTACHED, outbounds: ['web'] }, /^node\.metadata\.heddle\.instance\.outbounds\[0\] must be an object/],
      [{ ...ATTACHED, id: 'a/b' }, /^node\.metadata\.heddle\.instance\.id "a\/b" is not a name/],
    ];
    for (const [instance, message] of wrong) {
      const plane = attach(orders, instance);
      await until('the end', () => plane.ended);
      assert.equal(plane.ended?.code, status.INVALID_ARGUMENT);
      assert.match(plane.ended?.details ?? '', message);
    }
    const gone = new TestClient(control, await join(control, 'web'));
    await control.setMesh(mesh(SERVICES.filter(({ name }) => name !== 'web')));
    const plane = attach(gone, { ...ATTACHED, id: 'web-1', service: 'web', outbounds: [] }, 'envoy-2');
    await until('the end', () => plane.ended);
    assert.equal(plane.ended?.code, status.NOT_FOUND);
    assert.match(plane.ended?.details ?? '', /service default\/web is not declared/);
    await control.setMesh(mesh());
    gone.close();
  });

  test('is as healthy as its data plane’s checks of the application say', async () => {
    attach(orders, { ...ATTACHED, healthDiscovery: true });
    await until('the first verdict', async () => (await health()) === 'HEALTH_STARTING its data plane has not checked the application yet');
    const checks = new TestStream(orders, hds.HealthDiscoveryService.streamHealthCheck);
    streams.push(checks);
    checks.send({ requestType: { $case: 'healthCheckRequest', value: { node: { id: 'envoy-1' } } } });
    const told = await checks.next('what to check');
    const [check] = told.clusterHealthChecks ?? [];
    assert.equal(check?.clusterName, 'local/default/orders/orders-1');
    assert.equal(check.healthChecks?.[0]?.healthChecker?.$case, 'httpHealthCheck');
    assert.deepEqual(check.localityEndpoints?.[0]?.endpoints?.[0]?.address?.address?.value.address, '127.0.0.1');
    const report = (healthStatus: 1 | 2 | 4): void =>
      checks.send({
        requestType: {
          $case: 'endpointHealthResponse',
          value: {
            clusterEndpointsHealth: [
              { clusterName: 'local/default/orders/orders-1', localityEndpointsHealth: [{ endpointsHealth: [{ healthStatus }] }] },
            ],
          },
        },
      });
    report(1);
    await until('health', async () => (await health()) === 'HEALTH_HEALTHY checks pass');
    report(4);
    await until('silence', async () => (await health()) === 'HEALTH_UNHEALTHY checks fail: no answer to GET /healthz within 500 ms');
    report(2);
    await until('illness', async () => (await health()) === 'HEALTH_UNHEALTHY checks fail: GET /healthz does not succeed');
    // An Envoy that has nothing to check says nothing.
    checks.send({});
    report(1);
    await until('health', async () => (await health()) === 'HEALTH_HEALTHY checks pass');
    assert.equal(checks.ended, undefined);
  });

  test('is not checked by who has not said its name', async () => {
    const checks = new TestStream(orders, hds.HealthDiscoveryService.streamHealthCheck);
    streams.push(checks);
    checks.send({ requestType: { $case: 'endpointHealthResponse', value: {} } });
    await until('the end', () => checks.ended);
    assert.equal(checks.ended?.code, status.INVALID_ARGUMENT);
  });

  test('stays healthy while its data plane connects anew, and as long as one of its streams lives', async () => {
    const first = attach(orders, ATTACHED);
    await until('its health', async () => (await health())?.startsWith('HEALTH_HEALTHY'));
    // Another channel of the same program, which has no listeners.
    attach(orders, ATTACHED);
    const seen = new Set<string>();
    let isOver = false;
    const watching = (async () => {
      while (!isOver) seen.add((await health()) ?? 'gone');
    })();
    first.close();
    planes.splice(0, 1);
    const again = attach(orders, ATTACHED);
    await until('its listeners', () => again.held.listener.size === 2);
    isOver = true;
    await watching;
    assert.deepEqual([...seen], ['HEALTH_HEALTHY its data plane has taken its listener']);
  });
});

describe('attached instances in the registry', () => {
  const REF = { service: { namespace: 'default', name: 'orders' }, id: 'orders-1' };
  const ORDERS: Caller = {
    kind: 'workload',
    uri: 'spiffe://shop.test/ns/default/svc/orders',
    id: { trustDomain: 'shop.test', namespace: 'default', name: 'orders' },
  };
  const nodeOf = (id: string) => ({ id, flavour: 'envoy', outboundProxy: undefined, identityDir: undefined, instance: ATTACHED }) as const;

  async function bench(t: TestContext) {
    const clock = new ManualClock();
    const store = openEmbeddedStore({ path: undefined, clock });
    const registry = await openRegistry({ store, logger: silent, random: nodeRandom });
    t.after(async () => {
      registry.close();
      await store.close();
    });
    await registry.declareServices(SERVICES);
    const attached = new AttachedInstances({ registry, clock, logger: silent, leaseTtlMs: 3_000 });
    const pass = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second += 1) {
        clock.advance(1_000);
        for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      }
    };
    return { registry, attached, pass };
  }

  test('are held while their stream lives, and then for one lease', async (t) => {
    const { registry, attached, pass } = await bench(t);
    const stream = attached.attach(nodeOf('envoy-1'), ORDERS);
    await until('the registration', () => registry.instance(REF));
    await pass(10);
    assert.ok(registry.instance(REF) !== undefined);
    stream?.close();
    await pass(1);
    assert.ok(registry.instance(REF) !== undefined);
    await pass(5);
    assert.equal(registry.instance(REF), undefined);
  });

  test('belong to the data plane that came last, and to the other one when that is gone', async (t) => {
    const { registry, attached, pass } = await bench(t);
    attached.attach(nodeOf('envoy-1'), ORDERS);
    await until('the first', () => registry.instance(REF)?.node === 'envoy-1');
    const second = attached.attach(nodeOf('envoy-2'), ORDERS);
    await until('the second', () => registry.instance(REF)?.node === 'envoy-2');
    await pass(10);
    assert.equal(registry.instance(REF)?.node, 'envoy-2');
    second?.close();
    await pass(8);
    assert.equal(registry.instance(REF)?.node, 'envoy-1');
  });
});
