// The services for one type of resources each, over real connections to a running control plane, in both variants.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { SINGLE_TYPE_SERVICES, TYPE_URLS, decodeResource } from '@heddle/api';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from '@heddle/api';
import type { ResourceKind } from '@heddle/core';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, instanceMessage, join, operator } from '../testing/client.ts';
import { mesh, silent } from '../testing/mesh.ts';
import { TestStream } from '../testing/test-stream.ts';
import { until } from '../testing/wait.ts';

const ADMIN = 'heddle.admin.v1.Admin';
const NODE = { id: 'node-1', userAgentName: 'stranger', userAgentVersionType: { $case: 'userAgentVersion' as const, value: '9.9' } };
/** What a data plane asks for of each kind, and gets. */
const NAMES: { readonly [K in ResourceKind]: readonly string[] } = {
  listener: ['inbound/default/orders/orders-1'],
  route: ['inbound/default/orders/orders-1'],
  cluster: ['outbound/default/orders', 'outbound/default/web'],
  endpoints: ['outbound/default/orders'],
  secret: ['trust-bundle'],
};
const KINDS = Object.keys(NAMES) as ResourceKind[];

describe('single-type services', () => {
  let control: RunningControl;
  let stateDir: string;
  let admin: TestClient;
  const streams: { close(): void }[] = [];

  before(async () => {
    stateDir = await mkdtemp(joinPath(tmpdir(), 'heddle-single-'));
    const listen = { address: '127.0.0.1', port: 0 };
    control = await startControl({ mesh: mesh(), stateDir, store: 'memory', listen, logger: silent, clock: nodeClock, random: nodeRandom });
    admin = operator(control);
    await admin.register().send({ instance: instanceMessage('orders', 1) });
  });
  afterEach(() => {
    for (const stream of streams.splice(0)) stream.close();
  });
  after(async () => {
    admin.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  function delta(kind: ResourceKind, as = admin): TestStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
    const stream = new TestStream(as, SINGLE_TYPE_SERVICES[kind].definition.delta);
    streams.push(stream);
    return stream;
  }
  function sotw(kind: ResourceKind, as = admin): TestStream<DiscoveryRequest, DiscoveryResponse> {
    const stream = new TestStream(as, SINGLE_TYPE_SERVICES[kind].definition.stateOfTheWorld);
    streams.push(stream);
    return stream;
  }
  const proxies = async () =>
    (await admin.call(ADMIN, 'ListProxies'))['proxies'] as {
      service: string;
      node: string;
      user_agent: string;
      flavour: string;
      sync: { kind: string; acked_ms: number }[];
    }[];

  test('each gives its type by delta, without a type_url, and follows acknowledgements and changes', async () => {
    for (const kind of KINDS) {
      const stream = delta(kind);
      stream.send({ node: NODE, resourceNamesSubscribe: [...NAMES[kind]] });
      const response = await stream.next(`the ${kind} resources`);
      assert.equal(response.typeUrl, TYPE_URLS[kind]);
      assert.deepEqual(response.resources?.map(({ name }) => name).toSorted(), NAMES[kind]);
      stream.send({ responseNonce: response.nonce });
    }
    await until(
      'all acknowledgements',
      async () => (await proxies()).filter(({ sync }) => sync[0]?.acked_ms !== 0 && sync.length === 1).length === 5,
    );
    const listed = await proxies();
    assert.deepEqual(listed.map(({ service }) => service).toSorted(), ['CDS delta', 'EDS delta', 'LDS delta', 'RDS delta', 'SDS delta']);
    assert.ok(
      listed.every(({ user_agent: agent, flavour, node }) => agent === 'stranger 9.9' && flavour === 'heddle' && node === 'node-1'),
    );
  });

  test('each gives its type as the state of the world', async () => {
    for (const kind of KINDS) {
      const stream = sotw(kind);
      stream.send({ node: NODE, resourceNames: [...NAMES[kind]] });
      const response = await stream.next(`the ${kind} resources`);
      assert.equal(response.typeUrl, TYPE_URLS[kind]);
      for (const any of response.resources ?? [])
        decodeResource(kind, { typeUrl: any.typeUrl ?? '', value: any.value ?? new Uint8Array() });
      assert.equal(response.resources?.length, NAMES[kind].length);
      stream.send({ responseNonce: response.nonce, versionInfo: response.versionInfo, resourceNames: [...NAMES[kind]] });
    }
  });

  test('changes come on both variants of endpoints', async () => {
    const [first, second] = [delta('endpoints'), sotw('endpoints')];
    first.send({ node: NODE, resourceNamesSubscribe: ['outbound/default/web'] });
    second.send({ node: NODE, resourceNames: ['outbound/default/web'] });
    first.send({ responseNonce: (await first.next('the first')).nonce });
    const before = await second.next('the first');
    second.send({ responseNonce: before.nonce, versionInfo: before.versionInfo, resourceNames: ['outbound/default/web'] });
    await admin.register().send({ instance: instanceMessage('web', 1) });
    assert.deepEqual(
      (await first.next('the change')).resources?.map(({ name }) => name),
      ['outbound/default/web'],
    );
    const after = await second.next('the change');
    const [any] = after.resources ?? [];
    assert.equal(decodeResource('endpoints', { typeUrl: any?.typeUrl ?? '', value: any?.value ?? new Uint8Array() }).endpoints.length, 1);
    assert.notEqual(after.versionInfo, before.versionInfo);
  });

  test('a workload gets what is its own, and nobody anything without a proof; another type is refused', async () => {
    const orders = new TestClient(control, await join(control, 'orders'));
    const web = new TestClient(control, await join(control, 'web'));
    const [own, others] = [delta('listener', orders), delta('listener', web)];
    for (const stream of [own, others]) stream.send({ node: NODE });
    assert.deepEqual(
      (await own.next('its listeners')).resources?.map(({ name }) => name),
      ['inbound/default/orders/orders-1'],
    );
    assert.deepEqual(
      (await others.next('no listeners')).resources?.filter(({ name }) => name?.includes('/orders/')),
      [],
    );

    const stranger = new TestClient(control);
    const anonymous = delta('cluster', stranger);
    assert.equal((await anonymous.refusal()).code, status.UNAUTHENTICATED);
    const wrong = delta('endpoints', orders);
    wrong.send({ node: NODE, typeUrl: TYPE_URLS.cluster });
    const refusal = await wrong.refusal();
    assert.equal(refusal.code, status.INVALID_ARGUMENT);
    assert.match(refusal.details, /this stream is for .*ClusterLoadAssignment alone, not for .*Cluster: use the aggregated service/);
    const nameless = sotw('cluster', orders);
    nameless.send({});
    assert.match((await nameless.refusal()).details, /node\.id/);
    for (const client of [orders, web, stranger]) client.close();
  });
});
