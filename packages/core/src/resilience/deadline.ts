// How much time a request has: the shorter of what its route gives and what its caller still has. A caller's deadline can only shorten, so
// that it needs no trust. `grpc-timeout` itself is read and written by `wire`; here are its counterpart for HTTP and the arithmetic of
// both.

/** A caller that waits longer than this waits for ever: longer times are cut, so that sums stay exact. */
export const DEADLINE_MAX_MS = 86_400_000;

/** Of requests and, between data planes and to applications, the time that is left. Envoy's is `x-envoy-expected-rq-timeout-ms`. */
export const REQUEST_TIMEOUT_HEADER = 'x-request-timeout';

const DIGITS_MAX = 9;

/**
 * The value of `x-request-timeout` in milliseconds: a number of milliseconds (`250`), or a number with a unit (`250ms`, `1.5s`, `2m`,
 * `1h`). Undefined when it is neither: some applications use this header in other ways, so it is then passed on as it is and limits
 * nothing. 0: no time is left.
 */
export function parseRequestTimeout(value: string): number | undefined {
  let at = 0;
  let amount = 0;
  let scale = 0;
  for (; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code === 0x2e && scale === 0 && at > 0) scale = 1;
    else if (code < 0x30 || code > 0x39) break;
    else if (at > DIGITS_MAX) return undefined;
    else {
      amount = amount * 10 + code - 0x30;
      scale *= 10;
    }
  }
  // No digit before or after the point.
  if (at === 0 || scale === 1) return undefined;
  const unitMs = unitOf(value, at);
  if (unitMs === undefined) return undefined;
  return Math.min((amount * unitMs) / (scale === 0 ? 1 : scale), DEADLINE_MAX_MS);
}

function unitOf(value: string, at: number): number | undefined {
  switch (value.slice(at)) {
    case '':
    case 'ms':
      return 1;
    case 's':
      return 1_000;
    case 'm':
      return 60_000;
    case 'h':
      return 3_600_000;
    default:
      return undefined;
  }
}

/** In whole milliseconds, rounded up, with the unit, unless `received` (what the caller sent) had none. */
export function formatRequestTimeout(timeoutMs: number, received: string | undefined): string {
  const ms = Math.ceil(Math.min(Math.max(timeoutMs, 0), DEADLINE_MAX_MS));
  return received !== undefined && /\d$/.test(received) ? `${ms}` : `${ms}ms`;
}

/** The shorter of the two times that a caller may give (`grpc-timeout`, `x-request-timeout`), at most a day; undefined: it gave none. */
export function callerTimeoutMs(grpcTimeoutMs: number | undefined, requestTimeoutMs: number | undefined): number | undefined {
  if (grpcTimeoutMs === undefined) return requestTimeoutMs;
  const grpcMs = Math.min(grpcTimeoutMs, DEADLINE_MAX_MS);
  return requestTimeoutMs === undefined || grpcMs < requestTimeoutMs ? grpcMs : requestTimeoutMs;
}

/**
 * When the whole request must be over; Infinity: never.
 * @param limitMs the route's; 0: none.
 * @param callerMs undefined: the caller gave none.
 */
export function deadlineOf(nowMs: number, limitMs: number, callerMs: number | undefined): number {
  const ownMs = limitMs === 0 ? Infinity : limitMs;
  return nowMs + (callerMs === undefined || ownMs < callerMs ? ownMs : callerMs);
}

/** The error when the deadline has passed, by whose limit it was. */
export function deadlineError(limitMs: number, callerMs: number | undefined): 'REQUEST_TIMEOUT' | 'DEADLINE_EXCEEDED' {
  return callerMs !== undefined && (limitMs === 0 || callerMs < limitMs) ? 'DEADLINE_EXCEEDED' : 'REQUEST_TIMEOUT';
}

/**
 * When one try must be over: `perTryMs` (0: no such limit) after it began, but no later than the whole request. What is left until then is
 * what the called side is told, as in Envoy: it need not work on longer.
 */
export function tryDeadlineOf(nowMs: number, perTryMs: number, deadlineMs: number): number {
  return perTryMs === 0 ? deadlineMs : Math.min(nowMs + perTryMs, deadlineMs);
}

/** What is left, as the called side is told it: at least 1 ms, at most a day; undefined: there is no limit, so nothing is said. */
export function remainingMs(nowMs: number, deadlineMs: number): number | undefined {
  return deadlineMs === Infinity ? undefined : Math.min(Math.max(deadlineMs - nowMs, 1), DEADLINE_MAX_MS);
}
