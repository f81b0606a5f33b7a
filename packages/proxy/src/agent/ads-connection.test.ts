// The xDS stream against a real server on a real socket, with a real data path behind it: what cannot be applied is refused with
// the reason, and after a broken stream only differences come.
import assert from 'node:assert/strict';
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
import { TRUST_BUNDLE } from '@heddle/core';
import { createMetrics, generateKeyPair, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { type LogLine, recordingLogger, TestRoot, until } from '../identity/testing/control.ts';
import { createPlane, endpoint, meshCluster, routeConfig } from '../testing/mesh.ts';
import { AdsConnection } from './ads-connection.ts';

const root = new TestRoot();
const BUNDLE = { name: TRUST_BUNDLE, rootsPem: root.pem };

/** Serves one snapshot, changed by `push`, to one data plane at a time. */
class AdsPeer {
  session: DeltaAdsSession | undefined;
  streams = 0;
  /** Resources in all responses of the present stream. */
  resourcesSent = 0;
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
    this.#send = (responses) => {
      for (const response of responses) {
        this.resourcesSent += response.resources?.length ?? 0;
        call.write(response);
      }
    };
    call.sendMetadata(call.metadata.clone());
    call.on('data', (request: DeltaDiscoveryRequest) => this.#send?.(session.onRequest(request, Date.now())));
    call.on('error', () => {});
    call.on('end', () => call.end());
  }
}

type Call = Parameters<handleBidiStreamingCall<DeltaDiscoveryRequest, DeltaDiscoveryResponse>>[0];

function connect(t: TestContext, port: number) {
  const metrics = createMetrics();
  const lines: LogLine[] = [];
  const { plane } = createPlane('n1');
  const key = generateKeyPair();
  const id = { trustDomain: root.trustDomain, namespace: 'heddle-system', name: 'operator' };
  const connection = new AdsConnection({
    node: 'n1',
    nodeMetadata: {},
    control: { address: '127.0.0.1', port },
    apply: (update) => plane.apply(update),
    clock: nodeClock,
    random: nodeRandom,
    logger: recordingLogger(lines),
    metrics,
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
