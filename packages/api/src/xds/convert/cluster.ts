// A service as an EDS cluster, the application itself as a STATIC one, a host outside the mesh as LOGICAL_DNS.
import { type Cluster, type HttpVersion, isServerName } from '@heddle/core';
import { SocketAddress_Protocol } from '../../gen/envoy/envoy/config/core/v3/address.ts';
import { HealthStatus } from '../../gen/envoy/envoy/config/core/v3/health_check.ts';
import { Cluster_DiscoveryType, type Cluster as ClusterMessage } from '../../gen/envoy/envoy/config/cluster/v3/cluster.ts';
import type { ClusterLoadAssignment } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint.ts';
import { HttpProtocolOptions } from '../../gen/envoy/envoy/extensions/upstreams/http/v3/http_protocol_options.ts';
import { ClusterExtension } from '../../gen/own/heddle/config/v1/cluster.ts';
import { isIpAddress } from '../../ip-address.ts';
import { decodeClusterExtension, encodeClusterExtension, lbPolicyOf } from './cluster-extension.ts';
import { decodeEndpoints, encodeEndpoints } from './endpoints.ts';
import { decodeExtension, extensionAt, withExtension } from './extension.ts';
import { decodeHealthCheck, encodeHealthCheck } from './health-check.ts';
import type { At } from './rejection.ts';
import { pack, unpack } from './strict.ts';
import { decodeUpstreamTls, encodeUpstreamTls } from './tls.ts';
import {
  adsSource,
  decodeMetadata,
  decodePositiveDuration,
  encodeAddress,
  encodeDuration,
  encodeMetadata,
  exactlyOne,
  metadataText,
  mustBe,
  mustBeAds,
  required,
  requiredText,
} from './values.ts';

/** Envoy's and the contract's default where the field is not set. */
const CONNECT_TIMEOUT_DEFAULT = { seconds: 5, nanos: 0 };
/** Envoy looks the options of an upstream protocol up by this key. Without them an upstream speaks HTTP/1.1. */
const HTTP_OPTIONS_KEY = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

export function encodeCluster(cluster: Cluster): ClusterMessage {
  return {
    name: cluster.name,
    ...encodeSource(cluster),
    connectTimeout: encodeDuration(cluster.connectTimeoutMs),
    lbPolicy: lbPolicyOf(cluster.balance),
    ...(cluster.http === 'http1' ? {} : { typedExtensionProtocolOptions: { [HTTP_OPTIONS_KEY]: pack(HttpProtocolOptions, HTTP2) } }),
    ...(cluster.health === undefined ? {} : { healthChecks: [encodeHealthCheck(cluster.health)] }),
    ...(cluster.tls === undefined ? {} : { transportSocket: encodeUpstreamTls(cluster.tls) }),
    ...withExtension(
      ClusterExtension,
      encodeClusterExtension(cluster),
      encodeMetadata({ namespace: cluster.service.namespace, service: cluster.service.name }),
    ),
  };
}

/** CONNECT, extended or not, is what bytes and upgrades travel by. */
const HTTP2: HttpProtocolOptions = {
  upstreamProtocolOptions: {
    $case: 'explicitHttpConfig',
    value: { protocolConfig: { $case: 'http2ProtocolOptions', value: { allowConnect: true } } },
  },
};

function decodeHttpVersion(options: ClusterMessage['typedExtensionProtocolOptions'], at: At): HttpVersion {
  const keys = Object.keys(options ?? {});
  const other = keys.find((key) => key !== HTTP_OPTIONS_KEY);
  if (other !== undefined) return at.reject(`${JSON.stringify(other)} is not supported; only ${HTTP_OPTIONS_KEY} is`);
  if (options === undefined || keys.length === 0) return 'http1';
  const inside = at.field(HTTP_OPTIONS_KEY);
  const { upstreamProtocolOptions: explicit } = unpack(HttpProtocolOptions, options[HTTP_OPTIONS_KEY], inside);
  const http2 = inside.field('explicit_http_config').field('http2_protocol_options');
  mustBe(required(explicit?.value.protocolConfig?.value, http2).allowConnect, true, http2.field('allow_connect'), 'true');
  return 'http2';
}

function encodeSource({ name, endpoints }: Cluster): Pick<ClusterMessage, 'clusterDiscoveryType' | 'edsClusterConfig' | 'loadAssignment'> {
  if (endpoints.kind === 'eds') {
    return { clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.EDS }, edsClusterConfig: { edsConfig: adsSource() } };
  }
  if (endpoints.kind === 'dns') {
    return {
      clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.LOGICAL_DNS },
      loadAssignment: encodeHost(name, endpoints.host, endpoints.port),
    };
  }
  return {
    clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: encodeEndpoints({ cluster: name, endpoints: endpoints.endpoints }),
  };
}

