// Balancing, limits and ejection of a cluster: heddle.config.v1.ClusterExtension. What is as in the plainest cluster is left out, so that such a
// cluster has no extension at all.
import { type Cluster, DEFAULT_RETRY_BUDGET, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type { BalanceAlgorithm, BalancePolicy, BreakerPolicy, LocalityMode, OutlierPolicy, SessionPolicy } from '@heddle/core';
import { Cluster_LbPolicy } from '../../gen/envoy/envoy/config/cluster/v3/cluster.ts';
import {
  type AdaptiveConcurrency,
  type Balance,
  BalanceAlgorithm as AlgorithmMessage,
  type Breaker,
  type ClusterExtension,
  LocalityMode as LocalityMessage,
  type Outlier,
  type Session,
} from '../../gen/own/heddle/config/v1/cluster.ts';
import { cookieName, milliseconds, notNegative, percentage, within, words } from './extension.ts';
import type { At } from './rejection.ts';

const UINT32_MAX = 4_294_967_295;

const ALGORITHMS = words<BalanceAlgorithm, AlgorithmMessage>({
  probing: AlgorithmMessage.BALANCE_ALGORITHM_PROBING,
  'least-response-time': AlgorithmMessage.BALANCE_ALGORITHM_LEAST_RESPONSE_TIME,
  'least-request': AlgorithmMessage.BALANCE_ALGORITHM_LEAST_REQUEST,
  'round-robin': AlgorithmMessage.BALANCE_ALGORITHM_ROUND_ROBIN,
  random: AlgorithmMessage.BALANCE_ALGORITHM_RANDOM,
  weighted: AlgorithmMessage.BALANCE_ALGORITHM_WEIGHTED,
  'ring-hash': AlgorithmMessage.BALANCE_ALGORITHM_RING_HASH,
  maglev: AlgorithmMessage.BALANCE_ALGORITHM_MAGLEV,
});
const LOCALITIES = words<LocalityMode, LocalityMessage>({
  any: LocalityMessage.LOCALITY_MODE_ANY,
  prefer: LocalityMessage.LOCALITY_MODE_PREFER,
  'zone-aware': LocalityMessage.LOCALITY_MODE_ZONE_AWARE,
});
/** What is nearest to each algorithm among Envoy's. */
const LB_POLICIES: Readonly<Record<BalanceAlgorithm, Cluster_LbPolicy>> = {
  probing: Cluster_LbPolicy.LEAST_REQUEST,
  'least-response-time': Cluster_LbPolicy.LEAST_REQUEST,
  'least-request': Cluster_LbPolicy.LEAST_REQUEST,
  'round-robin': Cluster_LbPolicy.ROUND_ROBIN,
  random: Cluster_LbPolicy.RANDOM,
  weighted: Cluster_LbPolicy.ROUND_ROBIN,
  'ring-hash': Cluster_LbPolicy.RING_HASH,
  maglev: Cluster_LbPolicy.MAGLEV,
};
/** What a policy of Envoy's means by itself. */
const PLAIN_ALGORITHMS = new Map<Cluster_LbPolicy, BalanceAlgorithm>([
  [Cluster_LbPolicy.ROUND_ROBIN, 'round-robin'],
  [Cluster_LbPolicy.LEAST_REQUEST, 'least-request'],
  [Cluster_LbPolicy.RANDOM, 'random'],
  [Cluster_LbPolicy.RING_HASH, 'ring-hash'],
  [Cluster_LbPolicy.MAGLEV, 'maglev'],
]);

export type ClusterPolicies = Pick<
  Cluster,
  'balance' | 'breaker' | 'retryBudget' | 'adaptiveConcurrency' | 'outlier' | 'session' | 'plainPeers'
>;

export function lbPolicyOf({ algorithm }: BalancePolicy): Cluster_LbPolicy {
  return LB_POLICIES[algorithm];
}

export function encodeClusterExtension(cluster: ClusterPolicies): ClusterExtension {
  const { balance, breaker, retryBudget, adaptiveConcurrency, outlier, session, plainPeers } = cluster;
  const plain = plainBalance(lbPolicyOf(balance));
  return {
    ...(!isSame(balance, plain) && {
      balance: { ...balance, algorithm: ALGORITHMS.toWire[balance.algorithm], locality: LOCALITIES.toWire[balance.locality] },
    }),
    ...(!isSame(breaker, NO_BREAKER) && { breaker }),
    ...(!isSame(retryBudget, DEFAULT_RETRY_BUDGET) && { retryBudget }),
    ...(adaptiveConcurrency !== undefined && { adaptiveConcurrency }),
    ...(outlier !== undefined && { outlier }),
    ...(session !== undefined && { session }),
    ...(plainPeers === true && { plainPeers }),
  };
}

/** `undefined` policy: not one of those that Heddle follows. */
function plainBalance(policy: Cluster_LbPolicy | undefined): BalancePolicy | undefined {
  const algorithm = PLAIN_ALGORITHMS.get(policy ?? Cluster_LbPolicy.ROUND_ROBIN);
  return algorithm === undefined ? undefined : { ...SINGLE_BALANCE, algorithm };
}

function nameOf(policy: Cluster_LbPolicy = Cluster_LbPolicy.ROUND_ROBIN): string {
  return Object.entries(Cluster_LbPolicy).find(([, value]) => value === policy)?.[0] ?? String(policy);
}

/** Flat values. */
function isSame<T extends object>(a: T, b: T | undefined): boolean {
  return b !== undefined && (Object.keys(b) as (keyof T)[]).every((key) => a[key] === b[key]);
}

/** `at`: of the cluster; `inside`: of the extension. */
export function decodeClusterExtension(
  extension: ClusterExtension,
  lbPolicy: Cluster_LbPolicy | undefined,
  at: At,
  inside: At,
): ClusterPolicies {
  const { balance, breaker, retryBudget, adaptiveConcurrency, outlier, session } = extension;
  const budgetAt = inside.field('retry_budget');
  return {
    balance: decodeBalance(balance, lbPolicy, at.field('lb_policy'), inside.field('balance')),
    breaker: breaker === undefined ? NO_BREAKER : decodeBreaker(breaker),
    retryBudget:
      retryBudget === undefined
        ? DEFAULT_RETRY_BUDGET
        : {
            percent: notNegative(retryBudget.percent, budgetAt.field('percent')),
            minPerSecond: notNegative(retryBudget.minPerSecond, budgetAt.field('min_per_second')),
          },
    ...(adaptiveConcurrency !== undefined && {
      adaptiveConcurrency: decodeConcurrency(adaptiveConcurrency, inside.field('adaptive_concurrency')),
    }),
    ...(outlier !== undefined && { outlier: decodeOutlier(outlier, inside.field('outlier')) }),
    ...(session !== undefined && { session: decodeSession(session, inside.field('session')) }),
    ...(extension.plainPeers === true && { plainPeers: true }),
  };
}

export function decodeSession({ cookie, ttlMs }: Session, at: At): SessionPolicy {
  return { cookie: cookieName(cookie, at.field('cookie')), ttlMs: milliseconds(ttlMs, at.field('ttl_ms')) };
}

function decodeBalance(message: Balance | undefined, lbPolicy: Cluster_LbPolicy | undefined, policyAt: At, at: At): BalancePolicy {
  if (message === undefined)
    return (
      plainBalance(lbPolicy) ??
      policyAt.reject(`only ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH and MAGLEV are supported, not ${nameOf(lbPolicy)}`)
    );
  const algorithm = ALGORITHMS.fromWire(message.algorithm, at.field('algorithm'));
  const expected = LB_POLICIES[algorithm];
  if ((lbPolicy ?? Cluster_LbPolicy.ROUND_ROBIN) !== expected)
    policyAt.reject(`must be ${nameOf(expected)} beside the algorithm '${algorithm}', not ${nameOf(lbPolicy)}`);
  return {
    algorithm,
    locality: LOCALITIES.fromWire(message.locality, at.field('locality')),
    slowStartMs: milliseconds(message.slowStartMs, at.field('slow_start_ms')),
    panicPercent: percentage(message.panicPercent, at.field('panic_percent')),
  };
}

function decodeBreaker({ connections = 0, pending = 0, requests = 0 }: Breaker): BreakerPolicy {
  return { connections, pending, requests };
}

function decodeConcurrency(message: AdaptiveConcurrency, at: At): NonNullable<Cluster['adaptiveConcurrency']> {
  const minRequests = within(message.minRequests, 1, UINT32_MAX, at.field('min_requests'));
  return { minRequests, maxRequests: within(message.maxRequests, minRequests, UINT32_MAX, at.field('max_requests')) };
}

function decodeOutlier(message: Outlier, at: At): OutlierPolicy {
  const ejectMs = milliseconds(message.ejectMs, at.field('eject_ms'), 1);
  return {
    consecutiveErrors: message.consecutiveErrors ?? 0,
    consecutiveGatewayErrors: message.consecutiveGatewayErrors ?? 0,
    consecutiveLocalErrors: message.consecutiveLocalErrors ?? 0,
    intervalMs: milliseconds(message.intervalMs, at.field('interval_ms'), 1),
    successRateFactor: notNegative(message.successRateFactor, at.field('success_rate_factor')),
    failurePercent: percentage(message.failurePercent, at.field('failure_percent')),
    latencyFactor: notNegative(message.latencyFactor, at.field('latency_factor')),
    minimumRequests: message.minimumRequests ?? 0,
    minimumInstances: message.minimumInstances ?? 0,
    ejectMs,
    maxEjectMs: milliseconds(message.maxEjectMs, at.field('max_eject_ms'), ejectMs),
    maxEjectedPercent: percentage(message.maxEjectedPercent, at.field('max_ejected_percent')),
  };
}
