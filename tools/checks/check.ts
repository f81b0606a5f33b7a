// What a step of `npm run check` is.

export interface CheckResult {
  readonly ok: boolean;
  /** A few words for the step's line. */
  readonly detail: string;
  /** Shown below the line; every problem with its place. */
  readonly output: string;
}

export interface Check {
  readonly name: string;
  readonly what: string;
  run(root: string): Promise<CheckResult>;
}
