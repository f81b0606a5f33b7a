// Balancing, limits and ejection in Envoy's words. What it has no words for is in docs/guides/envoy.md: probes, response times, zones, limits
// that find themselves, ejection by latency.
import { DEFAULT_LIMITS } from '@heddle/core';
import type { BalanceAlgorithm, BalancePolicy, BreakerPolicy, OutlierPolicy, RetryBudget } from '@heddle/core';
import type { CircuitBreakers } from '../../../gen/foreign/envoy/config/cluster/v3/circuit_breaker.ts';
import {
  Cluster_LbPolicy,
  type Cluster as ClusterMessage,
  type Cluster_SlowStartConfig,
} from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import type { OutlierDetection } from '../../../gen/foreign/envoy/config/cluster/v3/outlier_detection.ts';
import { encodeDuration } from '../values.ts';

/** UInt32Value: no limit of Envoy's own. */
const UNLIMITED = 4_294_967_295;
/** Power of two choices. */
const CHOICES = 2;
const THOUSANDTHS = 1_000;
const ALWAYS = 100;
/** Of which a retry budget is. */
const BUDGET_SECONDS = 10;

/** Envoy knows no probes and looks at no response times: the fewest requests under way come nearest. Weights count in each. */
const LB_POLICIES: Readonly<Record<BalanceAlgorithm, Cluster_LbPolicy>> = {
  probing: Cluster_LbPolicy.LEAST_REQUEST,
  'least-response-time': Cluster_LbPolicy.LEAST_REQUEST,
  'least-request': Cluster_LbPolicy.LEAST_REQUEST,
  'round-robin': Cluster_LbPolicy.ROUND_ROBIN,
  weighted: Cluster_LbPolicy.ROUND_ROBIN,
  random: Cluster_LbPolicy.RANDOM,
  'ring-hash': Cluster_LbPolicy.RING_HASH,
  maglev: Cluster_LbPolicy.MAGLEV,
};

export function envoyBalance({
  algorithm,
  slowStartMs,
  panicPercent,
}: BalancePolicy): Pick<ClusterMessage, 'lbPolicy' | 'lbConfig' | 'commonLbConfig'> {
  const lbPolicy = LB_POLICIES[algorithm];
  return {
    lbPolicy,
    ...lbConfig(lbPolicy, slowStartMs > 0 ? { slowStartWindow: encodeDuration(slowStartMs) } : undefined),
    commonLbConfig: { healthyPanicThreshold: { value: panicPercent } },
  };
}

/** The other policies have no slow start. */
function lbConfig(lbPolicy: Cluster_LbPolicy, slowStartConfig: Cluster_SlowStartConfig | undefined): Pick<ClusterMessage, 'lbConfig'> {
  const slowStart = slowStartConfig === undefined ? {} : { slowStartConfig };
  if (lbPolicy === Cluster_LbPolicy.LEAST_REQUEST)
    return { lbConfig: { $case: 'leastRequestLbConfig', value: { choiceCount: CHOICES, ...slowStart } } };
  if (lbPolicy !== Cluster_LbPolicy.ROUND_ROBIN || slowStartConfig === undefined) return {};
  return { lbConfig: { $case: 'roundRobinLbConfig', value: slowStart } };
}

/**
 * Envoy's budget is of requests under way: so many percent of them may be retries, at least `minRetryConcurrency`. As many as ours would let
 * through at once when nothing has been repeated for long.
 */
export function envoyLimits({ connections, pending, requests }: BreakerPolicy, { percent, minPerSecond }: RetryBudget): CircuitBreakers {
  const { pendingRequestsPerClusterMax, connectionsPerEndpointMax } = DEFAULT_LIMITS;
  return {
    thresholds: [
      {
        maxConnections: UNLIMITED,
        maxPendingRequests: pending > 0 ? Math.min(pending, pendingRequestsPerClusterMax) : pendingRequestsPerClusterMax,
        maxRequests: requests > 0 ? requests : UNLIMITED,
        retryBudget: { budgetPercent: { value: Math.min(100, percent) }, minRetryConcurrency: Math.ceil(minPerSecond * BUDGET_SECONDS) },
      },
    ],
    perHostThresholds: [{ maxConnections: connections > 0 ? Math.min(connections, connectionsPerEndpointMax) : connectionsPerEndpointMax }],
  };
}

export function envoyOutlier(policy: OutlierPolicy): OutlierDetection {
  const { consecutiveErrors, consecutiveGatewayErrors, consecutiveLocalErrors, successRateFactor, failurePercent } = policy;
  // Envoy counts local failures among all errors, or by themselves. By themselves only where that is what comes first.
  const isSplit = consecutiveLocalErrors > 0 && (consecutiveErrors === 0 || consecutiveLocalErrors < consecutiveErrors);
  const counter = (value: number): number => Math.max(1, value);
  const enforced = (value: number): number => (value > 0 ? ALWAYS : 0);
  return {
    interval: encodeDuration(policy.intervalMs),
    baseEjectionTime: encodeDuration(policy.ejectMs),
    maxEjectionTime: encodeDuration(Math.max(policy.ejectMs, policy.maxEjectMs)),
    maxEjectionPercent: Math.floor(policy.maxEjectedPercent),
    consecutive5xx: counter(consecutiveErrors),
    enforcingConsecutive5xx: enforced(consecutiveErrors),
    consecutiveGatewayFailure: counter(consecutiveGatewayErrors),
    enforcingConsecutiveGatewayFailure: enforced(consecutiveGatewayErrors),
    splitExternalLocalOriginErrors: isSplit,
    consecutiveLocalOriginFailure: counter(consecutiveLocalErrors),
    enforcingConsecutiveLocalOriginFailure: isSplit ? ALWAYS : 0,
    enforcingLocalOriginSuccessRate: 0,
    successRateStdevFactor: Math.round(successRateFactor * THOUSANDTHS),
    enforcingSuccessRate: enforced(successRateFactor),
    successRateMinimumHosts: policy.minimumInstances,
    successRateRequestVolume: policy.minimumRequests,
    failurePercentageThreshold: Math.round(failurePercent),
    enforcingFailurePercentage: enforced(failurePercent),
    enforcingFailurePercentageLocalOrigin: 0,
    failurePercentageMinimumHosts: policy.minimumInstances,
    failurePercentageRequestVolume: policy.minimumRequests,
  };
}
