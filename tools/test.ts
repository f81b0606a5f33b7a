// Runs the tests of the whole repository, or of the files and folders named: `npm test -- packages/wire --test-name-pattern=head`.
// Each file is a process of its own. Those under `tests/` start real programs and wait for them a lot: they begin first, and one file more runs at
// once than there are processors.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listFiles } from './files.ts';

/** Compiled code, so that the processes of a run do not each compile the same files. */
const COMPILE_CACHE = 'node_modules/.cache/heddle-compiled';

/** Against a test that hangs; the slowest whole file takes a fraction of this. */
const FILE_TIMEOUT_MS = 240_000;

export interface TestPlan {
  readonly files: readonly string[];
  readonly nodeOptions: readonly string[];
  /** Paths that were asked for but lead to no test. */
  readonly unmatched: readonly string[];
}

/** Arguments with a dash go to Node's test runner; the others choose files by path. */
export function planTests(allTests: readonly string[], args: readonly string[]): TestPlan {
  const nodeOptions = args.filter((arg) => arg.startsWith('-'));
  const wanted = args.filter((arg) => !arg.startsWith('-')).map((arg) => arg.replace(/^\.\//, '').replace(/\/+$/, ''));
  const matches = (file: string, path: string): boolean =>
    file === path || file.startsWith(`${path}/`) || file === path.replace(/(\.test)?\.ts$/, '.test.ts');
  return {
    files: longestFirst(wanted.length === 0 ? allTests : allTests.filter((file) => wanted.some((path) => matches(file, path)))),
    nodeOptions,
    unmatched: wanted.filter((path) => !allTests.some((file) => matches(file, path))),
  };
}

function longestFirst(files: readonly string[]): string[] {
  const isLong = (file: string): boolean => file.startsWith('tests/');
  return [...files.filter(isLong), ...files.filter((file) => !isLong(file))];
}

export function testArguments(plan: TestPlan): string[] {
  return [
    '--conditions=heddle-source',
    '--test',
    `--test-concurrency=${availableParallelism() + 1}`,
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    ...plan.nodeOptions,
    ...plan.files,
  ];
}

/** What the runner and all that it starts have in their environment besides. */
export function testEnvironment(root: string): { readonly NODE_COMPILE_CACHE: string } {
  return { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? resolve(root, COMPILE_CACHE) };
}

async function main(root: string, args: readonly string[]): Promise<number> {
  const plan = planTests(listFiles(root, /\.test\.ts$/), args);
  if (plan.unmatched.length > 0) {
    process.stderr.write(`No test file is at or under: ${plan.unmatched.join(', ')}. Name a folder or a file, relative to the root.\n`);
    return 2;
  }
  const env = { ...process.env, ...testEnvironment(root) };
  const child = spawn(process.execPath, testArguments(plan), { cwd: root, stdio: 'inherit', env });
  // The runner ends its test processes itself when it is signalled.
  process.on('SIGINT', () => child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolvePromise, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolvePromise(code ?? 1));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(resolve(import.meta.dirname, '..'), process.argv.slice(2));
}
