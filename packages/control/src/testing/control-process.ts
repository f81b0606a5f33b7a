// A child process for crash tests: a control plane that prints how to reach it on one line, and stops at SIGTERM.
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import { mesh, silent } from './mesh.ts';

const [stateDir = ''] = process.argv.slice(2);
const control = await startControl({
  mesh: mesh(),
  stateDir,
  listen: { address: '127.0.0.1', port: 0 },
  logger: silent,
  clock: nodeClock,
  random: nodeRandom,
});
process.once('SIGTERM', () => void control.close());
process.stdout.write(`${JSON.stringify(control)}\n`);
