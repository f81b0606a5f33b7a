// What an administrator changes about one instance, noted with what it was and what it is. Workloads do the same for themselves all the time;
// that is no change of administration.
import type { Instance } from '@heddle/core';
import type { AuditAction, Doer } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import { instanceName } from '../registry/keys.ts';
import type { InstanceRef } from '../registry/keys.ts';
import type { Registry } from '../registry/registry.ts';

export interface ChangeDesk {
  readonly registry: Registry;
  readonly audit: AuditLog;
}

type InstanceAction = Extract<
  AuditAction,
  'register-instance' | 'deregister-instance' | 'report-health' | 'drain-instance' | 'undrain-instance'
>;

/** Rejects with what `run` rejects with, and with AuditError. */
export async function changeInstance<T>(
  { registry, audit }: ChangeDesk,
  by: Doer,
  action: InstanceAction,
  ref: InstanceRef,
  run: () => Promise<T>,
): Promise<T> {
  if (by.caller !== 'process' && by.caller.kind === 'workload') return await run();
  return await audit.change(by, action, instanceName(ref), async () => {
    const before = factsOf(registry.instance(ref));
    const result = await run();
    return { result, before, after: factsOf(registry.instance(ref)) };
  });
}

function factsOf(instance: Instance | undefined): object | undefined {
  if (instance === undefined) return undefined;
  const { health, healthReason, node, inbound, weight, version } = instance;
  return { health, healthReason, node, inbound, weight, version };
}
