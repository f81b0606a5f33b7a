// The forms of what limits, repeats and disturbs requests: `retry`, `hedge`, `breaker`, `concurrency`, `rateLimit`, `fault`.
import { z } from 'zod';
import { DEFAULT_RETRY_BACKOFF, DEFAULT_RETRY_BUDGET } from '../../model/defaults.ts';
import { RETRY_CONDITIONS } from '../../model/resilience.ts';
import { formatDuration } from '../duration.ts';
import { choice, duration, EXPECTED, field, flag, number, oneOrMore, percent, text, TOKEN_PATTERN, whole } from './fields.ts';
import { requestMatch } from './match.ts';

const DAY_MS = 86_400_000;
const COUNT_MAX = 1_000_000;
const RATE_LIMITS_MAX = 16;

export const timeout = (description: string) => duration(0, DAY_MS, { description, examples: ['2s'] });
export const idleTimeout = (description: string) => duration(100, 7 * DAY_MS, { description, examples: ['5m'] });

const retryFields = {
  attempts: whole(0, 10, { description: 'Tries after the first one. Default: 2.', examples: [2] }).optional(),
  perTry: duration(10, DAY_MS, {
    description: 'Time for one try to begin to answer; then it is tried again. Default: only `timeout` holds.',
    examples: ['500ms'],
  }).optional(),
  on: field(
    z
      .array(
        choice(RETRY_CONDITIONS, {
          description:
            'connect-failure, refused: the application never saw the request; reset: the connection broke; timeout: the time of the try is over; gateway-error: 502, 503, 504, or no answer; 5xx: the same with all of 5xx; retriable-status: one of `statuses`; grpc-…: the call ended with that status.',
          examples: ['connect-failure'],
        }),
      )
      .min(1),
    'a list of conditions, at least one',
    {
      description:
        'What is tried again. All but connect-failure and refused only for methods that may be executed twice, unless `nonIdempotent`. gRPC calls are POST requests. reset: by gRPC programs without a proxy for every call that ends with UNAVAILABLE. Default: connect-failure, refused, reset; with grpc not reset.',
      examples: [['connect-failure', 'refused', '5xx']],
    },
  ).optional(),
  statuses: field(
    z
      .array(whole(400, 599, { description: 'A status.', examples: [429] }))
      .min(1)
      .max(32),
    'a list of statuses from 400 to 599',
    {
      description: 'Responses that are tried again, beside what `on` says.',
      examples: [[429]],
    },
  ).optional(),
  nonIdempotent: flag({
    description: 'Requests with POST, PATCH and unknown methods may be executed twice. Default: false.',
    examples: [true],
  }).optional(),
  backoff: z
    .strictObject({
      base: duration(1, 60_000, {
        description: `Before the second try at most so long, before each further one twice as long; the time is drawn by chance. Default: ${formatDuration(DEFAULT_RETRY_BACKOFF.baseMs)}.`,
        examples: ['25ms'],
      }).optional(),
      max: duration(1, 600_000, {
        description: `The longest time. Default: ${formatDuration(DEFAULT_RETRY_BACKOFF.maxMs)}, or ten times \`base\` where that is longer.`,
        examples: ['250ms'],
      }).optional(),
    })
    .meta({ description: 'Time between tries, when no other instance is left.', examples: [{ base: '25ms', max: '250ms' }] })
    .register(EXPECTED, { expected: 'a map such as { base: 25ms, max: 250ms }' })
    .optional(),
};

const budget = field(
  z.union([
    percent({ description: 'The share.' }),
    z.strictObject({
      percent: percent({
        description: 'Retries and hedges of the last 10 seconds, of the first tries.',
        examples: ['20%'],
      }).default(`${DEFAULT_RETRY_BUDGET.percent}%`),
      minPerSecond: number(0, COUNT_MAX, { description: 'So many a second on top.', examples: [3] }).default(
        DEFAULT_RETRY_BUDGET.minPerSecond,
      ),
    }),
  ]),
  'a percentage, or a map such as { percent: 20%, minPerSecond: 3 }',
  {
    description:
      'How much retries and hedges may add to what a data plane sends to the service, so that they never multiply an outage. Default: 20%, and 3 a second.',
    examples: ['20%', { percent: '20%', minPerSecond: 3 }],
  },
);

const RETRY_EXPECTED = '"off" or a map such as { attempts: 2 }';

export const retry = field(z.union([z.literal('off'), z.strictObject({ ...retryFields, budget: budget.optional() })]), RETRY_EXPECTED, {
  description:
    'When a failed request is tried again, on another instance where there is one. Only for services that carry requests, gRPC calls included: protocol http, http2, grpc or auto. Without it, 2 tries more.',
  examples: ['off', { attempts: 1 }],
});

export const ruleRetry = field(z.union([z.literal('off'), z.strictObject(retryFields)]), RETRY_EXPECTED, {
  description: 'As `retry` of the service; what is not given is as the service has it.',
  examples: ['off', { attempts: 1 }],
});

const hedgeMap = z.strictObject({
  after: duration(1, 3_600_000, {
    description: 'Time without a response after which another try is sent beside the first.',
    examples: ['200ms'],
  }),
  attempts: whole(1, 10, { description: 'Tries beyond the first; each after the same time again.', examples: [1] }).default(1),
});

