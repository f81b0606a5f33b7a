// `npm run soak -- fuzz` and `npm run soak -- million`: what a long life among hostile peers does to a proxy; `npm run soak -- restarts`: what
// restarts without end do to its callers; `npm run soak -- faults`: what each fault of an instance does to them; `npm run soak -- certificates`: what
// certificates of seconds and new roots do to them; `npm run soak -- in-process`: what a long life with the data plane inside leaves behind. With --save, what was measured goes to bench/results.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type RestartsReport, runRestarts } from '../chaos/support/restarts.ts';
import { certificatesProblems, runCertificates } from './certificates.ts';
import { faultsTable, runFaults } from './faults.ts';
import { type FuzzReport, runFuzz } from './fuzz.ts';
import { inProcessProblems, runInProcess } from './in-process.ts';
import { type MillionReport, runMillion } from './million.ts';
import { slopeMb, table } from './support/memory.ts';
import type { HeldMemory } from './support/proxy.ts';

const RESULTS = resolve(import.meta.dirname, '../../bench/results/soak.json');
const FAULTS_RESULTS = resolve(import.meta.dirname, '../../bench/results/faults.json');
const FAULTS_GUIDE = resolve(import.meta.dirname, '../../docs/guides/faults.md');
/** Between these lines of the guide stands what was measured. */
const FAULTS_MARKS = ['<!-- Written by `npm run soak -- faults --save`. -->', '<!-- End. -->'] as const;
const USAGE = `usage: npm run soak -- fuzz [--minutes 10] [--seed N] [--at-once 50] [--rate 100] [--only N,N] [--brief] [--save]
       npm run soak -- million [--requests 1000000] [--connections 10000] [--save]
       npm run soak -- restarts [--count 1000] [--rate 300] [--save]
       npm run soak -- faults [--repeats 5] [--rate 200] [--at-once 3] [--seconds 20] [--save]
       npm run soak -- certificates [--minutes 5] [--life 10] [--rate 100] [--save]
       npm run soak -- in-process [--calls 1000000] [--changes 1000] [--save]`;
/** Resident memory at the end may be above that after a tenth of the run by this: pages that V8 keeps for its next objects. */
const RESIDENT_SLACK_MB = 32;
/** The same for what is held once all garbage is gone: tables that have grown with what there was at a time. */
const HELD_SLACK_MB = 4;

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
      brief: { type: 'boolean', default: false },
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
    isPatient: !values.brief,
    say,
    ...(values.only === undefined ? {} : { only: values.only.split(',').map(Number) }),
  });
  const { samples, ...rest } = report;
  const problems = fuzzProblems(report);
  if (values.only === undefined && !values.brief) problems.push(...memoryProblems(report.warm, report.end));
  say(table('seconds', samples));
  const figures = { ...rest, slopeMbPerMinute: slopeMb(samples) * 60, problems };
  say(JSON.stringify(figures, null, 2));
  if (values.save) keep('fuzz', { ...figures, samples });
  return conclude(problems);
}

/** Both after a collection of all garbage. */
function memoryProblems(warm: HeldMemory | undefined, end: HeldMemory | undefined): string[] {
  if (warm === undefined || end === undefined) return ['memory could not be measured'];
  const problems: string[] = [];
  const compare = (what: string, before: number, after: number, slack: number): void => {
    if (after > before + slack) problems.push(`${what}: ${after.toFixed(1)} MB at the end, ${before.toFixed(1)} MB after a tenth`);
  };
  compare('resident memory', warm.residentMb, end.residentMb, RESIDENT_SLACK_MB);
  compare('objects', warm.heapMb, end.heapMb, HELD_SLACK_MB);
  compare('buffers', warm.outsideMb, end.outsideMb, HELD_SLACK_MB);
  return problems;
}

function fuzzProblems({ isAlive, exitCode, internalFaults, failures, faults, held, seed }: FuzzReport): string[] {
  const problems: string[] = [];
  if (!isAlive) problems.push('the proxy has ended');
  else if (exitCode !== 0)
    problems.push(exitCode === undefined ? 'the proxy did not stop when it was asked to' : `the proxy stopped with exit code ${exitCode}`);
  if (internalFaults > 0 || faults.length > 0)
    problems.push(`${faults.length} faults of the proxy itself; repeat with --seed ${seed} --only`);
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
  const problems = millionProblems(report);
  say(table('requests', load.samples));
  const { samples, ...rest } = load;
  const figures = { ...rest, slopeMbPerMillion: slopeMb(samples) * 1e6, idle, problems };
  say(JSON.stringify(figures, null, 2));
  if (values.save) keep('million', { ...figures, samples });
  return conclude(problems);
}

