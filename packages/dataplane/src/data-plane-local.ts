// Applied configuration and what runs by it. Updates are taken one after the other; each is checked whole before anything changes, and what
// is wrong with it becomes the reason of the NACK.
import { DEFAULT_LIMITS, DOWNSTREAM_METRICS, NO_TELEMETRY, REQUEST_METRICS, RouteConfigError, SYSTEM_ROOTS } from '@heddle/core';
import type {
  CallerZone,
  Cluster,
  EndpointSet,
  Listener,
  Resource,
  ResourceKind,
  RouteConfig,
  TakenDecisions,
  TrustBundle,
} from '@heddle/core';
import { type Connection, NetworkError } from '@heddle/runtime';
import { checkCluster, checkConflicts, checkCount, checkEndpointSet, checkListener, checkTrustBundle } from './data-plane-resources.ts';
import { InstanceMetricsTable } from './telemetry/instances.ts';
import { Sockets } from './data-plane-sockets.ts';
import { WorkloadCalls } from './direct/direct-calls.ts';
import type { InsideDataPlane, ProcessLoad } from './direct/inside-data-plane.ts';
import type { DirectCalls } from './direct/types.ts';
import type {
  DataPlaneOptions,
  DataPlaneStatus,
  ResourceUpdate,
  SocketBind,
  WantedResources,
  WorkloadIdentity,
} from './data-plane-types.ts';
import { Credentials } from './listener/credentials.ts';
import { ActiveListener } from './listener/listener.ts';
import type { ListenerWorld } from './listener/listener.ts';
import { AccessWorld } from './stack/access-world.ts';
import type { AccessDoors } from './stack/access-world.ts';
import type { AccessTable } from './stack/access-table.ts';
import { serviceOfWorkload } from './stack/context.ts';
import type { Context } from './stack/context.ts';
import { Deadlines } from './stack/deadlines.ts';
import type { RequestWatch } from './stack/ended-request.ts';
import { RouteSlots } from './stack/route-slots.ts';
import { ClusterSlots, RouteTable } from './stack/routes.ts';
import { Turn } from './stack/turn.ts';
import type * as TelemetryDoor from './telemetry/export/index.ts';
import type { TelemetryOutlets } from './telemetry/export/index.ts';
import { RequestTaps } from './telemetry/tap/request-taps.ts';
import { UpstreamCluster } from './upstream/cluster.ts';
import { ConnectFailures } from './upstream/connect-failures.ts';
import type { LostConnections } from './upstream/denied-peers.ts';
import { Identities } from './upstream/identities.ts';

/** How often a drain looks whether the last request has ended. */
const DRAIN_POLL_MS = 10;
/** How long idle connections stay open once nothing is in flight: longer than news of the departure takes to reach the callers. */
const DRAIN_IDLE_MS = 1_000;

/** What requests have to end in whose connections were destroyed: a few turns of the event loop. */
const LAST_REQUESTS_MS = 200;

/** What only some policies need, and some megabytes of memory each. */
const DOORS: AccessDoors & { readonly telemetry: () => Promise<typeof TelemetryDoor> } = {
  telemetry: () => import('./telemetry/export/index.ts'),
  authn: () => import('./authn/index.ts'),
  authorizer: () => import('@heddle/api/authorizer'),
  conditions: async () => (await import('@heddle/core/cel')).compileCondition,
};

export class LocalDataPlane implements InsideDataPlane, ListenerWorld {
  onWantedChange: (() => void) | undefined;
  onClustersChange: (() => void) | undefined;
  readonly credentials = new Credentials();
  readonly identities = new Identities();
  readonly clusters = new ClusterSlots();
  readonly routes = new RouteSlots();
  readonly access: AccessWorld;
  readonly taps: RequestTaps;
  private readonly context: Context;
  private readonly node: string;
  private readonly sockets: Sockets;
  private readonly listeners = new Map<string, ActiveListener>();
  private readonly retired = new Set<ActiveListener>();
  /** Of hosted workloads, by their inbound listeners. */
  private readonly watches = new Map<string, RequestWatch>();
  private readonly routeConfigs = new Map<string, RouteConfig>();
  private readonly endpointSets = new Map<string, EndpointSet>();
  private readonly trustBundles = new Map<string, TrustBundle>();
  private queue: Promise<unknown> = Promise.resolve();
  private readonly knowsCertificate = (name: string): boolean => this.identities.certificate(name) !== undefined;
  /** Where spans and lines go; undefined: nothing is told yet. */
  private outlets: TelemetryOutlets | undefined;
  private draining = false;
  private closed = false;
  private lastWanted = '';

