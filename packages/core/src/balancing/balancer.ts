// What every balancing algorithm is to its callers: a whole list of hosts in, one host per request out. Picking is O(1) or O(log n),
// allocates nothing, and asks no clock. Every algorithm passes `balancer-contract.ts`.
import type { BalanceAlgorithm } from '../model/balance.ts';
import type { Endpoint } from '../model/dataplane.ts';

/** What a balancer must know of a host. An `Endpoint` is one; so is a data plane's own object with a connection pool. */
export type BalancedHost = Pick<Endpoint, 'address' | 'port' | 'health' | 'weight' | 'locality'>;

/** What a balancer may know of the request. Callers keep one such object and fill it in again. */
export interface PickRequest<H extends BalancedHost> {
  readonly nowMs: number;
  /** Unsigned 32-bit hash of what consistent hashing looks at (header, cookie, source); undefined: the request has nothing of it. */
  readonly hash: number | undefined;
  /**
   * Hosts that failed this very request: passed over as long as another one can be picked. Compared by address and port. A pick with some
   * is a retry and must use up no host's turn: else a dead host could be the first choice of every request.
   */
  readonly avoid: readonly H[];
}

/**
 * How a try ended, as balancers, outlier detection and adaptive concurrency see it. `success`: any answer that is the caller's affair, 4xx too.
 * `server-error`: 5xx but those of gateways, gRPC UNKNOWN, INTERNAL, DATA_LOSS. `gateway-error`: 502, 503, 504, gRPC UNAVAILABLE and
 * DEADLINE_EXCEEDED. `local-error`: no connection, a reset, the time of the try is over. `cancelled`: the caller gave up; it says nothing.
 */
export type TryResult = 'success' | 'server-error' | 'gateway-error' | 'local-error' | 'cancelled';

/** What a host says about itself: in answer to a probe, or with a response (ORCA). */
export interface LoadSignal {
  /** Requests under way at the host, its application's own where it says so. */
  readonly inFlight: number;
  /** What a request takes there at present, at about that many in flight; 0: not known. */
  readonly latencyMs: number;
}

export interface Balancer<H extends BalancedHost> {
  readonly algorithm: BalanceAlgorithm;
  /** Takes a new list in place of the old one. Rotation and measurements of the hosts that stay (same address and port) go on. */
  update(hosts: readonly H[], nowMs: number): void;
  /** A healthy host; undefined when none is. Unhealthy and draining hosts are never picked, but in panic (see `LocalityBalancer`). */
  pick(request: PickRequest<H>): H | undefined;
  /** A request was sent to the host. With `finished`, what algorithms that look at load or latency live on. */
  started(host: H, nowMs: number): void;
  /** It ended, `elapsedMs` after it was sent. Called exactly once for each `started`. */
  finished(host: H, result: TryResult, elapsedMs: number, nowMs: number): void;
  /**
   * The host that is to be asked for its load now, if there is one; to be called after each pick until there is none. Each answer goes to
   * `loadReported`, each question that gets none to `probeFailed`. What a response says about its host's load goes to `loadReported`, too.
   */
  probeDue?(nowMs: number): H | undefined;
  loadReported?(host: H, load: LoadSignal, nowMs: number): void;
  /** `unsupported`: this host does not answer such questions. */
  probeFailed?(host: H, why: 'unanswered' | 'unsupported', nowMs: number): void;
  /** Number of hosts that can be picked at present. */
  readonly healthyCount: number;
  /** What it bases its picks on, by host, for people: weight, load, latency, tier. */
  describe(host: H, nowMs: number): Readonly<Record<string, string | number>>;
}

/** The request without wishes: no hash, nobody to avoid. */
export const ANY_HOST: PickRequest<never> = Object.freeze({ nowMs: 0, hash: undefined, avoid: Object.freeze([]) as readonly never[] });

export function isSameHost(a: BalancedHost, b: BalancedHost): boolean {
  return a.port === b.port && a.address === b.address;
}

export function isAvoided(host: BalancedHost, avoid: readonly BalancedHost[]): boolean {
  for (let index = 0; index < avoid.length; index++) {
    if (isSameHost(host, avoid[index] as BalancedHost)) return true;
  }
  return false;
}

/** A fixed order that does not depend on how the hosts were listed. */
export function compareHosts(a: BalancedHost, b: BalancedHost): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}
