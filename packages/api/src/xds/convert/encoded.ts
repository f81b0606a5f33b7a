// A resource as it goes out, whoever it is for.
import { createHash } from 'node:crypto';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { ResourceKind } from '@heddle/core';
import { Resource } from '../../gen/envoy/envoy/service/discovery/v3/discovery.ts';
import { TYPE_URLS } from '../kinds.ts';

/** google.protobuf.Any. */
export interface PackedResource {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** Encoded once, shared by all streams. */
export interface EncodedResource {
  readonly kind: ResourceKind;
  readonly name: string;
  /** Hash of the content: equal content has an equal version, over restarts and on every control plane. */
  readonly version: string;
  readonly any: PackedResource;
  readonly entry: EncodedEntry;
}

/** A resource as a delta response carries it: one object for all responses. */
export interface EncodedEntry {
  readonly name: string;
  readonly version: string;
  readonly resource: PackedResource;
  /** The very bytes that it adds to a response, with its tag and its length. */
  readonly encoded: Uint8Array;
}

/** `resources` is field 2 of DeltaDiscoveryResponse and of DiscoveryResponse; its tag with the wire type of a message. */
export const RESOURCES_TAG = (2 << 3) | 2;

/** `value`: the encoded message of the kind's type. */
export function sealed(kind: ResourceKind, name: string, value: Uint8Array): EncodedResource {
  const version = contentVersion(value);
  const typeUrl = TYPE_URLS[kind];
  const writer = new BinaryWriter().uint32(RESOURCES_TAG).fork();
  const encoded = Resource.encode({ name, version, resource: { typeUrl, value } }, writer).join().finish();
  // The value comes last in it: kept once, not twice.
  const any = { typeUrl, value: encoded.subarray(encoded.length - value.length) };
  return { kind, name, version, any, entry: { name, version, resource: any, encoded } };
}

/** 96 bits of SHA-256: short enough to send with every resource, and nobody can make two contents meet. */
function contentVersion(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url').slice(0, 16);
}
