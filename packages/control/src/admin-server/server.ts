// heddle.admin.v1: what the CLI asks. Who gets here is in the access table.
import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import { admin, discovery } from '@heddle/api';
import type { AdminServer } from '@heddle/api/grpc-js';
import type { MeshConfig } from '@heddle/core';
import type { Clock, Timer } from '@heddle/runtime';
import { selectInstances } from '../admin/selection.ts';
import { createJoinToken } from '../admin/tokens.ts';
import type { IdentityDesk } from '../admin/identities.ts';
import type { TokenDesk } from '../admin/tokens.ts';
import type { Doer } from '../audit/entry.ts';
import type { Registry } from '../registry/registry.ts';
import type { ProxySource, TrafficSource } from '../rest/sources.ts';
import { PacedWriter, unary } from '../server/handlers.ts';
import type { EventLog } from '../events/log.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { proxyToMessage } from '../xds-server/applied.ts';
import type { AdsServer } from '../xds-server/server.ts';
import { administrationHandlers } from './administration.ts';
import type { AdministrationDesk } from './administration.ts';
import { drainInstance, undrainInstance } from './drain.ts';
import { identityHandlers } from './identities.ts';
import type { MeshFileDesk } from '../mesh-file/desk.ts';
import { explain } from './explain.ts';
import { getInstance, listRoutes } from './look.ts';
import { meshFileHandlers } from './mesh-file.ts';
import { serveTap } from './tap.ts';
import { getSeries, getTraffic, listDecisions } from './traffic.ts';

/** Changes closer together than this are told as one: a person or a table on a terminal reads them. */
const CHANGES_PAUSE_MS = 50;

export interface AdminServerOptions extends TokenDesk, IdentityDesk, AdministrationDesk {
  readonly mesh: MeshConfig;
  readonly version: string;
  readonly startedMs: number;
  readonly ads: AdsServer;
  readonly meshFile: MeshFileDesk;
  readonly events: EventLog;
  /** Data planes themselves, and what they report. */
  readonly loads: Pick<ProxySource, 'loads' | 'reported' | 'processOf'>;
  readonly traffic: TrafficSource;
  readonly streams: OpenStreams;
  readonly clock: Clock;
}

export function addAdminService(server: Server, options: AdminServerOptions): void {
  const { registry, mesh, logger, ads, loads } = options;
  const handlers: AdminServer = {
    getMesh: unary(
      logger,
      (): admin.GetMeshResponse => ({
        mesh: mesh.name,
        trustDomain: mesh.trustDomain,
        version: options.version,
        revision: registry.revision,
        startedMs: options.startedMs,
        clockMs: Math.floor(options.clock.wallMs()),
        ...originOf(options.meshFile),
      }),
    ),
    listInstances: unary(logger, (request: admin.ListInstancesRequest) => listInstances(request, registry)),
    listProxies: unary(logger, () => ({ proxies: ads.proxies().map((proxy) => proxyToMessage(proxy, loads.reported(proxy))) })),
    listLoad: unary(logger, ({ node }: admin.ListLoadRequest) => ({
      loads: loads.loads(node === '' ? undefined : node).map((load) => ({ ...load, nodes: [...load.nodes] })),
    })),
    explain: unary(logger, (request: admin.ExplainRequest) => explain(request, options.traffic)),
    ...identityHandlers(options),
    ...administrationHandlers(options),
    ...meshFileHandlers({ ...options, syncs: ads.syncs }),
    createToken: unary(logger, (request: admin.CreateTokenRequest, _, by) => createToken(request, options, by)),
    listEvents: unary(logger, (request: admin.ListEventsRequest) => listEvents(request, options.events)),
    changes: (call) => watchChanges(call, options),
    getTraffic: unary(logger, (request: admin.GetTrafficRequest) => getTraffic(request, options)),
    getSeries: unary(logger, (request: admin.GetSeriesRequest) => getSeries(request, options.traffic)),
    listDecisions: unary(logger, (request: admin.ListDecisionsRequest) => listDecisions(request, options.traffic)),
    tap: (call) => void serveTap(call, options),
    drainInstance: (call) => void drainInstance(call, { ...options, drains: ads.drains }),
    getInstance: unary(logger, (request: admin.GetInstanceRequest) => getInstance(request, registry)),
    listRoutes: unary(logger, (request: admin.ListRoutesRequest) => listRoutes(request, registry)),
    undrainInstance: unary(logger, (request: admin.UndrainInstanceRequest, _, by) => undrainInstance(request, options, by)),
  };
  server.addService(admin.AdminService, handlers);
}

function originOf(meshFile: MeshFileDesk): Pick<admin.GetMeshResponse, 'origin' | 'splits' | 'differences'> {
  const { origin, splits, differences } = meshFile.status();
  return { origin, splits: splits.length, differences: differences.length };
}

function listInstances(request: admin.ListInstancesRequest, registry: Registry): admin.ListInstancesResponse {
  const { namespace, service } = request;
  if (namespace !== '') discovery.nameFromMessage(namespace, 'namespace');
  if (service !== '') discovery.nameFromMessage(service, 'service');
  const filter = { ...(namespace === '' ? {} : { namespace }), ...(service === '' ? {} : { service }) };
  return { instances: Array.from(selectInstances(registry.snapshot(), filter), discovery.instanceToMessage), revision: registry.revision };
}

async function createToken(request: admin.CreateTokenRequest, desk: TokenDesk, by: Doer): Promise<admin.CreateTokenResponse> {
  const ref = { namespace: discovery.namespaceOrDefault(request.namespace), name: discovery.nameFromMessage(request.service, 'service') };
  return await createJoinToken(ref, request.ttlMs, desk, by);
}

function listEvents({ subject, kind, afterId, limit }: admin.ListEventsRequest, events: EventLog): admin.ListEventsResponse {
  const found = events.list({
    after: afterId === 0 ? undefined : afterId,
    limit: limit === 0 ? undefined : limit,
    kind: kind === '' ? undefined : kind,
    subject: subject === '' ? undefined : subject,
  });
  return { events: [...found], lastId: events.lastId };
}

function watchChanges(
  call: ServerWritableStream<admin.ChangesRequest, admin.ChangesResponse>,
  { registry, ads, events, traffic, streams, clock }: AdminServerOptions,
): void {
  let dirty = true;
  let pause: Timer | undefined;
  const writer = new PacedWriter<admin.ChangesResponse>(call as unknown as ServerWritableStream<never, admin.ChangesResponse>, () => {
    if (!dirty || pause !== undefined) return undefined;
    dirty = false;
    pause = clock.after(CHANGES_PAUSE_MS, () => {
      pause = undefined;
      writer.poke();
    });
    return { revision: registry.revision };
  });
  const changed = (): void => {
    dirty = true;
    writer.poke();
  };
  const subscriptions = [registry.onChange(changed), ads.onProxiesChange(changed), events.onEvent(changed)];
  if (call.request.traffic) subscriptions.push(traffic.onTraffic(changed));
  const stop = (): void => {
    pause?.cancel();
    for (const subscription of subscriptions) subscription.close();
  };
  call.on('cancelled', stop);
  call.on('close', stop);
  streams.add(call, writer);
  writer.poke();
}
