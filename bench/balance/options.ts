// The command line of `npm run bench:balance`.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BALANCE_ALGORITHMS } from '@heddle/core';
import type { BalanceAlgorithm } from '@heddle/core';
import { SCENARIOS } from './scenarios.ts';
import type { BalanceScenario } from './scenarios.ts';

export const USAGE = `usage: npm run bench:balance -- [options]
  --only WHAT          simulation or processes; default both
  --scenarios NAMES    with commas (${SCENARIOS.map(({ name }) => name).join(', ')})
  --algorithms NAMES   with commas (${BALANCE_ALGORITHMS.join(', ')})
  --seeds N            runs of each simulation, default 5: the median counts
  --rounds N           runs of each with processes, default 1
  --seconds N          of each run with processes, default 15
  --results FOLDER     where figures and charts go, default bench/results; "none": nowhere
`;

export interface Options {
  readonly simulates: boolean;
  readonly runs: boolean;
  readonly scenarios: readonly BalanceScenario[];
  readonly algorithms: readonly BalanceAlgorithm[];
  readonly seeds: number;
  readonly rounds: number;
  readonly seconds: number;
  /** Undefined: nothing is written. */
  readonly results: string | undefined;
}

const TEXT = { type: 'string' } as const;

/** Or what is wrong with it. */
export function readOptions(args: readonly string[], root: string): Options | string {
  try {
    const options = { only: TEXT, scenarios: TEXT, algorithms: TEXT, seeds: TEXT, rounds: TEXT, seconds: TEXT, results: TEXT };
    const { values } = parseArgs({ args: [...args], options });
    const { only, seeds = '5', rounds = '1', seconds = '15', results } = values;
    if (only !== undefined && only !== 'simulation' && only !== 'processes') return `"${only}" is neither simulation nor processes`;
    const bad = [seeds, rounds, seconds].find((text) => !/^[1-9]\d{0,2}$/.test(text));
    if (bad !== undefined) return `"${bad}" is not a whole number from 1 to 999`;
    const names = values.scenarios?.split(',');
    const unknown = names?.find((name) => SCENARIOS.every((scenario) => scenario.name !== name));
    if (unknown !== undefined) return `there is no scenario "${unknown}"`;
    const wanted = values.algorithms?.split(',');
    const strange = wanted?.find((name) => !(BALANCE_ALGORITHMS as readonly string[]).includes(name));
    if (strange !== undefined) return `there is no algorithm "${strange}"`;
    return {
      simulates: only !== 'processes',
      runs: only !== 'simulation',
      scenarios: SCENARIOS.filter(({ name }) => names?.includes(name) ?? true),
      algorithms: BALANCE_ALGORITHMS.filter((name) => wanted?.includes(name) ?? true),
      seeds: Number(seeds),
      rounds: Number(rounds),
      seconds: Number(seconds),
      results: results === 'none' ? undefined : resolve(results ?? `${root}/bench/results`),
    };
  } catch (error) {
    return (error as Error).message;
  }
}
