// Where things are in the store. Names cannot contain a slash, so a key is read back without doubt.
import type { ServiceRef } from '@heddle/core';

export const ROOT = '/heddle/';
const SERVICES = '/heddle/services/';
const INSTANCES = '/heddle/instances/';

/** The form of namespaces, services and instance ids: what a SPIFFE id and an xDS name can hold. */
export const NAME_FORM = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

export interface InstanceRef {
  readonly service: ServiceRef;
  readonly id: string;
}

export function serviceStoreKey(ref: ServiceRef): string {
  return `${SERVICES}${ref.namespace}/${ref.name}`;
}

export function instanceStoreKey(ref: InstanceRef): string {
  return `${INSTANCES}${ref.service.namespace}/${ref.service.name}/${ref.id}`;
}

/** `<namespace>/<service>/<instance>`, as people and xDS names write it. */
export function instanceName(ref: InstanceRef): string {
  return `${ref.service.namespace}/${ref.service.name}/${ref.id}`;
}

export type ParsedKey = { readonly kind: 'service'; readonly ref: ServiceRef } | { readonly kind: 'instance'; readonly ref: InstanceRef };

/** Undefined for keys of others (tokens, later additions). */
export function parseStoreKey(key: string): ParsedKey | undefined {
  if (key.startsWith(SERVICES)) {
    const [namespace, name, ...rest] = key.slice(SERVICES.length).split('/');
    if (namespace === undefined || name === undefined || rest.length > 0) return undefined;
    return { kind: 'service', ref: { namespace, name } };
  }
  if (key.startsWith(INSTANCES)) {
    const [namespace, name, id, ...rest] = key.slice(INSTANCES.length).split('/');
    if (namespace === undefined || name === undefined || id === undefined || rest.length > 0) return undefined;
    return { kind: 'instance', ref: { service: { namespace, name }, id } };
  }
  return undefined;
}
