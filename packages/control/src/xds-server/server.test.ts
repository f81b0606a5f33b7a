// ADS over real connections to a running control plane.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { TYPE_URLS, decodeResource } from '@heddle/api';
import { AdsClient, controlChannelOptions } from '@heddle/api/grpc-js';
import type { DiscoveryRequest, DiscoveryResponse } from '@heddle/api';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, instanceMessage, join, operator } from '../testing/client.ts';
import { TestDataPlane } from '../testing/data-plane.ts';
import { SERVICES, mesh, service, silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';

const ADMIN = 'heddle.admin.v1.Admin';
const DISCOVERY = 'heddle.discovery.v1.Discovery';

describe('ADS', () => {
  let control: RunningControl;
  let stateDir: string;
  let admin: TestClient;
  const planes: TestDataPlane[] = [];
  const warnings: string[] = [];

  before(async () => {
    stateDir = await mkdtemp(joinPath(tmpdir(), 'heddle-ads-'));
    control = await startControl({
      mesh: mesh(),
      stateDir,
      store: 'memory',
      listen: { address: '127.0.0.1', port: 0 },
      logger: { ...silent, warn: (fields, text) => warnings.push(`${text} ${JSON.stringify(fields)}`) },
      clock: nodeClock,
      random: nodeRandom,
    });
    admin = operator(control);
  });
  afterEach(() => {
    for (const plane of planes.splice(0)) plane.close();
  });
  after(async () => {
    admin.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });
  function connect(as: TestClient, node: string, metadata?: Record<string, unknown>): TestDataPlane {
    const plane = new TestDataPlane(as, node, metadata);
    planes.push(plane);
    return plane;
  }
  async function proxy(node: string) {
    const { proxies } = await admin.call(ADMIN, 'ListProxies');
    return (
      proxies as {
        node: string;
        identity: string;
        sync: { kind: string; sent_version: string; acked_version: string; acked_ms: number; rejection: string; sent_resources: number }[];
      }[]
    ).find((found) => found.node === node);
  }
  const inSync = async (node: string): Promise<boolean> =>
    (await proxy(node))?.sync.every((state) => state.sent_version === state.acked_version && state.acked_version !== '') ?? false;

  test('a data plane gets the mesh, its own instances, its shared proxy, and each change; the control plane knows how far it is', async () => {
    const plane = connect(admin, 'node-1', { heddle: { outboundProxy: { address: '127.0.0.1', port: 15_001 } } });
    await until('the first configuration', () => plane.held.route.has('outbound/mesh') && plane.held.endpoints.size === 3);
    assert.deepEqual(plane.names('cluster'), ['outbound/default/cache', 'outbound/default/orders', 'outbound/default/web']);
    assert.deepEqual(plane.names('listener'), ['outbound/proxy']);
    assert.equal(plane.held.secret.get('trust-bundle')?.rootsPem, control.rootsPem);
    assert.deepEqual(plane.held.endpoints.get('outbound/default/orders')?.endpoints, []);
    await until('everything to be acknowledged', () => inSync('node-1'));
    assert.equal((await proxy('node-1'))?.identity, 'operator token');

    const outbounds = [{ namespace: 'default', service: 'web', listen: { address: '127.0.0.1', port: 4_001 } }];
    const stream = admin.register();
    await stream.send({ instance: instanceMessage('orders', 1, { outbounds }) });
    await until(
      'its listeners and their routes',
      () =>
        plane.held.listener.size === 3 &&
        plane.held.route.has('inbound/default/orders/orders-1') &&
        plane.held.route.has('outbound/default/web'),
    );
    assert.deepEqual(plane.names('listener'), [
      'inbound/default/orders/orders-1',
      'outbound/default/orders/orders-1/default/web',
      'outbound/proxy',
    ]);
    assert.ok(plane.held.cluster.has('local/default/orders/orders-1'));
    assert.equal(plane.held.endpoints.get('outbound/default/orders')?.endpoints[0]?.health, 'unhealthy');
    await until('everything to be acknowledged', () => inSync('node-1'));

    plane.updates.length = 0;
    await stream.send({ health: 'HEALTH_HEALTHY' });
    await until('the health', () => plane.held.endpoints.get('outbound/default/orders')?.endpoints[0]?.health === 'healthy');
    assert.deepEqual(plane.updates, ['endpoints +outbound/default/orders -']);

    await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' });
    await until('the removal', () => plane.held.listener.size === 1 && !plane.held.cluster.has('local/default/orders/orders-1'));
    assert.deepEqual(plane.held.endpoints.get('outbound/default/orders')?.endpoints, []);
  });

  test('a workload gets the listeners of its own service only, wherever it says it is', async () => {
    const orders = new TestClient(control, await join(control, 'orders'));
    await admin.register().send({ instance: instanceMessage('orders', 1) });
    await admin.register().send({ instance: instanceMessage('web', 1) });
    const plane = connect(orders, 'node-1');
    const all = connect(admin, 'node-1');
    await until('both configurations', () => plane.held.listener.size > 0 && all.held.listener.size > 1);
    assert.deepEqual(plane.names('listener'), ['inbound/default/orders/orders-1']);
    assert.deepEqual(
      plane.names('cluster').filter((name) => name.startsWith('local/')),
      ['local/default/orders/orders-1'],
    );
    assert.deepEqual(all.names('listener'), ['inbound/default/orders/orders-1', 'inbound/default/web/web-1']);
    const elsewhere = connect(orders, 'node-2');
    await until('its clusters', () => elsewhere.held.cluster.size === 3);
    assert.deepEqual(elsewhere.names('listener'), []);
    for (const name of ['orders', 'web']) await admin.call(DISCOVERY, 'Deregister', { service: name, instance: `${name}-1` });
    orders.close();
  });

  test('services that come and go reach data planes that are connected', async () => {
    const plane = connect(admin, 'node-3');
    await until('its clusters', () => plane.held.cluster.size === 3);
    await control.setMesh(mesh([...SERVICES, service('late')]));
    await until('the new one', () => plane.held.endpoints.has('outbound/default/late'));
    await control.setMesh(mesh());
    await until('its removal', () => !plane.held.cluster.has('outbound/default/late'));
  });

  test('a refusal is kept with its reason and holds up nothing else; mended, the resource comes', async () => {
    const plane = connect(admin, 'node-4');
    await until('the first configuration', () => inSync('node-4'));
    plane.refusal = 'port 4001 is taken';
    await admin.register().send({ instance: instanceMessage('orders', 1, { node: 'node-4' }) });
    const refused = await until('the refusal', async () =>
      (await proxy('node-4'))?.sync.find(({ kind, rejection }) => kind === 'listener' && rejection !== ''),
    );
    assert.match(refused.rejection, /port 4001 is taken/);
    plane.refusal = undefined;
    await admin.register().send({ instance: instanceMessage('orders', 2, { node: 'node-4' }) });
    await until('the other one', () => plane.held.listener.has('inbound/default/orders/orders-2'));
    const moved = { inbound: { address: '127.0.0.1', port: 20_011 }, application: { address: '127.0.0.1', port: 30_011 } };
    await admin.register().send({ instance: instanceMessage('orders', 1, { node: 'node-4', ...moved }) });
    await until('the mended one', () => plane.held.listener.get('inbound/default/orders/orders-1')?.port === 20_011);
    await until('no refusal', () => inSync('node-4'));
    for (const index of [1, 2]) await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: `orders-${index}` });
  });

  test('a slow data plane skips what is history: it gets the last state, not every one', async () => {
    const plane = connect(admin, 'node-5');
    await until('the first configuration', () => inSync('node-5'));
    plane.pause();
    const stream = admin.register();
    await stream.send({ instance: instanceMessage('orders', 1) });
    for (let index = 0; index < 200; index += 1) await stream.send({ health: index % 2 === 0 ? 'HEALTH_UNHEALTHY' : 'HEALTH_HEALTHY' });
    plane.updates.length = 0;
    plane.resume();
    await until('the last state', () => inSync('node-5'));
    assert.equal(plane.held.endpoints.get('outbound/default/orders')?.endpoints[0]?.health, 'healthy');
    assert.ok(plane.updates.length < 20, `${plane.updates.length} updates`);
    await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' });
  });

  test('a data plane that never answers has one response of each kind under way, and is seen to be behind', async () => {
    const client = new AdsClient(admin.target, admin.credentials, controlChannelOptions());
    const call = client.delta(admin.metadata);
    const kinds: (string | undefined)[] = [];
    call.on('data', ({ typeUrl }: { typeUrl?: string }) => kinds.push(typeUrl));
    call.on('error', () => {});
    call.write({ typeUrl: TYPE_URLS.cluster, node: { id: 'silent', cluster: '', userAgentName: 'test' } as DiscoveryRequest['node'] });
    call.write({ typeUrl: TYPE_URLS.endpoints, resourceNamesSubscribe: ['outbound/default/orders'] });
    await until('both kinds', () => kinds.length === 2);
    const stream = admin.register();
    await stream.send({ instance: instanceMessage('orders', 1) });
    for (let index = 0; index < 20; index += 1) await stream.send({ health: index % 2 === 0 ? 'HEALTH_UNHEALTHY' : 'HEALTH_HEALTHY' });
    const other = connect(admin, 'node-8');
    await until('another one', () => other.held.endpoints.get('outbound/default/orders')?.endpoints[0]?.health === 'healthy');
    assert.deepEqual(kinds, [TYPE_URLS.cluster, TYPE_URLS.endpoints]);
    const silent = await proxy('silent');
    assert.deepEqual(
      silent?.sync.map(({ acked_version, acked_ms }) => [acked_version, acked_ms]),
      [
        ['', 0],
        ['', 0],
      ],
    );
    call.cancel();
    client.close();
    await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' });
  });

  test('a data plane that floods is told so and logged; the others notice nothing', async () => {
    const plane = connect(admin, 'node-9');
    await until('the first configuration', () => inSync('node-9'));
    const client = new AdsClient(admin.target, admin.credentials, controlChannelOptions());
    const call = client.stateOfTheWorld(admin.metadata);
    let failure: ServiceError | undefined;
    call.on('data', () => {});
    call.on('error', (error: ServiceError) => {
      failure = error;
    });
    const node = { id: 'flood', cluster: '', userAgentName: 'test' } as DiscoveryRequest['node'];
    const names = Array.from({ length: 5_000 }, (_, index) => `outbound/default/service-${index}`);
    // Many small ones: even a machine that is busy with other things takes them in faster than the budget refills.
    for (const name of names) call.write({ typeUrl: TYPE_URLS.endpoints, node, resourceNames: [name] });
    await until('the end', () => failure);
    assert.equal(failure?.code, status.RESOURCE_EXHAUSTED);
    assert.match(failure?.details ?? '', /asks too much: 3000 requests at once and 200 a second/);
    assert.ok(warnings.some((text) => text.includes('asks too much') && text.includes('flood')));
    client.close();
    await admin.register().send({ instance: instanceMessage('orders', 1), health: 'HEALTH_HEALTHY' });
    await until('a change', () => plane.held.endpoints.get('outbound/default/orders')?.endpoints.length === 1);
    await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' });
  });

  test('a change reaches those that asked for what changed; the others count as just as new', async () => {
    const orders = connect(admin, 'node-10');
    await until('everything', () => inSync('node-10'));
    const client = new AdsClient(admin.target, admin.credentials, controlChannelOptions());
    const call = client.delta(admin.metadata);
    const messages: string[] = [];
    call.on('data', ({ typeUrl, nonce, resources = [] }: { typeUrl?: string; nonce?: string; resources?: { name?: string }[] }) => {
      messages.push(resources.map(({ name }) => name).join());
      call.write({ typeUrl, responseNonce: nonce });
    });
    call.on('error', () => {});
    const node = { id: 'web-only', cluster: '', userAgentName: 'test' } as DiscoveryRequest['node'];
    call.write({ typeUrl: TYPE_URLS.endpoints, node, resourceNamesSubscribe: ['outbound/default/web'] });
    await until('its endpoints', () => inSync('web-only'));
    await admin.register().send({ instance: instanceMessage('orders', 1), health: 'HEALTH_HEALTHY' });
    await until('the change', () => orders.held.endpoints.get('outbound/default/orders')?.endpoints.length === 1);
    const revision = (await admin.call(ADMIN, 'GetMesh'))['revision'];
    assert.deepEqual(messages, ['outbound/default/web']);
    assert.equal((await proxy('web-only'))?.sync[0]?.acked_version, String(revision));
    // Asked for again it is sent again, although it has not changed.
    call.write({ typeUrl: TYPE_URLS.endpoints, resourceNamesSubscribe: ['outbound/default/web', 'outbound/default/nobody'] });
    await until('the same again', () => messages.length === 2);
    assert.deepEqual(messages[1], 'outbound/default/web');
    call.cancel();
    client.close();
    await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' });
  });

  test('a stream that does not say who it is, or where its proxy is, is told so', async () => {
    const nameless = connect(admin, '');
    await until('the end', () => nameless.ended);
    assert.equal(nameless.ended?.code, status.INVALID_ARGUMENT);
    assert.match(nameless.ended?.details ?? '', /node\.id/);
    const lost = connect(admin, 'node-6', { heddle: { outboundProxy: { address: 'localhost', port: 15_001 } } });
    await until('the end', () => lost.ended);
    assert.match(lost.ended?.details ?? '', /node\.metadata\.heddle\.outboundProxy\.address "localhost" is not an IPv4 or IPv6 address/);
    const unknown = connect(admin, 'node-6', { heddle: { flavour: 'nginx' } });
    await until('the end', () => unknown.ended);
    assert.equal(unknown.ended?.code, status.INVALID_ARGUMENT);
    assert.match(unknown.ended?.details ?? '', /node\.metadata\.heddle\.flavour must be one of heddle, envoy, grpc/);
    const stranger = new TestClient(control);
    const anonymous = connect(stranger, 'node-1');
    await until('the refusal', () => anonymous.ended);
    assert.equal(anonymous.ended?.code, status.UNAUTHENTICATED);
    stranger.close();
  });

  test('data planes that left are no longer listed', async () => {
    const plane = connect(admin, 'node-7');
    await until('the connection', () => proxy('node-7'));
    plane.close();
    await until('the end', async () => (await proxy('node-7')) === undefined);
  });

  test('the state-of-the-world variant serves the same resources', async () => {
    const client = new AdsClient(admin.target, admin.credentials, controlChannelOptions());
    const call = client.stateOfTheWorld(admin.metadata);
    const responses: DiscoveryResponse[] = [];
    let failure: ServiceError | undefined;
    call.on('data', (response: DiscoveryResponse) => {
      responses.push(response);
      call.write({
        typeUrl: response.typeUrl,
        versionInfo: response.versionInfo,
        responseNonce: response.nonce,
        resourceNames: wanted[response.typeUrl ?? ''] ?? [],
      });
    });
    call.on('error', (error: ServiceError) => {
      failure = error;
    });
    const wanted: Record<string, string[]> = { [TYPE_URLS.endpoints]: ['outbound/default/orders'] };
    const first: DiscoveryRequest = {
      typeUrl: TYPE_URLS.cluster,
      node: { id: 'sotw', cluster: '', userAgentName: 'test' } as DiscoveryRequest['node'],
    };
    call.write(first);
    call.write({ typeUrl: TYPE_URLS.endpoints, resourceNames: ['outbound/default/orders'] });
    await until('both kinds', () => responses.length >= 2 || failure);
    assert.equal(failure, undefined);
    const clusters = responses.find((response) => response.typeUrl === TYPE_URLS.cluster)?.resources ?? [];
    assert.deepEqual(clusters.map((any) => decodeResource('cluster', any as { typeUrl: string; value: Uint8Array }).name).sort(), [
      'outbound/default/cache',
      'outbound/default/orders',
      'outbound/default/web',
    ]);
    const before = responses.length;
    await admin.register().send({ instance: instanceMessage('orders', 1), health: 'HEALTH_HEALTHY' });
    await until('the change', () => responses.length > before);
    const [any] = responses.at(-1)?.resources ?? [];
    assert.equal(decodeResource('endpoints', any as { typeUrl: string; value: Uint8Array }).endpoints[0]?.instance, 'orders-1');
    call.cancel();
    client.close();
    await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' });
  });
});
