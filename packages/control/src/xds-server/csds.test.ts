// What each data plane has applied, over real connections: by CSDS, in the list of data planes, and as events.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join as joinPath } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fromBinary, toBinary, create } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync } from '@grpc/proto-loader';
import { SINGLE_TYPE_SERVICES, TYPE_URLS, csds, lrs } from '@heddle/api';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, instanceMessage, join, operator } from '../testing/client.ts';
import type { Message } from '../testing/client.ts';
import { TestDataPlane } from '../testing/data-plane.ts';
import { mesh, silent } from '../testing/mesh.ts';
import { TestStream, callOnce } from '../testing/test-stream.ts';
import { until } from '../testing/wait.ts';

const ADMIN = 'heddle.admin.v1.Admin';
const { fetchClientStatus, streamClientStatus } = csds.ClientStatusService;
const exact = (value: string) => ({ nodeId: { matchPattern: { $case: 'exact' as const, value } } });

describe('what data planes have applied', () => {
  let control: RunningControl;
  let stateDir: string;
  let admin: TestClient;
  const planes: { close(): void }[] = [];

  before(async () => {
    stateDir = await mkdtemp(joinPath(tmpdir(), 'heddle-csds-'));
    const listen = { address: '127.0.0.1', port: 0 };
    control = await startControl({ mesh: mesh(), stateDir, store: 'memory', listen, logger: silent, clock: nodeClock, random: nodeRandom });
    admin = operator(control);
    await admin.register().send({ instance: instanceMessage('orders', 1) });
  });
  afterEach(() => {
    for (const plane of planes.splice(0)) plane.close();
  });
  after(async () => {
    admin.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  function connect(node: string, as = admin): TestDataPlane {
    const plane = new TestDataPlane(as, node);
    planes.push(plane);
    return plane;
  }
  async function proxy(node: string): Promise<Message | undefined> {
    const { proxies } = await admin.call(ADMIN, 'ListProxies');
    return (proxies as Message[]).find((found) => found['node'] === node);
  }
  const inSync = async (node: string): Promise<Message | undefined> => {
    const found = await proxy(node);
    const kinds = (found?.['sync'] ?? []) as Message[];
    return kinds.length >= 4 && kinds.every((kind) => kind['behind_since_ms'] === 0) ? found : undefined;
  };
  const events = async (kind: string, subject: string): Promise<string[]> => {
    const { events: found } = await admin.call(ADMIN, 'ListEvents', { kind, subject });
    return (found as { message: string }[]).map(({ message }) => message);
  };

  test('the hashes of both sides are equal after convergence, and differ while something is refused', async () => {
    const plane = connect('hash-1');
    const converged = await until('convergence', () => inSync('hash-1'));
    assert.match(plane.hash, /^(?!0{16})[0-9a-f]{16}$/);
    assert.deepEqual([converged['held_hash'], converged['given_hash']], [plane.hash, plane.hash]);
    assert.deepEqual([converged['service'], converged['user_agent'], converged['flavour']], ['ADS delta', 'heddle', 'heddle']);

    plane.refusal = 'no room here';
    await admin.register().send({ instance: instanceMessage('web', 1, { node: 'hash-1' }) });
    const behind = await until('the refusal', async () => {
      const found = await proxy('hash-1');
      return found?.['sync'].some((kind: Message) => kind['rejection'] !== '') ? found : undefined;
    });
    assert.equal(behind['held_hash'], plane.hash);
    assert.notEqual(behind['given_hash'], plane.hash);
    const [refused] = (behind['sync'] as Message[]).filter((kind) => kind['rejection'] !== '');
    assert.match(refused?.['rejection'], /no room here/);
    assert.ok(refused?.['behind_since_ms'] >= converged['connected_ms']);
    assert.notEqual(refused?.['held_hash'], refused?.['given_hash']);
    assert.ok(
      (await events('data-plane-rejected', 'hash-1')).some((message) =>
        /^refused (cluster|endpoints|listener): no room here$/.test(message),
      ),
    );

    plane.refusal = undefined;
    await admin.call('heddle.discovery.v1.Discovery', 'Deregister', { service: 'web', instance: 'web-1' });
    const mended = await until('convergence', () => inSync('hash-1'));
    assert.deepEqual([mended['held_hash'], mended['given_hash']], [plane.hash, plane.hash]);
  });

  test('two data planes with the same configuration have the same hash, and another one has another', async () => {
    const [first, second, other] = [connect('same-1'), connect('same-2'), connect('node-1')];
    for (const node of ['same-1', 'same-2', 'node-1']) await until('convergence', () => inSync(node));
    assert.equal(first.hash, second.hash);
    assert.notEqual(first.hash, other.hash);
  });

  test('CSDS shows each resource with its state, and the reason of a refusal', async () => {
    const plane = connect('csds-1');
    await until('convergence', () => inSync('csds-1'));
    plane.refusal = 'not today';
    await admin.register().send({ instance: instanceMessage('cache', 1, { node: 'csds-1' }) });
    const config = await until('the refusal', async () => {
      const { config: found = [] } = await callOnce(admin, fetchClientStatus, { nodeMatchers: [exact('csds-1')] });
      assert.equal(found.length, 1);
      return found[0]?.genericXdsConfigs?.some(({ errorState }) => errorState !== undefined) ? found[0] : undefined;
    });
    assert.deepEqual([config.node?.id, config.node?.userAgentName, config.clientScope], ['csds-1', 'heddle', 'ADS delta']);
    const about = config.node?.metadata?.['heddle'] as Record<string, string>;
    assert.equal(about['heldHash'], plane.hash);
    assert.notEqual(about['givenHash'], plane.hash);
    const resources = config.genericXdsConfigs ?? [];
    const refused = resources.find(({ errorState }) => errorState !== undefined);
    assert.match(refused?.errorState?.details ?? '', /not today/);
    // ERROR, NACKED
    assert.deepEqual([refused?.configStatus, refused?.clientStatus], [4, 4]);
    const bundle = resources.find(({ name }) => name === 'trust-bundle');
    // SYNCED, ACKED
    assert.deepEqual([bundle?.configStatus, bundle?.clientStatus], [1, 3]);
    assert.ok((bundle?.xdsConfig?.value?.length ?? 0) > 0);
    assert.ok(Math.abs((bundle?.lastUpdated?.seconds ?? 0) * 1_000 - Date.now()) < 60_000);
    await admin.call('heddle.discovery.v1.Discovery', 'Deregister', { service: 'cache', instance: 'cache-1' });
  });

  test('the stream of CSDS answers each request; only the operator is answered, and only what can be followed', async () => {
    connect('stream-1');
    await until('convergence', () => inSync('stream-1'));
    const stream = new TestStream(admin, streamClientStatus);
    planes.push(stream);
    for (let round = 0; round < 3; round += 1) {
      stream.send({ nodeMatchers: [{ nodeId: { matchPattern: { $case: 'prefix', value: 'stream-' } } }], excludeResourceContents: true });
      const { config = [] } = await stream.next('an answer');
      assert.deepEqual(
        config.map(({ node }) => node?.id),
        ['stream-1'],
      );
      assert.ok(config[0]?.genericXdsConfigs?.every(({ xdsConfig, name }) => xdsConfig === undefined && name !== ''));
    }
    stream.send({ nodeMatchers: [{}] });
    const refusal = await stream.refusal();
    assert.deepEqual([refusal.code, refusal.details], [status.INVALID_ARGUMENT, 'node_matchers[0].node_id: needs exact or prefix']);

    const orders = new TestClient(control, await join(control, 'orders'));
    const codeFor = (as: TestClient) =>
      callOnce(as, fetchClientStatus, {}).then(
        () => undefined,
        (error: ServiceError) => error.code,
      );
    assert.equal(await codeFor(orders), status.PERMISSION_DENIED);
    const stranger = new TestClient(control);
    assert.equal(await codeFor(stranger), status.UNAUTHENTICATED);
    for (const client of [orders, stranger]) client.close();
  });

  test('by reflection alone a client knows how to ask, and how to read the resources in the answer', async () => {
    connect('reflected-1');
    await until('convergence', () => inSync('reflected-1'));
    const files = await reflectedFiles(admin, ['envoy.service.status.v3.ClientStatusDiscoveryService', 'envoy.config.cluster.v3.Cluster']);
    const set = create(FileDescriptorSetSchema, { file: files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes)) });
    const service = loadFileDescriptorSetFromBuffer(Buffer.from(toBinary(FileDescriptorSetSchema, set)), { enums: String })[
      'envoy.service.status.v3.ClientStatusDiscoveryService'
    ] as Record<string, MethodDefinition<object, Message>>;
    const answer = await callOnce(admin, service['FetchClientStatus'] as MethodDefinition<object, Message>, {
      node_matchers: [{ node_id: { exact: 'reflected-1' } }],
    });
    const resources = answer['config'][0]['generic_xds_configs'] as Message[];
    const cluster = resources.find(
      (resource) => resource['name'] === 'outbound/default/orders' && String(resource['type_url']).endsWith('.Cluster'),
    );
    assert.deepEqual([cluster?.['config_status'], cluster?.['client_status']], ['SYNCED', 'ACKED']);
  });

  test('data planes that come and go are events, with what they are', async () => {
    const plane = connect('event-1');
    await until('the connection', () => proxy('event-1'));
    plane.close();
    await until('the end', async () => (await events('data-plane-disconnected', 'event-1')).length > 0);
    assert.deepEqual(await events('data-plane-connected', 'event-1'), ['heddle, as operator token, by ADS delta']);
    assert.deepEqual(await events('data-plane-disconnected', 'event-1'), ['its ADS delta stream ended']);
    const wrong = new TestStream(admin, SINGLE_TYPE_SERVICES.cluster.definition.delta);
    planes.push(wrong);
    wrong.send({ node: { id: 'event-2', userAgentName: 'some\nthing' } });
    await wrong.next('its clusters');
    wrong.send({ typeUrl: TYPE_URLS.secret });
    assert.equal((await wrong.refusal()).code, status.INVALID_ARGUMENT);
    await until('the end', async () => (await events('data-plane-disconnected', 'event-2')).length > 0);
    assert.deepEqual(await events('data-plane-connected', 'event-2'), ['some thing, as operator token, by CDS delta']);
    assert.match((await events('data-plane-disconnected', 'event-2'))[0] ?? '', /^this stream is for .* alone/);
  });

  test('what a data plane itself says that it has is listed beside what it was given', async () => {
    const plane = connect('said-1');
    await until('convergence', () => inSync('said-1'));
    assert.deepEqual([(await proxy('said-1'))?.['reported_hash'], (await proxy('said-1'))?.['reported_ms']], ['', 0]);
    const load = new TestStream(admin, lrs.LoadReportingService.streamLoadStats);
    planes.push(load);
    load.send(lrs.loadMessage({ id: 'said-1', stateHash: plane.hash }, []));
    await load.next('what to report');
    const said = await proxy('said-1');
    assert.equal(said?.['reported_hash'], said?.['held_hash']);
    assert.ok(said?.['reported_ms'] > 0);
    // It is that node's with that identity, and nobody else's.
    const orders = new TestClient(control, await join(control, 'orders'));
    const foreign = new TestStream(orders, lrs.LoadReportingService.streamLoadStats);
    planes.push(foreign);
    foreign.send(lrs.loadMessage({ id: 'said-1', stateHash: 'ffffffffffffffff' }, []));
    await foreign.next('what to report');
    assert.equal((await proxy('said-1'))?.['reported_hash'], plane.hash);
    load.close();
    await until('it to be forgotten', async () => (await proxy('said-1'))?.['reported_hash'] === '');
    orders.close();
  });
});

function reflectionFolder(): string {
  return joinPath(dirname(createRequire(import.meta.url).resolve('@grpc/reflection')), '../proto/grpc/reflection/v1');
}

/** All files that these symbols need, as the control plane tells them. */
async function reflectedFiles(as: TestClient, symbols: readonly string[]): Promise<Uint8Array[]> {
  const definition = loadSync(joinPath(reflectionFolder(), 'reflection.proto'))['grpc.reflection.v1.ServerReflection'] as Record<
    string,
    MethodDefinition<object, Message>
  >;
  const stream = new TestStream(as, definition['ServerReflectionInfo'] as MethodDefinition<object, Message>);
  const files = new Map<string, Uint8Array>();
  for (const symbol of symbols) {
    stream.send({ fileContainingSymbol: symbol });
    const answer = await stream.next(symbol);
    for (const bytes of answer['fileDescriptorResponse']['fileDescriptorProto'] as Uint8Array[])
      files.set(fromBinary(FileDescriptorProtoSchema, bytes).name, bytes);
  }
  stream.close();
  return [...files.values()];
}
