// Model ⇄ xDS of our own data planes. Lossless for everything Heddle makes; what Heddle could not follow to the letter is rejected, never
// dropped.
import { type ResourceKind, type ResourceTypes, resourceName } from '@heddle/core';
import { Cluster as ClusterMessage } from '../../gen/envoy/envoy/config/cluster/v3/cluster.ts';
import { ClusterLoadAssignment } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint.ts';
import { Listener as ListenerMessage } from '../../gen/envoy/envoy/config/listener/v3/listener.ts';
import { RouteConfiguration } from '../../gen/envoy/envoy/config/route/v3/route.ts';
import { Secret } from '../../gen/envoy/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import { KIND_TITLES, TYPE_URLS } from '../kinds.ts';
import { decodeCluster, encodeCluster } from './cluster.ts';
import { type EncodedResource, type PackedResource, sealed } from './encoded.ts';
import { decodeEndpoints, encodeEndpoints } from './endpoints.ts';
import { decodeListener, encodeListener } from './listener.ts';
import { At, XdsRejection } from './rejection.ts';
import { decodeRouteConfig, encodeRouteConfig } from './route.ts';
import { decodeTrustBundle, encodeTrustBundle } from './secret.ts';
import { decodeStrict, type MessageType, pack } from './strict.ts';

interface Codec<K extends ResourceKind, M extends object> {
  readonly type: MessageType<M>;
  readonly encode: (resource: ResourceTypes[K]) => M;
  readonly decode: (message: M, at: At) => ResourceTypes[K];
}

interface Converter<K extends ResourceKind> {
  readonly toBytes: (resource: ResourceTypes[K]) => Uint8Array;
  readonly fromBytes: (bytes: Uint8Array, at: At) => ResourceTypes[K];
}

function converter<K extends ResourceKind, M extends object>({ type, encode, decode }: Codec<K, M>): Converter<K> {
  return {
    toBytes: (resource) => pack(type, encode(resource)).value,
    fromBytes: (bytes, at) => decode(decodeStrict(type, bytes, at), at),
  };
}

const CONVERTERS: { readonly [K in ResourceKind]: Converter<K> } = {
  listener: converter<'listener', ListenerMessage>({ type: ListenerMessage, encode: encodeListener, decode: decodeListener }),
  route: converter<'route', RouteConfiguration>({ type: RouteConfiguration, encode: encodeRouteConfig, decode: decodeRouteConfig }),
  cluster: converter<'cluster', ClusterMessage>({ type: ClusterMessage, encode: encodeCluster, decode: decodeCluster }),
  endpoints: converter<'endpoints', ClusterLoadAssignment>({
    type: ClusterLoadAssignment,
    encode: encodeEndpoints,
    decode: decodeEndpoints,
  }),
  secret: converter<'secret', Secret>({ type: Secret, encode: encodeTrustBundle, decode: decodeTrustBundle }),
};

/**
 * Throws XdsRejection when the resource is one that `decodeResource` would reject: a control plane must find that out before it
 * publishes, not from its data planes.
 */
export function encodeResource<K extends ResourceKind>(kind: K, resource: ResourceTypes[K]): EncodedResource {
  const { toBytes, fromBytes } = CONVERTERS[kind];
  const name = resourceName(kind, resource);
  const at = new At(`${KIND_TITLES[kind]} '${name}'`);
  const value = bytesOf(() => toBytes(resource), at);
  fromBytes(value, at);
  return sealed(kind, name, value);
}

/** A number that its field cannot carry (below 0, part of a whole, too large) is the writer's error; it does not say where. */
function bytesOf(encode: () => Uint8Array, at: At): Uint8Array {
  try {
    return encode();
  } catch (error) {
    if (error instanceof XdsRejection) throw error;
    return at.reject(`cannot be encoded: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * `name`: what the response calls the resource; it appears in the message of the XdsRejection that is thrown for whatever Heddle does not
 * follow.
 */
export function decodeResource<K extends ResourceKind>(kind: K, any: PackedResource, name = ''): ResourceTypes[K] {
  const at = new At(name === '' ? KIND_TITLES[kind] : `${KIND_TITLES[kind]} '${name}'`);
  if (any.typeUrl !== TYPE_URLS[kind]) at.reject(`has type ${any.typeUrl}, not ${TYPE_URLS[kind]}`);
  return CONVERTERS[kind].fromBytes(any.value, at);
}