  constructor(options: DataPlaneOptions) {
    const { network, clock, random, logger, metrics, node, locality, tellsClaims } = options;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.node = node;
    this.context = {
      network,
      clock,
      random,
      logger,
      metrics,
      limits,
      deadlines: new Deadlines(clock),
      turn: new Turn(network),
      active: { count: 0 },
      connectFailures: new ConnectFailures(clock),
      instances: new InstanceMetricsTable(metrics),
      onlookers: { list: [] },
      ...(locality && { locality }),
      ...(tellsClaims && { tellsClaims }),
      zonesOf: (workload) => this.zonesOf(workload),
    };
    this.taps = new RequestTaps(this.context.onlookers, clock);
    this.access = new AccessWorld(this.context, this.clusters, DOORS);
    this.sockets = new Sockets(network);
    this.identities.onChange = () => this.identitiesChanged();
    const active = metrics.gauge(REQUEST_METRICS.allActive);
    metrics.onExpose(() => {
      active.set(this.context.active.count);
      for (const cluster of this.clusters.clusters()) cluster.beforeExpose();
    });
  }

  reserve(bind: SocketBind): Promise<SocketBind> {
    return this.sequence(() => this.sockets.reserve(bind));
  }

  release(bind: SocketBind): Promise<void> {
    return this.sequence(() => this.sockets.release(bind));
  }

  apply(update: ResourceUpdate): Promise<string | undefined> {
    return this.sequence(async () => {
      const reason = await this.applyKind(update);
      this.context.turn.end();
      if (reason !== undefined) {
        this.context.logger.warn({ kind: update.kind, reason }, 'an update of the configuration was rejected; the last good one stays');
        return reason;
      }
      const wanted = JSON.stringify(this.wanted());
      if (wanted !== this.lastWanted) {
        this.lastWanted = wanted;
        this.onWantedChange?.();
      }
      if (update.kind === 'cluster') this.onClustersChange?.();
      return undefined;
    });
  }

  setIdentity(workload: string, identity: WorkloadIdentity): void {
    // Throws where the PEM cannot be used, before anything has changed.
    this.context.network.serverTls({ ...identity, alpn: [] });
    this.identities.set(workload, identity);
  }

  removeIdentity(workload: string): void {
    this.identities.remove(workload);
  }

  setCertificate(name: string, certificate: WorkloadIdentity): void {
    this.context.network.serverTls({ ...certificate, alpn: [] });
    this.identities.setCertificate(name, certificate);
  }

  removeCertificate(name: string): void {
    this.identities.removeCertificate(name);
  }

  setCredential(credential: string, workload: string): void {
    this.credentials.set(credential, workload);
  }

  removeCredential(credential: string): void {
    this.credentials.remove(credential);
  }

  setAnonymousWorkload(workload: string | undefined): void {
    this.credentials.anonymousWorkload = workload;
  }

  callsThrough(bind: SocketBind, workload: string): DirectCalls {
    return new WorkloadCalls(this.context, workload, () => this.listenerAt(bind)?.directService);
  }

  enter(bind: SocketBind, connection: Connection, workload: string): void {
    const listener = this.listenerAt(bind);
    if (listener === undefined) connection.destroy();
    else listener.enter(connection, workload);
  }

  knowsHost(bind: SocketBind, authority: string): boolean | undefined {
    const table = this.listenerAt(bind)?.directService?.routes.table;
    return table === undefined ? undefined : table.hasHost(authority) || table.matchConnect(authority) !== undefined;
  }

  tellLoad(workload: string, load: ProcessLoad): void {
    const nowMs = this.context.clock.nowMs();
    for (const listener of this.listeners.values()) if (listener.config.workload === workload) listener.load?.processSays(load, nowMs);
  }

  readonly watchOf = (workload: string): RequestWatch | undefined => this.watches.get(workload);

  private listenerAt({ address, port }: SocketBind): ActiveListener | undefined {
    for (const listener of this.listeners.values())
      if (listener.config.port === port && listener.config.address === address) return listener;
    return undefined;
  }

