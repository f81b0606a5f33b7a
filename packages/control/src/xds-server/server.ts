// ADS for all data planes: who may have what, and who has to be told when something changed.
import { Metadata, status } from '@grpc/grpc-js';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { AdsService, DeltaAdsSession, SotwAdsSession } from '@heddle/api';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, KindSync } from '@heddle/api';
import type { SocketAddress } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { Compiler } from '../compiler/compiler.ts';
import { isOwn } from '../discovery-server/own.ts';
import type { Registry } from '../registry/registry.ts';
import { callerOf } from '../server/access.ts';
import type { Caller } from '../server/caller.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError, statusOf } from '../server/status.ts';
import { Publisher, ScopedSnapshot } from './publisher.ts';
import { AdsStream } from './stream.ts';
import type { Session } from './stream.ts';

/** Each holds what it has been sent: some 100 bytes a resource. */
const STREAMS_MAX = 5_000;
/** What a data plane refused is offered again: a port may have become free. */
const RETRY_REFUSED_MS = 10_000;

export interface AdsServerOptions {
  readonly registry: Registry;
  readonly trustDomain: string;
  readonly rootsPem: string;
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A data plane that is connected, for people. */
export interface ConnectedProxy {
  readonly node: string;
  readonly identity: string;
  readonly connectedMs: number;
  readonly sync: readonly KindSync[];
}

interface Open {
  readonly stream: { sync(): KindSync[]; offer(take: () => ReturnType<ScopedSnapshot['take']>): void; retryRefused(): void };
  readonly identity: string;
  readonly connectedMs: number;
  scoped: ScopedSnapshot | undefined;
}

export class AdsServer {
  readonly #options: AdsServerOptions;
  readonly #compiler: Compiler;
  readonly #publisher: Publisher;
  readonly #open = new Set<Open>();
  readonly #listeners = new Set<() => void>();
  readonly #subscription: { close(): void };
  /** Nodes whose own resources may have changed since the last round. */
  #dueNodes: Set<string> | 'all' = new Set();
  #roundPlanned = false;
  #retryTimer: Timer;

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#compiler = new Compiler({ source: options.registry, trustDomain: options.trustDomain, rootsPem: options.rootsPem });
    this.#publisher = new Publisher(this.#compiler, options.logger);
    this.#subscription = options.registry.onChange((change) => {
      const compiled = this.#compiler.apply(change);
      this.#publisher.apply(compiled);
      if (compiled.nodes === 'all') this.#dueNodes = 'all';
      else if (this.#dueNodes !== 'all') for (const node of compiled.nodes) this.#dueNodes.add(node);
      this.#planRound();
    });
    this.#retryTimer = this.#planRetry();
  }

  addTo(server: Server): void {
    server.addService(AdsService, {
      streamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) =>
        void this.#serve(call, new SotwAdsSession()),
      deltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>) =>
        void this.#serve(call, new DeltaAdsSession()),
    });
  }

  /** Sorted by node. Those that have not said who they are yet are left out. */
  proxies(): ConnectedProxy[] {
    const proxies = [...this.#open].flatMap(({ scoped, identity, connectedMs, stream }): ConnectedProxy[] =>
      scoped === undefined ? [] : [{ node: scoped.node, identity, connectedMs, sync: stream.sync() }],
    );
    return proxies.sort((a, b) => (a.node === b.node ? a.connectedMs - b.connectedMs : a.node < b.node ? -1 : 1));
  }

  /** Called when a data plane came, went, or got further. */
  onProxiesChange(listener: () => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  close(): void {
    this.#subscription.close();
    this.#retryTimer.cancel();
    this.#listeners.clear();
  }

  async #serve<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response>(
    call: ServerDuplexStream<Request, Response>,
    session: Session<Request, Response>,
  ): Promise<void> {
    const { clock, logger, streams, registry } = this.#options;
    const caller = callerOf(call.metadata);
    const connectedMs = Math.floor(clock.wallMs());
    const stream = new AdsStream(call, session, {
      nowMs: () => Math.floor(clock.wallMs()),
      progressed: () => this.#notify(),
      open: (node, outboundProxy) => {
        open.scoped = this.#scope(caller, node.id, outboundProxy);
        logger.info({ node: node.id, identity: open.identity, agent: node.userAgent }, 'data plane connected');
        return open.scoped.take(String(registry.revision));
      },
    });
    const open: Open = { stream, identity: caller.kind === 'anonymous' ? '' : caller.uri, connectedMs, scoped: undefined };
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
        logger.warn({ node: open.scoped?.node, reason: ended.details }, 'stream of a data plane ended by the control plane');
        stream.fail(ended);
      }
    } finally {
      stream.stop();
      this.#open.delete(open);
      if (open.scoped !== undefined) logger.info({ node: open.scoped.node }, 'data plane disconnected');
      this.#notify();
    }
  }

  #scope(caller: Caller, node: string, outboundProxy: SocketAddress | undefined): ScopedSnapshot {
    return new ScopedSnapshot(this.#publisher, { node, outboundProxy, mayHost: (instance) => isOwn(caller, instance.service) });
  }

  /** Once per turn of the event loop: changes that come together go out together. */
  #planRound(): void {
    if (this.#roundPlanned) return;
    this.#roundPlanned = true;
    setImmediate(() => {
      this.#roundPlanned = false;
      this.#round();
    });
  }

  #round(): void {
    const due = this.#dueNodes;
    this.#dueNodes = new Set();
    for (const { scoped, stream } of this.#open) {
      if (scoped === undefined) continue;
      if (due === 'all' || due.has(scoped.node)) scoped.refreshOwn();
      stream.offer(() => scoped.take(String(this.#options.registry.revision)));
    }
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
