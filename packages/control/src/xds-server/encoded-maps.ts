// Encoded resources by kind and name.
import type { EncodedResource } from '@heddle/api';
import type { ResourceKind } from '@heddle/core';

export const KINDS: readonly ResourceKind[] = ['listener', 'route', 'cluster', 'endpoints', 'secret'];

export type EncodedMaps = { readonly [K in ResourceKind]: ReadonlyMap<string, EncodedResource> };
export type MutableEncodedMaps = { readonly [K in ResourceKind]: Map<string, EncodedResource> };

export function emptyMaps(): MutableEncodedMaps {
  return { listener: new Map(), route: new Map(), cluster: new Map(), endpoints: new Map(), secret: new Map() };
}
