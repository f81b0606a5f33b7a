// The xDS stream against a real server on a real socket, with a real data path behind it: what cannot be applied is refused with
// the reason, after a broken stream only differences come, and a silent one is replaced.
import assert from 'node:assert/strict';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { type handleBidiStreamingCall, Server, ServerCredentials } from '@grpc/grpc-js';
import {
  AdsService,
  createSnapshot,
  DeltaAdsSession,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type EncodedResource,
  encodeResource,
  type Snapshot,
} from '@heddle/api';
import { type StreamWatchPolicy, TRUST_BUNDLE } from '@heddle/core';
import { createMetrics, generateKeyPair, nodeClock, nodeGrpc, nodeRandom } from '@heddle/runtime/node';
import { type LogLine, recordingLogger, TestRoot, until } from '../identity/testing/control.ts';
import { createPlane, endpoint, meshCluster, routeConfig } from '../testing/mesh.ts';
import { AdsConnection } from './ads-connection.ts';

const root = new TestRoot();
const BUNDLE = { name: TRUST_BUNDLE, rootsPem: root.pem };

/** Serves one snapshot, changed by `push`, to one data plane at a time. */
class AdsPeer {
  session: DeltaAdsSession | undefined;
  streams = 0;
  /** Resources in all responses of the present stream, without the trust bundle: that is sent whenever a sign of life is asked for. */
  resourcesSent = 0;
  /** Requests on the present stream that were answered, or would have been. */
  requests: DeltaDiscoveryRequest[] = [];
  /** Whether the handler does its work. */
  isAlive = true;
  #snapshot: Snapshot;
  #send: ((responses: readonly DeltaDiscoveryResponse[]) => void) | undefined;
  #server: Server | undefined;

  constructor(resources: readonly EncodedResource[]) {
    this.#snapshot = createSnapshot('1', resources);
  }

  async listen(port = 0): Promise<number> {
    const key = generateKeyPair();
    const certificate = root.issue(key.spkiDer, `spiffe://${root.trustDomain}/ns/heddle-system/svc/control`, 3_600_000);
    const server = new Server();
    server.addService(AdsService, { streamAggregatedResources: () => {}, deltaAggregatedResources: (call: Call) => this.#open(call) });
    this.#server = server;
    const pair = { cert_chain: Buffer.from(certificate + root.pem), private_key: Buffer.from(key.keyPem) };
    const credentials = ServerCredentials.createSsl(Buffer.from(root.pem), [pair], true);
    return new Promise((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
    });
  }

  push(version: string, resources: readonly EncodedResource[]): void {
    this.#snapshot = createSnapshot(version, resources);
    this.#send?.(this.session?.onSnapshot(this.#snapshot) ?? []);
  }

  close(): void {
    this.#server?.forceShutdown();
  }

  #open(call: Call): void {
    const session = new DeltaAdsSession();
    session.onSnapshot(this.#snapshot);
    this.session = session;
    this.streams += 1;
    this.resourcesSent = 0;
    this.requests = [];
    this.#send = (responses) => {
      for (const response of responses) {
        this.resourcesSent += response.resources?.filter(({ name }) => name !== TRUST_BUNDLE).length ?? 0;
        call.write(response);
      }
    };
    call.sendMetadata(call.metadata.clone());
    call.on('data', (request: DeltaDiscoveryRequest) => {
      this.requests.push(request);
      if (this.isAlive) this.#send?.(session.onRequest(request, Date.now()));
    });
    call.on('error', () => {});
    call.on('end', () => call.end());
  }
}

type Call = Parameters<handleBidiStreamingCall<DeltaDiscoveryRequest, DeltaDiscoveryResponse>>[0];

function connect(t: TestContext, port: number, watch?: StreamWatchPolicy) {
  const metrics = createMetrics();
  const lines: LogLine[] = [];
  const { plane } = createPlane('n1');
  const key = generateKeyPair();
  const id = { trustDomain: root.trustDomain, namespace: 'heddle-system', name: 'operator' };
  const connection = new AdsConnection({
    node: 'n1',
    nodeMetadata: {},
    control: { address: '127.0.0.1', port },
    grpc: nodeGrpc,
    apply: (update) => plane.apply(update),
    clock: nodeClock,
    random: nodeRandom,
    logger: recordingLogger(lines),
    metrics,
    ...(watch === undefined ? {} : { watch }),
  });
  plane.onWantedChange = () => connection.subscribe(plane.wanted());
  const certificatePem = root.issue(key.spkiDer, 'spiffe://shop/ns/heddle-system/svc/operator', 3_600_000);
  connection.use({
    id,
    certificatePem,
    keyPem: key.keyPem,
    rootsPem: root.pem,
    notAfterMs: Date.now() + 3_600_000,
    receivedMs: Date.now(),
  });
  t.after(async () => {
    connection.close();
    await plane.close();
  });
  return { connection, plane, metrics, lines };
}

const cluster = encodeResource('cluster', meshCluster('orders'));
const endpoints = (...ports: number[]) =>
  encodeResource('endpoints', { cluster: meshCluster('orders').name, endpoints: ports.map((port) => endpoint(port, `orders-${port}`)) });
const secret = encodeResource('secret', BUNDLE);

test('what cannot be applied is refused with the reason, the last good one stays, and what is mended is taken', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1), secret]);
  const { connection, plane, metrics } = connect(t, await peer.listen());
  t.after(() => peer.close());
  const sync = () => peer.session?.sync().find(({ kind }) => kind === 'secret');
  await until('the secret to be acknowledged', () => sync()?.ackedVersion === '1');

  peer.push('2', [cluster, endpoints(1), encodeResource('secret', { name: TRUST_BUNDLE, rootsPem: 'no certificate at all' })]);
  await until('the refusal', () => sync()?.rejection !== '');
  assert.match(sync()?.rejection ?? '', /secret "trust-bundle": there is no certificate/);
  assert.equal(sync()?.ackedVersion, '1');
  assert.match(connection.status().kinds.find(({ kind }) => kind === 'secret')?.rejection ?? '', /no certificate/);
  assert.match(metrics.expose(), /^heddle_xds_rejections_total 1$/m);
  assert.deepEqual((plane.configDump() as { secrets: unknown }).secrets, [BUNDLE]);

  peer.push('3', [cluster, endpoints(1), secret, encodeResource('route', routeConfig('r', meshCluster('orders').name))]);
  await until('the mended one', () => sync()?.rejection === '');
});

