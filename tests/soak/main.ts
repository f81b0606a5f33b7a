// `npm run soak -- fuzz` and `npm run soak -- million`: what a long life among hostile peers does to a proxy. With --save, what was
// measured goes to bench/results/soak.json.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type FuzzReport, runFuzz } from './fuzz.ts';
import { type MillionReport, runMillion } from './million.ts';
import { judge, type MemoryVerdict, table } from './support/memory.ts';

const RESULTS = resolve(import.meta.dirname, '../../bench/results/soak.json');
const USAGE = `usage: npm run soak -- fuzz [--minutes 10] [--seed N] [--at-once 50] [--rate 100] [--only N,N] [--save]
       npm run soak -- million [--requests 1000000] [--connections 10000] [--save]`;
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
      save: { type: 'boolean', default: false },
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
  if (values.save) keep('fuzz', { ...rest, memory, samples });
  return conclude(problems);
}

function fuzzProblems({ isAlive, internalFaults, failures, faults, held, seed }: FuzzReport): string[] {
  const problems: string[] = [];
  if (!isAlive) problems.push('the proxy has ended');
  if (internalFaults > 0 || faults.length > 0) problems.push(`${faults.length} faults of the proxy itself; repeat with --seed ${seed} --only`);
  if (failures.length > 0) problems.push(`${failures.length} honest requests failed`);
  if (Object.keys(held).length > 0) problems.push(`still held at the end: ${JSON.stringify(held)}`);
  return problems;
}

async function million(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: 'string', default: '1000000' },
      connections: { type: 'string', default: '10000' },
      save: { type: 'boolean', default: false },
    },
  });
  const report = await runMillion({ requests: Number(values.requests), connections: Number(values.connections), say });
  const { load, idle } = report;
  const memory = judge(load.samples, load.endMb, SLACK_MB);
  const problems = millionProblems(report, memory);
  say(table('requests', load.samples));
  say(JSON.stringify({ ...load, samples: undefined, memory, idle, problems }, null, 2));
  if (values.save) keep('million', { ...load, memory, idle, problems });
  return conclude(problems);
}

function millionProblems({ load, idle, internalFaults }: MillionReport, memory: MemoryVerdict): string[] {
  const problems: string[] = [];
  if (internalFaults > 0) problems.push(`${internalFaults} faults of the proxy itself`);
  if (load.answered !== load.requests) problems.push(`${load.answered} of ${load.requests} requests were answered`);
  if (!memory.isFlat) problems.push(`memory: ${memory.endMb.toFixed(1)} MB at the end, ${memory.warmMb.toFixed(1)} MB after a tenth`);
  const first = new Map<string, number>();
  for (const { how, connections, answered, askedLater, answeredLater, isSurplusRefused, openMb, afterMb } of idle) {
    if (answered !== connections) problems.push(`${answered} of ${connections} connections (${how}) were answered`);
    if (answeredLater !== askedLater) problems.push(`${answeredLater} of ${askedLater} connections (${how}) were answered after the silence`);
    if (isSurplusRefused === false) problems.push(`the listener took one connection more than its limit`);
    const highest = first.get(how) ?? openMb;
    if (openMb > highest + SLACK_MB) problems.push(`memory with ${connections} connections (${how}): ${openMb} MB, the first time ${highest} MB`);
    if (afterMb > openMb) problems.push(`memory grew when the connections (${how}) were closed: ${afterMb} MB`);
    first.set(how, highest);
  }
  return problems;
}

function conclude(problems: readonly string[]): number {
  say(problems.length === 0 ? 'passed' : `FAILED:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
  return problems.length === 0 ? 0 : 1;
}

const [what, ...args] = process.argv.slice(2);
if (what === 'fuzz') process.exitCode = await fuzz(args);
else if (what === 'million') process.exitCode = await million(args);
else {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 2;
}
