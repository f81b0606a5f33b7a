// The model's policies as schemas: how callers choose among instances, repeat, limit and refuse. One for the records of the registry and for
// the REST API, which show the same.
import { BALANCE_ALGORITHMS, DEFAULT_OUTLIER, LOCALITY_MODES, RETRY_CONDITIONS } from '@heddle/core';
import { z } from 'zod';
import { POLICY_LIMITS } from './limits.ts';

const { durationMs, cookieTtlMs, statuses, hashSources, textChars } = POLICY_LIMITS;

export const duration = (min = 0) => z.int().min(min).max(durationMs);
export const percent = () => z.number().min(0).max(100);
/** RFC 9110 §5.6.2: names of headers and cookies, and methods. */
export const token = () =>
  z
    .string()
    .max(256)
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "is not a token of RFC 9110: letters, digits and !#$%&'*+.^_`|~-");
const httpStatus = () => z.int().min(100).max(599);
const cookieTtl = () => z.int().min(0).max(cookieTtlMs).meta({ description: "0: for the browser's session." });
const count = () => z.int().min(0).max(1_000_000);

export const HealthCheck = z
  .strictObject({
    kind: z.enum(['http', 'tcp', 'grpc']),
    path: z.string().max(textChars).optional().meta({ description: 'Asked for with GET; present exactly when `kind` is `http`.' }),
    statuses: z
      .array(z.tuple([httpStatus(), httpStatus()]))
      .min(1)
      .max(statuses)
      .optional()
      .meta({ description: 'Answers that pass, as ranges with both ends. Absent: 200 to 299.' }),
    grpcService: z
      .string()
      .max(textChars)
      .optional()
      .meta({ description: 'Present exactly when `kind` is `grpc`; empty: the whole server.' }),
    port: z.int().min(1).max(65_535).optional().meta({ description: "Absent: the application's port." }),
    intervalMs: duration(1),
    timeoutMs: duration(1),
    unhealthyAfter: z.int().min(1).max(1_000),
    healthyAfter: z.int().min(1).max(1_000),
  })
  .refine(({ kind, path }) => (kind === 'http') === (path !== undefined), {
    path: ['path'],
    message: 'goes with checks by HTTP, and only these',
  })
  .refine(({ kind, grpcService }) => (kind === 'grpc') === (grpcService !== undefined), {
    path: ['grpcService'],
    message: 'goes with checks by gRPC, and only these',
  })
  .meta({
    id: 'HealthCheck',
    description: 'How the data plane beside an instance checks it.',
    examples: [{ kind: 'http', path: '/healthz', intervalMs: 2_000, timeoutMs: 1_000, unhealthyAfter: 2, healthyAfter: 1 }],
  });

export const Balance = z
  .strictObject({
    algorithm: z.enum(BALANCE_ALGORITHMS),
    locality: z.enum(LOCALITY_MODES),
    slowStartMs: duration().meta({ description: 'An instance that is new or healthy again gets a growing share for so long.' }),
    panicPercent: percent().meta({ description: 'When a smaller share is healthy, all that do not drain are used; 0: never.' }),
  })
  .meta({
    id: 'Balance',
    description: 'How callers choose among instances.',
    examples: [{ algorithm: 'probing', locality: 'zone-aware', slowStartMs: 0, panicPercent: 0 }],
  });

export const HashSource = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('header'), name: token() }),
    z.strictObject({ kind: z.literal('cookie'), name: token(), ttlMs: cookieTtl().optional() }),
    z.strictObject({ kind: z.literal('query'), name: z.string().min(1).max(textChars) }),
    z.strictObject({ kind: z.literal('source') }),
  ])
  .meta({
    id: 'HashSource',
    description: 'Where consistent hashing gets its hash from; the first that a request has counts.',
    examples: [{ kind: 'header', name: 'x-user' }],
  });
export const HashSources = z.array(HashSource).max(hashSources);

export const Session = z.strictObject({ cookie: token(), ttlMs: cookieTtl() }).meta({
  id: 'Session',
  description: 'Requests with the cookie go to the instance that it names.',
  examples: [{ cookie: 'heddle-session', ttlMs: 0 }],
});

