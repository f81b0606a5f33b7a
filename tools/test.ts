// Runs the tests of the whole repository, or of the files and folders named: `npm test -- packages/wire --test-name-pattern=head`.
// `testing/groups.ts` says which files share a process, `testing/times.ts` which process begins first. One more runs at once than there are
// processors: those of `tests/` wait a lot.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listFiles } from './files.ts';
import { testedCommand } from './testing/command.ts';
import { groupTests, writeEntries } from './testing/groups.ts';
import { longestFirst, readTimes } from './testing/times.ts';

/** Compiled code, so that the processes of a run do not each compile the same files. */
const COMPILE_CACHE = 'node_modules/.cache/heddle-compiled';

const TIMES_REPORTER = resolve(import.meta.dirname, 'testing/times.ts');

/** Against a test that hangs; the slowest whole file takes a fraction of this. */
const FILE_TIMEOUT_MS = 240_000;

export interface TestPlan {
  readonly files: readonly string[];
  readonly nodeOptions: readonly string[];
  /** Paths that were asked for but lead to no test. */
  readonly unmatched: readonly string[];
  /** No path was asked for. */
  readonly isWhole: boolean;
}

/** Arguments with a dash go to Node's test runner; the others choose files by path. */
export function planTests(allTests: readonly string[], args: readonly string[]): TestPlan {
  const nodeOptions = args.filter((arg) => arg.startsWith('-'));
  const wanted = args.filter((arg) => !arg.startsWith('-')).map((arg) => arg.replace(/^\.\//, '').replace(/\/+$/, ''));
  const matches = (file: string, path: string): boolean =>
    file === path || file.startsWith(`${path}/`) || file === path.replace(/(\.test)?\.ts$/, '.test.ts');
  return {
    files: wanted.length === 0 ? allTests : allTests.filter((file) => wanted.some((path) => matches(file, path))),
    nodeOptions,
    unmatched: wanted.filter((path) => !allTests.some((file) => matches(file, path))),
    isWhole: wanted.length === 0,
  };
}

/** A run that can begin. */
export interface TestRun {
  /** Of Node. */
  readonly args: readonly string[];
  /** In addition to ours. */
  readonly environment: NodeJS.ProcessEnv;
  /** To be called when it has ended. */
  readonly dispose: () => void;
}

export async function prepareTests(root: string, { files, nodeOptions, isWhole }: TestPlan): Promise<TestRun> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-tests-'));
  const reporters = reportersOf(nodeOptions);
  const others = nodeOptions.filter((option) => !isReporter(option));
  // A pattern of names would match those of files as well, as which the suites of a group go.
  const entries = others.length === 0 ? writeEntries(root, folder, longestFirst(groupTests(files), readTimes())) : files;
  const args = [
    '--conditions=heddle-source',
    '--test',
    `--test-concurrency=${availableParallelism() + 1}`,
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    ...others,
    ...reporters,
    ...(isWhole && others.length === 0 ? [`--test-reporter=${TIMES_REPORTER}`, '--test-reporter-destination=stderr'] : []),
    ...entries,
  ];
  const environment: NodeJS.ProcessEnv = { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? resolve(root, COMPILE_CACHE) };
  if (isWhole) environment['HEDDLE_TEST_COMMAND'] = await testedCommand(root, (text) => process.stderr.write(text));
  return { args, environment, dispose: () => rmSync(folder, { recursive: true, force: true }) };
}

function isReporter(option: string): boolean {
  return option.startsWith('--test-reporter');
}

/** With a destination for each, as the runner wants it once there are two. */
function reportersOf(nodeOptions: readonly string[]): string[] {
  const given = nodeOptions.filter(isReporter);
  const reporters = given.length === 0 ? ['--test-reporter=spec'] : given;
  return reporters.length === 1 ? [...reporters, '--test-reporter-destination=stdout'] : reporters;
}

async function main(root: string, args: readonly string[]): Promise<number> {
  const plan = planTests(listFiles(root, /\.test\.ts$/), args);
  if (plan.unmatched.length > 0) {
    process.stderr.write(`No test file is at or under: ${plan.unmatched.join(', ')}. Name a folder or a file, relative to the root.\n`);
    return 2;
  }
  const prepared = await prepareTests(root, plan);
  const env = { ...process.env, ...prepared.environment };
  const child = spawn(process.execPath, prepared.args, { cwd: root, stdio: 'inherit', env });
  // The runner ends its test processes itself when it is signalled.
  process.on('SIGINT', () => child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  try {
    return await new Promise((resolvePromise, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => resolvePromise(code ?? 1));
    });
  } finally {
    prepared.dispose();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(resolve(import.meta.dirname, '..'), process.argv.slice(2));
}
