// `node --import @heddle/client/register app.js` (or `--require`): the application as it is becomes part of the mesh. Where the environment names no
// mesh this file is all that is loaded. It is loaded by every Node process that inherits NODE_OPTIONS, also by old ones: nothing here needs a new Node.
import { createRequire } from 'node:module';
import type { MeshError } from '../errors.ts';
import { isInMesh } from '../plane/environment.ts';
import type * as JoinDoor from './join.ts';

const NODE_MAJOR_MIN = 24;
/** What starts applications and is none: their calls and ports are nobody's business. */
const STARTERS = /[\\/](?:npm-cli|npx-cli|corepack|pnpm|pnpx|yarn|yarnpkg|yarn-berry)\.[cm]?js$|[\\/]\.yarn[\\/]releases[\\/]/;

const problem = whyNot();
if (problem === undefined) begin();
else if (problem !== '') end(problem);

/** Undefined: the process becomes part of the mesh. Empty: it does not, as it should be. */
function whyNot(): string | undefined {
  const { env } = process;
  const mode = env['HEDDLE_CLIENT'] || 'auto';
  if (mode === 'off') return '';
  const isRequired = mode === 'required';
  if (!isRequired && mode !== 'auto') return `HEDDLE_CLIENT is ${JSON.stringify(mode)}; use auto, required or off`;
  if (!isInMesh(env)) {
    if (!isRequired) return '';
    return 'HEDDLE_CLIENT=required, and HEDDLE_SERVICE and HEDDLE_CONTROL do not say of which mesh this process is a part; start it with `heddle run`';
  }
  if (STARTERS.test(process.argv[1] ?? '')) return '';
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) return undefined;
  const tooOld = `Node ${process.versions.node} is too old for the data plane inside a process: it needs ${NODE_MAJOR_MIN} or newer`;
  if (isRequired) return tooOld;
  process.stderr.write(`heddle: ${tooOld}; this process is not part of the mesh\n`);
  return '';
}

function begin(): void {
  const load = createRequire(import.meta.url);
  const { join } = load(import.meta.url.endsWith('.ts') ? './join.ts' : './join.js') as typeof JoinDoor;
  try {
    join();
  } catch (error) {
    // Without its stack, which leads nowhere that a reader can mend.
    if ((error as Partial<MeshError>).code !== 'BAD_OPTIONS') throw error;
    end((error as MeshError).message);
  }
}

function end(reason: string): never {
  process.stderr.write(`heddle: ${reason}\n`);
  process.exit(1);
}
