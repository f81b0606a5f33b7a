// What each fault of one instance costs its callers, measured: repeated, with the medians as a table for people.
import { machine } from '../../bench/support/circumstances.ts';
import { type Fault, FAULTS } from '../chaos/support/fault-list.ts';
import { FaultMesh } from '../chaos/support/fault-mesh.ts';
import { type FaultReport, runFault } from '../chaos/support/fault-run.ts';
import { Cleanup } from '../support/planes.ts';

export interface FaultsOptions {
  readonly repeats: number;
  /** To each service. */
  readonly requestsPerSecond: number;
  /** Faults that happen at the same time, each to a service of its own. */
  readonly atOnce: number;
  /** How long each lasts. */
  readonly holdMs: number;
  readonly say: (line: string) => void;
}

/** Medians over the repeats; errors as the worst of them. */
export interface FaultFigures {
  readonly name: string;
  readonly title: string;
  readonly detectMs: number;
  readonly detectedBy: readonly string[];
  readonly tries: number;
  readonly errors: number;
  readonly errorsMax: number;
  readonly codes: readonly string[];
  readonly slow: number;
  readonly slowestMs: number;
  readonly backMs: number;
}

export interface FaultsReport {
  readonly machine: object;
  readonly options: { readonly repeats: number; readonly requestsPerSecond: number; readonly holdMs: number };
  readonly faults: readonly FaultFigures[];
  readonly runs: readonly FaultReport[];
  readonly problems: readonly string[];
}

const BACK_SHARE = 0.8;
const DEADLINE_MS = 90_000;

export async function runFaults({ repeats, requestsPerSecond, atOnce, holdMs, say }: FaultsOptions): Promise<FaultsReport> {
  const runs: FaultReport[] = [];
  const problems: string[] = [];
  for (let repeat = 1; repeat <= repeats; repeat += 1) {
    for (let from = 0; from < FAULTS.length; from += atOnce) {
      const faults = FAULTS.slice(from, from + atOnce);
      const cleanup = new Cleanup();
      try {
        const mesh = await FaultMesh.start(cleanup, faults);
        const run = (fault: Fault) => runFault(mesh, fault, { requestsPerSecond, holdMs, backShare: BACK_SHARE, deadlineMs: DEADLINE_MS });
        for (const result of await Promise.allSettled(faults.map(run))) {
          if (result.status === 'fulfilled') runs.push(result.value);
          else problems.push(String(result.reason));
          say(result.status === 'fulfilled' ? JSON.stringify(result.value) : String(result.reason));
        }
      } finally {
        await cleanup.run();
      }
    }
  }
  const faults = FAULTS.map((fault) =>
    figuresOf(
      fault,
      runs.filter(({ name }) => name === fault.name),
    ),
  );
  return { machine: machine(undefined), options: { repeats, requestsPerSecond, holdMs }, faults, runs, problems };
}

function figuresOf({ name, title }: Fault, runs: readonly FaultReport[]): FaultFigures {
  const of = (value: (run: FaultReport) => number): number => median(runs.map(value));
  return {
    ...{ name, title, detectMs: of(({ detectMs }) => detectMs) },
    detectedBy: [...new Set(runs.map(({ detectedBy }) => detectedBy))],
    tries: of(({ tries }) => tries),
    errors: of(({ errors }) => sum(errors)),
    errorsMax: Math.max(0, ...runs.map(({ errors }) => sum(errors))),
    codes: [...new Set(runs.flatMap(({ errors }) => Object.keys(errors)))],
    slow: of(({ slow }) => slow),
    slowestMs: of(({ slowestMs }) => slowestMs),
    backMs: of(({ backMs }) => backMs),
  };
}

/** For docs/guides/faults.md. */
export function faultsTable({ faults, options }: FaultsReport): string {
  const { repeats, requestsPerSecond, holdMs } = options;
  const requests = Math.round((requestsPerSecond * holdMs) / 1_000);
  const lines = faults.map(({ name, title, detectMs, tries, errors, codes, slow, backMs }) => {
    const seen = errors === 0 && codes.length === 0 ? '0' : `${errors} (${codes.join(', ')})`;
    return `| ${title} (\`${name}\`) | ${time(detectMs)} | ${tries} | ${seen} | ${slow} | ${time(backMs)} |`;
  });
  return [
    `Medians of ${repeats} runs with ${requestsPerSecond} GETs a second to four instances, of which one fails for ${holdMs / 1_000} s (${requests.toLocaleString('en-US')} requests):`,
    '',
    '| the instance | left out after | requests it got meanwhile | errors that callers saw | answers over 1 s | full share after |',
    '|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

function time(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, each) => total + each, 0);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