function millionProblems({ load, idle, internalFaults }: MillionReport): string[] {
  const problems = memoryProblems(load.warm, load.end);
  if (internalFaults > 0) problems.push(`${internalFaults} faults of the proxy itself`);
  if (load.answered !== load.requests) problems.push(`${load.answered} of ${load.requests} requests were answered`);
  const [first] = idle;
  for (const { how, connections, answered, askedLater, answeredLater, isSurplusRefused, after } of idle) {
    if (answered !== connections) problems.push(`${answered} of ${connections} connections (${how}) were answered`);
    if (answeredLater !== askedLater)
      problems.push(`${answeredLater} of ${askedLater} connections (${how}) were answered after the silence`);
    if (isSurplusRefused === false) problems.push('the listener took one connection more than its limit');
    const [was, is] = [first!.before.heapMb + first!.before.outsideMb, after.heapMb + after.outsideMb];
    if (is > was + HELD_SLACK_MB)
      problems.push(`${is.toFixed(1)} MB are held after the connections (${how}), before the first ${was.toFixed(1)} MB`);
  }
  return problems;
}

async function restarts(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: 'string', default: '1000' },
      rate: { type: 'string', default: '300' },
      save: { type: 'boolean', default: false },
    },
  });
  const report = await runRestarts({ count: Number(values.count), requestsPerSecond: Number(values.rate), say });
  const problems = restartsProblems(report);
  const figures = { ...report, problems };
  say(JSON.stringify(figures, null, 2));
  if (values.save) keep('restarts', figures);
  return conclude(problems);
}

/** An instance that answers less of its share is not really in rotation; how even shares are is the balancer's matter. */
const SHARE_LEAST = 0.05;

function restartsProblems({ restarts: count, processes, clients }: RestartsReport): string[] {
  const problems: string[] = [];
  const begun = Object.values(processes).reduce((total, each) => total + each, 0);
  if (begun !== count) problems.push(`${begun} processes were started in ${count} restarts`);
  for (const [name, { sent, answered, failed, byInstance }] of Object.entries(clients)) {
    if (failed > 0 || answered !== sent) problems.push(`${name}: ${answered} of ${sent} requests were answered, ${failed} failed`);
    const shares = Object.entries(byInstance);
    for (const [instance, answers] of shares)
      if (answers < (sent / shares.length) * SHARE_LEAST) problems.push(`${name}: ${instance} answered only ${answers} of ${sent}`);
  }
  return problems;
}

async function faults(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      repeats: { type: 'string', default: '5' },
      rate: { type: 'string', default: '200' },
      'at-once': { type: 'string', default: '3' },
      seconds: { type: 'string', default: '20' },
      save: { type: 'boolean', default: false },
    },
  });
  const report = await runFaults({
    repeats: Number(values.repeats),
    requestsPerSecond: Number(values.rate),
    atOnce: Number(values['at-once']),
    holdMs: Number(values.seconds) * 1_000,
    say,
  });
  const text = faultsTable(report);
  say(text);
  if (values.save) {
    writeFileSync(FAULTS_RESULTS, `${JSON.stringify(report, null, 2)}\n`);
    const [begin, end] = FAULTS_MARKS;
    const guide = readFileSync(FAULTS_GUIDE, 'utf8');
    const [from, to] = [guide.indexOf(begin), guide.indexOf(end)];
    if (from === -1 || to < from) throw new Error(`${FAULTS_GUIDE} has no place for the table: ${FAULTS_MARKS.join(' and ')}`);
    writeFileSync(FAULTS_GUIDE, `${guide.slice(0, from + begin.length)}\n\n${text}\n\n${guide.slice(to)}`);
  }
  return conclude(report.problems);
}

async function certificates(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '5' },
      /** Of a certificate, in seconds. */
      life: { type: 'string', default: '10' },
      rate: { type: 'string', default: '100' },
      save: { type: 'boolean', default: false },
    },
  });
  const report = await runCertificates({
    seconds: Number(values.minutes) * 60,
    ttlMs: Number(values.life) * 1_000,
    requestsPerSecond: Number(values.rate),
    say,
  });
  const problems = certificatesProblems(report);
  const figures = { ...report, problems };
  say(JSON.stringify(figures, null, 2));
  if (values.save) keep('certificates', figures);
  return conclude(problems);
}

async function inProcess(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      calls: { type: 'string', default: '1000000' },
      changes: { type: 'string', default: '1000' },
      save: { type: 'boolean', default: false },
    },
  });
  const report = await runInProcess({ calls: Number(values.calls), changes: Number(values.changes), say });
  const problems = inProcessProblems(report);
  if (values.save) keep('inProcess', { ...report, problems });
  return conclude(problems);
}

function conclude(problems: readonly string[]): number {
  say(problems.length === 0 ? 'passed' : `FAILED:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
  return problems.length === 0 ? 0 : 1;
}

// So that the proxy is stopped, too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const [what, ...args] = process.argv.slice(2);
const run = { fuzz, million, restarts, faults, certificates, 'in-process': inProcess }[what ?? ''];
if (run === undefined) process.stderr.write(`${USAGE}\n`);
// At its natural end Node waits for writes that hostile connections have left behind, without end.
process.exit(run === undefined ? 2 : await run(args));
