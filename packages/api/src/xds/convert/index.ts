// The door to the conversions, and the one way by which a control plane encodes: for whom decides how.
import type { DataPlaneFlavour, PublishedTypes, ResourceKind, ResourceTypes } from '@heddle/core';
import { KIND_TITLES } from '../kinds.ts';
import type { EncodedResource } from './encoded.ts';
import { encodeForEnvoy } from './foreign/envoy.ts';
import { encodeForGrpc } from './foreign/grpc.ts';
import type { EncodeOptions } from './foreign/options.ts';
import { encodeResource } from './own.ts';
import { XdsRejection } from './rejection.ts';

export type { EncodedResource, PackedResource } from './encoded.ts';
export type { EncodeOptions, RefusedRoute } from './foreign/options.ts';
export { decodeResource, encodeResource } from './own.ts';
export { XdsRejection } from './rejection.ts';

/**
 * One resource of the model as data planes of the flavour are to get it: none when it means nothing to them, several when one message cannot
 * say it; they may be of other kinds, too. Names must be the same for equal input, and no two resources may give one name of a kind.
 * Throws XdsRejection when the flavour cannot be told what the resource says.
 */
export function encodeFor<K extends ResourceKind>(
  flavour: DataPlaneFlavour,
  kind: K,
  resource: PublishedTypes[K],
  options: EncodeOptions,
): readonly EncodedResource[] {
  if (flavour === 'envoy') return encodeForEnvoy(kind, resource, options);
  if (flavour === 'grpc') return encodeForGrpc(kind, resource, options);
  if ('routeConfigName' in resource || 'certificateFiles' in resource)
    throw new XdsRejection([`${KIND_TITLES[kind]} '${resource.name}'`], 'is for foreign data planes alone');
  return [encodeResource(kind, resource as ResourceTypes[K])];
}
