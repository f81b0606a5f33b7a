import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  credentials,
  type handleBidiStreamingCall,
  Metadata,
  Server,
  ServerCredentials,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { Watcher, XdsClient } from '@grpc/grpc-js-xds/build/src/xds-client.js';
import { ClusterResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/cluster-resource-type.js';
import { EndpointResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/endpoint-resource-type.js';
import { RouteConfigurationResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/route-config-resource-type.js';
import {
  AdsService,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
} from '../ads.ts';
import { AdsClient } from '../grpc-js/clients.ts';
import { clusterNamed, endpointsNamed, listenerNamed, routeNamed, snapshotOf } from '../testing/resources.ts';
import { DeltaAdsClient, type ResourceUpdate } from './client/index.ts';
import { DeltaAdsSession, SotwAdsSession, type Snapshot } from './server/index.ts';

const DEADLINE_MS = 10_000;

/** An ADS server on a real socket with one session per stream. */
class AdsServer {
  readonly sessions: (DeltaAdsSession | SotwAdsSession)[] = [];
  port = 0;
  readonly #server = new Server();
  readonly #publish: ((snapshot: Snapshot) => void)[] = [];
  #snapshot: Snapshot;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
    const serve =
      <Request, Response>(
        start: () => { onRequest(request: Request, nowMs: number): Response[]; onSnapshot(snapshot: Snapshot): Response[] } & (
          | DeltaAdsSession
          | SotwAdsSession
        ),
      ): handleBidiStreamingCall<Request, Response> =>
      (call) => {
        const session = start();
        this.sessions.push(session);
        const send = (responses: readonly Response[]) => responses.forEach((response) => call.write(response));
        this.#publish.push((next) => send(session.onSnapshot(next)));
        send(session.onSnapshot(this.#snapshot));
        call.on('data', (request: Request) => send(session.onRequest(request, Date.now())));
        call.on('end', () => call.end());
        call.on('error', () => undefined);
      };
    this.#server.addService(AdsService, {
      streamAggregatedResources: serve<DiscoveryRequest, DiscoveryResponse>(() => new SotwAdsSession()),
      deltaAggregatedResources: serve<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(() => new DeltaAdsSession()),
    } as UntypedServiceImplementation);
  }

  async start(t: TestContext): Promise<this> {
    this.port = await new Promise((done, fail) => {
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error === null ? done(port) : fail(error),
      );
    });
    t.after(() => this.#server.forceShutdown());
    return this;
  }

  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    for (const publish of this.#publish) publish(snapshot);
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!holds()) {
    if (Date.now() > deadline) assert.fail(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const A = {
  cluster: [clusterNamed('a')],
  endpoints: [endpointsNamed('a')],
  route: [routeNamed('r', 'a')],
  listener: [listenerNamed('l', 'r')],
};

test("gRPC's own xDS client takes our clusters, endpoints and routes over a real stream, and follows changes", async (t) => {
  const server = await new AdsServer(snapshotOf('1', A)).start(t);
  const client = new XdsClient({
    xdsServers: [{ server_uri: `127.0.0.1:${server.port}`, channel_creds: [{ type: 'insecure' }], server_features: [] }],
    node: { id: 'foreign', locality: {} },
    authorities: {},
    clientDefaultListenerResourceNameTemplate: '%s',
    serverListenerResourceNameTemplate: null,
    certificateProviders: {},
  });
  const seen = { cluster: [] as unknown[], endpoints: [] as unknown[], route: [] as unknown[], problems: [] as string[] };
  const watcher = <T extends object>(into: unknown[]) =>
    new Watcher<T>({
      onResourceChanged: (resource) => into.push(resource),
      onError: (status) => seen.problems.push(status.details),
      onResourceDoesNotExist: () => seen.problems.push('does not exist'),
    });
  type WatcherOf<R extends { startWatch(client: XdsClient, name: string, watcher: never): void }> = Parameters<R['startWatch']>[2];
  const clusters = watcher(seen.cluster) as WatcherOf<typeof ClusterResourceType>;
  const endpoints = watcher(seen.endpoints) as WatcherOf<typeof EndpointResourceType>;
  const routes = watcher(seen.route) as WatcherOf<typeof RouteConfigurationResourceType>;
  ClusterResourceType.startWatch(client, 'a', clusters);
  EndpointResourceType.startWatch(client, 'a', endpoints);
  RouteConfigurationResourceType.startWatch(client, 'r', routes);
  // Without watches left it closes its connection.
  t.after(() => {
    ClusterResourceType.cancelWatch(client, 'a', clusters);
    EndpointResourceType.cancelWatch(client, 'a', endpoints);
    RouteConfigurationResourceType.cancelWatch(client, 'r', routes);
  });
  const acked = (version: string) =>
    server.sessions[0]?.sync().filter(({ ackedVersion, rejection }) => ackedVersion === version && rejection === '').length === 3;
  await until('everything is acknowledged', () => acked('1'));
  server.publish(snapshotOf('2', { ...A, endpoints: [endpointsNamed('a', 4_242)] }));
  await until('the change is acknowledged', () => acked('2'));
  assert.deepEqual(seen.problems, []);
  assert.deepEqual([seen.cluster.length, seen.endpoints.length, seen.route.length], [1, 2, 1]);
  assert.match(JSON.stringify(seen.endpoints[1]), /"port_value":4242/);
  assert.equal(server.sessions[0]?.node?.id, 'foreign');
});

test('our own client takes everything over a real delta stream, and has nothing to take when it comes back', async (t) => {
  const server = await new AdsServer(snapshotOf('1', A)).start(t);
  const channel = new AdsClient(`127.0.0.1:${server.port}`, credentials.createInsecure());
  t.after(() => channel.close());
  const updates: ResourceUpdate[] = [];
  let call = channel.delta(new Metadata());
  const client: DeltaAdsClient = new DeltaAdsClient({
    node: { id: 'ours' },
    send: (request) => call.write(request),
    apply: (update) => {
      updates.push(update);
      if (update.kind === 'cluster')
        client.subscribe(
          'endpoints',
          update.upserts.map(({ name }) => name),
        );
      if (update.kind === 'listener') client.subscribe('route', ['r']);
      return undefined;
    },
  });
  const open = () => {
    call.on('data', (response: DeltaDiscoveryResponse) => client.receive(response, Date.now()));
    call.on('error', () => undefined);
    client.connected();
  };
  open();
  const isDone = (stream: number) => server.sessions[stream]?.sync().filter(({ ackedVersion }) => ackedVersion === '1').length === 4;
  await until('everything is acknowledged', () => isDone(0));
  assert.deepEqual(
    updates.map(({ kind }) => kind),
    ['cluster', 'endpoints', 'listener', 'route'],
  );
  assert.deepEqual(
    updates.map(({ upserts }) => upserts),
    [A.cluster, A.endpoints, A.listener, A.route],
  );
  client.disconnected();
  call.cancel();
  call = channel.delta(new Metadata());
  open();
  await until('the second stream is in step', () => isDone(1));
  assert.equal(updates.length, 4);
});
