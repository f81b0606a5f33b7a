// Keeps instances whose leases ended together with most others of their service. The view has them back at once, in the same change
// in which they would have gone; the store gets them under keys of their own, with a lease that bounds how long they are kept, so that
// a restart of the control plane does not lose them and every control plane on the store sees them.
import { serviceKey } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import type { EventSink } from '../events/sink.ts';
import { instanceName, instanceStoreKey, keptStoreKey } from './keys.ts';
import type { InstanceRef } from './keys.ts';
import { NO_EXPIRY, decideExpiry, withoutInstance } from './mass-expiry.ts';
import type { ExpiryState } from './mass-expiry.ts';
import { StoreError } from './store.ts';
import type { Store } from './store.ts';
import type { HeldInstance } from './view.ts';

export interface KeeperOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventSink;
  readonly keptMs: number;
}

/** A store that cannot be written is tried again. */
const RETRY_MS = 1_000;
/** Names in the event. */
const NAMED_MAX = 10;

interface Watched {
  state: ExpiryState;
  /** What the instances in `state.recent` were. */
  readonly last: Map<string, HeldInstance>;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #services = new Map<string, Watched>();
  readonly #timers = new Set<Timer>();
  #writing: Promise<void> = Promise.resolve();
  #enabled = true;
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    if (!enabled) this.#services.clear();
  }

  /** Takes in that leases of a service have ended; returns which instances are to be kept. `live`: how many still have a lease. */
  expired(service: string, gone: readonly HeldInstance[], live: number): readonly HeldInstance[] {
    // Who was leaving has left.
    const missed = gone.filter(({ instance }) => instance.health !== 'draining');
    if (!this.#enabled || missed.length === 0) return [];
    const watched = this.#services.get(service) ?? { state: NO_EXPIRY, last: new Map<string, HeldInstance>() };
    for (const held of missed) watched.last.set(held.instance.id, held);
    const ids = missed.map(({ instance }) => instance.id);
    const leaseTtlMs = Math.max(...missed.map(({ record }) => record.leaseTtlMs));
    const { state, keep, began } = decideExpiry(watched.state, { ids, live, leaseTtlMs }, this.#options.clock.nowMs());
    watched.state = state;
    this.#services.set(service, watched);
    if (watched.last.size > state.recent.length) prune(watched);
    const kept = keep.flatMap((id) => watched.last.get(id) ?? []);
    if (began) this.#tell(service, kept, live);
    return kept;
  }

  /** The instance has a lease again, or is meant to be gone. */
  settled(ref: InstanceRef): void {
    const key = serviceKey(ref.service);
    const watched = this.#services.get(key);
    if (watched === undefined) return;
    watched.state = withoutInstance(watched.state, ref.id);
    watched.last.delete(ref.id);
    if (watched.last.size === 0) this.#services.delete(key);
  }

  /** Writes what is kept, under one lease; tries until it is written or not needed any more. */
  persist(kept: readonly HeldInstance[]): void {
    if (kept.length === 0 || this.#closed) return;
    this.#writing = Promise.all([this.#writing, this.#persist(kept)]).then(() => {});
  }

  /** Resolves when what is being written has been, or cannot be now. */
  whenWritten(): Promise<void> {
    return this.#writing;
  }

  async #persist(kept: readonly HeldInstance[]): Promise<void> {
    const { store, logger, keptMs } = this.#options;
    let left = kept;
    try {
      const lease = await store.grantLease(keptMs);
      const written = await Promise.allSettled(kept.map((held) => this.#write(held, lease)));
      left = kept.filter((_, index) => written[index]?.status === 'rejected');
      const failure = written.find((one) => one.status === 'rejected');
      if (failure !== undefined) throw failure.reason;
    } catch (error) {
      if (this.#closed || (error instanceof StoreError && error.code === 'CLOSED')) return;
      logger.error({ error: (error as Error).message, instances: left.length }, 'what is kept cannot be written; trying again');
      const timer = this.#options.clock.after(RETRY_MS, () => {
        this.#timers.delete(timer);
        this.persist(left);
      });
      this.#timers.add(timer);
    }
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  /** Nothing is written for an instance that has registered again, or that another control plane has written. */
  async #write({ record, instance }: HeldInstance, lease: string): Promise<void> {
    const key = keptStoreKey(instance);
    await this.#options.store.transact({
      conditions: [
        { key: instanceStoreKey(instance), modRevision: 0 },
        { key, modRevision: 0 },
      ],
      operations: [{ kind: 'put', key, value: JSON.stringify(record), lease }],
    });
  }

  #tell(service: string, kept: readonly HeldInstance[], live: number): void {
    const { events, logger, keptMs } = this.#options;
    const ids = kept.map(({ instance }) => instance.id);
    const names = ids.length <= NAMED_MAX ? ids.join(', ') : `${ids.slice(0, NAMED_MAX).join(', ')} and ${ids.length - NAMED_MAX} more`;
    const message = `the leases of ${ids.length} of ${ids.length + live} instances ended at about the same time; those that end now are kept as last known, for ${Math.round(keptMs / 60_000)} min or until they register again: ${names}`;
    events.record('mass-expiry', service, message);
    logger.warn(
      { service, kept: ids.length, live, first: kept[0] && instanceName(kept[0].instance) },
      'mass expiry: instances are kept as last known',
    );
  }
}

/** What is no longer recent is not needed. */
function prune({ state, last }: Watched): void {
  const recent = new Set(state.recent.map(({ id }) => id));
  for (const id of last.keys()) if (!recent.has(id)) last.delete(id);
}