  wanted(): WantedResources {
    const routes = new Set<string>();
    const endpoints = new Set<string>();
    const secrets = new Set<string>();
    for (const { config } of this.listeners.values()) {
      if (config.filter.kind === 'http') routes.add(config.filter.routeConfigName);
      if (config.tls?.trustBundleName !== undefined) secrets.add(config.tls.trustBundleName);
    }
    for (const { config } of this.clusters.clusters()) {
      if (config.endpoints.kind === 'eds') endpoints.add(config.name);
      if (config.tls !== undefined && config.tls.trustBundleName !== SYSTEM_ROOTS) secrets.add(config.tls.trustBundleName);
    }
    return { routes: [...routes].sort(), endpoints: [...endpoints].sort(), secrets: [...secrets].sort() };
  }

  localClusters(): readonly Cluster[] {
    return [...this.clusters.clusters()].map((cluster) => cluster.config).filter((config) => config.health !== undefined);
  }

  get onConnectFailures(): ((cluster: string, count: number) => void) | undefined {
    return this.context.connectFailures.onFailures;
  }

  set onConnectFailures(run: ((cluster: string, count: number) => void) | undefined) {
    this.context.connectFailures.onFailures = run;
  }

  configDump(): object {
    return {
      node: this.node,
      listeners: [...this.listeners.values()].map((listener) => ({
        ...listener.config,
        status: listener.status(),
        ...listener.describeLoad(),
      })),
      routes: [...this.routeConfigs.values()],
      clusters: [...this.clusters.clusters()].map((cluster) => cluster.describe()),
      endpoints: [...this.endpointSets.values()],
      secrets: [...this.trustBundles.values()],
      identities: this.identities.workloads,
      anonymousWorkload: this.credentials.anonymousWorkload ?? null,
    };
  }

  takeDecisions(): TakenDecisions {
    return this.access.lines.ring.take();
  }

  status(): DataPlaneStatus {
    const listeners = [...this.listeners.values()].map((listener) => listener.status());
    const reserved = this.sockets.idle.map(({ address, port }) => ({
      name: undefined,
      address,
      port,
      state: 'reserved' as const,
      reason: '',
      openConnections: 0,
      activeRequests: 0,
      refusedHandshakes: 0,
    }));
    let openConnections = 0;
    for (const listener of [...this.listeners.values(), ...this.retired]) openConnections += listener.connectionCount;
    return { listeners: [...listeners, ...reserved], openConnections, activeRequests: this.context.active.count, draining: this.draining };
  }

  async drain(graceMs: number, waysIn: 'inbound' | 'all' = 'inbound', idleMs: number = DRAIN_IDLE_MS): Promise<void> {
    const { clock, active, turn } = this.context;
    this.draining = true;
    const endMs = clock.nowMs() + graceMs;
    // Only the way in is shut: requests in flight may need calls out to be answered.
    for (const listener of this.listeners.values()) {
      if (listener.config.direction === 'outbound' && waysIn === 'inbound') {
        listener.closeAfterRequests();
        continue;
      }
      listener.stopAccepting();
      await this.sockets.close(listener.config);
    }
    turn.end();
    await this.waitWhile(() => active.count > 0, endMs);
    // Callers that have heard of the departure close their idle connections; those that have not may still send a request on one.
    await this.waitWhile(() => active.count > 0 || this.status().openConnections > 0, Math.min(endMs, clock.nowMs() + idleMs));
    await this.waitWhile(() => active.count > 0, endMs);
    await this.shut(Math.max(0, endMs - clock.nowMs()));
  }

  private async waitWhile(condition: () => boolean, endMs: number): Promise<void> {
    const { clock } = this.context;
    while (condition() && clock.nowMs() < endMs) await new Promise<void>((resolve) => void clock.after(DRAIN_POLL_MS, resolve));
  }

  close(): Promise<void> {
    return this.shut(0);
  }

  /** @param tellMs what spans and lines have to go out, also those of requests that end here. */
  private async shut(tellMs: number): Promise<void> {
    this.draining = true;
    this.closed = true;
    this.taps.stopAll();
    await this.sockets.closeAll();
    for (const listener of [...this.listeners.values(), ...this.retired]) listener.destroy();
    for (const cluster of this.clusters.clusters()) cluster.remove();
    this.context.turn.end();
    this.context.connectFailures.close();
    this.context.deadlines.close();
    this.access.close();
    if (this.outlets === undefined) return;
    const { active, clock } = this.context;
    // Connections that were destroyed say so in a later turn.
    await this.waitWhile(() => active.count > 0, clock.nowMs() + LAST_REQUESTS_MS);
    await this.outlets.end(tellMs);
  }

  // --- updates

