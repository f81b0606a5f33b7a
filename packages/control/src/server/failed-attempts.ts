// How often somebody may show a wrong proof. Per address, so that nobody else is kept out; who has shown a right one from there before is heard
// also while others fail. Pure: time is an argument.
import { sha256 } from '@heddle/runtime/node';

/** Wrong tokens from one address, at once and per second: far more than people make, far fewer than guessing needs. */
const BURST = 100;
const PER_SECOND = 1;
/** Remembered addresses and tokens; the oldest are forgotten. */
const REMEMBERED_MAX = 10_000;

interface Budget {
  left: number;
  atMs: number;
}

export class FailedAttempts {
  readonly #budgets = new Map<string, Budget>();
  /** Address and hash of tokens that were right. */
  readonly #known = new Set<string>();

  /** Whether a token from there is looked at at all. */
  admits(address: string, token: string, nowMs: number): boolean {
    const budget = this.#budgets.get(address);
    if (budget === undefined || refilled(budget, nowMs) >= 1) return true;
    return this.#known.has(keyOf(address, token));
  }

  failed(address: string, nowMs: number): void {
    const known = this.#budgets.get(address);
    const left = known === undefined ? BURST : refilled(known, nowMs);
    this.#budgets.delete(address);
    forgetOldest(this.#budgets);
    this.#budgets.set(address, { left: Math.max(0, left - 1), atMs: nowMs });
  }

  succeeded(address: string, token: string): void {
    const key = keyOf(address, token);
    if (this.#known.has(key)) return;
    forgetOldest(this.#known);
    this.#known.add(key);
  }
}

function refilled({ left, atMs }: Budget, nowMs: number): number {
  return Math.min(BURST, left + (Math.max(0, nowMs - atMs) / 1_000) * PER_SECOND);
}

function keyOf(address: string, token: string): string {
  return `${address} ${Buffer.from(sha256(token)).toString('base64url')}`;
}

function forgetOldest(remembered: Map<string, unknown> | Set<string>): void {
  if (remembered.size < REMEMBERED_MAX) return;
  for (const key of remembered.keys()) {
    remembered.delete(key);
    return;
  }
}
