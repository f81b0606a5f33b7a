// What holds where nobody has said anything, in one place for all who build services, clusters and routes.
import type { BalancePolicy, OutlierPolicy } from './balance.ts';
import type { BreakerPolicy, RetryBudget, RetryPolicy } from './resilience.ts';
import type { ForwardAction, RequestMatch } from './route.ts';
import type { SecurityConfig } from './security.ts';

/** `algorithm` is `probing` for services that carry requests; bytes have no load that could be asked for. */
export const DEFAULT_BALANCE: BalancePolicy = Object.freeze({
  algorithm: 'probing',
  locality: 'zone-aware',
  slowStartMs: 0,
  panicPercent: 0,
});

export const DEFAULT_BYTES_BALANCE: BalancePolicy = Object.freeze({ ...DEFAULT_BALANCE, algorithm: 'least-request' });

/** The application itself, of which there is one. */
export const SINGLE_BALANCE: BalancePolicy = Object.freeze({ algorithm: 'round-robin', locality: 'any', slowStartMs: 0, panicPercent: 0 });

/** No limit beyond those of the data plane. */
export const NO_BREAKER: BreakerPolicy = Object.freeze({ connections: 0, pending: 0, requests: 0 });

/** At 100 % failure a service gets at most 1.2 times what was asked for, and 3 tries a second on top. */
export const DEFAULT_RETRY_BUDGET: RetryBudget = Object.freeze({ percent: 20, minPerSecond: 3 });

/**
 * Of a data plane towards the application beside it. It repeats what was lost with a connection that was just closed, and nothing else; callers have
 * budgets of their own, and the shares of two budgets would multiply.
 */
export const LOCAL_RETRY_BUDGET: RetryBudget = Object.freeze({ percent: 0, minPerSecond: 3 });

export const DEFAULT_RETRY_BACKOFF = Object.freeze({ baseMs: 25, maxMs: 250 });

export const NO_RETRY: RetryPolicy = Object.freeze({
  attempts: 0,
  on: Object.freeze([]),
  perTryMs: 0,
  statuses: Object.freeze([]),
  nonIdempotent: false,
  backoff: DEFAULT_RETRY_BACKOFF,
});

/** A caller ejects on what it sees itself, at once; the verdict of the registry takes its time. */
export const DEFAULT_OUTLIER: OutlierPolicy = Object.freeze({
  consecutiveErrors: 5,
  consecutiveGatewayErrors: 0,
  consecutiveLocalErrors: 5,
  intervalMs: 10_000,
  successRateFactor: 0,
  failurePercent: 0,
  latencyFactor: 0,
  minimumRequests: 50,
  minimumInstances: 3,
  ejectMs: 10_000,
  maxEjectMs: 300_000,
  maxEjectedPercent: 50,
});

/** Every request. */
export const ANY_REQUEST: RequestMatch = Object.freeze({ kind: 'request', path: Object.freeze({ kind: 'prefix', value: '/' }) });

/** To one cluster, without limits of its own. */
export function forwardTo(cluster: string): ForwardAction {
  return { kind: 'forward', clusters: [{ cluster, weight: 1 }], hash: [], timeoutMs: 0, idleTimeoutMs: 0, retry: NO_RETRY };
}

/** Everything between workloads is encrypted and both sides are known; who may call whom is open until somebody says so. */
export const DEFAULT_SECURITY: SecurityConfig = Object.freeze({
  mtls: 'strict',
  tlsMin: '1.3',
  issuers: Object.freeze([]),
  access: Object.freeze({ default: 'allow', rules: Object.freeze([]) }),
  denied: Object.freeze([]),
  outboundTokens: Object.freeze([]),
});