export const Retry = z
  .strictObject({
    attempts: z.int().min(0).max(100).meta({ description: 'Tries after the first one; 0: none.' }),
    on: z.array(z.enum(RETRY_CONDITIONS)).max(RETRY_CONDITIONS.length),
    perTryMs: duration().meta({ description: "Time for one try; 0: only the whole request's limit holds." }),
    statuses: z.array(httpStatus()).max(statuses).meta({ description: 'What `retriable-status` means.' }),
    nonIdempotent: z.boolean().meta({ description: 'Requests of methods that are not idempotent may be executed twice.' }),
    backoff: z.strictObject({ baseMs: duration(), maxMs: duration() }),
  })
  .meta({
    id: 'Retry',
    description: 'When a try is repeated.',
    examples: [
      {
        attempts: 2,
        on: ['connect-failure', 'refused'],
        perTryMs: 0,
        statuses: [],
        nonIdempotent: false,
        backoff: { baseMs: 25, maxMs: 250 },
      },
    ],
  });

export const RetryBudget = z.strictObject({ percent: percent(), minPerSecond: z.number().min(0).max(1_000_000) }).meta({
  id: 'RetryBudget',
  description: 'Retries and hedges, of the first tries, and on top.',
  examples: [{ percent: 20, minPerSecond: 3 }],
});

export const Hedge = z
  .strictObject({ afterMs: duration(1), attempts: z.int().min(1).max(100) })
  .meta({ id: 'Hedge', description: 'A second try while the first is under way.', examples: [{ afterMs: 200, attempts: 1 }] });

export const Breaker = z
  .strictObject({ connections: count(), pending: count(), requests: count() })
  .meta({ id: 'Breaker', description: 'Of one data plane; 0: no limit.', examples: [{ connections: 100, pending: 50, requests: 500 }] });

export const AdaptiveConcurrency = z
  .strictObject({ minRequests: z.int().min(1).max(1_000_000), maxRequests: z.int().min(1).max(1_000_000) })
  .refine(({ minRequests, maxRequests }) => minRequests <= maxRequests, { path: ['maxRequests'], message: 'is less than minRequests' })
  .meta({
    id: 'AdaptiveConcurrency',
    description: 'A limit of requests that finds itself.',
    examples: [{ minRequests: 4, maxRequests: 1_000 }],
  });

export const Outlier = z
  .strictObject({
    consecutiveErrors: count(),
    consecutiveGatewayErrors: count(),
    consecutiveLocalErrors: count(),
    intervalMs: duration(1),
    successRateFactor: z.number().min(0).max(1_000),
    failurePercent: percent(),
    latencyFactor: z.number().min(0).max(1_000_000),
    minimumRequests: count(),
    minimumInstances: count(),
    ejectMs: duration(1),
    maxEjectMs: duration(1),
    maxEjectedPercent: percent(),
  })
  .refine(({ ejectMs, maxEjectMs }) => ejectMs <= maxEjectMs, { path: ['maxEjectMs'], message: 'is less than ejectMs' })
  .meta({
    id: 'Outlier',
    description: 'When a caller leaves out an instance on its own evidence; thresholds of 0 are off.',
    examples: [{ ...DEFAULT_OUTLIER }],
  });

export const RateLimit = {
  requests: z.int().min(1).max(1_000_000_000),
  perMs: duration(1),
  burst: z.int().min(1).max(1_000_000_000),
  by: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('all') }),
      z.strictObject({ kind: z.literal('identity') }),
      z.strictObject({ kind: z.literal('header'), name: token() }),
    ])
    .meta({ description: 'Who shares a bucket.' }),
};

export const Fault = z
  .strictObject({
    delay: z.strictObject({ percent: percent(), delayMs: duration() }).optional(),
    abort: z
      .strictObject({
        percent: percent(),
        status: z.discriminatedUnion('kind', [
          z.strictObject({ kind: z.literal('http'), code: z.int().min(200).max(599) }),
          z.strictObject({ kind: z.literal('grpc'), code: z.int().min(1).max(16) }),
        ]),
      })
      .optional(),
  })
  .meta({
    id: 'Fault',
    description: 'Requests held back or answered in place of the service.',
    examples: [{ delay: { percent: 10, delayMs: 2_000 } }],
  });
