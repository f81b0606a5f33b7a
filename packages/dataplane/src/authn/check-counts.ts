// How checks of tokens ended, counted for each issuer.
import type { Counter, Metrics } from '@heddle/runtime';

const RESULTS = ['valid', 'known', 'invalid', 'unavailable'] as const;

export type CheckResult = (typeof RESULTS)[number];

export class CheckCounts {
  private readonly byIssuer = new Map<string, Readonly<Record<CheckResult, Counter>>>();

  constructor(metrics: Metrics, issuers: readonly string[]) {
    for (const issuer of ['', ...issuers]) {
      const counter = (result: CheckResult): Counter =>
        metrics.counter(
          'heddle_token_checks_total',
          'Tokens that came with requests. known: valid, and checked before. The issuer is empty where the token is of none.',
          { issuer, result },
        );
      const [valid, known, invalid, unavailable] = RESULTS.map(counter) as [Counter, Counter, Counter, Counter];
      this.byIssuer.set(issuer, { valid, known, invalid, unavailable });
    }
  }

  /** @param issuer its name; empty: of none. */
  add(issuer: string, result: CheckResult): void {
    this.byIssuer.get(issuer)?.[result].add(1);
  }
}
