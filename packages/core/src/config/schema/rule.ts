// The form of `routes`: rules of a service, in order, each with the requests it takes and what becomes of them.
import { z } from 'zod';
import { RESPOND_BODY_BYTES_MAX } from '../../routing/check.ts';
import { WEIGHT_MAX } from '../../routing/split.ts';
import {
  choice,
  EXPECTED,
  field,
  HEADER_VALUE_PATTERN,
  LABEL_KEY_PATTERN,
  NO_NUL,
  only,
  oneOrMore,
  percent,
  scalarText,
  text,
  TOKEN_PATTERN,
  whole,
} from './fields.ts';
import { PATH_PATTERN, requestMatches } from './match.ts';
import { fault, idleTimeout, ruleHedge, ruleRateLimits, ruleRetry, timeout } from './resilience.ts';

/** Of a split; more is a list of instances, which is what balancing is for. */
const DESTINATIONS_MAX = 32;
const MIRRORS_MAX = 4;
/** They are tried one after the other. */
const RULES_MAX = 256;
const ROUTES_MAX = 10_000;
export const RULE_NAME_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9 ._/-]{0,61}[A-Za-z0-9])?$/;
/** RFC 9110 §7.2: a name or address, with or without a port. */
const AUTHORITY_PATTERN = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?$/;

const headerValue = scalarText(
  'a text without line breaks',
  { description: 'Value of the header.', examples: ['"1"'] },
  HEADER_VALUE_PATTERN,
);

const headerMap = (description: string) =>
  field(z.record(z.string(), headerValue), 'a map of headers', { description, examples: [{ 'x-side': 'canary' }] })
    .meta({ propertyNames: { pattern: TOKEN_PATTERN.source } })
    .optional();

const headerChanges = (description: string) =>
  field(
    z
      .strictObject({
        set: headerMap('In place of what was there.'),
        add: headerMap('Beside what is there.'),
        remove: field(
          z.array(text('the name of a header', TOKEN_PATTERN, { description: 'A header.', examples: ['x-debug'] })).min(1),
          'a list of headers',
          { description: 'Taken away.', examples: [['x-debug']] },
        ).optional(),
      })
      .refine((value) => Object.keys(value).length > 0),
    'a map with set, add or remove',
    { description, examples: [{ set: { 'x-side': 'canary' } }] },
  ).optional();

const headers = field(
  z
    .strictObject({
      request: headerChanges('Of the request, on its way to the service.'),
      response: headerChanges('Of the response, on its way to the caller.'),
    })
    .refine((value) => Object.keys(value).length > 0),
  'a map with request or response',
  {
    description:
      'Headers that are changed. Values may hold `%REQUEST_ID%`, `%SOURCE_IDENTITY%` and `%SOURCE_ADDRESS%`; `%%` is one percent sign.',
    examples: [{ request: { set: { 'x-side': 'canary' } } }],
  },
);

const serviceName = (description: string) => text('the name of a service', NO_NUL, { description, examples: ['orders'] }).optional();
const labels = field(
  z.record(z.string(), scalarText('a text', { description: 'Value of the label.', examples: ['v2'] })),
  'a map of labels',
  {
    description: 'Only instances that have all of these labels; `version` counts as one. Default: all instances.',
    examples: [{ version: 'v2' }],
  },
)
  .meta({ propertyNames: { pattern: LABEL_KEY_PATTERN.source } })
  .optional();

const destination = z
  .strictObject({
    service: serviceName('Another service of this file. Default: the one whose rules these are.'),
    labels,
    weight: whole(0, WEIGHT_MAX, {
      description: 'Its share, next to the others of the list. Default: the same for all.',
      examples: [90],
    }).optional(),
    headers: headers.optional(),
  })
  .meta({ examples: [{ labels: { version: 'v2' }, weight: 10 }] })
  .register(EXPECTED, { expected: 'a map such as { labels: { version: v2 }, weight: 10 }' });

const mirror = z
  .strictObject({
    service: serviceName('Another service of this file. Default: the one whose rules these are.'),
    labels,
    percent: percent({ description: 'Share of the requests.', examples: ['10%'] }).default('100%'),
  })
  .meta({ examples: [{ labels: { version: 'v3' }, percent: '10%' }] })
  .register(EXPECTED, { expected: 'a map such as { labels: { version: v3 }, percent: 10% }' });

const aPath = (description: string, example: string) =>
  text('a path that begins with "/", without "?", "#" and blanks', PATH_PATTERN, { description, examples: [example] }).optional();
const host = (description: string) =>
  text('a host, with a port or without', AUTHORITY_PATTERN, { description, examples: ['shop.example'] }).optional();

const pathRewrite = field(
  z.union([
    z.string().regex(PATH_PATTERN),
    z.strictObject({
      prefix: aPath('In place of what the prefix or segments of the match took.', '/v1'),
      regex: text('a regular expression', /^[^\u0000]{1,1024}$/, {
        description: 'What fits it is replaced by `substitution`, wherever it stands in the path.',
        examples: ['^/v(\\d+)/'],
      }).optional(),
      substitution: field(z.string().regex(/^[\x20-\x7e]{0,1024}$/), 'a text', {
        description: 'With `\\1` to `\\9` for the groups of `regex`.',
        examples: ['/api/\\1/'],
      }).optional(),
    }),
  ]),
  'a path, or a map such as { prefix: /v1 }',
  { description: 'The path; a text is the whole one. The query stays.', examples: ['/orders', { prefix: '/v1' }] },
);