test('after a broken stream what was applied stays in use, and only what changed comes again', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1), secret]);
  const port = await peer.listen();
  const { connection, plane, lines } = connect(t, port);
  const ports = () =>
    (plane.configDump() as { endpoints: { endpoints: { port: number }[] }[] }).endpoints[0]?.endpoints.map((one) => one.port);
  await until('everything', () => ports()?.[0] === 1 && connection.status().everSynced);
  peer.close();
  await until('the break', () => !connection.status().connected);
  assert.deepEqual(ports(), [1]);
  assert.equal(connection.status().everSynced, true);

  const after = new AdsPeer([cluster, endpoints(1, 2), secret]);
  await after.listen(port);
  t.after(() => after.close());
  await until('the change', () => ports()?.length === 2);
  await until('the stream to be up', () => connection.status().connected);
  assert.equal(after.resourcesSent, 1);
  assert.equal(lines.filter(({ level }) => level === 'warn').length, 1, 'one warning for one outage');
});

/** As in use, for tests that cannot wait. */
const QUICK: StreamWatchPolicy = { connectMs: 2_000, quietMs: 100, answerMs: 300 };

test('one that says goodbye wants no endpoints any more, keeps what it has, and is not missed', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1), secret]);
  const port = await peer.listen();
  t.after(() => peer.close());
  const { connection, plane, lines } = connect(t, port);
  await until('everything to be acknowledged', () => peer.session?.sync().find(({ kind }) => kind === 'endpoints')?.ackedVersion === '1');
  await connection.goodbye();
  assert.deepEqual([...(peer.session?.subscription('endpoints')?.names ?? ['none'])], []);
  assert.equal(plane.wanted().endpoints.length, 1);
  assert.equal(connection.status().connected, false);
  assert.deepEqual(
    lines.filter(({ level }) => level === 'warn'),
    [],
  );
  assert.equal(peer.streams, 1);
  // Without a stream there is nothing to say.
  await connection.goodbye();
});

test('a stream whose handler has stopped, on a connection that is fine, is replaced', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1), secret]);
  const { connection, plane, metrics } = connect(t, await peer.listen(), QUICK);
  t.after(() => peer.close());
  await until('synced', () => connection.status().everSynced);
  const asked = () => peer.requests.filter(({ resourceNamesSubscribe }) => resourceNamesSubscribe?.[0] === TRUST_BUNDLE).length;
  await until('signs of life', () => asked() >= 4);
  assert.equal(peer.streams, 1, 'one that answers stays');
  peer.isAlive = false;
  await until('a new stream', () => peer.streams === 2);
  assert.match(metrics.expose(), /heddle_control_stream_restarts_total\{reason="stalled",stream="configuration"\} 1/);
  peer.isAlive = true;
  peer.push('2', [cluster, endpoints(1, 2), secret]);
  const ports = () => (plane.configDump() as { endpoints: { endpoints: unknown[] }[] }).endpoints[0]?.endpoints.length;
  await until('the change', () => ports() === 2);
});

