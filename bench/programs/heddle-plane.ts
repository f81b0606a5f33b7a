// A process with one Heddle data plane and nothing else: no agent, no control plane. Arguments: the checkout, `src` or `dist`, and a
// file that says whose identities it has and what is applied to it.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Runtime from '@heddle/runtime/node';
import type * as DataPlanes from '../../packages/dataplane/src/data-plane.ts';
import { configure } from './plane-spec.ts';

const [, , root = '', code = '', specFile = ''] = process.argv;
const load = (file: string) => import(pathToFileURL(join(root, 'packages', `${file}.${code === 'src' ? 'ts' : 'js'}`)).href);
const { createDataPlane } = (await load(`dataplane/${code}/data-plane`)) as typeof DataPlanes;
const { createLogger, createMetrics, deferHelperThreads, nodeClock, nodeNetwork, nodeRandom } = (await load(
  `runtime/${code}/node/index`,
)) as typeof Runtime;
// As `heddle proxy` does.
deferHelperThreads();
const plane = createDataPlane({
  network: nodeNetwork,
  clock: nodeClock,
  random: nodeRandom,
  logger: createLogger({ level: 'warn' }),
  metrics: createMetrics(),
  node: 'bench',
});
await configure(plane, specFile);
