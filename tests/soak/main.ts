// `npm run soak -- fuzz` and `npm run soak -- million`: what a long life among hostile peers does to a proxy. What was measured goes to
// bench/results/soak.json.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type FuzzReport, runFuzz } from './fuzz.ts';
import { judge, table } from './support/memory.ts';

const RESULTS = resolve(import.meta.dirname, '../../bench/results/soak.json');
const USAGE = `usage: npm run soak -- fuzz [--minutes 10] [--seed N] [--at-once 50] [--rate 100] [--only N,N]
       npm run soak -- million [--requests 1000000] [--connections 10000]`;
/** Beyond what memory was after a tenth of a run: young objects of V8 that were not collected yet. */
const SLACK_MB = 32;
const REST_SECONDS = 20;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Beside what other runs have left there. */
function keep(name: string, figures: object): void {
  let all: Record<string, unknown> = {};
  try {
    all = JSON.parse(readFileSync(RESULTS, 'utf8')) as Record<string, unknown>;
  } catch {
    // It is the first run.
  }
  mkdirSync(resolve(RESULTS, '..'), { recursive: true });
  writeFileSync(RESULTS, `${JSON.stringify({ ...all, [name]: figures }, null, 2)}\n`);
}

async function fuzz(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string', default: String(Math.floor(Date.now() / 1_000)) },
      'at-once': { type: 'string', default: '50' },
      rate: { type: 'string', default: '100' },
      only: { type: 'string' },
    },
  });
  const seed = Number(values.seed);
  say(`seed ${seed}`);
  const report = await runFuzz({
    seed,
    seconds: Number(values.minutes) * 60,
    atOnce: Number(values['at-once']),
    clientsPerSecond: Number(values.rate),
    requestsPerSecond: 5,
    restSeconds: REST_SECONDS,
    say,
    ...(values.only === undefined ? {} : { only: values.only.split(',').map(Number) }),
  });
  const memory = judge(report.samples, report.endMb, SLACK_MB);
  const problems = fuzzProblems(report);
  if (!memory.isFlat && values.only === undefined) {
    problems.push(`memory: ${report.endMb.toFixed(1)} MB at the end, ${memory.warmMb.toFixed(1)} MB after a tenth`);
  }
  const { samples, ...rest } = report;
  say(table('seconds', samples));
  say(JSON.stringify({ ...rest, memory, problems }, null, 2));
  if (values.only === undefined) keep('fuzz', { ...rest, memory, samples: samples.map(({ at, residentMb }) => [Math.round(at), Math.round(residentMb * 10) / 10]) });
  say(problems.length === 0 ? 'passed' : `FAILED:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
  return problems.length === 0 ? 0 : 1;
}

function fuzzProblems({ isAlive, internalFaults, failures, faults, held, seed }: FuzzReport): string[] {
  const problems: string[] = [];
  if (!isAlive) problems.push('the proxy has ended');
  if (internalFaults > 0 || faults.length > 0) problems.push(`${faults.length} faults of the proxy itself; repeat with --seed ${seed} --only`);
  if (failures.length > 0) problems.push(`${failures.length} honest requests failed`);
  if (Object.keys(held).length > 0) problems.push(`still held at the end: ${JSON.stringify(held)}`);
  return problems;
}

const [what, ...args] = process.argv.slice(2);
if (what === 'fuzz') process.exitCode = await fuzz(args);
else {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 2;
}
