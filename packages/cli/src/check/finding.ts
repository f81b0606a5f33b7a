// What `heddle check` finds: that something is as it should be, that it is worth knowing, or what is wrong, why that matters, and the mend.
import { CliError } from '../errors.ts';

export interface Finding {
  readonly check: string;
  /** `notice`: nothing is wrong, but it is not what one might take for granted. */
  readonly result: 'ok' | 'notice' | 'failed';
  readonly detail: string;
  /** Why it matters; empty when all is well. */
  readonly why: string;
  /** What to do; empty when there is nothing to do. */
  readonly mend: string;
}

export function ok(check: string, detail: string): Finding {
  return { check, result: 'ok', detail, why: '', mend: '' };
}

export function notice(check: string, detail: string, mend = ''): Finding {
  return { check, result: 'notice', detail, why: '', mend };
}

export function failed(check: string, detail: string, why: string, mend: string): Finding {
  return { check, result: 'failed', detail, why, mend };
}

export function asFailure(check: string, error: unknown, why: string): Finding {
  return failed(check, (error as Error).message, why, error instanceof CliError ? (error.mend ?? '') : '');
}

/** `a, b, c and 4 more`. */
export function someOf(names: readonly string[], max = 5): string {
  const more = names.length - max;
  return `${names.slice(0, max).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
