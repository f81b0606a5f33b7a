// A workload acts for its own service only; editors and the operator for all.
import { status } from '@grpc/grpc-js';
import { serviceKey } from '@heddle/core';
import type { ServiceRef } from '@heddle/core';
import { hasRole } from '../server/caller.ts';
import type { Caller } from '../server/caller.ts';
import { CallError } from '../server/status.ts';

/** Throws CallError PERMISSION_DENIED. `action` completes "may not …". */
export function requireOwn(caller: Caller, service: ServiceRef, action: string): void {
  if (isOwn(caller, service)) return;
  const who = caller.kind === 'workload' ? caller.uri : 'nobody without an identity';
  throw new CallError(status.PERMISSION_DENIED, `${who} may not ${action} instances of ${serviceKey(service)}, only of its own service`);
}

export function isOwn(caller: Caller, service: ServiceRef): boolean {
  if (hasRole(caller, 'editor')) return true;
  return caller.kind === 'workload' && caller.id.namespace === service.namespace && caller.id.name === service.name;
}
