// The one form of every error that a person sees: what is wrong, and what to do about it. Exit codes: 0 fine, 1 the check or
// request failed, 2 wrong usage. Stack traces only with HEDDLE_DEBUG=1: they are for whoever mends Heddle itself.

export type ExitCode = 0 | 1 | 2;

export class CliError extends Error {
  readonly mend: string | undefined;
  readonly exitCode: ExitCode;
  /** @param mend what to do, as a sentence or a command; undefined where the message says it already. */
  constructor(message: string, mend?: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'CliError';
    this.mend = mend;
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A message whose further sentences say what to do, taken apart. */
export function splitMend(message: string): { message: string; mend: string | undefined } {
  const [, what, mend] = /^(.+?)\. ([A-Z].+?)\.?$/s.exec(message) ?? [];
  if (what === undefined || mend === undefined) return { message: message.replace(/\.$/, ''), mend: undefined };
  return { message: what, mend: `${mend[0]!.toLowerCase()}${mend.slice(1)}` };
}

/** The text for standard error, with a line end. */
export function formatError(error: unknown, environment: NodeJS.ProcessEnv): string {
  const debug = environment['HEDDLE_DEBUG'] === '1';
  const trace = debug && error instanceof Error && error.stack !== undefined ? `${error.stack}\n` : '';
  if (error instanceof CliError) {
    return `error: ${error.message}\n${error.mend === undefined ? '' : `  mend: ${error.mend}\n`}${trace}`;
  }
  const message = error instanceof Error ? error.message : String(error);
  return `error: ${message}\n${debug ? trace : '  mend: this may be a fault of Heddle itself; HEDDLE_DEBUG=1 shows where it happened\n'}`;
}

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof CliError ? error.exitCode : 1;
}
