// Whether a request gets a line in the access log.
import type { AccessLogChoice } from '../model/telemetry.ts';

/**
 * Most requests of a small share are told by chance alone, and nothing is looked up for them.
 * @param random uniform in [0, 1), drawn once for a request.
 */
export function mayBeLogged({ samplePercent, restPercent }: AccessLogChoice, random: number): boolean {
  const drawn = random * 100;
  return drawn < samplePercent || drawn < restPercent;
}

/**
 * @param random the same.
 * @param status 0: there was no answer. With gRPC that of HTTP which means the same.
 * @param isOwnError a data plane ended it with an error of its own.
 */
export function isLogged(choice: AccessLogChoice, random: number, status: number, durationMs: number, isOwnError: boolean): boolean {
  return random * 100 < (meets(choice, status, durationMs, isOwnError) ? choice.samplePercent : choice.restPercent);
}

/** One of the conditions, or there is none. */
function meets({ statuses, slowerThanMs, errors }: AccessLogChoice, status: number, durationMs: number, isOwnError: boolean): boolean {
  if (statuses === undefined && slowerThanMs === undefined && errors === undefined) return true;
  if (statuses?.some(({ from, to }) => status >= from && status <= to) === true) return true;
  return (slowerThanMs !== undefined && durationMs > slowerThanMs) || (errors === true && isOwnError);
}
