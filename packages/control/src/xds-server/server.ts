// ADS for all data planes: who may have what, and who has to be told when something changed.
import { Metadata, status } from '@grpc/grpc-js';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { AdsService, DeltaAdsSession, SotwAdsSession } from '@heddle/api';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from '@heddle/api';
import { TRUST_BUNDLE } from '@heddle/core';
import type { DataPlaneFlavour, Instance, ServiceRef, SocketAddress } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { Compiler } from '../compiler/compiler.ts';
import type { CompiledChange } from '../compiler/compiler.ts';
import { outboundName } from '../compiler/names.ts';
import { isOwn } from '../discovery-server/own.ts';
import { DrainDesk } from '../drain/desk.ts';
import type { EventSink } from '../events/sink.ts';
import type { Registry } from '../registry/registry.ts';
import { callerOf, noteRefusal } from '../server/access.ts';
import type { Caller } from '../server/caller.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError, statusOf } from '../server/status.ts';
import { DataPlaneEvents, StreamEvents } from './applied.ts';
import type { AttachedInstances, AttachedStream } from './attached-instances.ts';
import type { ConnectedProxy } from './applied.ts';
import { ForeignRequests } from './foreign-requests.ts';
import type { NodeInfo } from './node-info.ts';
import { Publisher } from './publisher.ts';
import { RefusedRoutes } from './refused-routes.ts';
import { ScopedSource } from './scoped-source.ts';
import { DELTA, STATE_OF_THE_WORLD, addSingleTypeServices } from './single-type.ts';
import { isLoopback } from '../server/listening.ts';
import { AdsStream } from './stream.ts';
import { SyncDesk } from './sync-desk.ts';
import type { Session } from './stream.ts';
import { TrustFollowers } from './trust-followers.ts';
import type { TrustProgress } from './trust-followers.ts';

export type { ConnectedProxy };

/** Each holds what it has been sent: some 100 bytes a resource. */
const STREAMS_MAX = 5_000;
/** What a data plane refused is offered again: a port may have become free. */
const RETRY_REFUSED_MS = 10_000;

