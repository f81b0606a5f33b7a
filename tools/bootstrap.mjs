// The one door behind `npm start`, `npm test`, `npm run …` and `./heddle`: brings a new enough Node, the dependencies, the
// generated code and the dashboard, then runs the target. Plain JavaScript without packages, because at this point nothing is installed; runs on
// Node 18 and newer. Everything slow is done once and leaves a stamp, so that the next start only compares stamps.
// The npm scripts say `exec`, so that npm's signals reach this process and not a shell that leaves it behind.
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureGenerated } from './bootstrap/generate.mjs';
import { ensureInstalled } from './bootstrap/install.mjs';
import { launch } from './bootstrap/launch.mjs';
import { ensureNode } from './bootstrap/node.mjs';
import { BootstrapError, say } from './bootstrap/report.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** What each target runs, relative to the root; the user's own arguments come after. @type {Record<string, string[]>} */
const TARGETS = {
  start: ['packages/cli/src/main.ts', 'up', '-f', 'examples/shop/heddle.yaml'],
  heddle: ['packages/cli/src/main.ts'],
  test: ['tools/test.ts'],
  check: ['tools/check.ts'],
  bench: ['bench/main.ts'],
  'bench:control': ['bench/control/main.ts'],
  'bench:balance': ['bench/balance/main.ts'],
  'bench:picks': ['bench/balancing/picks.ts'],
  'bench:routing': ['bench/routing/match.ts'],
  'bench:access': ['bench/access/decide.ts'],
  'bench:telemetry': ['bench/telemetry.ts'],
  soak: ['tests/soak/main.ts'],
  build: ['tools/build.ts'],
  format: ['tools/format.ts'],
  docs: ['tools/docs.ts'],
  pictures: ['tools/pictures.ts'],
  generate: ['tools/generate.ts'],
};

/** @param {string[]} argv @returns {Promise<number>} */
async function main(argv) {
  const [target, ...args] = argv;
  const known = target === 'prepare' || (target !== undefined && Object.hasOwn(TARGETS, target));
  if (!known) {
    const names = [...Object.keys(TARGETS), 'prepare'].join(', ');
    throw new BootstrapError(target === undefined ? 'no target was given.' : `there is no target "${target}".`, `Use one of: ${names}.`, 2);
  }
  const node = await ensureNode(root);
  await ensureInstalled(root, node);
  await ensureGenerated(root, node);
  if (target === 'prepare') {
    // The launcher script `heddle` replaces itself with this Node, so that no process stands between the user and the command.
    process.stdout.write(`${node}\n`);
    return 0;
  }
  const [script = '', ...fixed] = TARGETS[/** @type {string} */ (target)] ?? [];
  return launch(node, ['--conditions=heddle-source', resolve(root, script), ...fixed, ...args], target === 'heddle' ? process.cwd() : root);
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    if (!(error instanceof BootstrapError)) throw error;
    say(`error: ${error.message}${error.mend === '' ? '' : `\n        ${error.mend}`}`);
    process.exitCode = error.exitCode;
  },
);
