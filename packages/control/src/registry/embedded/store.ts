// The embedded store: one SQLite file (or memory), one process. Writes that wait at the same moment go to the disk in one
// commit, each under its own revision; a promise resolves only after that commit. Reads see committed state only.
import type { Clock } from '@heddle/runtime';
import { StoreError } from '../store.ts';
import type { Store, StoreEntry, StoreEvent, StoreSnapshot, StoreTransaction, StoreWatch, TransactionResult } from '../store.ts';
import { checkKey, checkLeaseTtl, checkTransaction } from '../transaction.ts';
import { openDatabase, translate } from './database.ts';
import { LeaseClock } from './leases.ts';
import { Records } from './records.ts';
import { WatchHub } from './watch-hub.ts';
import type { Batch } from './watch-hub.ts';

export interface EmbeddedStoreOptions {
  /** Path of the file; its directory must exist. Undefined: in memory, gone with the process. */
  readonly path: string | undefined;
  readonly clock: Clock;
  /** Revisions a watcher may look back; older ones answer COMPACTED. Default 10,000: some minutes of a busy mesh, some MB. */
  readonly historyRevisions?: number;
  /** Leases at one time; one more is refused with BAD_TRANSACTION. Default 100,000: some 30 MB. */
  readonly leasesMax?: number;
}

/** Writes in one commit: bounds how long the first one waits for the others. */
const GROUP_MAX = 256;

/** A write that waits for its commit. `apply` must check everything before it changes anything. */
interface Waiting {
  apply(): () => void;
  reject(error: StoreError): void;
}

/** Opens the store. Throws StoreError UNAVAILABLE when the file is locked, damaged, foreign, or cannot be written. */
export function openEmbeddedStore(options: EmbeddedStoreOptions): Store {
  return new EmbeddedStore(options);
}

class EmbeddedStore implements Store {
  readonly #place: string;
  readonly #records: Records;
  readonly #leases: LeaseClock;
  readonly #hub: WatchHub;
  readonly #historyRevisions: number;
  readonly #leasesMax: number;
  /** In a file, writes wait for the end of the turn of the event loop, so that those of many sockets share one fsync. */
  readonly #defer: (run: () => void) => void;
  readonly #clock: Clock;
  #revision: number;
  #compacted: number;
  #nextLease: number;
  #leaseCount: number;
  #waiting: Waiting[] = [];
  #flushPlanned = false;
  #batches: Batch[] = [];
  #closed = false;

