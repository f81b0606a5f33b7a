// The model as Envoy follows it: the same meaning as for our own data planes, in Envoy's words. What Envoy would do differently by default is
// set; what it cannot be told is an error. The pieces are in envoy-*.ts.
import type {
  CertificateFiles,
  ClientListener,
  Cluster,
  EndpointSet,
  Listener,
  PublishedTypes,
  ResourceKind,
  RouteConfig,
  TrustBundle,
} from '@heddle/core';
import { Cluster as ClusterMessage } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import { Secret } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import { KIND_TITLES } from '../../kinds.ts';
import { type EncodedResource, sealed } from '../encoded.ts';
import { encodeResource } from '../own.ts';
import { At } from '../rejection.ts';
import { encodeEnvoyCluster } from './envoy-cluster.ts';
import { encodeEnvoyListener } from './envoy-listener.ts';
import { encodeEnvoyRoutes } from './envoy-route.ts';
import { encodeCertificateFiles } from './envoy-secret.ts';
import type { EncodeOptions } from './options.ts';

interface Encoders {
  readonly [kind: string]: (resource: never, options: EncodeOptions) => Uint8Array;
}

type Encode<K extends ResourceKind> = (resource: PublishedTypes[K], options: EncodeOptions) => Uint8Array;

const ENCODERS = {
  listener: (listener: Listener) => ListenerMessage.encode(encodeEnvoyListener(listener, at('listener', listener.name))).finish(),
  route: (config: RouteConfig, options: EncodeOptions) =>
    RouteConfiguration.encode(encodeEnvoyRoutes(config, options, at('route', config.name))).finish(),
  cluster: (cluster: Cluster) => ClusterMessage.encode(encodeEnvoyCluster(cluster, at('cluster', cluster.name))).finish(),
  endpoints: (set: EndpointSet) => encodeResource('endpoints', set).any.value,
  secret: (secret: TrustBundle | CertificateFiles) =>
    'certificateFiles' in secret ? Secret.encode(encodeCertificateFiles(secret)).finish() : encodeResource('secret', secret).any.value,
} satisfies Encoders;

/** Throws XdsRejection for what Envoy cannot be told. */
export function encodeForEnvoy<K extends ResourceKind>(
  kind: K,
  resource: PublishedTypes[K],
  options: EncodeOptions,
): readonly EncodedResource[] {
  if (isClientListener(resource)) return [];
  const encode = ENCODERS[kind] as Encode<K>;
  const name = 'name' in resource ? resource.name : resource.cluster;
  return [sealed(kind, name, encode(resource, options))];
}

/** What gRPC clients ask for by name is nothing that Envoy could listen on. */
function isClientListener(resource: PublishedTypes[ResourceKind]): resource is ClientListener {
  return 'routeConfigName' in resource;
}

function at(kind: ResourceKind, name: string): At {
  return new At(`${KIND_TITLES[kind]} '${name}' for Envoy`);
}