export interface AdsServerOptions {
  readonly registry: Registry;
  readonly trustDomain: string;
  readonly rootsPem: string;
  readonly streams: OpenStreams;
  readonly events: EventSink;
  /** Instances that register by their ADS stream. */
  readonly attached: AttachedInstances;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Open {
  readonly stream: { due(): void; retryRefused(): void };
  readonly session: Pick<
    Session<never, unknown>,
    'node' | 'sync' | 'resources' | 'changed' | 'confirms' | 'hasAnswered' | 'holdsAll' | 'subscription'
  >;
  /** Empty until it has said it. */
  node: string;
  readonly service: string;
  readonly identity: string;
  readonly connectedMs: number;
  flavour: DataPlaneFlavour;
  admin: SocketAddress | undefined;
  scoped: ScopedSource | undefined;
  attached: AttachedStream | undefined;
}

export class AdsServer {
  /** Instances that wait until no data plane chooses them any more. */
  readonly drains: DrainDesk;
  /** Who waits until all data planes have what they should have. */
  readonly syncs: SyncDesk;
  readonly #options: AdsServerOptions;
  readonly #compiler: Compiler;
  readonly #publisher: Publisher;
  readonly #events: DataPlaneEvents;
  readonly #open = new Set<Open>();
  readonly #listeners = new Set<() => void>();
  readonly #subscription: { close(): void };
  /** By node: those whose own resources change with the node's instances. */
  readonly #byNode = new Map<string, Set<ScopedSource>>();
  readonly #trust: TrustFollowers;
  /** Streams for which there may be something to send. */
  #due = new Set<Open>();
  #isRoundPlanned = false;
  #retryTimer: Timer;

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#events = new DataPlaneEvents(options.events);
    this.#compiler = new Compiler({ source: options.registry, trustDomain: options.trustDomain, rootsPem: options.rootsPem });
    this.#publisher = new Publisher({
      compiler: this.#compiler,
      encode: { trustDomain: options.trustDomain },
      refused: new RefusedRoutes(options),
      logger: options.logger,
      onSaidOtherwise: () => this.#ownChanged('all'),
    });
    this.drains = new DrainDesk({
      ...options,
      streams: () => this.#open,
      names: (service) => this.#endpointNames(service),
      versions: (name) => this.#publisher.versions('endpoints', name),
    });
    this.syncs = new SyncDesk({ streams: () => this.#refreshed(), clock: options.clock });
    const known = [...options.registry.snapshot().services.values()].flatMap(({ instances }) => instances.map(({ node }) => node));
    this.#trust = new TrustFollowers({
      ...{ streams: () => this.#open, versions: () => this.#publisher.versions('secret', TRUST_BUNDLE) },
      ...{ nodes: new Set(known), clock: options.clock },
    });
    this.#subscription = options.registry.onChange((change) => {
      const compiled = this.#compiler.apply(change);
      this.#publisher.apply(compiled);
      this.drains.changed(change.services);
      this.#ownChanged(compiled.nodes);
    });
    this.#retryTimer = this.#planRetry();
  }

  addTo(server: Server): void {
    server.addService(AdsService, {
      streamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) =>
        void this.#serve(call, new SotwAdsSession(), `ADS ${STATE_OF_THE_WORLD}`),
      deltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>) =>
        void this.#serve(call, new DeltaAdsSession(), `ADS ${DELTA}`),
    });
    addSingleTypeServices(server, (call, session, service) => void this.#serve(call, session, service));
  }

  /** The roots that data planes trust, and identities that they refuse besides those of the mesh file. */
  setTrust(rootsPem: string, denied: readonly string[]): void {
    const compiled = this.#compiler.setTrust(rootsPem, denied);
    this.#publisher.apply(compiled);
    this.#ownChanged(compiled.nodes);
  }

  /** What these data planes have for themselves is looked at anew. */
  #ownChanged(nodes: CompiledChange['nodes']): void {
    for (const node of nodes === 'all' ? this.#byNode.keys() : nodes)
      for (const source of this.#byNode.get(node) ?? []) source.ownChanged();
  }

  /** How far data planes are with the roots that they were told of last. */
  trustProgress(): TrustProgress {
    return this.#trust.progress();
  }

  /** Sorted by node. Those that have not said who they are yet are left out. */
  proxies(): ConnectedProxy[] {
    const proxies = [...this.#refreshed()].flatMap(({ scoped, session, ...open }): ConnectedProxy[] =>
      scoped === undefined ? [] : [{ ...describe(open, scoped, session), sync: session.sync(), resources: () => session.resources() }],
    );
    return proxies.sort((a, b) => (a.node === b.node ? a.connectedMs - b.connectedMs : a.node < b.node ? -1 : 1));
  }

  /** What each has for itself is looked at anew, as it is before anything is sent. */
  #refreshed(): ReadonlySet<Open> {
    for (const { scoped } of this.#open) scoped?.refresh();
    return this.#open;
  }

  /** Called when a data plane came, went, or got further. */
  onProxiesChange(listener: () => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  close(): void {
    this.drains.close();
    this.syncs.close();
    this.#subscription.close();
    this.#retryTimer.cancel();
    this.#listeners.clear();
  }

  async #serve<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response>(
    call: ServerDuplexStream<Request, Response>,
    session: Session<Request, Response>,
    service: string,
  ): Promise<void> {
    const { clock, logger, streams } = this.#options;
    const events = new StreamEvents(this.#events);
    const caller = callerOf(call.metadata);
    const connectedMs = Math.floor(clock.wallMs());
    const stream = new AdsStream(call, session, {
      nowMs: () => Math.floor(clock.wallMs()),
      progressed: () => {
        open.attached?.progressed(session);
        this.drains.progressed(open);
        this.syncs.progressed(open);
        this.#notify();
      },
      refused: (typeUrl, reason) => events.rejected(session.node?.id ?? '', typeUrl, reason, Math.floor(clock.wallMs())),
      open: (node) => {
        open.flavour = node.flavour;
        open.admin = isWithinReach(node.admin, call.getPeer()) ? node.admin : undefined;
        // Before anything else: who may not have the instance gets nothing of it.
        if (service.startsWith('ADS')) open.attached = this.#options.attached.attach(node, caller);
        open.scoped = this.#scope(open, caller, node, this.#foreign(call, caller, node.id));
        open.node = node.id;
        logger.info(
          { node: node.id, identity: open.identity, flavour: node.flavour, agent: session.node?.userAgent },
          'data plane connected',
        );
        events.connected(describe(open, open.scoped, session), connectedMs);
        return open.scoped;
      },
    });
    const identity = caller.kind === 'anonymous' ? '' : caller.uri;
    const open: Open = {
      ...{ stream, session, service, identity, connectedMs, node: '' },
      ...{ flavour: 'heddle', admin: undefined, scoped: undefined, attached: undefined },
    };
    let reason = '';
    streams.add(call, stream);
    try {
      if (this.#open.size >= STREAMS_MAX)
        throw new CallError(status.RESOURCE_EXHAUSTED, `${STREAMS_MAX} data planes are connected, the limit of one control plane`);
      this.#open.add(open);
      // At once: a data plane that reconnects and needs nothing knows by it that the stream is up.
      call.sendMetadata(new Metadata());
      await stream.run();
    } catch (error) {
      if (!call.cancelled) {
        const ended = statusOf(error, logger);
        reason = ended.details;
        noteRefusal(call, ended);
        logger.warn({ node: open.scoped?.node, reason: ended.details }, 'stream of a data plane ended by the control plane');
        stream.fail(ended);
      }
    } finally {
      stream.stop();
      open.attached?.close();
      this.#open.delete(open);
      this.#due.delete(open);
      this.drains.ended(open);
      this.syncs.ended(open);
      this.#trust.ended(open);
      if (open.scoped !== undefined) {
        this.#release(open.scoped);
        logger.info({ node: open.scoped.node }, 'data plane disconnected');
        events.disconnected(open.scoped.node, service, reason, Math.floor(clock.wallMs()));
      }
      this.#notify();
    }
  }

  /** Of the service as a whole, and of each of its subsets. */
  *#endpointNames(service: ServiceRef): Iterable<string> {
    const whole = outboundName(service);
    for (const name of this.#compiler.shared.endpoints.keys()) if (name === whole || name.startsWith(`${whole}{`)) yield name;
  }

  #foreign(call: Parameters<typeof noteRefusal>[0], caller: Caller, node: string): ForeignRequests {
    const foreign = new ForeignRequests(caller, (details) => {
      this.#options.logger.warn({ node, reason: details }, 'a data plane asked for what is not its own');
      noteRefusal(call, { code: status.PERMISSION_DENIED, details });
    });
    foreign.node(node, this.#options.registry.instancesOfNode(node));
    return foreign;
  }

  #scope(open: Open, caller: Caller, { id, flavour, outboundProxy, identityDir }: NodeInfo, foreign: ForeignRequests): ScopedSource {
    const mayHost = (instance: Instance): boolean => isOwn(caller, instance.service);
    const source = new ScopedSource({
      publisher: this.#publisher,
      scope: { node: id, flavour, outboundProxy, identityDir, mayHost },
      version: () => String(this.#options.registry.revision),
      onChange: (kind, name) => open.session.changed(kind, name),
      onWanted: (name) => foreign.name(name),
      onDue: () => this.#planRound(open),
    });
    const ofNode = this.#byNode.get(id);
    if (ofNode === undefined) this.#byNode.set(id, new Set([source]));
    else ofNode.add(source);
    return source;
  }

  #release(source: ScopedSource): void {
    source.close();
    const ofNode = this.#byNode.get(source.node);
    ofNode?.delete(source);
    if (ofNode?.size === 0) this.#byNode.delete(source.node);
  }

  /** Once per turn of the event loop: changes that come together go out together. */
  #planRound(open: Open): void {
    this.#due.add(open);
    if (this.#isRoundPlanned) return;
    this.#isRoundPlanned = true;
    setImmediate(() => {
      this.#isRoundPlanned = false;
      const due = this.#due;
      this.#due = new Set();
      for (const { stream } of due) stream.due();
    });
  }

  #planRetry(): Timer {
    return this.#options.clock.after(RETRY_REFUSED_MS, () => {
      for (const { stream } of this.#open) stream.retryRefused();
      this.#retryTimer = this.#planRetry();
    });
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function describe(
  { service, identity, connectedMs, flavour, admin }: Pick<Open, 'service' | 'identity' | 'connectedMs' | 'flavour' | 'admin'>,
  { node }: ScopedSource,
  session: Open['session'],
): Omit<ConnectedProxy, 'sync' | 'resources'> {
  return { node, identity, connectedMs, flavour, admin, service, userAgent: session.node?.userAgent ?? '' };
}

/** The loopback of another machine is not ours. @param peer `address:port` of the stream. */
function isWithinReach(admin: SocketAddress | undefined, peer: string): boolean {
  return (
    admin !== undefined && (!isLoopback(admin.address) || isLoopback(peer.replace(/^ipv[46]:/, '').replace(/^\[?(.*?)\]?:\d+$/, '$1')))
  );
}
