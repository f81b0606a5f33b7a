// `npm run bench:balance`: all balancers in the same situations, on virtual time and with processes. Tables go to standard output, figures and charts to
// bench/results/.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BalanceAlgorithm } from '@heddle/core';
import { chart } from '../support/chart.ts';
import { heddleVersion, machine } from '../support/circumstances.ts';
import { json } from '../support/report.ts';
import type { Measure, Standing } from '../support/result.ts';
import type { Figures } from './figures.ts';
import { medianOf } from './figures.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { runReal } from './real.ts';
import type { BalanceScenario } from './scenarios.ts';
import { capacityOf } from './scenarios.ts';
import { simulate, SIMULATION } from './simulation/run.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MEASURES: readonly Measure[] = [
  { key: 'p50Ms', label: 'p50 ms', digits: 0 },
  { key: 'p99Ms', label: 'p99 ms', digits: 0 },
  { key: 'p999Ms', label: 'p99.9 ms', digits: 0 },
  { key: 'errorPercent', label: 'errors %', digits: 2 },
];
/** What each run of a scenario is compared by. */
const REFERENCES: readonly BalanceAlgorithm[] = ['round-robin', 'least-response-time'];
const WARM_UP_SECONDS = 5;

type Run = (scenario: BalanceScenario, algorithm: BalanceAlgorithm) => Promise<Figures[]>;

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args, ROOT);
  if (typeof options === 'string') {
    process.stderr.write(`bench:balance: ${options}\n${USAGE}`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-balance-'));
  try {
    if (options.simulates)
      await compare('simulation', 'on virtual time', options, args, async (scenario, algorithm) =>
        seedsOf(options.seeds).map((seed) => simulate(scenario, algorithm, { ...SIMULATION, seed })),
      );
    if (options.runs)
      await compare('processes', 'with processes', options, args, async (scenario, algorithm) => {
        const figures: Figures[] = [];
        for (const seed of seedsOf(options.rounds)) {
          const run = { folder, root: ROOT, seconds: options.seconds, warmUpSeconds: WARM_UP_SECONDS, seed };
          figures.push(await runReal(scenario, algorithm, run));
        }
        return figures;
      });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return 0;
}

function seedsOf(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

async function compare(kind: string, where: string, options: Options, args: readonly string[], run: Run): Promise<void> {
  for (const scenario of options.scenarios) {
    const standings: Standing[] = [];
    console.log(
      `\n${scenario.title}, ${where}: ${Math.round(capacityOf(scenario) * scenario.load)} requests/s, ${scenario.load * 100} % of capacity`,
    );
    console.log(
      line(
        '',
        MEASURES.map(({ label }) => label),
      ),
    );
    for (const algorithm of options.algorithms) {
      const rounds = (await run(scenario, algorithm)).map(({ errorRate, ...figures }) => ({ ...figures, errorPercent: errorRate * 100 }));
      standings.push({ name: algorithm, rounds });
      const medians = medianOf(rounds.map(({ errorPercent, ...figures }) => ({ ...figures, errorRate: errorPercent })));
      const { errorRate, ...others } = medians;
      const values: Readonly<Record<string, number>> = { ...others, errorPercent: errorRate };
      console.log(
        line(
          algorithm,
          MEASURES.map(({ key, digits }) => values[key]!.toFixed(digits)),
        ),
      );
    }
    for (const text of ratios(standings)) console.log(text);
    if (options.results !== undefined) write(options.results, kind, where, scenario, standings, args);
  }
}

/** Of the p99 of probing, in the medians. */
function ratios(standings: readonly Standing[]): string[] {
  const p99 = (name: string): number | undefined => {
    const sorted = standings.find((standing) => standing.name === name)?.rounds.map((round) => round['p99Ms']!);
    return sorted?.sort((a, b) => a - b)[(sorted.length - 1) >> 1];
  };
  const probing = p99('probing');
  return REFERENCES.flatMap((name) => {
    const other = p99(name);
    return probing === undefined || other === undefined ? [] : [`probing / ${name}, p99: ${(probing / other).toFixed(2)}`];
  });
}

function line(name: string, cells: readonly string[]): string {
  return name.padEnd(22) + cells.map((cell) => cell.padStart(12)).join('');
}

function write(
  folder: string,
  kind: string,
  where: string,
  scenario: BalanceScenario,
  standings: readonly Standing[],
  args: readonly string[],
): void {
  mkdirSync(folder, { recursive: true });
  const title = `Balancing ${where}: ${scenario.title}`;
  const load = `${Math.round(capacityOf(scenario) * scenario.load)} requests/s at random times, ${scenario.load * 100} % of what the instances can do; a failed request counts with the time limit of ${scenario.timeoutMs} ms.`;
  const row = { name: `balance-${kind}-${scenario.name}`, title, load };
  const command = ['npm run bench:balance', ...(args.length === 0 ? [] : ['--', ...args])].join(' ');
  const versions = { heddle: heddleVersion({ heddleRoot: ROOT, built: false }) };
  const circumstances = { command, machine: { ...machine(undefined), pinned: 'nothing' }, versions };
  writeFileSync(join(folder, `${row.name}.json`), json(row, { measures: MEASURES, standings }, circumstances));
  writeFileSync(join(folder, `${row.name}.svg`), chart({ title, measures: MEASURES, standings, about: 'probing' }));
}

process.exitCode = await main(process.argv.slice(2));