test('endpoints that are doubted are asked for again, and applied even where nothing has changed', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1), secret]);
  const { connection, plane } = connect(t, await peer.listen());
  t.after(() => peer.close());
  const sets = () => (plane.configDump() as { endpoints: { endpoints: { port: number }[] }[] }).endpoints;
  await until('synced', () => sets()[0]?.endpoints.length === 1);
  const before = peer.resourcesSent;
  // Whatever has gone wrong here, the answer puts it right.
  await plane.apply({
    kind: 'endpoints',
    upserts: [{ cluster: meshCluster('orders').name, endpoints: [endpoint(9, 'false')] }],
    removed: [],
  });
  assert.equal(sets()[0]?.endpoints[0]?.port, 9);
  connection.recheck(meshCluster('orders').name);
  await until('put right', () => sets()[0]?.endpoints[0]?.port === 1);
  assert.equal(peer.resourcesSent, before + 1);
  connection.recheck('outbound/default/nobody-asked-for-it');
});

test('everything is compared on a new stream that begins with what is really held', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1), secret]);
  const { connection, metrics } = connect(t, await peer.listen());
  t.after(() => peer.close());
  await until('synced', () =>
    connection.status().kinds.every(({ kind, resources }) => resources === 1 || !['cluster', 'endpoints'].includes(kind)),
  );
  connection.compare();
  await until('a second stream', () => peer.streams === 2 && connection.status().connected);
  await until('its beginning', () => peer.requests.some(({ typeUrl }) => typeUrl?.endsWith('ClusterLoadAssignment') === true));
  const versions = peer.requests
    .map(({ initialResourceVersions }) => Object.keys(initialResourceVersions ?? {}))
    .filter((names) => names.length > 0);
  assert.ok(versions.flat().includes(meshCluster('orders').name));
  assert.equal(peer.resourcesSent, 0);
  assert.match(metrics.expose(), /heddle_control_stream_restarts_total\{reason="distrust",stream="configuration"\} 1/);
});

test('what an earlier process kept is applied while the control plane is away, and only differences come later', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1, 2), secret]);
  const port = await peer.listen();
  peer.close();
  const { connection, plane, metrics } = connect(t, port);
  const keptMs = Date.now() - 60_000;
  const kept = [cluster, endpoints(1), secret].map(({ kind, name, version, any }) => ({ kind, name, version, value: any.value }));
  assert.equal(await connection.restore(kept, keptMs), true);
  const ports = () => (plane.configDump() as { endpoints: { endpoints: unknown[] }[] }).endpoints[0]?.endpoints.length;
  assert.equal(ports(), 1);
  assert.deepEqual([connection.status().source, connection.status().everSynced], ['cache', true]);
  assert.match(metrics.expose(), /heddle_config_age_seconds 60/);
  assert.equal(await connection.restore(kept, keptMs), false, 'once');

  const after = new AdsPeer([cluster, endpoints(1, 2), secret]);
  await after.listen(port);
  t.after(() => after.close());
  await until('the change', () => ports() === 2);
  assert.equal(connection.status().source, 'control');
  assert.equal(after.resourcesSent, 1);
  assert.match(metrics.expose(), /heddle_config_age_seconds [0-4]/);
});

test('tries that wait go on beside one another: the first that is answered counts, the others are given up', async (t) => {
  const peer = new AdsPeer([cluster, endpoints(1), secret]);
  const port = await peer.listen();
  t.after(() => peer.close());
  const waiting: Socket[] = [];
  const given: Socket[] = [];
  const door = createServer((socket) => {
    waiting.push(socket.on('error', () => {}));
    socket.on('end', () => given.push(socket)).on('close', () => given.push(socket));
  });
  await new Promise<void>((resolve) => void door.listen(0, '127.0.0.1', resolve));
  t.after(() => door.close());
  const { connection } = connect(t, (door.address() as AddressInfo).port, { ...QUICK, connectMs: 50 });
  await until('three tries', () => waiting.length === 3);
  assert.equal(given.length, 0, 'none is given up because it waits');
  assert.match(connection.status().reason, /does not answer|connecting/);
  // The longest in line is served first.
  const [first, ...others] = waiting as [Socket, ...Socket[]];
  const inner = connectTcp({ host: '127.0.0.1', port }).on('error', () => {});
  first.pipe(inner).pipe(first);
  for (const other of others) other.resume();
  await until('it is up', () => connection.status().everSynced);
  assert.equal(peer.streams, 1);
  await until('the others are gone', () => waiting.slice(1).every((socket) => given.includes(socket)));
  assert.ok(!given.includes(first));
});
