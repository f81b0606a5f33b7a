// From a policy to a balancer.
import type { BalanceAlgorithm, BalancePolicy } from '../model/balance.ts';
import type { BalancedHost, Balancer } from './balancer.ts';
import { HashPicker } from './hash-picker.ts';
import { HashRing } from './hash-ring.ts';
import { LeastRequest } from './least-request.ts';
import { LeastResponseTime } from './least-response-time.ts';
import type { BalancerOptions } from './locality-balancer.ts';
import { LocalityBalancer } from './locality-balancer.ts';
import { MaglevTable } from './maglev-table.ts';
import { Probing } from './probing.ts';
import { RandomPicker } from './random.ts';
import { Rotation } from './rotation.ts';
import type { Picker } from './member.ts';

/** For one caller of one cluster: what it measures and whose turn it is are the caller's own. */
export function createBalancer<H extends BalancedHost>(policy: BalancePolicy, options: BalancerOptions): Balancer<H> {
  return new LocalityBalancer<H>(policy, options, () => createPicker<H>(policy.algorithm, options.random));
}

function createPicker<H extends BalancedHost>(algorithm: BalanceAlgorithm, random: () => number): Picker<H> {
  switch (algorithm) {
    case 'round-robin':
    case 'weighted':
      return new Rotation<H>(random);
    case 'random':
      return new RandomPicker<H>(random);
    case 'least-response-time':
      return new LeastResponseTime<H>(random);
    case 'probing':
      return new Probing<H>(random);
    case 'least-request':
      return new LeastRequest<H>(random);
    case 'ring-hash':
      return new HashPicker<H>(new HashRing<H>(), random);
    case 'maglev':
      return new HashPicker<H>(new MaglevTable<H>(), random);
  }
}
