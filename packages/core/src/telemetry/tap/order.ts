// Live requests: what may be asked for, and what is told of one. Limits are on both sides: who asks is told what they are, and who tells
// keeps to them whatever is asked.

/** All that is said must fit. */
export interface TapFilter {
  /** NAMESPACE/SERVICE that calls or is called. */
  readonly service?: string | undefined;
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
  /** That answered, or was tried last. */
  readonly instance?: string | undefined;
  /** Name of the route's rule. */
  readonly route?: string | undefined;
  /** In any case. */
  readonly method?: string | undefined;
  /** The path without its query begins so; with `*`, which stands for any characters, all of it must fit. */
  readonly path?: string | undefined;
  /** A status, a class, or several: `503`, `5xx`, `429,5xx`. Of gRPC in words of HTTP. */
  readonly status?: string | undefined;
  /** A code of an error, `5xx` for what the application answered so, or `any` of these. */
  readonly error?: string | undefined;
  /** What took at least so long. */
  readonly slowerThanMs?: number | undefined;
  /** 32 hexadecimal digits. */
  readonly traceId?: string | undefined;
}

export interface TapOrder {
  readonly id: string;
  readonly filter: TapFilter;
  /** At most so many are told; the others are counted. */
  readonly perSecond: number;
  /** After this it ends by itself. */
  readonly forMs: number;
  /** Names of request headers that are told, in lower case. */
  readonly headers: readonly string[];
  /** Callers whose own data planes tell what they call: the called side tells nothing of that. */
  readonly callers: readonly string[];
}

/** Of the pair that it is told for: the calling side, or the called one. */
export type TapSide = 'outbound' | 'inbound';

export interface TapRecord {
  /** Unix time at which the request ended. */
  readonly timeMs: number;
  readonly side: TapSide;
  readonly source: string;
  readonly destination: string;
  /** Empty: none was tried. */
  readonly instance: string;
  readonly route: string;
  readonly protocol: string;
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** 0: there was no answer. */
  readonly status: number;
  readonly grpcStatus?: number | undefined;
  /** Empty: none. */
  readonly error: string;
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly tries: number;
  /** Empty: it has no trace. */
  readonly traceId: string;
  readonly headers: readonly TapHeader[];
}

export interface TapHeader {
  readonly name: string;
  readonly value: string;
}

export type TapTold =
  /** `lost`: so many more have fitted, and are not told. */
  | { readonly kind: 'records'; readonly id: string; readonly records: readonly TapRecord[]; readonly lost: number }
  /** It tells no more of it. */
  | { readonly kind: 'ended'; readonly id: string; readonly reason: string };

export const TAP_LIMITS = {
  /** Of one data plane, and of the control plane. */
  taps: 8,
  perSecond: 1_000,
  forMs: 3_600_000,
  headers: 16,
  headerNameLength: 64,
  valueLength: 512,
  pathLength: 512,
  callers: 5_000,
  /** Of one data plane and one tap that wait to be sent; text is counted by characters. */
  waiting: 500,
  waitingChars: 524_288,
} as const;

/** What is wrong with a filter, in words that follow its name. */
export interface TapProblem {
  readonly field: keyof TapFilter | 'headers';
  readonly reason: string;
}

const STATUSES = /^(?:[1-5](?:\d\d|xx))(?:,[1-5](?:\d\d|xx))*$/i;
const TRACE = /^[0-9a-f]{32}$/i;
const NAME = /^[^\s]{1,253}$/;
const HEADER = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** More would make matching slow, and nobody writes them. */
const STARS_MAX = 8;

/** Undefined: it can be asked for. */
export function tapProblem(filter: TapFilter, headers: readonly string[]): TapProblem | undefined {
  for (const field of ['service', 'source', 'destination', 'instance', 'route', 'method', 'error'] as const)
    if (filter[field] !== undefined && !NAME.test(filter[field])) return { field, reason: 'has 1 to 253 characters without blanks' };
  const { status, traceId, path, slowerThanMs } = filter;
  if (status !== undefined && !STATUSES.test(status))
    return { field: 'status', reason: 'is a status or a class, such as 503, 5xx or 429,5xx' };
  if (traceId !== undefined && !TRACE.test(traceId)) return { field: 'traceId', reason: 'has 32 hexadecimal digits' };
  if (path !== undefined && (path === '' || path.length > TAP_LIMITS.pathLength))
    return { field: 'path', reason: `has 1 to ${TAP_LIMITS.pathLength} characters` };
  if (path?.includes('?') === true)
    return { field: 'path', reason: 'ends before the query, which is neither told nor looked at: it may hold secrets' };
  if ((path?.split('*').length ?? 0) > STARS_MAX + 1) return { field: 'path', reason: `has at most ${STARS_MAX} of "*"` };
  if (slowerThanMs !== undefined && !(slowerThanMs >= 0 && slowerThanMs <= TAP_LIMITS.forMs))
    return { field: 'slowerThanMs', reason: `is within 0 and ${TAP_LIMITS.forMs} ms` };
  if (headers.length > TAP_LIMITS.headers) return { field: 'headers', reason: `at most ${TAP_LIMITS.headers} can be told` };
  const wrong = headers.find((name) => name.length > TAP_LIMITS.headerNameLength || !HEADER.test(name));
  if (wrong !== undefined)
    return { field: 'headers', reason: `${JSON.stringify(wrong.slice(0, 80))} is no name of a header in lower case` };
  return undefined;
}

/** Why a data plane does not begin; undefined: it does. @param running others that look at it now. */
export function tapRefusal({ filter, headers }: TapOrder, running: number): string | undefined {
  if (running >= TAP_LIMITS.taps) return `${TAP_LIMITS.taps} taps look at this data plane already, the most there may be`;
  const problem = tapProblem(filter, headers);
  return problem && `${problem.field} ${problem.reason}`;
}