  private sequence<T>(work: () => Promise<T>): Promise<T> {
    const result = this.queue.then(work);
    this.queue = result.catch(() => {});
    return result;
  }

  private async applyKind(update: ResourceUpdate): Promise<string | undefined> {
    // Requests under way may call others, and these may stop meanwhile.
    if (this.closed || (this.draining && update.kind !== 'endpoints')) return 'this data plane is draining';
    const { kind, upserts, removed } = update;
    const tooMany = checkCount(this.held(kind), update, this.context.limits.resourcesPerTypeMax);
    if (tooMany !== undefined) return tooMany;
    switch (kind) {
      case 'listener':
        return this.applyListeners(upserts as readonly Listener[], removed);
      case 'route':
        return this.applyRoutes(upserts as readonly RouteConfig[], removed);
      case 'cluster':
        return this.applyClusters(upserts as readonly Cluster[], removed);
      case 'endpoints':
        return this.applyEndpoints(upserts as readonly EndpointSet[], removed);
      case 'secret':
        return this.applySecrets(upserts as readonly TrustBundle[], removed);
    }
  }

  /** What is applied of a kind, by name. */
  private held(kind: ResourceKind): { readonly size: number; has(name: string): boolean } {
    switch (kind) {
      case 'listener':
        return this.listeners;
      case 'route':
        return this.routeConfigs;
      case 'cluster':
        return new Set([...this.clusters.clusters()].map(({ name }) => name));
      case 'endpoints':
        return this.endpointSets;
      case 'secret':
        return this.trustBundles;
    }
  }

  private async applyListeners(upserts: readonly Listener[], removed: readonly string[]): Promise<string | undefined> {
    const after = new Map([...this.listeners].map(([name, listener]) => [name, listener.config]));
    for (const name of removed) after.delete(name);
    for (const listener of upserts) after.set(listener.name, listener);
    const reason = firstReason(upserts, (listener) => checkListener(listener, this.knowsCertificate)) ?? checkConflicts(after.values());
    if (reason !== undefined) return reason;
    if (upserts.some(isTold)) this.outlets ??= new (await DOORS.telemetry()).TelemetryOutlets(this.context, this.node);
    const opened: SocketBind[] = [];
    try {
      for (const listener of upserts) if ((await this.sockets.use(listener)).isNew) opened.push(listener);
    } catch (error) {
      for (const bind of opened) await this.sockets.unuse(bind);
      if (error instanceof NetworkError) return error.message;
      throw error;
    }
    const gone = [...this.listeners.values()].filter(({ config }) => isElsewhere(config, after.get(config.name)));
    for (const listener of gone) await this.retire(listener, after.values());
    for (const listener of upserts) await this.applyListener(listener);
    const filters = [...this.listeners.values()].map(({ config: { filter } }) => (filter.kind === 'http' ? filter : NO_TELEMETRY));
    this.outlets?.retain(filters);
    return undefined;
  }

  private async applyListener(config: Listener): Promise<void> {
    const known = this.listeners.get(config.name);
    if (known !== undefined) {
      known.update(config);
      known.watchBy(this.outlets);
      return;
    }
    const { socket } = await this.sockets.use(config);
    this.sockets.markUsed(config);
    const listener = new ActiveListener(this.context, this, config, socket);
    this.listeners.set(config.name, listener);
    listener.watchBy(this.outlets);
    if (config.direction === 'inbound') this.watches.set(config.workload!, listener.watch);
  }

  /** The listener's connections end by and by; its socket is closed unless it is reserved or another listener takes it over. */
  private async retire(listener: ActiveListener, after: Iterable<Listener>): Promise<void> {
    const { config } = listener;
    this.listeners.delete(config.name);
    if (this.watches.get(config.workload ?? '') === listener.watch) this.watches.delete(config.workload!);
    listener.retire();
    for (const old of this.retired) if (old.connectionCount === 0) this.retired.delete(old);
    if (listener.connectionCount > 0) this.retired.add(listener);
    for (const other of after) if (other.address === config.address && other.port === config.port) return;
    await this.sockets.unuse(config);
  }

