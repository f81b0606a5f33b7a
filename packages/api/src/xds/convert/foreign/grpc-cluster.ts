// A service as the EDS cluster of a gRPC client. How its instances speak and how long a connection may take is the library's own affair. What
// the libraries do not know of balancing, ejection and limits is left out: docs/guides/grpc.md.
import type { BalanceAlgorithm, Cluster, OutlierPolicy } from '@heddle/core';
import { ApiVersion } from '../../../gen/foreign/envoy/config/core/v3/config_source.ts';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type Cluster as ClusterMessage,
  type LoadBalancingPolicy,
} from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import type { OutlierDetection } from '../../../gen/foreign/envoy/config/cluster/v3/outlier_detection.ts';
import { LeastRequest } from '../../../gen/foreign/envoy/extensions/load_balancing_policies/least_request/v3/least_request.ts';
import { RoundRobin } from '../../../gen/foreign/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.ts';
import { WrrLocality } from '../../../gen/foreign/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.ts';
import { pack } from '../strict.ts';
import { envoyOutlier } from './envoy-balance.ts';
import { withoutDenied } from './denied-peers.ts';
import { fromAds } from './grpc-listener.ts';
import { grpcUpstreamTls } from './grpc-tls.ts';

/** The libraries let 1,024 calls at a time through where nothing is said (gRFC A32). */
const UNLIMITED = 4_294_967_295;
/** Power of two choices. */
const CHOICES = 2;

const BY_LOAD: readonly BalanceAlgorithm[] = ['probing', 'least-response-time', 'least-request'];
/** Maglev is the same promise by another table: equal hashes go to the same instance. */
const BY_HASH: readonly BalanceAlgorithm[] = ['ring-hash', 'maglev'];

/**
 * Undefined for the application of an instance, since a gRPC server is that itself, and for hosts outside the mesh, which have no name there.
 * Throws XdsRejection as `grpcUpstreamTls` does.
 */
export function grpcCluster(
  { name, endpoints, balance, breaker, outlier, tls }: Cluster,
  denied: readonly string[] = [],
): ClusterMessage | undefined {
  if (endpoints.kind !== 'eds') return undefined;
  const isHashed = BY_HASH.includes(balance.algorithm);
  return {
    name,
    clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: fromAds() },
    lbPolicy: isHashed ? Cluster_LbPolicy.RING_HASH : Cluster_LbPolicy.ROUND_ROBIN,
    ...(BY_LOAD.includes(balance.algorithm) && { loadBalancingPolicy: BY_LOAD_POLICY }),
    circuitBreakers: { thresholds: [{ maxRequests: breaker.requests > 0 ? breaker.requests : UNLIMITED }] },
    ...(outlier !== undefined && judgesByShares(outlier) && { outlierDetection: grpcOutlier(outlier) }),
    // Load reports go to where the configuration comes from.
    lrsServer: { configSourceSpecifier: { $case: 'self', value: {} }, resourceApiVersion: ApiVersion.V3 },
    ...(tls !== undefined && { transportSocket: grpcUpstreamTls(withoutDenied(tls, denied), name) }),
  };
}

/** Each library takes the first that it knows (gRFC A52): the fewest calls under way (A48), else one after another. Shares are by locality. */
const BY_LOAD_POLICY: LoadBalancingPolicy = policies([
  pack(WrrLocality, { endpointPickingPolicy: policies([pack(LeastRequest, { choiceCount: CHOICES }), pack(RoundRobin, {})]) }),
]);

function policies(configs: readonly ReturnType<typeof pack>[]): LoadBalancingPolicy {
  return { policies: configs.map((typedConfig) => ({ typedExtensionConfig: { name: nameOf(typedConfig), typedConfig } })) };
}

/** For people; the type decides. */
function nameOf({ typeUrl }: ReturnType<typeof pack>): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}

function judgesByShares({ successRateFactor, failurePercent }: OutlierPolicy): boolean {
  return successRateFactor > 0 || failurePercent > 0;
}

/** The libraries judge by shares alone (gRFC A50). */
function grpcOutlier(policy: OutlierPolicy): OutlierDetection {
  const outlier = envoyOutlier(policy);
  return {
    interval: outlier.interval,
    baseEjectionTime: outlier.baseEjectionTime,
    maxEjectionTime: outlier.maxEjectionTime,
    maxEjectionPercent: outlier.maxEjectionPercent,
    enforcingSuccessRate: outlier.enforcingSuccessRate,
    successRateStdevFactor: outlier.successRateStdevFactor,
    successRateMinimumHosts: outlier.successRateMinimumHosts,
    successRateRequestVolume: outlier.successRateRequestVolume,
    enforcingFailurePercentage: outlier.enforcingFailurePercentage,
    failurePercentageThreshold: outlier.failurePercentageThreshold,
    failurePercentageMinimumHosts: outlier.failurePercentageMinimumHosts,
    failurePercentageRequestVolume: outlier.failurePercentageRequestVolume,
  };
}
