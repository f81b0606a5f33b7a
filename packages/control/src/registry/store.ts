// The port behind which state lives, with etcd's semantics (v3 API: revisions, transactions, leases, watch). Drivers:
// `embedded/` (SQLite, one process) now; etcd can stand in its place. Every driver passes `store-contract.ts`.

/** One version of one key. `modRevision` is the store's revision at which it was last written. */
export interface StoreEntry {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** Writes since creation, from 1. */
  readonly version: number;
  readonly lease: string | undefined;
}

/** `modRevision: 0` means "does not exist". */
export type StoreCondition = { readonly key: string; readonly modRevision: number };

export type StoreOperation =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly kind: 'delete'; readonly key: string };

export interface StoreTransaction {
  /** All must hold, else nothing is done. */
  readonly conditions: readonly StoreCondition[];
  /** Applied together, under one revision. A key may appear once. */
  readonly operations: readonly StoreOperation[];
}

export interface TransactionResult {
  readonly succeeded: boolean;
  readonly revision: number;
}

export interface StoreSnapshot {
  readonly entries: readonly StoreEntry[];
  /** The revision at which `entries` were the truth: watch from `revision + 1` to miss nothing. */
  readonly revision: number;
}

export type StoreEvent =
  | { readonly kind: 'put'; readonly entry: StoreEntry }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number /** The lease ended. */; readonly expired: boolean };

export interface StoreWatch {
  close(): void;
}

export type StoreErrorCode = 'COMPACTED' | 'LEASE_NOT_FOUND' | 'CLOSED' | 'BAD_TRANSACTION' | 'UNAVAILABLE';

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  /** With COMPACTED: the last revision that is no longer in the history. */
  readonly compactedRevision: number | undefined;
  constructor(code: StoreErrorCode, message: string, cause?: unknown, compactedRevision?: number) {
    super(message, { cause });
    this.name = 'StoreError';
    this.code = code;
    this.compactedRevision = compactedRevision;
  }
}

export interface Store {
  get(key: string): Promise<StoreEntry | undefined>;
  /** Entries whose key begins with the prefix, sorted by key. */
  list(prefix: string): Promise<StoreSnapshot>;
  /** What was acknowledged survives SIGKILL of the process. `LEASE_NOT_FOUND` when a put names an ended lease. */
  transact(transaction: StoreTransaction): Promise<TransactionResult>;
  /** Drops the key when the lease ends. TTL in milliseconds. */
  grantLease(ttlMs: number): Promise<string>;
  /** Starts the lease's time anew; `LEASE_NOT_FOUND` when it has ended. */
  keepAlive(lease: string): Promise<void>;
  /** Ends the lease and deletes its keys, in one revision. */
  revokeLease(lease: string): Promise<void>;
  /**
   * Events of keys with the prefix from the revision on (that one included), in order, each batch of one revision together.
   * `onError` with `COMPACTED` when the history no longer reaches back so far: list again, then watch.
   * `onCaughtUp` once, when everything up to that revision has been told: what follows is new.
   */
  watch(
    prefix: string,
    fromRevision: number,
    onEvents: (events: readonly StoreEvent[], revision: number) => void,
    onError: (error: StoreError) => void,
    onCaughtUp?: (revision: number) => void,
  ): StoreWatch;
  close(): Promise<void>;
}
