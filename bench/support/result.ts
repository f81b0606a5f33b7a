// What comes out of a row: the same form for every kind of row, so that tables, files and charts need to know no more.

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
  /** In the order of importance. */
  readonly measures: readonly Measure[];
  /** Keys of those whose ratios are printed. Default: the first. */
  readonly compared?: readonly string[];
  readonly standings: readonly Standing[];
}
