// Whether a request gets a line in the access log.
import type { AccessLogChoice } from '../model/telemetry.ts';

/** What is looked at of a request that has ended. */
export interface LoggedEnd {
  /** 0: there was no answer. With gRPC that of HTTP which means the same. */
  readonly status: number;
  readonly durationMs: number;
  /** A data plane ended it with an error of its own. */
  readonly isOwnError: boolean;
}

/** @param random uniform in [0, 1). */
export function isLogged(choice: AccessLogChoice, end: LoggedEnd, random: () => number): boolean {
  const { samplePercent, restPercent } = choice;
  const isDrawn = (percent: number): boolean => percent >= 100 || (percent > 0 && random() * 100 < percent);
  return (meets(choice, end) && isDrawn(samplePercent)) || isDrawn(restPercent);
}

/** One of the conditions, or there is none. */
function meets({ statuses, slowerThanMs, errors }: AccessLogChoice, { status, durationMs, isOwnError }: LoggedEnd): boolean {
  if (statuses === undefined && slowerThanMs === undefined && errors === undefined) return true;
  if (statuses?.some(({ from, to }) => status >= from && status <= to) === true) return true;
  return (slowerThanMs !== undefined && durationMs > slowerThanMs) || (errors === true && isOwnError);
}