  constructor(options: EmbeddedStoreOptions) {
    this.#place = options.path ?? 'in memory';
    this.#records = new Records(openDatabase(options.path));
    this.#clock = options.clock;
    this.#historyRevisions = options.historyRevisions ?? 10_000;
    this.#leasesMax = options.leasesMax ?? 100_000;
    this.#defer = options.path === undefined ? queueMicrotask : setImmediate;
    ({ revision: this.#revision, compacted: this.#compacted, nextLease: this.#nextLease } = this.#records.meta());
    this.#leases = new LeaseClock(options.clock, (lease) => this.#endLease(lease));
    const leases = this.#records.leases();
    for (const { id, ttlMs } of leases) this.#leases.start(id, ttlMs);
    this.#leaseCount = leases.length;
    this.#hub = new WatchHub((from) => ({
      revision: this.#revision,
      compacted: this.#compacted,
      batches: this.#records.history(from),
    }));
  }

  async get(key: string): Promise<StoreEntry | undefined> {
    this.#checkOpen();
    checkKey(key);
    return this.#read(() => this.#records.get(key));
  }

  async list(prefix: string): Promise<StoreSnapshot> {
    this.#checkOpen();
    return { entries: this.#read(() => this.#records.list(prefix)), revision: this.#revision };
  }

  async transact(transaction: StoreTransaction): Promise<TransactionResult> {
    this.#checkOpen();
    checkTransaction(transaction);
    return await this.#write(() => {
      const succeeded = this.#holds(transaction);
      if (succeeded) this.#apply(transaction);
      return { succeeded, revision: this.#revision };
    });
  }

  async grantLease(ttlMs: number): Promise<string> {
    this.#checkOpen();
    checkLeaseTtl(ttlMs);
    if (this.#leaseCount >= this.#leasesMax) throw new StoreError('BAD_TRANSACTION', `the limit of ${this.#leasesMax} leases is reached`);
    const id = await this.#write(
      () => {
        const granted = `lease-${this.#nextLease}`;
        this.#nextLease += 1;
        this.#leaseCount += 1;
        this.#records.writeLease(granted, ttlMs);
        return granted;
      },
      (granted) => this.#leases.start(granted, ttlMs),
    );
    return id;
  }

  async keepAlive(lease: string): Promise<void> {
    this.#checkOpen();
    if (!this.#leases.keepAlive(lease)) throw leaseNotFound(lease);
  }

  async revokeLease(lease: string): Promise<void> {
    this.#checkOpen();
    // Stopped at once: a heartbeat that comes before the commit must not think that it has saved the lease.
    if (!this.#leases.stop(lease)) throw leaseNotFound(lease);
    try {
      await this.#write(() => this.#dropLease(lease, false));
    } catch (error) {
      this.#endLeaseLater(lease);
      throw error;
    }
  }

  watch(
    prefix: string,
    fromRevision: number,
    onEvents: (events: readonly StoreEvent[], revision: number) => void,
    onError: (error: StoreError) => void,
    onCaughtUp?: (revision: number) => void,
  ): StoreWatch {
    this.#checkOpen();
    return this.#hub.add(prefix, fromRevision, onEvents, onError, onCaughtUp);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    while (this.#waiting.length > 0) this.#flush();
    this.#closed = true;
    this.#leases.stopAll();
    this.#hub.closeAll(new StoreError('CLOSED', 'the store is closed'));
    this.#records.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('CLOSED', 'the store is closed');
  }

  #read<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw translate(error, this.#place);
    }
  }

  /** `change` runs inside the next commit, `after` once it is on the disk. */
  #write<T>(change: () => T, after?: (result: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({
        reject,
        apply: () => {
          try {
            const result = change();
            return () => {
              after?.(result);
              resolve(result);
            };
          } catch (error) {
            // Found before anything was written: this one fails alone.
            if (error instanceof StoreError) return () => reject(error);
            throw error;
          }
        },
      });
      this.#planFlush();
    });
  }

  #planFlush(): void {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    this.#defer(() => {
      this.#flushPlanned = false;
      if (this.#closed) return;
      this.#flush();
      if (this.#waiting.length > 0) this.#planFlush();
    });
  }

  #flush(): void {
    const group = this.#waiting.splice(0, GROUP_MAX);
    const before = [this.#revision, this.#compacted, this.#nextLease, this.#leaseCount] as const;
    let settle: (() => void)[];
    try {
      settle = this.#records.transaction(() => {
        const done = group.map((waiting) => waiting.apply());
        this.#compact();
        this.#records.writeMeta({ revision: this.#revision, compacted: this.#compacted, nextLease: this.#nextLease });
        return done;
      });
    } catch (error) {
      [this.#revision, this.#compacted, this.#nextLease, this.#leaseCount] = before;
      this.#batches = [];
      const failure = translate(error, this.#place);
      for (const waiting of group) waiting.reject(failure);
      return;
    }
    const batches = this.#batches;
    this.#batches = [];
    for (const batch of batches) this.#hub.publish(batch);
    for (const run of settle) run();
  }

  #holds(transaction: StoreTransaction): boolean {
    return transaction.conditions.every(({ key, modRevision }) => (this.#records.get(key)?.modRevision ?? 0) === modRevision);
  }

  #apply(transaction: StoreTransaction): void {
    for (const operation of transaction.operations) {
      if (operation.kind === 'put' && operation.lease !== undefined && !this.#leases.has(operation.lease))
        throw leaseNotFound(operation.lease);
    }
    const revision = this.#revision + 1;
    const events: StoreEvent[] = [];
    for (const operation of transaction.operations) {
      const old = this.#records.get(operation.key);
      if (operation.kind === 'delete') {
        if (old !== undefined) events.push(this.#deleteKey(operation.key, revision, false));
        continue;
      }
      const { key, value, lease } = operation;
      const entry: StoreEntry = {
        key,
        value,
        createRevision: old?.createRevision ?? revision,
        modRevision: revision,
        version: (old?.version ?? 0) + 1,
        lease,
      };
      this.#records.writeEntry(entry);
      events.push({ kind: 'put', entry });
    }
    this.#commitRevision(revision, events);
  }

  #deleteKey(key: string, revision: number, expired: boolean): StoreEvent {
    this.#records.deleteEntry(key);
    return { kind: 'delete', key, revision, expired };
  }

  /** A revision exists only where something changed. */
  #commitRevision(revision: number, events: readonly StoreEvent[]): void {
    if (events.length === 0) return;
    this.#revision = revision;
    this.#records.appendHistory({ revision, events });
    this.#batches.push({ revision, events });
  }

  #dropLease(lease: string, expired: boolean): void {
    const revision = this.#revision + 1;
    const events = this.#records.keysOfLease(lease).map((key) => this.#deleteKey(key, revision, expired));
    this.#records.deleteLease(lease);
    this.#leaseCount -= 1;
    this.#commitRevision(revision, events);
  }

  #endLease(lease: string): void {
    if (this.#closed) return;
    this.#write(() => this.#dropLease(lease, true)).catch(() => this.#endLeaseLater(lease));
  }

  /** The disk may be full at this moment: the keys must go all the same, so it is tried until it works. */
  #endLeaseLater(lease: string): void {
    this.#clock.after(EXPIRY_RETRY_MS, () => this.#endLease(lease));
  }

  /** In steps of an eighth, so that not every commit deletes a row. */
  #compact(): void {
    if (this.#revision - this.#compacted < this.#historyRevisions * 1.125) return;
    this.#compacted = this.#revision - this.#historyRevisions;
    this.#records.trimHistory(this.#compacted);
  }
}

const EXPIRY_RETRY_MS = 1_000;

function leaseNotFound(lease: string): StoreError {
  return new StoreError('LEASE_NOT_FOUND', `lease ${lease} has ended or was never granted`);
}
