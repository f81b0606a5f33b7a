// The drains under way. Each is fed with what the configuration streams confirm: all of them once at its begin, then the one that answers. A
// stream is asked about the endpoint resources of the service alone, by name, so a drain costs a few look-ups for each data plane.
import { serviceKey } from '@heddle/core';
import type { ServiceRef } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { RegistryError } from '../registry/errors.ts';
import type { InstanceRef } from '../registry/keys.ts';
import { instanceName } from '../registry/keys.ts';
import type { Registry } from '../registry/registry.ts';
import { DrainBarrier } from './barrier.ts';
import type { DrainProgress } from './barrier.ts';
import { DEPARTED_MS, Departures } from './departures.ts';
import type { Departed } from './departures.ts';
import { hasSpoken } from './stream.ts';
import type { DrainStream } from './stream.ts';

export const DRAIN_TIMEOUT_MS = 30_000;
/** Nobody waits longer for one instance; what has not answered by then never will. */
export const DRAIN_TIMEOUT_MS_MAX = 600_000;
/** One for each instance of a large mesh that stops as a whole. */
const DRAINS_MAX = 10_000;
/** Of one resource, while one drain lasts: more than a busy service changes in ten minutes at the pace of its heartbeats. */
const VERSIONS_MAX = 4_096;

export interface DrainDeskOptions {
  readonly registry: Pick<Registry, 'instance' | 'snapshot'>;
  /** Those that are open. */
  readonly streams: () => Iterable<DrainStream>;
  /** Of the endpoint resources that may list the service's instances: all of them, and those of each of its subsets. */
  readonly names: (service: ServiceRef) => Iterable<string>;
  /** The versions in which such a resource is sent now, to data planes of any kind. */
  readonly versions: (name: string) => Iterable<string>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Someone waits for the data planes. */
export interface RunningDrain {
  progress(): DrainProgress;
  /** Resolves when it is over, however it ended; never after `close`. */
  readonly done: Promise<DrainProgress>;
  /** Nobody waits any more. */
  close(): void;
}

export class DrainDesk {
  readonly #options: DrainDeskOptions;
  readonly #departures = new Departures();
  readonly #drains = new Set<Drain>();
  #timer: Timer | undefined;

  constructor(options: DrainDeskOptions) {
    this.#options = options;
    // What an earlier life of the control plane has told them, they still go by.
    const nowMs = options.clock.nowMs();
    const nodes = new Set([...options.registry.snapshot().services.values()].flatMap(({ instances }) => instances.map(({ node }) => node)));
    for (const node of nodes) this.#departures.add(node, undefined, nowMs);
  }

