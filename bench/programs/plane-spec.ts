// What a data plane of the benchmark is told by a file, in place of a control plane.
import { readFileSync } from 'node:fs';
import type { DataPlane, ResourceUpdate, WorkloadIdentity } from '../../packages/dataplane/src/data-plane.ts';

export interface PlaneSpec {
  readonly identities: Readonly<Record<string, WorkloadIdentity>>;
  readonly updates: readonly ResourceUpdate[];
}

/** Returns the workloads whose identities it has now. */
export async function configure(plane: Pick<DataPlane, 'setIdentity' | 'apply'>, specFile: string): Promise<string[]> {
  const { identities, updates } = JSON.parse(readFileSync(specFile, 'utf8')) as PlaneSpec;
  for (const [workload, identity] of Object.entries(identities)) plane.setIdentity(workload, identity);
  for (const update of updates) {
    const reason = await plane.apply(update);
    if (reason !== undefined) throw new Error(`rejected: ${reason}`);
  }
  return Object.keys(identities);
}
