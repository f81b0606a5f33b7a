// From a policy's name to the policy.
import type { BalancePolicy } from '../model/service.ts';
import type { BalancedHost, Balancer } from './balancer.ts';
import { RoundRobin } from './round-robin.ts';

/** @param random uniform in [0, 1); where a rotation starts, so that many callers do not all begin with the same host. */
export function createBalancer<H extends BalancedHost>(policy: BalancePolicy, random: () => number): Balancer<H> {
  switch (policy) {
    case 'round-robin':
      return new RoundRobin<H>(random);
  }
}
