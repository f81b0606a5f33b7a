// How checks of tokens ended, counted for each issuer.
import { TOKEN_METRICS } from '@heddle/core';
import type { Counter, Metrics } from '@heddle/runtime';

const RESULTS = ['valid', 'known', 'invalid', 'unavailable'] as const;

export type CheckResult = (typeof RESULTS)[number];

export class CheckCounts {
  private readonly byIssuer = new Map<string, Readonly<Record<CheckResult, Counter>>>();

  constructor(metrics: Metrics, issuers: readonly string[]) {
    for (const issuer of ['', ...issuers]) {
      const counter = (result: CheckResult): Counter => metrics.counter(TOKEN_METRICS.checks, { issuer, result });
      const [valid, known, invalid, unavailable] = RESULTS.map(counter) as [Counter, Counter, Counter, Counter];
      this.byIssuer.set(issuer, { valid, known, invalid, unavailable });
    }
  }

  /** @param issuer its name; empty: of none. */
  add(issuer: string, result: CheckResult): void {
    this.byIssuer.get(issuer)?.[result].add(1);
  }
}
