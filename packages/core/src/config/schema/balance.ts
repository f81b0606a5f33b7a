// The forms of `balance`, `sticky` and `outlier`: how callers choose among the instances of a service, and when they leave one out.
import { z } from 'zod';
import { BALANCE_ALGORITHMS, LOCALITY_MODES } from '../../model/balance.ts';
import { DEFAULT_BALANCE, DEFAULT_OUTLIER } from '../../model/defaults.ts';
import { formatDuration } from '../duration.ts';
import { choice, duration, EXPECTED, field, number, oneOf, oneOrMore, percent, text, TOKEN_PATTERN, whole } from './fields.ts';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
/** Each is looked at for each request that has none of those before it. */
const HASH_SOURCES_MAX = 8;
/** A query parameter's name as it is sent: nothing is decoded. */
export const PARAMETER_PATTERN = /^[\x21\x22\x24\x25\x27-\x3c\x3e-\x7e]{1,256}$/;
/** RFC 6265 §4.1.1; names with `__Host-` and the like need attributes that are not set here. */
export const COOKIE_PATTERN = /^(?!__)[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;

const cookie = (about: { readonly description: string }) =>
  text('the name of a cookie: letters, digits, "-", "_" and ".", at most 64, not beginning with "__"', COOKIE_PATTERN, {
    ...about,
    examples: ['heddle-session'],
  });

const hashSource = field(
  z.union([
    z.literal('source'),
    z.strictObject({
      header: text('the name of a header', TOKEN_PATTERN, {
        description: 'Value of this request header.',
        examples: ['x-user'],
      }).optional(),
      cookie: cookie({ description: 'Value of this cookie.' }).optional(),
      ttl: duration(0, YEAR_MS, {
        description:
          "With `cookie`: requests without it are given one, which lives for so long; 0: for the browser's session. Without: none is given.",
        examples: ['1h'],
      }).optional(),
      query: text('the name of a query parameter', PARAMETER_PATTERN, {
        description: 'Value of this query parameter.',
        examples: ['user'],
      }).optional(),
    }),
  ]),
  '"source" or a map such as { header: x-user }',
  { description: "A header, a cookie or a query parameter; source: the client's address.", examples: [{ header: 'x-user' }, 'source'] },
);

export const hash = oneOrMore(hashSource, HASH_SOURCES_MAX, 'a list such as [{ header: x-user }, source]', {
  description:
    'What is hashed: the first of these that a request has. Requests with the same value go to the same instance, or to the same side of a split.',
  examples: [[{ header: 'x-user' }, 'source']],
});

export const balance = field(
  z.union([
    z.enum(BALANCE_ALGORITHMS),
    z.strictObject({
      policy: choice(BALANCE_ALGORITHMS, {
        description:
          'probing: the instance with the fewest requests under way and the shortest answers, as it says itself when asked now and then; least-response-time: the same from what the caller sees; least-request: the less busy one of two; round-robin, random; weighted: by weight, evenly mixed; ring-hash and maglev: by `hash`. Default: probing; with tcp and tls least-request.',
        examples: ['ring-hash'],
      }).optional(),
      hash: hash.optional(),
      locality: choice(LOCALITY_MODES, {
        description:
          'zone-aware: as much stays in the zone of the caller as its instances can carry when all zones do the same; prefer: the nearest first, others when these fall ill; any: wherever they run.',
        examples: ['prefer'],
      }).default(DEFAULT_BALANCE.locality),
      slowStart: duration(0, 3_600_000, {
        description: 'An instance that is new, or healthy again, gets a growing share for so long. 0: its full share at once.',
        examples: ['30s'],
      }).default(0),
      panic: percent({
        description: 'When a smaller share of the instances is healthy, all are used. 0%: never.',
        examples: ['30%'],
      }).default(DEFAULT_BALANCE.panicPercent),
    }),
  ]),
  `${oneOf(BALANCE_ALGORITHMS)}, or a map such as { policy: probing }`,
  {
    description: 'How callers choose among healthy instances.',
    examples: ['probing', { policy: 'ring-hash', hash: [{ header: 'x-user' }] }],
  },
);

export const sticky = z
  .strictObject({
    cookie: cookie({ description: 'Name of the cookie.' }).default('heddle-session'),
    ttl: duration(0, YEAR_MS, { description: "How long it lives; 0: for the browser's session.", examples: ['1h'] }).default(0),
  })
  .meta({
    description:
      'A client stays with the instance that answered it first, as long as that can be picked: a cookie names it. Only for services that carry requests.',
    examples: [{ cookie: 'heddle-session', ttl: '1h' }],
  })
  .register(EXPECTED, { expected: 'a map such as { cookie: heddle-session }' });

const streak = (description: string, standard: number) =>
  whole(0, 1_000_000, { description: `${description} 0: not looked at.`, examples: [5] }).default(standard);

export const outlier = field(
  z.union([
    z.literal('off'),
    z.strictObject({
      consecutiveErrors: whole(0, 1_000_000, {
        description: `Responses with 5xx, gRPC statuses that mean the same, and local errors in a row, after which an instance is left out. 0: not looked at. Default: ${DEFAULT_OUTLIER.consecutiveErrors}.`,
        examples: [5],
      }).optional(),
      gatewayErrors: streak('502, 503, 504 and local errors in a row.', DEFAULT_OUTLIER.consecutiveGatewayErrors),
      localErrors: streak('Failed connects, resets and time limits of a try in a row.', DEFAULT_OUTLIER.consecutiveLocalErrors),
      interval: duration(1_000, 3_600_000, {
        description: `How often success rate, failures and latency are looked at; after so long without a fault, an instance's last ejection is forgotten. Default: ${formatDuration(DEFAULT_OUTLIER.intervalMs)}.`,
        examples: ['10s'],
      }).optional(),
      successRate: number(0, 100, {
        description:
          'Left out when its success rate is so many standard deviations below the mean of the instances. 0: not looked at. Default: 0.',
        examples: [1.9],
      }).optional(),
      failures: percent({
        description: 'Left out when so large a share of its requests failed. 0%: not looked at. Default: 0%.',
        examples: ['85%'],
      }).optional(),
      latency: number(0, 1_000, {
        description: 'Left out when its median latency is so many times the median of all. 0: not looked at. Default: 0.',
        examples: [3],
      }).optional(),
      minRequests: whole(1, 1_000_000, {
        description: `Requests that an instance must have had in the interval to be judged by its success rate, failures or latency. Default: ${DEFAULT_OUTLIER.minimumRequests}.`,
        examples: [50],
      }).optional(),
      minInstances: whole(1, 10_000, {
        description: `Instances that must have had so many. Default: ${DEFAULT_OUTLIER.minimumInstances}.`,
        examples: [3],
      }).optional(),
      eject: duration(100, DAY_MS, {
        description: 'For how long it is left out: the first time so long, the second time twice as long, and so on.',
        examples: ['10s'],
      }).default('10s'),
      maxEject: duration(100, DAY_MS, {
        description: `The longest time. Default: ${formatDuration(DEFAULT_OUTLIER.maxEjectMs)}, or \`eject\` where that is longer.`,
        examples: ['5m'],
      }).optional(),
      maxEjected: percent({
        description: 'The largest share of the instances that is left out at a time, but at least one of two or more.',
        examples: ['50%'],
      }).default(`${DEFAULT_OUTLIER.maxEjectedPercent}%`),
    }),
  ]),
  '"off" or a map such as { consecutiveErrors: 5 }',
  {
    description:
      'When a caller leaves out an instance on its own evidence, at once, whatever the checks say. Without it, after 5 errors in a row for 10s; with tcp and tls only after failed connects.',
    examples: ['off', { consecutiveErrors: 5, eject: '10s', maxEjected: '50%' }],
  },
);
