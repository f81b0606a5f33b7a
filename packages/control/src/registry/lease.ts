// A live registration, and what is refused in its name and in that of others: in words that say what to do.
import { RegistryError } from './errors.ts';
import { instanceName } from './keys.ts';
import type { InstanceRef } from './keys.ts';

/** A live registration: what heartbeats are sent for. */
export interface Lease {
  readonly ref: InstanceRef;
  readonly id: string;
  readonly ttlMs: number;
  /** The registry's revision at which the instance was there. */
  readonly revision: number;
}

/** Throws RegistryError CONFLICT. */
export function checkExpected(ref: InstanceRef, revision: number, expected: number | undefined): void {
  if (expected === undefined || expected === revision) return;
  const is = revision === 0 ? 'does not exist' : `is at revision ${revision}`;
  const wanted = expected === 0 ? 'that it does not exist' : `revision ${expected}`;
  throw new RegistryError(
    'CONFLICT',
    `${instanceName(ref)} ${is}, expected was ${wanted}; look at it again before changing it`,
    undefined,
    revision,
  );
}

export function expired(lease: Lease): RegistryError {
  return new RegistryError(
    'EXPIRED',
    `${instanceName(lease.ref)} is no longer registered: its lease of ${lease.ttlMs} ms ended or it was deregistered; register again`,
  );
}

export function superseded(lease: Lease): RegistryError {
  return new RegistryError(
    'SUPERSEDED',
    `another registration has taken the place of ${instanceName(lease.ref)}; if two processes use the same instance id, give one of them another`,
  );
}

export function notFound(ref: InstanceRef): RegistryError {
  return new RegistryError('NOT_FOUND', `there is no instance ${instanceName(ref)}`);
}

export function contended(ref: InstanceRef): RegistryError {
  return new RegistryError('UNAVAILABLE', `${instanceName(ref)} is being changed by others all the time; try again`);
}
