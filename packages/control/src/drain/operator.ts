// An instance is taken out of rotation, or put back, by the operator: a verdict in the registry that outlasts registrations.
import type { HealthReport } from '../registry/records.ts';
import type { InstanceRef } from '../registry/keys.ts';
import type { Registry } from '../registry/registry.ts';

/** The detector of the operator. Others cannot have its name: it has a space. */
const DETECTOR = 'the operator';

/** `expected`: as in `Registry.reportHealth`. Throws RegistryError NOT_FOUND, LIMIT, CONFLICT. */
export async function takeOutOfRotation(ref: InstanceRef, reason: string, registry: Registry, expected?: number): Promise<void> {
  const report: HealthReport = { health: 'draining', reason: reason === '' ? 'taken out of rotation' : reason };
  await registry.reportHealth(ref, DETECTOR, report, expected);
}

export async function putIntoRotation(ref: InstanceRef, registry: Registry, expected?: number): Promise<void> {
  await registry.reportHealth(ref, DETECTOR, { health: 'healthy', reason: '' }, expected);
}
