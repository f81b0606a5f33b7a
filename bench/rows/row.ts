// What a row of the benchmark is.
import type { Measure, Result } from '../support/result.ts';
import type { Field } from './field.ts';

export interface Settings {
  /** Of each contestant in each row. */
  readonly rounds: number;
  /** Of each round. */
  readonly seconds: number;
  /** One short round: only shows that everything runs. */
  readonly quick: boolean;
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
