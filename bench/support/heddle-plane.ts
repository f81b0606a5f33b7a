// A process with one Heddle data plane and nothing else: no agent, no control plane. Arguments: the folder of the proxy's code, and a
// file that says whose identities it has and what is applied to it.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import type { createDataPlane as CreateDataPlane, ResourceUpdate, WorkloadIdentity } from '../../packages/proxy/src/data-plane.ts';

export interface PlaneSpec {
  readonly identities: Readonly<Record<string, WorkloadIdentity>>;
  readonly updates: readonly ResourceUpdate[];
}

const [, , entry = '', specFile = ''] = process.argv;
const { createDataPlane } = (await import(pathToFileURL(entry).href)) as { createDataPlane: typeof CreateDataPlane };
const { identities, updates } = JSON.parse(readFileSync(specFile, 'utf8')) as PlaneSpec;
const plane = createDataPlane({
  network: nodeNetwork,
  clock: nodeClock,
  random: nodeRandom,
  logger: createLogger({ level: 'warn' }),
  metrics: createMetrics(),
  node: 'bench',
});
for (const [workload, identity] of Object.entries(identities)) plane.setIdentity(workload, identity);
for (const update of updates) {
  const reason = await plane.apply(update);
  if (reason !== undefined) throw new Error(`rejected: ${reason}`);
}
