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

type Encode<K extends ResourceKind> = (resource: PublishedTypes[K], options: EncodeOptions) => readonly EncodedResource[];

const ENCODERS = {
  listener: (listener: Listener, options: EncodeOptions) => {
    const { listener: message, clusters } = encodeEnvoyListener(listener, options, at('listener', listener.name));
    return [sealed('listener', listener.name, ListenerMessage.encode(message).finish()), ...clusters.map(sealedCluster)];
  },
  route: (config: RouteConfig, options: EncodeOptions) => [
    sealed('route', config.name, RouteConfiguration.encode(encodeEnvoyRoutes(config, options, at('route', config.name))).finish()),
  ],
  cluster: (cluster: Cluster, { denied }: EncodeOptions) => [
    sealedCluster(encodeEnvoyCluster(cluster, denied, at('cluster', cluster.name))),
  ],
  endpoints: (set: EndpointSet) => [encodeResource('endpoints', set)],
  secret: (secret: TrustBundle | CertificateFiles) => [sealed('secret', secret.name, encodeSecret(secret))],
} satisfies { readonly [K in ResourceKind]: (resource: never, options: EncodeOptions) => readonly EncodedResource[] };

function sealedCluster(cluster: ClusterMessage): EncodedResource {
  return sealed('cluster', cluster.name ?? '', ClusterMessage.encode(cluster).finish());
}

/** Envoy has no validator for identities that are denied: clusters and virtual hosts say it (EncodeOptions.denied). */
function encodeSecret(secret: TrustBundle | CertificateFiles): Uint8Array {
  if ('certificateFiles' in secret) return Secret.encode(encodeCertificateFiles(secret)).finish();
  return encodeResource('secret', { name: secret.name, rootsPem: secret.rootsPem }).any.value;
}

/** Throws XdsRejection for what Envoy cannot be told. */
export function encodeForEnvoy<K extends ResourceKind>(
  kind: K,
  resource: PublishedTypes[K],
  options: EncodeOptions,
): readonly EncodedResource[] {
  if (isClientListener(resource)) return [];
  return (ENCODERS[kind] as Encode<K>)(resource, options);
}

/** What gRPC clients ask for by name is nothing that Envoy could listen on. */
function isClientListener(resource: PublishedTypes[ResourceKind]): resource is ClientListener {
  return 'routeConfigName' in resource;
}

function at(kind: ResourceKind, name: string): At {
  return new At(`${KIND_TITLES[kind]} '${name}' for Envoy`);
}
