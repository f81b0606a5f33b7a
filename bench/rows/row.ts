// What a row of the benchmark is, and what comes out of it: the same form for every kind of row, so that tables, files and charts need
// to know no more.
import type { Field } from './field.ts';

export interface Settings {
  /** Of each contestant in each row. */
  readonly rounds: number;
  /** Of each round. */
  readonly seconds: number;
  /** One short round: only shows that everything runs. */
  readonly quick: boolean;
}

export interface Measure {
  readonly key: string;
  /** With its unit. */
  readonly label: string;
  readonly digits: number;
}

export interface Standing {
  readonly name: string;
  /** One for each round: a figure for each measure. */
  readonly rounds: readonly Readonly<Record<string, number>>[];
  /** Why there are none. */
  readonly absent?: string;
}

export interface Result {
  readonly measures: readonly Measure[];
  readonly standings: readonly Standing[];
}

export interface Row {
  readonly name: string;
  /** What `--only` calls it. */
  readonly group: string;
  readonly title: string;
  /** What is done, in a sentence or two. */
  readonly load: string;
  /** Expected duration. */
  seconds(settings: Settings, contestants: number): number;
  run(field: Field, settings: Settings): Promise<Result>;
}

export const CPU: Measure = { key: 'cpuUsPerRequest', label: 'CPU µs/request', digits: 1 };
export const THROUGHPUT: Measure = { key: 'requestsPerSecond', label: 'requests/s', digits: 0 };
export const MEMORY: Measure = { key: 'residentMb', label: 'MB', digits: 0 };
