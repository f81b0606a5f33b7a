// The one xDS stream of a data plane: delta ADS over mutual TLS, made anew with back-off whenever it breaks or falls silent, each time on
// a new connection. What was applied stays in use meanwhile; on reconnect only differences come. A try that is not answered goes on beside
// the next one, and the first that is answered counts: so a dead network costs one pause, and a control plane that is busy with everybody
// at once answers each in turn instead of meeting the same ones again and again at the end of the line.
import {
  AdsService,
  type ClientKindStatus,
  DeltaAdsClient,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type KeptResource,
} from '@heddle/api';
import { backoffMs, Patience, RECONNECT_BACKOFF, StreamWatch, type StreamWatchPolicy } from '@heddle/core';
import type { Clock, GrpcChannel, GrpcClient, Logger, Metrics, Random, Timer } from '@heddle/runtime';
import type { ResourceUpdate, WantedResources } from '../data-plane.ts';
import { type ControlAddress, type ControlStream, type HeldIdentity, openControlStream, workloadChannel } from '../identity/index.ts';
import { SyncMetrics } from './sync-metrics.ts';
import { type RestartReason, StreamRestarts } from './stream-restarts.ts';

export interface AdsConnectionOptions {
  readonly node: string;
  readonly nodeMetadata: Readonly<Record<string, unknown>>;
  readonly control: ControlAddress;
  readonly grpc: GrpcClient;
  /** Resolves to the reason when the update cannot be applied. */
  readonly apply: (update: ResourceUpdate) => Promise<string | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Default: `STREAM_WATCH`. */
  readonly watch?: StreamWatchPolicy;
  /** Called with the connection when the stream is up, and without one when it no longer is. */
  readonly onLink?: (channel: GrpcChannel | undefined) => void;
}

export interface AdsStatus {
  readonly connected: boolean;
  /** Whether listeners and clusters have been received since the start of the process, or were kept from an earlier one. */
  readonly everSynced: boolean;
  /** Why there is no connection; empty when there is one. */
  readonly reason: string;
  /** `cache`: what an earlier process kept, because the control plane has not been reached yet. */
  readonly source: 'none' | 'cache' | 'control';
  /** When the control plane last proved that what is applied is what it says, Unix time; 0: never. With `cache`: when that was kept. */
  readonly syncedMs: number;
  readonly kinds: readonly ClientKindStatus[];
}

/** One stream on one connection of its own: what is dead is left behind whole. */
interface Link {
  readonly channel: GrpcChannel;
  readonly stream: ControlStream<DeltaDiscoveryRequest>;
  readonly startedMs: number;
  /** When the control plane accepted the stream. */
  upMs: number;
  /** Called when it has ended while nobody needs it any more. */
  onGone?: () => void;
}

/** A stream that lasted so long was no failed attempt. One that is accepted and ended at once, again and again, does not count as success. */
const STEADY_MS = 5_000;
/** For the control plane to hear that: for one that only lost its stream it has to wait. */
const GOODBYE_MS = 500;
/** How long a try may wait to be answered. With one every 3 to 5 s there are at most seven. */
const TRY_MS = 20_000;

export class AdsConnection {
  readonly #options: AdsConnectionOptions;
  readonly #machine: DeltaAdsClient;
  readonly #metrics: SyncMetrics;
  readonly #restarts: StreamRestarts;
  #held: HeldIdentity | undefined;
  /** Tries that have not been answered, the oldest first. */
  readonly #tries = new Set<Link>();
  #newest: Link | undefined;
  #link: Link | undefined;
  #watch: StreamWatch | undefined;
  readonly #patience: Patience;
  #timer: Timer | undefined;
  #watchTimer: Timer | undefined;
  #watchTimerMs = Infinity;
  #attempt = 0;
  #reason = 'no certificate yet';
  #source: AdsStatus['source'] = 'none';
  #syncedMs = 0;
  #isClosed = false;