export const hedge = hedgeMap
  .meta({
    description:
      'A second try while the first is still under way; the first answer wins. Only for methods that may be executed twice (all with `nonIdempotent` in `retry`; gRPC calls need it), and within the budget of `retry`.',
    examples: [{ after: '200ms' }],
  })
  .register(EXPECTED, { expected: 'a map such as { after: 200ms }' });

export const ruleHedge = field(z.union([z.literal('off'), hedgeMap]), '"off" or a map such as { after: 200ms }', {
  description: 'In place of that of the service.',
  examples: ['off', { after: '200ms' }],
});

const room = (description: string) =>
  whole(1, COUNT_MAX, { description: `${description} Default: no limit beyond those of the data plane.`, examples: [100] }).optional();

export const breaker = field(
  z
    .strictObject({
      connections: room('Connections to one instance.'),
      pending: room('Requests that wait for a connection, or for room.'),
      requests: room('Requests under way.'),
    })
    .refine((value) => Object.keys(value).length > 0),
  'a map with connections, pending or requests',
  {
    description: 'How much one data plane asks of the service at a time; what is beyond is refused at once.',
    examples: [{ connections: 100, pending: 50, requests: 500 }],
  },
);

export const concurrency = field(
  z.union([
    z.literal('adaptive'),
    z.strictObject({
      min: whole(1, COUNT_MAX, { description: 'So many may always be under way.', examples: [4] }).default(4),
      max: whole(1, COUNT_MAX, { description: 'Never more.', examples: [1_000] }).default(1_000),
    }),
  ]),
  '"adaptive" or a map such as { min: 4, max: 1000 }',
  {
    description:
      'The limit of requests under way finds itself: it grows while answers stay fast and shrinks when they become slow. Beyond it requests are refused. adaptive: from 4 to 1000.',
    examples: ['adaptive', { min: 4, max: 1_000 }],
  },
);

const rateLimitFields = {
  requests: whole(1, COUNT_MAX, { description: 'So many are let through in the time of `per`.', examples: [100] }),
  per: duration(10, DAY_MS, { description: 'The time.', examples: ['1s'] }),
  burst: whole(1, 10_000_000, {
    description: 'So many at once after a pause. Default: as `requests`.',
    examples: [200],
  }).optional(),
  by: field(
    z.union([
      z.enum(['all', 'identity']),
      z.strictObject({ header: text('the name of a header', TOKEN_PATTERN, { description: 'Its value.', examples: ['x-user'] }) }),
    ]),
    '"all", "identity" or a map such as { header: x-user }',
    {
      description:
        'Who shares a limit. all: everybody; identity: each calling service has one of its own; a header: each value of it has one.',
      examples: ['identity', { header: 'x-user' }],
    },
  ).default('all'),
};

const RATE_LIMIT_EXPECTED = 'a map such as { requests: 100, per: 1s }, or a list of them';
const RATE_LIMIT_EXAMPLE = { requests: 100, per: '1s' };

const serviceRateLimit = z
  .strictObject({ ...rateLimitFields, match: requestMatch('Requests that are counted. Default: all.').optional() })
  .meta({ examples: [RATE_LIMIT_EXAMPLE] })
  .register(EXPECTED, { expected: 'a map such as { requests: 100, per: 1s }' });

export const serviceRateLimits = oneOrMore(serviceRateLimit, RATE_LIMITS_MAX, RATE_LIMIT_EXPECTED, {
  description: 'How many requests each instance takes; the rest is answered with 429. All limits must let a request through.',
  examples: [{ ...RATE_LIMIT_EXAMPLE, burst: 200, by: 'identity' }],
});

const ruleRateLimit = z
  .strictObject(rateLimitFields)
  .meta({ examples: [RATE_LIMIT_EXAMPLE] })
  .register(EXPECTED, { expected: 'a map such as { requests: 100, per: 1s }' });

export const ruleRateLimits = oneOrMore(ruleRateLimit, RATE_LIMITS_MAX, RATE_LIMIT_EXPECTED, {
  description: 'How many requests of this rule each calling data plane sends; the rest is answered with 429.',
  examples: [RATE_LIMIT_EXAMPLE],
});

const share = percent({ description: 'Share of the requests.', examples: ['10%'] }).default('100%');

export const fault = field(
  z
    .strictObject({
      delay: z
        .strictObject({
          percent: share,
          for: duration(1, 3_600_000, { description: 'How long a request is held back.', examples: ['2s'] }),
        })
        .meta({ description: 'Requests are held back before anything else is done with them.', examples: [{ percent: '10%', for: '2s' }] })
        .register(EXPECTED, { expected: 'a map such as { percent: 10%, for: 2s }' })
        .optional(),
      abort: z
        .strictObject({
          percent: share,
          status: whole(200, 599, { description: 'Status of the answer.', examples: [503] }).optional(),
          grpc: whole(1, 16, { description: 'gRPC status of the answer, for services with protocol grpc.', examples: [14] }).optional(),
        })
        .meta({ description: 'Requests are answered in place of the service.', examples: [{ percent: '1%', status: 503 }] })
        .register(EXPECTED, { expected: 'a map such as { percent: 1%, status: 503 }' })
        .optional(),
    })
    .refine((value) => Object.keys(value).length > 0),
  'a map with delay or abort',
  {
    description: 'Faults on purpose, to see what callers make of them.',
    examples: [{ delay: { percent: '10%', for: '2s' }, abort: { percent: '1%', status: 503 } }],
  },
);