  private async applyRoutes(upserts: readonly RouteConfig[], removed: readonly string[]): Promise<string | undefined> {
    const made: { readonly table: RouteTable; readonly access: AccessTable | undefined }[] = [];
    try {
      await this.access.prepare(upserts);
      const nowMs = this.context.clock.nowMs();
      for (const config of upserts) {
        const { table, access } = this.routes.slot(config.name);
        made.push({ table: new RouteTable(config, this.clusters, nowMs, table), access: this.access.tableOf(config, access) });
      }
    } catch (error) {
      if (error instanceof RouteConfigError) return error.message;
      throw error;
    }
    for (const name of removed) {
      this.routeConfigs.delete(name);
      const slot = this.routes.slot(name);
      slot.table = undefined;
      slot.access = undefined;
    }
    for (const { table, access } of made) {
      this.routeConfigs.set(table.config.name, table.config);
      const slot = this.routes.slot(table.config.name);
      const isSame = slot.access === undefined ? access === undefined : access?.isLike(slot.access) === true;
      slot.table = table;
      slot.access = access;
      if (!isSame) for (const stream of slot.streams) stream.decideAgain();
    }
    this.access.retain(this.routeConfigs.values());
    return undefined;
  }

  private applyClusters(upserts: readonly Cluster[], removed: readonly string[]): string | undefined {
    const { endpointsPerClusterMax } = this.context.limits;
    const reason = firstReason(upserts, (cluster) => checkCluster(cluster, endpointsPerClusterMax, this.knowsCertificate));
    if (reason !== undefined) return reason;
    for (const name of removed) {
      const slot = this.clusters.slot(name);
      slot.cluster?.remove();
      slot.cluster = undefined;
    }
    for (const config of upserts) {
      const slot = this.clusters.slot(config.name);
      if (slot.cluster !== undefined) {
        slot.cluster.update(config);
        continue;
      }
      slot.cluster = new UpstreamCluster(this.context, this.identities, config);
      const endpoints = this.endpointSets.get(config.name);
      if (config.endpoints.kind === 'eds' && endpoints !== undefined) slot.cluster.setEndpoints(endpoints.endpoints);
    }
    return undefined;
  }

  private applyEndpoints(upserts: readonly EndpointSet[], removed: readonly string[]): string | undefined {
    const { endpointsPerClusterMax } = this.context.limits;
    const reason = firstReason(upserts, (set) => checkEndpointSet(set, endpointsPerClusterMax));
    if (reason !== undefined) return reason;
    for (const name of removed) {
      this.endpointSets.delete(name);
      this.edsCluster(name)?.setEndpoints([]);
    }
    for (const set of upserts) {
      this.endpointSets.set(set.cluster, set);
      this.edsCluster(set.cluster)?.setEndpoints(set.endpoints);
    }
    return undefined;
  }

  private applySecrets(upserts: readonly TrustBundle[], removed: readonly string[]): string | undefined {
    const reason = firstReason(upserts, checkTrustBundle);
    if (reason !== undefined) return reason;
    for (const name of removed) this.trustBundles.delete(name);
    for (const bundle of upserts) this.trustBundles.set(bundle.name, bundle);
    this.lost(this.identities.setBundles(upserts, removed));
    return undefined;
  }

  /** Identities have come to be denied. */
  private lost(peers: readonly LostConnections[]): void {
    const { logger, metrics } = this.context;
    for (const { peerId, count } of peers) {
      logger.warn({ identity: peerId, connections: count }, 'an identity is denied from now on; the connections with it were closed');
      metrics.counter(DOWNSTREAM_METRICS.deniedClosed).add(count);
    }
  }

  /** Known where the workload's own service is among those it calls, or asked for. */
  private zonesOf(workload: string): readonly CallerZone[] {
    const endpoints = this.endpointSets.get(`outbound/${serviceOfWorkload(workload)}`)?.endpoints ?? [];
    return endpoints.flatMap(({ locality, health }) => (locality === undefined || health !== 'healthy' ? [] : [{ locality, count: 1 }]));
  }

  private edsCluster(name: string): UpstreamCluster | undefined {
    const { cluster } = this.clusters.slot(name);
    return cluster?.config.endpoints.kind === 'eds' ? cluster : undefined;
  }

  private identitiesChanged(): void {
    for (const cluster of this.clusters.clusters()) cluster.identityChanged();
    for (const listener of this.listeners.values()) listener.refresh();
    this.context.turn.end();
  }
}

function firstReason<R extends Resource>(resources: readonly R[], check: (resource: R) => string | undefined): string | undefined {
  for (const resource of resources) {
    const reason = check(resource);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function isElsewhere(before: Listener, after: Listener | undefined): boolean {
  return after === undefined || after.address !== before.address || after.port !== before.port;
}

function isTold({ filter }: Listener): boolean {
  return filter.kind === 'http' && (filter.tracing ?? filter.accessLog) !== undefined;
}