const rewrite = field(
  z
    .strictObject({ path: pathRewrite.optional(), host: host('The host that the service is told.') })
    .refine((value) => Object.keys(value).length > 0),
  'a map with path or host',
  { description: 'Changes the request on its way to the service.', examples: [{ path: { prefix: '/v1' } }] },
);

const redirect = field(
  z
    .strictObject({
      status: field(
        z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]),
        '301, 302, 303, 307 or 308',
        { description: '301 and 308 are kept by clients; with 307 and 308 the method stays.', examples: [308] },
      ).default(302),
      scheme: choice(['http', 'https'], { description: 'Default: that of the request.', examples: ['https'] }).optional(),
      host: host('Default: that of the request.'),
      path: aPath('The whole path. Default: that of the request.', '/new'),
      prefix: aPath('In place of what the prefix or segments of the match took.', '/v2'),
      stripQuery: only(true, { description: 'Without the query of the request.', examples: [true] }).optional(),
    })
    .refine((value) => Object.keys(value).some((key) => key !== 'status')),
  'a map with scheme, host, path, prefix or stripQuery',
  { description: 'The caller is sent elsewhere, in place of an answer of the service.', examples: [{ path: '/new', status: 308 }] },
);

const respond = z
  .strictObject({
    status: whole(200, 599, { description: 'Status of the answer.', examples: [200] }).default(200),
    body: field(
      z.string().refine((value) => Buffer.byteLength(value) <= RESPOND_BODY_BYTES_MAX),
      `a text of at most ${RESPOND_BODY_BYTES_MAX} bytes`,
      {
        description: `Body of the answer, at most ${RESPOND_BODY_BYTES_MAX} bytes.`,
        examples: ['ok'],
      },
    ).default(''),
    contentType: text('a media type such as text/plain', /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?: *;[\x20-\x7e]*)?$/, {
      description: 'What the body is.',
      examples: ['application/json'],
    }).default('text/plain'),
  })
  .meta({ description: 'The data plane of the caller answers by itself.', examples: [{ status: 200, body: 'ok' }] })
  .register(EXPECTED, { expected: 'a map such as { status: 200, body: ok }' });

const rule = z
  .strictObject({
    name: text('a name of letters, digits, blanks, ".", "_", "/" and "-", at most 63', RULE_NAME_PATTERN, {
      description: 'For people, in `heddle explain`, logs and metrics. Default: rule 1, rule 2, …',
      examples: ['beta'],
    }).optional(),
    match: requestMatches.optional(),
    to: oneOrMore(destination, DESTINATIONS_MAX, 'a map such as { labels: { version: v2 } }, or a list of them', {
      description: 'Where the requests go; of several each gets its share. Default: all instances of the service.',
      examples: [
        [
          { labels: { version: 'v2' }, weight: 10 },
          { labels: { version: 'v1' }, weight: 90 },
        ],
      ],
    }).optional(),
    splitBy: choice(['hash'], {
      description: 'A user stays on one side of the split: it is chosen by `balance.hash` of the service instead of by chance.',
      examples: ['hash'],
    }).optional(),
    redirect: redirect.optional(),
    respond: respond.optional(),
    timeout: timeout('Time for a whole request, in place of that of the service; 0 means no limit.').optional(),
    idleTimeout: idleTimeout('Time without a byte in either direction, in place of that of the service.').optional(),
    retry: ruleRetry.optional(),
    hedge: ruleHedge.optional(),
    rewrite: rewrite.optional(),
    headers: headers.optional(),
    mirror: oneOrMore(mirror, MIRRORS_MAX, 'a map such as { labels: { version: v3 }, percent: 10% }, or a list of them', {
      description: 'Copies of the requests go here too; their answers are thrown away.',
      examples: [{ labels: { version: 'v3' }, percent: '10%' }],
    }).optional(),
    fault: fault.optional(),
    rateLimit: ruleRateLimits.optional(),
  })
  .meta({ examples: [{ match: { path: { prefix: '/v2' } }, to: { labels: { version: 'v2' } } }] })
  .register(EXPECTED, { expected: 'a map with a match and where the requests go' });

const serviceRoutes = z
  .strictObject({
    service: text('the name of a service', NO_NUL, { description: 'The service whose callers follow the rules.', examples: ['orders'] }),
    rules: field(z.array(rule).min(1).max(RULES_MAX), `a list of 1 to ${RULES_MAX} rules`, {
      description: 'In order: the first that fits takes the request. What fits none goes to all instances.',
      examples: [[{ match: { path: { prefix: '/v2' } }, to: { labels: { version: 'v2' } } }]],
    }),
  })
  .meta({ examples: [{ service: 'orders', rules: [{ to: { labels: { version: 'v1' } } }] }] })
  .register(EXPECTED, { expected: 'a map with a service and its rules' });

export const routes = field(z.array(serviceRoutes).max(ROUTES_MAX), 'a list of services with their rules', {
  description: 'Which requests go where, by service.',
  examples: [[{ service: 'orders', rules: [{ to: { labels: { version: 'v1' } } }] }]],
});
