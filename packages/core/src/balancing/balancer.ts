// What every balancing policy is to its callers: a whole list of hosts in, one host per request out. Picking is O(1),
// allocates nothing, and asks no clock. Every policy passes `balancer-contract.ts`.
import type { Endpoint } from '../model/dataplane.ts';
import type { BalancePolicy } from '../model/service.ts';

/** What a policy must know of a host. An `Endpoint` is one; so is a data plane's own object with a connection pool. */
export type BalancedHost = Pick<Endpoint, 'address' | 'port' | 'health' | 'weight'>;

/** What a policy may know of the request. Callers keep one such object and fill it in again. */
export interface PickRequest<H extends BalancedHost> {
  readonly nowMs: number;
  /** Unsigned 32-bit hash of what consistent hashing looks at (header, cookie, source); 0 where the policy needs none. */
  readonly hash: number;
  /**
   * Hosts that failed this very request: passed over as long as another healthy one exists. Compared by address and port. A pick with some
   * is a retry and must use up no host's turn: else a dead host could be the first choice of every request.
   */
  readonly avoid: readonly H[];
}

export interface Balancer<H extends BalancedHost> {
  readonly policy: BalancePolicy;
  /** Takes a new list in place of the old one. Rotation and measurements of the hosts that stay (same address and port) go on. */
  update(hosts: readonly H[]): void;
  /** A healthy host; undefined when none is. Unhealthy and draining hosts are never picked. */
  pick(request: PickRequest<H>): H | undefined;
  /** A request was sent to the host. With `finished`, what policies that look at load or latency live on. */
  started(host: H, nowMs: number): void;
  /** It ended, `elapsedMs` after it was sent. Called exactly once for each `started`. */
  finished(host: H, succeeded: boolean, elapsedMs: number, nowMs: number): void;
  /** Number of hosts that can be picked at present. */
  readonly healthyCount: number;
}

/** The request without wishes: no hash, nobody to avoid. */
export const ANY_HOST: PickRequest<never> = Object.freeze({ nowMs: 0, hash: 0, avoid: Object.freeze([]) as readonly never[] });

export function isSameHost(a: BalancedHost, b: BalancedHost): boolean {
  return a.port === b.port && a.address === b.address;
}

/** A fixed order that does not depend on how the hosts were listed. */
export function compareHosts(a: BalancedHost, b: BalancedHost): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}