  constructor(options: AdsConnectionOptions) {
    this.#options = options;
    const { metrics, node, nodeMetadata, clock } = options;
    this.#metrics = new SyncMetrics(metrics, clock, () => this.#syncedMs);
    this.#restarts = new StreamRestarts(metrics, 'configuration');
    this.#patience = new Patience(options.watch);
    this.#machine = new DeltaAdsClient({
      node: { id: node, metadata: nodeMetadata },
      send: (request) => this.#link?.stream.write(request),
      apply: async (update) => {
        const reason = await options.apply(update);
        if (reason !== undefined) this.#metrics.refused.add(1);
        return reason;
      },
    });
  }

  /** Connects, or connects anew with another certificate; the old stream is left when the new one begins. */
  use(held: HeldIdentity): void {
    this.#held = held;
    this.#again('identity');
  }

  subscribe(wanted: WantedResources): void {
    this.#machine.subscribe('secret', wanted.secrets);
    this.#machine.subscribe('endpoints', wanted.endpoints);
    this.#machine.subscribe('route', wanted.routes);
  }

  /** Asks for the endpoints of the cluster anew; what is answered is applied, changed or not. */
  recheck(cluster: string): void {
    this.#machine.recheck('endpoints', cluster);
    this.#watch?.asked(this.#options.clock.nowMs());
    this.#arm();
  }

  /** Compares everything that is held with the control plane: on a new stream, which begins with the names and versions of all of it. */
  compare(): void {
    if (this.#link !== undefined) this.#again('distrust');
  }

  /** Takes in what an earlier process kept, unless the control plane was reached meanwhile. Resolves to whether it did. */
  async restore(kept: readonly KeptResource[], keptMs: number): Promise<boolean> {
    const { clock, logger } = this.#options;
    if (this.#link !== undefined || this.#source !== 'none') return false;
    // An attempt that is under way would be answered in the middle of it.
    this.#leave();
    this.#source = 'cache';
    this.#syncedMs = keptMs;
    const reasons = await this.#machine.restore(kept, clock.wallMs());
    if (reasons.length > 0) logger.warn({ reasons }, 'a part of the kept configuration cannot be applied');
    this.#connect();
    return true;
  }

  /** As in `status`. */
  get syncedMs(): number {
    return this.#syncedMs;
  }

  status(): AdsStatus {
    const kinds = this.#machine.status();
    const synced = kinds.filter(({ kind }) => kind === 'listener' || kind === 'cluster').every(({ appliedMs }) => appliedMs > 0);
    return {
      connected: this.#link !== undefined,
      everSynced: synced,
      reason: this.#reason,
      source: this.#source,
      syncedMs: this.#syncedMs,
      kinds,
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#leave();
  }

  /** This data plane calls nobody any more: it wants no endpoints, which the control plane learns before the stream ends. Never rejects. */
  async goodbye(): Promise<void> {
    const link = this.#link;
    this.#isClosed = true;
    if (link !== undefined) {
      const { clock, onLink } = this.#options;
      this.#machine.subscribe('endpoints', []);
      // From here on it is nobody's: that it ends is no failure.
      this.#link = undefined;
      onLink?.(undefined);
      this.#machine.disconnected();
      await new Promise<void>((resolve) => {
        const timer = clock.after(GOODBYE_MS, resolve);
        const ended = (): void => {
          timer.cancel();
          resolve();
        };
        link.onGone = ended;
        link.stream.end();
      });
      this.#giveUp(link);
    }
    this.#leave();
  }

  /** For a reason of our own, so at once. */
  #again(reason: RestartReason): void {
    if (this.#link !== undefined || this.#tries.size > 0) this.#restarts.count(reason);
    this.#leave();
    this.#connect();
  }

  #connect(): void {
    const { grpc, control, clock } = this.#options;
    if (this.#held === undefined || this.#isClosed) return;
    const nowMs = clock.nowMs();
    for (const old of [...this.#tries]) if (nowMs - old.startedMs >= TRY_MS) this.#giveUp(old);
    const channel = workloadChannel(grpc, control, this.#held, this.#patience.factor);
    const stream = openControlStream(channel, AdsService.deltaAggregatedResources, {
      // The control plane sends its headers at once, also when a reconnecting data plane needs nothing.
      onHeaders: () => this.#established(link),
      onMessage: (response) => this.#received(link, response),
      onEnd: (error) => this.#ended(link, error?.message ?? 'the control plane ended the stream'),
    });
    const link: Link = { channel, stream, startedMs: nowMs, upMs: 0 };
    this.#tries.add(link);
    this.#newest = link;
    this.#reason = 'connecting';
    this.#awaitAnswer(new StreamWatch(this.#patience.policy, nowMs));
  }

  #awaitAnswer(watch: StreamWatch): void {
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(1, Math.ceil(watch.dueMs - clock.nowMs())), () => {
      if (watch.handleTimeout(clock.nowMs()) === undefined) this.#awaitAnswer(watch);
      else this.#unanswered();
    });
  }

  /** The newest try. It goes on, beside the next. */
  #unanswered(): void {
    this.#patience.lapsed();
    this.#retry('the control plane does not answer', 'unreachable');
  }

  #established(link: Link): void {
    if (!this.#tries.delete(link)) return;
    const { clock, logger, onLink } = this.#options;
    this.#timer?.cancel();
    for (const other of [...this.#tries]) this.#giveUp(other);
    link.upMs = clock.nowMs();
    this.#link = link;
    this.#newest = undefined;
    this.#reason = '';
    this.#metrics.connected.set(1);
    logger.info({}, 'configuration stream is up');
    this.#watch = new StreamWatch(this.#patience.policy, link.upMs);
    this.#watch.heard(link.upMs);
    this.#machine.connected();
    onLink?.(link.channel);
    // At once: that it is answered proves that the handler of the stream lives, also when there is nothing else to say.
    this.#ask(this.#watch);
    this.#arm();
  }

  #received(link: Link, response: DeltaDiscoveryResponse): void {
    if (this.#link !== link) return;
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#patience.calmed(nowMs - link.upMs)) this.#watch = new StreamWatch(this.#patience.policy, nowMs);
    this.#watch?.heard(nowMs);
    // Mostly the deadline only moves away; then the timer stands, and looks again when it fires.
    if ((this.#watch?.dueMs ?? Infinity) < this.#watchTimerMs) this.#arm();
    this.#source = 'control';
    this.#syncedMs = clock.wallMs();
    try {
      this.#machine.receive(response, this.#syncedMs);
    } catch (error) {
      this.#ended(link, (error as Error).message);
    }
  }

  #ask(watch: StreamWatch): void {
    const nowMs = this.#options.clock.nowMs();
    // While an update is being applied nothing can be asked, and it is us for whom the other side waits.
    if (this.#machine.probe()) watch.asked(nowMs);
    else watch.heard(nowMs);
  }

  #arm(): void {
    const { clock } = this.#options;
    this.#watchTimer?.cancel();
    if (this.#watch === undefined) return;
    this.#watchTimerMs = this.#watch.dueMs;
    this.#watchTimer = clock.after(Math.max(1, Math.ceil(this.#watchTimerMs - clock.nowMs())), () => this.#look());
  }

  #look(): void {
    if (this.#watch === undefined) return;
    const action = this.#watch.handleTimeout(this.#options.clock.nowMs());
    if (action === 'replace') {
      this.#patience.lapsed();
      return this.#broken('the control plane has fallen silent on this stream', 'stalled');
    }
    if (action === 'ask') this.#ask(this.#watch);
    this.#arm();
  }

  #ended(link: Link, reason: string): void {
    link.onGone?.();
    if (this.#link === link) return this.#broken(reason, 'broken');
    if (!this.#tries.has(link)) return;
    this.#giveUp(link);
    if (this.#newest === link) this.#retry(reason, 'unreachable');
  }

  #broken(reason: string, why: RestartReason): void {
    if (this.#link !== undefined && this.#options.clock.nowMs() - this.#link.upMs >= STEADY_MS) this.#attempt = 0;
    this.#leave();
    this.#retry(reason, why);
  }

  #retry(reason: string, why: RestartReason): void {
    const { clock, random, logger } = this.#options;
    this.#restarts.count(why);
    this.#newest = undefined;
    this.#reason = reason;
    this.#timer?.cancel();
    const delayMs = backoffMs(RECONNECT_BACKOFF, this.#attempt, () => random.next());
    // One line for each outage, not one for each try.
    logger[this.#attempt === 0 ? 'warn' : 'debug'](
      { reason, delayMs: Math.round(delayMs) },
      'configuration stream broke; what was applied stays in use',
    );
    this.#attempt += 1;
    this.#timer = clock.after(delayMs, () => this.#connect());
  }

  #leave(): void {
    this.#timer?.cancel();
    this.#watchTimer?.cancel();
    this.#watch = undefined;
    this.#metrics.connected.set(0);
    for (const link of [...this.#tries]) this.#giveUp(link);
    this.#newest = undefined;
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    this.#options.onLink?.(undefined);
    this.#machine.disconnected();
    this.#giveUp(link);
  }

  #giveUp(link: Link): void {
    this.#tries.delete(link);
    link.stream.cancel();
    link.channel.close();
  }
}
