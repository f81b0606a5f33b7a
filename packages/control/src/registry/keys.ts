// Where things are in the store. Names cannot contain a slash, so a key is read back without doubt.
import type { EgressHost, ServiceRef } from '@heddle/core';

export const ROOT = '/heddle/';
export const SERVICES = '/heddle/services/';
const INSTANCES = '/heddle/instances/';
const EGRESS = '/heddle/egress/';
/** The parts of one record. */
export const SECURITY = '/heddle/security/';
export const TELEMETRY_KEY = '/heddle/telemetry';
/** Where what holds comes from, in parts; not of the view. */
export const MESH_FILE_KEYS = '/heddle/mesh-file/';
/** Instances whose leases have ended together with most others of their service. */
const KEPT = '/heddle/kept/';
export const HISTORIES_KEY = '/heddle/histories';

/** Prefixes of all that a mesh file declares. */
export const DECLARED_KEYS: readonly string[] = [SERVICES, EGRESS, SECURITY, TELEMETRY_KEY, MESH_FILE_KEYS];

/** The form of namespaces, services and instance ids: what a SPIFFE id and an xDS name can hold. */
export const NAME_FORM = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

export interface InstanceRef {
  readonly service: ServiceRef;
  readonly id: string;
}

export function serviceStoreKey(ref: ServiceRef): string {
  return `${SERVICES}${ref.namespace}/${ref.name}`;
}

export function egressStoreKey({ host, port }: EgressHost): string {
  return `${EGRESS}${host.toLowerCase()}:${port}`;
}

export function securityStoreKey(part: number): string {
  return `${SECURITY}${String(part).padStart(4, '0')}`;
}

export function meshFileStoreKey(part: number): string {
  return `${MESH_FILE_KEYS}${String(part).padStart(4, '0')}`;
}

export function instanceStoreKey(ref: InstanceRef): string {
  return `${INSTANCES}${ref.service.namespace}/${ref.service.name}/${ref.id}`;
}

export function keptStoreKey(ref: InstanceRef): string {
  return `${KEPT}${ref.service.namespace}/${ref.service.name}/${ref.id}`;
}

/** `<namespace>/<service>/<instance>`, as people and xDS names write it. */
export function instanceName(ref: InstanceRef): string {
  return `${ref.service.namespace}/${ref.service.name}/${ref.id}`;
}

export type ParsedKey =
  | { readonly kind: 'service'; readonly ref: ServiceRef }
  | { readonly kind: 'egress' }
  | { readonly kind: 'security' }
  | { readonly kind: 'telemetry' }
  | { readonly kind: 'instance' | 'kept'; readonly ref: InstanceRef };

/** Undefined for keys of others (tokens, later additions). */
export function parseStoreKey(key: string): ParsedKey | undefined {
  if (key.startsWith(SERVICES)) {
    const [namespace, name, ...rest] = key.slice(SERVICES.length).split('/');
    if (namespace === undefined || name === undefined || rest.length > 0) return undefined;
    return { kind: 'service', ref: { namespace, name } };
  }
  if (key.startsWith(EGRESS)) return { kind: 'egress' };
  if (key.startsWith(SECURITY)) return { kind: 'security' };
  if (key === TELEMETRY_KEY) return { kind: 'telemetry' };
  const kind = key.startsWith(INSTANCES) ? 'instance' : key.startsWith(KEPT) ? 'kept' : undefined;
  if (kind === undefined) return undefined;
  const [namespace, name, id, ...rest] = key.slice((kind === 'kept' ? KEPT : INSTANCES).length).split('/');
  if (namespace === undefined || name === undefined || id === undefined || rest.length > 0) return undefined;
  return { kind, ref: { service: { namespace, name }, id } };
}
