// The model as the gRPC libraries follow it, of every language: clients that call `xds:///<name>`, and servers without a proxy. What they
// cannot follow is left out here and listed in docs/guides/grpc.md; certificates come from the files that their bootstrap names.
import type { ClientListener, Cluster, PublishedTypes, ResourceKind } from '@heddle/core';
import { Cluster as ClusterMessage } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { ClusterLoadAssignment } from '../../../gen/foreign/envoy/config/endpoint/v3/endpoint.ts';
import { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import { KIND_TITLES } from '../../kinds.ts';
import { type EncodedResource, sealed } from '../encoded.ts';
import { At } from '../rejection.ts';
import { grpcCluster } from './grpc-cluster.ts';
import { grpcEndpoints } from './grpc-endpoints.ts';
import { grpcClientListener, grpcServerListener } from './grpc-listener.ts';
import { grpcRoutes } from './grpc-route.ts';
import type { EncodeOptions } from './options.ts';

type Published = PublishedTypes[ResourceKind];

/** Throws XdsRejection when a library could not follow the resource to the letter where it must: who a peer may be. */
export function encodeForGrpc<K extends ResourceKind>(
  kind: K,
  resource: PublishedTypes[K],
  options: EncodeOptions,
): readonly EncodedResource[] {
  return ENCODERS[kind](resource, options);
}

const ENCODERS: { readonly [K in ResourceKind]: (resource: Published, options: EncodeOptions) => readonly EncodedResource[] } = {
  listener: (resource, options) => {
    const listener = resource as PublishedTypes['listener'];
    const message = isClientListener(listener)
      ? grpcClientListener(listener)
      : grpcServerListener(listener, options, new At(`${KIND_TITLES.listener} '${listener.name}' for gRPC`));
    return message === undefined ? [] : [sealed('listener', listener.name, ListenerMessage.encode(message).finish())];
  },
  route: (resource, options) => {
    const config = resource as PublishedTypes['route'];
    const message = grpcRoutes(config, options, new At(`${KIND_TITLES.route} '${config.name}' for gRPC`));
    return message === undefined ? [] : [sealed('route', config.name, RouteConfiguration.encode(message).finish())];
  },
  cluster: (resource, { denied }) => {
    const cluster = resource as Cluster;
    const message = grpcCluster(cluster, denied);
    return message === undefined ? [] : [sealed('cluster', cluster.name, ClusterMessage.encode(message).finish())];
  },
  endpoints: (resource) => {
    const set = resource as PublishedTypes['endpoints'];
    return [sealed('endpoints', set.cluster, ClusterLoadAssignment.encode(grpcEndpoints(set)).finish())];
  },
  secret: () => [],
};

function isClientListener(listener: PublishedTypes['listener']): listener is ClientListener {
  return 'routeConfigName' in listener;
}
