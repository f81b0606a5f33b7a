// Retries and hedges in Envoy's words. What a called data plane could not deliver it says by `x-heddle-error`: such answers count like the
// failures that they report.
import { DEFAULT_LIMITS, ERROR_HEADER, ERRORS, meetsRetryCondition } from '@heddle/core';
import type { ErrorCode, HedgePolicy, RetryCondition, RetryPolicy } from '@heddle/core';
import {
  type HedgePolicy as HedgeMessage,
  type RetryPolicy as RetryMessage,
  RetryPolicy_ResetHeaderFormat,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { PreviousHostsPredicate } from '../../../gen/foreign/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';

/** Envoy makes no difference between a broken connection and a try whose time is over. */
const CONDITION_WORDS: Readonly<Record<RetryCondition, string>> = {
  'connect-failure': 'connect-failure',
  refused: 'refused-stream',
  reset: 'reset',
  timeout: 'reset',
  'gateway-error': 'gateway-error',
  '5xx': '5xx',
  'retriable-status': 'retriable-status-codes',
  'grpc-cancelled': 'cancelled',
  'grpc-deadline-exceeded': 'deadline-exceeded',
  'grpc-internal': 'internal',
  'grpc-resource-exhausted': 'resource-exhausted',
  'grpc-unavailable': 'unavailable',
};
/**
 * Picks that may fall on an instance which was tried already, before one of these is taken all the same. One that fails fast has the fewest
 * requests under way: of two instances it is picked three times in four.
 */
const PICKS_MAX = 40;
/** Envoy's shortest interval. */
const BACKOFF_MS_MIN = 1;

export interface EnvoyRetry {
  retryPolicy?: RetryMessage;
  hedgePolicy?: HedgeMessage;
}

/** Whether requests whose execution can be repeated are to be routed apart from the others. */
export function repeatsByMethod({ attempts, nonIdempotent, on }: RetryPolicy, hedge: HedgePolicy | undefined): boolean {
  const isForAll = nonIdempotent || on.every((condition) => condition === 'connect-failure' || condition === 'refused');
  return hedge !== undefined || (attempts > 0 && !isForAll);
}

/** `repeatable`: the method is idempotent. */
export function envoyRetry(policy: RetryPolicy, hedge: HedgePolicy | undefined, repeatable: boolean): EnvoyRetry {
  const { attempts, perTryMs, statuses, backoff } = policy;
  const mayExecuteTwice = repeatable || policy.nonIdempotent;
  const codes = attempts > 0 ? codesOf(policy, mayExecuteTwice) : [];
  const hedged = repeatable ? hedge : undefined;
  const limitMs = hedged?.afterMs ?? perTryMs;
  const repeats = attempts > 0 && (codes.length > 0 || (mayExecuteTwice && policy.on.length > 0));
  if (!repeats && hedged === undefined) return perTryMs > 0 ? { retryPolicy: onlyPerTry(perTryMs) } : {};
  const baseMs = Math.max(BACKOFF_MS_MIN, backoff.baseMs);
  return {
    retryPolicy: {
      retryOn: wordsOf(policy, codes, mayExecuteTwice && attempts > 0).join(','),
      numRetries: attempts + (hedged?.attempts ?? 0),
      ...(limitMs > 0 && { perTryTimeout: encodeDuration(limitMs) }),
      retriableStatusCodes: [...statuses],
      retriableHeaders: codes.map((code) => ({
        name: ERROR_HEADER,
        headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'exact', value: code } } },
      })),
      retryHostPredicate: [
        {
          name: 'envoy.retry_host_predicates.previous_hosts',
          configType: { $case: 'typedConfig', value: pack(PreviousHostsPredicate, {}) },
        },
      ],
      hostSelectionRetryMaxAttempts: PICKS_MAX,
      retryBackOff: { baseInterval: encodeDuration(baseMs), maxInterval: encodeDuration(Math.max(baseMs, backoff.maxMs)) },
      rateLimitedRetryBackOff: {
        resetHeaders: [{ name: 'retry-after', format: RetryPolicy_ResetHeaderFormat.SECONDS }],
        maxInterval: encodeDuration(DEFAULT_LIMITS.retryAfterTimeoutMs),
      },
    },
    ...(hedged !== undefined && { hedgePolicy: { hedgeOnPerTryTimeout: true } }),
  };
}

/** Without retries the time for one try is one limit more for the request. */
function onlyPerTry(perTryMs: number): RetryMessage {
  return { retryOn: 'retriable-headers', numRetries: 0, perTryTimeout: encodeDuration(perTryMs) };
}

/**
 * Codes of errors, ours or of a called data plane, after which the policy tries again. Who repeats only what was never delivered has gRPC calls
 * among the requests, since their method is POST.
 */
function codesOf(policy: RetryPolicy, mayExecuteTwice: boolean): ErrorCode[] {
  return (Object.keys(ERRORS) as ErrorCode[]).filter((error) => {
    if (!mayExecuteTwice && !ERRORS[error].neverDelivered) return false;
    const end = { error, httpStatus: 0, grpcStatus: undefined, retryAfterMs: undefined };
    return (
      meetsRetryCondition(policy, end, false) || ((!mayExecuteTwice || policy.nonIdempotent) && meetsRetryCondition(policy, end, true))
    );
  });
}

/** `retriable-headers` stands for the codes; without any of them it means that nothing is repeated but what is hedged. */
function wordsOf({ on }: RetryPolicy, codes: readonly ErrorCode[], mayExecuteTwice: boolean): string[] {
  const words = new Set<string>();
  if (codes.includes('CONNECT_FAILED')) words.add(CONDITION_WORDS['connect-failure']);
  if (codes.includes('STREAM_REFUSED')) words.add(CONDITION_WORDS.refused);
  if (mayExecuteTwice) for (const condition of on) words.add(CONDITION_WORDS[condition]);
  return [...words, 'retriable-headers'];
}
