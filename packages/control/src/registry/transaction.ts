// What a transaction may look like, whatever driver runs it: checked before anything is written or queued.
import { StoreError } from './store.ts';
import type { StoreTransaction } from './store.ts';

export interface TransactionLimits {
  /** Operations and conditions of one transaction; etcd's default is 128, ours lets a mesh file of some size go in one. */
  readonly operations: number;
  readonly keyChars: number;
  /** One value. Far above any instance; bounds what the history can hold. */
  readonly valueChars: number;
}

export const TRANSACTION_LIMITS: TransactionLimits = { operations: 512, keyChars: 1024, valueChars: 262_144 };

/** The longest lease a timer can hold (2^31 - 1 ms, 24.8 days). */
export const LEASE_TTL_MS_MAX = 2_147_483_647;

/** Throws BAD_TRANSACTION that names the key and the rule. */
export function checkTransaction(transaction: StoreTransaction, limits: TransactionLimits = TRANSACTION_LIMITS): void {
  const { conditions, operations } = transaction;
  if (operations.length > limits.operations || conditions.length > limits.operations) {
    throw bad(
      `a transaction may have ${limits.operations} operations and as many conditions, this one has ${operations.length} and ${conditions.length}; split it`,
    );
  }
  for (const condition of conditions) {
    checkKey(condition.key, limits);
    if (!Number.isSafeInteger(condition.modRevision) || condition.modRevision < 0) {
      throw bad(`condition on ${quote(condition.key)}: modRevision ${condition.modRevision} is not a revision (0, 1, 2, …)`);
    }
  }
  const seen = new Set<string>();
  for (const operation of operations) {
    checkKey(operation.key, limits);
    if (seen.has(operation.key)) throw bad(`key ${quote(operation.key)} appears twice; a transaction may write a key once`);
    seen.add(operation.key);
    if (operation.kind === 'put') checkText(`value of ${quote(operation.key)}`, operation.value, limits.valueChars);
  }
}

export function checkKey(key: string, limits: TransactionLimits = TRANSACTION_LIMITS): void {
  if (key === '') throw bad('a key must not be empty');
  checkText('key', key, limits.keyChars);
}

/** Text must survive UTF-8 unchanged: half surrogate pairs do not, and a NUL ends it for some drivers. */
function checkText(what: string, text: string, charsMax: number): void {
  if (text.length > charsMax) throw bad(`${what} has ${text.length} characters, at most ${charsMax} are allowed`);
  if (!text.isWellFormed() || text.includes('\0')) throw bad(`${what} contains a NUL or half a surrogate pair`);
}

export function checkLeaseTtl(ttlMs: number): void {
  if (!Number.isInteger(ttlMs) || ttlMs < 1 || ttlMs > LEASE_TTL_MS_MAX) {
    throw bad(`lease time ${ttlMs} ms is not a whole number from 1 to ${LEASE_TTL_MS_MAX}`);
  }
}

function bad(message: string): StoreError {
  return new StoreError('BAD_TRANSACTION', message);
}

function quote(key: string): string {
  return JSON.stringify(key.length > 120 ? `${key.slice(0, 120)}…` : key);
}
