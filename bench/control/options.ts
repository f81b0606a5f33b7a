// The command line of the control plane's benchmark.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Size } from './size.ts';

export const USAGE = `usage: npm run bench:control -- [options]
  --seconds N       of each measurement, default 30
  --quick           a small mesh for two seconds: only shows that everything runs; nothing is written without --results
  --source          measure the sources in place of freshly built packages
  --results FOLDER  where figures and the chart go, default bench/results
  --profile FOLDER  write a CPU profile of the control plane there
`;

export interface Options {
  readonly seconds: number;
  readonly sizes: readonly Size[];
  readonly built: boolean;
  /** Undefined: nothing is written. */
  readonly results: string | undefined;
  readonly profile: string | undefined;
}

const LARGE: Size = { services: 1_000, instancesPerService: 10, dataPlanes: 1_000, calledByEach: 15, changesPerSecond: 100 };
const SMALL: Size = { services: 100, instancesPerService: 5, dataPlanes: 50, calledByEach: 10, changesPerSecond: 50 };

/** Or what is wrong with it. */
export function readOptions(args: readonly string[], root: string): Options | string {
  try {
    const text = { type: 'string' } as const;
    const flag = { type: 'boolean', default: false } as const;
    const options = { seconds: text, quick: flag, source: flag, results: text, profile: text };
    const { values } = parseArgs({ args: [...args], options });
    const { quick, source, results, profile, seconds = quick ? '2' : '30' } = values;
    if (!/^[1-9]\d{0,2}$/.test(seconds)) return `"${seconds}" is not a whole number from 1 to 999`;
    const size = quick ? SMALL : LARGE;
    return {
      seconds: Number(seconds),
      // The same data planes, calls and changes in twice the mesh: what differs is only what there is besides.
      sizes: [size, { ...size, services: 2 * size.services }],
      built: !source,
      results: results === undefined ? (quick ? undefined : resolve(root, 'bench/results')) : resolve(results),
      profile: profile === undefined ? undefined : resolve(profile),
    };
  } catch (error) {
    return (error as Error).message;
  }
}