/** What stands in the place of an instance where the address is looked up. */
export function encodeHost(clusterName: string, host: string, port: number): ClusterLoadAssignment {
  return {
    clusterName,
    endpoints: [{ lbEndpoints: [{ hostIdentifier: { $case: 'endpoint', value: { address: encodeAddress(host, port) } } }] }],
  };
}

export function decodeCluster(message: ClusterMessage, at: At): Cluster {
  const name = requiredText(message.name, at.field('name'));
  const checks = message.healthChecks ?? [];
  if (checks.length > 1) at.field('health_checks').reject(`only one is supported, not ${checks.length}`);
  const metadata = decodeMetadata(message.metadata, ['namespace', 'service'], at.field('metadata'), true);
  const extension = decodeExtension(ClusterExtension, message.metadata, extensionAt(at)) ?? {};
  return {
    name,
    service: {
      namespace: requiredText(
        metadataText(metadata, 'namespace', at.field('metadata')),
        at.field('metadata').field('dev.heddle').field('namespace'),
      ),
      name: requiredText(
        metadataText(metadata, 'service', at.field('metadata')),
        at.field('metadata').field('dev.heddle').field('service'),
      ),
    },
    endpoints: decodeSource(message, name, at),
    ...decodeClusterExtension(extension, message.lbPolicy, at, extensionAt(at)),
    connectTimeoutMs: decodePositiveDuration(message.connectTimeout ?? CONNECT_TIMEOUT_DEFAULT, at.field('connect_timeout')),
    http: decodeHttpVersion(message.typedExtensionProtocolOptions, at.field('typed_extension_protocol_options')),
    ...(checks[0] === undefined ? {} : { health: decodeHealthCheck(checks[0], at.item('health_checks', 0)) }),
    ...(message.transportSocket === undefined ? {} : { tls: decodeUpstreamTls(message.transportSocket, at.field('transport_socket')) }),
  };
}

function decodeSource(message: ClusterMessage, name: string, at: At): Cluster['endpoints'] {
  const type = message.clusterDiscoveryType?.value;
  if (type === Cluster_DiscoveryType.EDS) {
    const eds = required(message.edsClusterConfig, at.field('eds_cluster_config'));
    mustBeAds(eds.edsConfig, at.field('eds_cluster_config').field('eds_config'));
    const other = eds.serviceName ?? '';
    if (other !== '' && other !== name)
      at.field('eds_cluster_config').field('service_name').reject('must be empty or the name of the cluster');
    if (message.loadAssignment !== undefined) at.field('load_assignment').reject('is not supported in an EDS cluster');
    return { kind: 'eds' };
  }
  if (type !== Cluster_DiscoveryType.STATIC && type !== Cluster_DiscoveryType.LOGICAL_DNS)
    return at.field('type').reject('only EDS, STATIC and LOGICAL_DNS are supported');
  if (message.edsClusterConfig !== undefined) at.field('eds_cluster_config').reject('is supported in an EDS cluster only');
  const inside = at.field('load_assignment');
  const assignment = required(message.loadAssignment, inside);
  if (assignment.clusterName !== name) inside.field('cluster_name').reject('must be the name of the cluster');
  if (type === Cluster_DiscoveryType.LOGICAL_DNS) return decodeHost(assignment, inside);
  return { kind: 'static', endpoints: decodeEndpoints(assignment, inside).endpoints };
}

/** One host, of which nothing is known but its name. */
function decodeHost(message: ClusterLoadAssignment, at: At): Cluster['endpoints'] {
  const { locality, lbEndpoints } = exactlyOne(message.endpoints, at.field('endpoints'));
  const inside = at.item('endpoints', 0);
  if (locality !== undefined) inside.field('locality').reject('is not supported in a LOGICAL_DNS cluster');
  const one = exactlyOne(lbEndpoints, inside.field('lb_endpoints'));
  const endpointAt = inside.item('lb_endpoints', 0);
  if ((one.healthStatus ?? HealthStatus.UNKNOWN) !== HealthStatus.UNKNOWN)
    endpointAt.field('health_status').reject('is not supported in a LOGICAL_DNS cluster');
  if (one.metadata !== undefined) endpointAt.field('metadata').reject('is not supported in a LOGICAL_DNS cluster');
  const socketAt = endpointAt.field('endpoint').field('address').field('socket_address');
  const socket = required(one.hostIdentifier?.value.address?.address?.value, socketAt);
  mustBe(socket.protocol, SocketAddress_Protocol.TCP, socketAt.field('protocol'), 'TCP');
  const host = requiredText(socket.address, socketAt.field('address'));
  if (!isServerName(host) && !isIpAddress(host))
    socketAt.field('address').reject(`${JSON.stringify(host)} is neither a name in lower case nor an IP address`);
  const port = required(socket.portSpecifier?.value, socketAt.field('port_value'));
  if (port < 1 || port > 65_535) socketAt.field('port_value').reject(`${port} is not a port`);
  return { kind: 'dns', host, port };
}
