// The model's traffic rules as schemas: which requests a rule takes and what becomes of them. For records and the REST API.
import { z } from 'zod';
import { NAME_FORM } from '../registry/keys.ts';
import { POLICY_LIMITS } from './limits.ts';
import { Fault, Hedge, RateLimit, Retry, duration, percent, token } from './policies.ts';

const { textChars, conditions, headerChanges, headerValueChars, destinations, mirrors, matches, rateLimits, rules, bodyBytes } =
  POLICY_LIMITS;
const name = () => z.string().regex(NAME_FORM, 'is not a name: 1 to 63 letters, digits, ".", "_" or "-", a letter or digit at both ends');
const text = () => z.string().max(textChars);
const is = z.literal(true).optional();

const compared = <K extends string>(kind: K) => z.strictObject({ kind: z.literal(kind), value: text(), ignoreCase: is });
export const TextMatch = z
  .discriminatedUnion('kind', [
    compared('exact'),
    compared('prefix'),
    compared('suffix'),
    compared('contains'),
    z.strictObject({ kind: z.literal('regex'), value: text() }),
  ])
  .meta({
    id: 'TextMatch',
    description: 'How a text is compared; `regex` with all of it.',
    examples: [{ kind: 'prefix', value: 'curl/' }],
  });

export const FieldMatch = z.strictObject({ name: z.string().min(1).max(textChars), match: TextMatch.optional(), invert: is }).meta({
  id: 'FieldMatch',
  description: 'A header or query parameter; without `match` it must be there.',
  examples: [{ name: 'x-beta' }],
});

export const PathMatch = z.strictObject({ kind: z.enum(['prefix', 'exact', 'segments', 'template', 'regex']), value: text().min(1) });

export const RequestMatch = z
  .strictObject({
    kind: z.literal('request'),
    path: PathMatch,
    methods: z.array(token()).min(1).max(conditions).optional(),
    headers: z.array(FieldMatch).max(conditions).optional(),
    query: z.array(FieldMatch).max(conditions).optional(),
    authority: TextMatch.optional(),
  })
  .meta({
    id: 'RequestMatch',
    description: 'Requests that fit all that is given.',
    examples: [{ kind: 'request', path: { kind: 'segments', value: '/v2' }, methods: ['GET'] }],
  });

const headerValues = () => z.record(token(), z.string().max(headerValueChars)).refine(isSmall, `more than ${headerChanges} headers`);
export const HeaderChanges = z
  .strictObject({ set: headerValues(), add: headerValues(), remove: z.array(token()).max(headerChanges) })
  .meta({
    id: 'HeaderChanges',
    description: 'What becomes of headers.',
    examples: [{ set: { 'x-from': 'mesh' }, add: {}, remove: ['x-debug'] }],
  });

export const ServiceRef = z.strictObject({ namespace: name(), name: name() });
const someLabels = z
  .record(z.string().min(1).max(317), z.string().max(256))
  .refine((labels) => Object.keys(labels).length <= 64, 'more than 64 labels')
  .meta({ description: 'Instances that have all of these; none: all instances.' });

const Destination = z
  .strictObject({
    service: ServiceRef,
    labels: someLabels,
    weight: z.int().min(0).max(1_000_000),
    requestHeaders: HeaderChanges.optional(),
    responseHeaders: HeaderChanges.optional(),
  })
  .meta({
    id: 'Destination',
    description: 'Where requests go; shares are relative to the sum of weights.',
    examples: [{ service: { namespace: 'default', name: 'orders' }, labels: { version: 'v2' }, weight: 10 }],
  });

const PathRewrite = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('prefix'), value: text() }),
    z.strictObject({ kind: z.literal('full'), value: text() }),
    z.strictObject({ kind: z.literal('regex'), pattern: text(), substitution: text() }),
  ])
  .meta({ id: 'PathRewrite', description: 'The path anew; the query stays.', examples: [{ kind: 'full', value: '/new' }] });

const Forward = z.strictObject({
  kind: z.literal('forward'),
  to: z.array(Destination).min(1).max(destinations),
  splitByHash: is,
  timeoutMs: duration().optional(),
  idleTimeoutMs: duration().optional(),
  retry: Retry.optional(),
  hedge: z.union([Hedge, z.literal(false)]).optional(),
  rewrite: z.strictObject({ path: PathRewrite.optional(), authority: text().min(1).optional() }).optional(),
  mirrors: z
    .array(z.strictObject({ service: ServiceRef, labels: someLabels, percent: percent() }))
    .max(mirrors)
    .optional(),
});

const Redirect = z.strictObject({
  kind: z.literal('redirect'),
  status: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]),
  scheme: z.enum(['http', 'https']).optional(),
  authority: text().min(1).optional(),
  path: PathRewrite.optional(),
  stripQuery: is,
});

const Respond = z.strictObject({
  kind: z.literal('respond'),
  status: z.int().min(200).max(599),
  body: z.string().refine((body) => new TextEncoder().encode(body).length <= bodyBytes, `is longer than ${bodyBytes} bytes`),
  contentType: z.string().max(256),
});

const limitOf = <M extends z.ZodType>(match: M) =>
  z.strictObject({ ...RateLimit, match: match.optional().meta({ description: 'Only requests that fit take a token. Absent: all.' }) });

export const RateLimits = z
  .array(
    limitOf(RequestMatch).meta({
      id: 'RateLimit',
      description: 'A token bucket of each data plane.',
      examples: [{ requests: 100, perMs: 1_000, burst: 200, by: { kind: 'identity' } }],
    }),
  )
  .max(rateLimits);

export const TrafficRule = z
  .strictObject({
    name: z.string().min(1).max(256),
    matches: z.array(RequestMatch).min(1).max(matches).meta({ description: 'Any of these.' }),
    action: z.discriminatedUnion('kind', [Forward, Redirect, Respond]),
    requestHeaders: HeaderChanges.optional(),
    responseHeaders: HeaderChanges.optional(),
    fault: Fault.optional(),
    rateLimits: RateLimits.optional(),
  })
  .meta({
    id: 'TrafficRule',
    description: 'What a rule leaves out is as the service has it.',
    examples: [
      {
        name: 'beta',
        matches: [{ kind: 'request', path: { kind: 'prefix', value: '/' }, headers: [{ name: 'x-beta' }] }],
        action: { kind: 'forward', to: [{ service: { namespace: 'default', name: 'orders' }, labels: { version: 'v2' }, weight: 1 }] },
      },
    ],
  });
export const TrafficRules = z.array(TrafficRule).max(rules).meta({ description: 'The first that fits takes the request.' });

function isSmall(values: Readonly<Record<string, string>>): boolean {
  return Object.keys(values).length <= headerChanges;
}
