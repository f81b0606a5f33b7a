// A service as the EDS cluster of a gRPC client. How its instances speak and how long a connection may take is the library's own affair.
import type { Cluster } from '@heddle/core';
import { ApiVersion } from '../../../gen/foreign/envoy/config/core/v3/config_source.ts';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type Cluster as ClusterMessage,
} from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { fromAds } from './grpc-listener.ts';
import { grpcUpstreamTls } from './grpc-tls.ts';

/** Undefined for the application of an instance: a gRPC server is that itself. Throws XdsRejection as `grpcUpstreamTls` does. */
export function grpcCluster({ name, endpoints, tls }: Cluster): ClusterMessage | undefined {
  if (endpoints.kind === 'static') return undefined;
  return {
    name,
    clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: fromAds() },
    lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
    // Load reports go to where the configuration comes from.
    lrsServer: { configSourceSpecifier: { $case: 'self', value: {} }, resourceApiVersion: ApiVersion.V3 },
    ...(tls !== undefined && { transportSocket: grpcUpstreamTls(tls, name) }),
  };
}