  /**
   * To be called when the registry has the instance as draining, and data planes are being told. `onProgress` is called at every step, often
   * several times at once. Throws RegistryError LIMIT.
   */
  begin(ref: InstanceRef, timeoutMs = DRAIN_TIMEOUT_MS, onProgress: () => void = () => {}): RunningDrain {
    if (this.#drains.size >= DRAINS_MAX) throw new RegistryError('LIMIT', `${DRAINS_MAX} drains are waited for already, the limit`);
    const { clock, streams } = this.#options;
    const nowMs = clock.nowMs();
    const drain = new Drain(ref, Math.min(timeoutMs, DRAIN_TIMEOUT_MS_MAX), this.#options, onProgress, (over) => this.#drains.delete(over));
    this.#drains.add(drain);
    for (const departed of this.#departures.all(nowMs)) drain.lost(departed);
    for (const stream of streams()) drain.look(stream);
    drain.begin();
    return drain;
  }

  /** Registry and resources have changed; data planes have not been told yet. */
  changed(services: ReadonlySet<string>): void {
    for (const drain of this.#drains) if (services.has(drain.service)) drain.changed();
  }

  /** A stream asked, acknowledged or refused. */
  progressed(stream: DrainStream): void {
    if (stream.node === '') return;
    for (const drain of this.#drains) drain.look(stream);
    if (!hasSpoken(stream)) return;
    for (const departed of this.#departures.take(stream.node)) for (const drain of this.#drains) drain.back(departed);
  }

  /** One that ends in order has unsubscribed from its endpoints before: it goes by nothing any more. */
  ended(stream: DrainStream): void {
    const { node, session } = stream;
    if (node !== '' && session.subscription('endpoints') !== undefined) {
      const departed = this.#departures.add(node, stream, this.#options.clock.nowMs());
      for (const drain of this.#drains) drain.lost(departed);
      this.#forgetLater();
    }
    for (const drain of this.#drains) drain.ended(stream);
  }

  close(): void {
    this.#timer?.cancel();
    for (const drain of [...this.#drains]) drain.close();
  }

  /** What a stream held is not kept for longer than it counts. */
  #forgetLater(): void {
    const { clock } = this.#options;
    this.#timer ??= clock.after(DEPARTED_MS, () => {
      this.#timer = undefined;
      if (this.#departures.forgetOld(clock.nowMs())) this.#forgetLater();
    });
  }
}

class Drain implements RunningDrain {
  readonly service: string;
  readonly done: Promise<DrainProgress>;
  readonly #ref: InstanceRef;
  readonly #options: DrainDeskOptions;
  readonly #onProgress: () => void;
  readonly #onOver: (drain: Drain) => void;
  readonly #resolve: (progress: DrainProgress) => void;
  readonly #startedMs: number;
  readonly #barrier: DrainBarrier<DrainStream | Departed>;
  /** By name of the resource: the versions without the instance. */
  readonly #without = new Map<string, Set<string>>();
  readonly #accepts = new Map<string, (version: string) => boolean>();
  #timer: Timer | undefined;
  /** When it fires. */
  #timerMs: number | undefined;

  constructor(ref: InstanceRef, timeoutMs: number, options: DrainDeskOptions, onProgress: () => void, onOver: (drain: Drain) => void) {
    this.#ref = ref;
    this.service = serviceKey(ref.service);
    this.#options = options;
    this.#onProgress = onProgress;
    this.#onOver = onOver;
    const { promise, resolve } = Promise.withResolvers<DrainProgress>();
    this.done = promise;
    this.#resolve = resolve;
    this.#startedMs = options.clock.nowMs();
    this.#barrier = new DrainBarrier({ nowMs: this.#startedMs, timeoutMs });
    this.#learn();
  }

  progress(): DrainProgress {
    return this.#barrier.progress();
  }

  begin(): void {
    this.#barrier.begin();
    this.#went();
  }

  look(stream: DrainStream): void {
    const { node, session } = stream;
    if (node === '') return;
    const why = this.#why(session);
    if (why === 'yes') {
      if (!this.#barrier.awaits(stream)) return;
      this.#barrier.confirmed(stream);
    } else this.#barrier.holds(stream, node, why);
    this.#went();
  }

  lost(departed: Departed): void {
    const { node, stream, untilMs } = departed;
    if (stream !== undefined && this.#why(stream.session) === 'yes') return;
    this.#barrier.lost(departed, node, untilMs);
    this.#went();
  }

  /** Its data plane has another stream, which has been looked at. */
  back(departed: Departed): void {
    this.#barrier.confirmed(departed);
    this.#went();
  }

  ended(stream: DrainStream): void {
    if (!this.#barrier.awaits(stream)) return;
    this.#barrier.gone(stream);
    this.#went();
  }

  /** Its service or one of its instances. */
  changed(): void {
    this.#learn();
    this.#went();
  }

  close(): void {
    this.#timer?.cancel();
    this.#onOver(this);
  }

  #learn(): void {
    const { registry, names, versions } = this.#options;
    const instance = registry.instance(this.#ref);
    if (instance !== undefined && instance.health !== 'draining') return this.#barrier.returned();
    for (const name of names(this.#ref.service)) {
      let without = this.#without.get(name);
      if (without === undefined) {
        const made = new Set<string>();
        without = made;
        this.#without.set(name, made);
        // What is sent now is always without it; a kind of data plane may have come only since.
        this.#accepts.set(name, (version) => made.has(version) || isAmong(version, versions(name)));
      }
      for (const version of versions(name)) without.add(version);
      for (const oldest of without) {
        if (without.size <= VERSIONS_MAX) break;
        without.delete(oldest);
      }
    }
  }

  #why(session: DrainStream['session']): ReturnType<DrainStream['session']['confirms']> {
    for (const [name, accepts] of this.#accepts) {
      const confirmation = session.confirms('endpoints', name, accepts);
      if (confirmation !== 'yes') return confirmation;
    }
    return 'yes';
  }

  #went(): void {
    const { clock } = this.#options;
    this.#onProgress();
    const nextMs = this.#barrier.nextTimeoutMs();
    if (nextMs === undefined) return this.#over();
    if (nextMs === this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = nextMs;
    this.#timer = clock.after(Math.max(0, nextMs - clock.nowMs()), () => {
      this.#timerMs = undefined;
      this.#barrier.handleTimeout(clock.nowMs());
      this.#went();
    });
  }

  #over(): void {
    const { logger, clock } = this.#options;
    const { outcome, dataPlanes, stragglers } = this.#barrier.progress();
    const fields = { instance: instanceName(this.#ref), dataPlanes, afterMs: Math.round(clock.nowMs() - this.#startedMs) };
    if (outcome === 'timed-out') {
      const named = stragglers.slice(0, 20).map(({ node, reason }) => `${node} (${reason})`);
      logger.warn({ ...fields, stragglers: named.join(', ') }, 'a drain was not acknowledged by all data planes in time');
    } else
      logger.info(fields, outcome === 'complete' ? 'instance is drained: no data plane chooses it any more' : 'a drain was taken back');
    this.close();
    this.#resolve(this.#barrier.progress());
  }
}

function isAmong(version: string, versions: Iterable<string>): boolean {
  for (const other of versions) if (other === version) return true;
  return false;
}
