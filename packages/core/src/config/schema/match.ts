// The form of `match`: which requests a rule or a rate limit is for.
import { z } from 'zod';
import { EXPECTED, field, HEADER_VALUE_PATTERN, only, oneOrMore, scalarText, text, TOKEN_PATTERN } from './fields.ts';
import { GRPC_SERVICE_PATTERN } from './health.ts';
import { PARAMETER_PATTERN } from './balance.ts';

const METHODS_MAX = 16;
const PATH_MAX = 2_048;
/** RFC 9112 §3.2: what can stand in a request line, without query and fragment. */
export const PATH_PATTERN = /^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/;
const PATH_WORDS = 'a path that begins with "/", without "?", "#" and blanks';
/** A method, in capitals: case counts (RFC 9110 §9.1). */
const METHOD_PATTERN = /^[A-Z][A-Z0-9_-]{0,31}$/;

const regex = (description: string, example: string) =>
  text('a regular expression', /^[^\u0000]{1,1024}$/, {
    description: `${description} As in RE2, as far as JavaScript has it too; it must fit the whole text.`,
    examples: [example],
  });

const aPath = (description: string, example: string) =>
  text(PATH_WORDS, PATH_PATTERN, { description, examples: [example] }).refine((value) => value.length <= PATH_MAX);

export const pathMatch = field(
  z.union([
    z.string().regex(PATH_PATTERN).max(PATH_MAX),
    z.strictObject({
      exact: aPath('This path.', '/orders').optional(),
      prefix: aPath('Paths that begin so: `/v2` also takes `/v20`.', '/v2').optional(),
      segments: aPath('This path and all below it: `/v2` takes `/v2` and `/v2/orders`, not `/v20`.', '/v2').optional(),
      template: aPath('`{id}` stands for one segment, `{rest=**}` at the end for any number.', '/orders/{id}/items').optional(),
      regex: regex('The path fits it.', '/orders/\\d+').optional(),
    }),
  ]),
  'a path, or a map such as { prefix: /v2 }',
  {
    description:
      'The path without its query. A text is the exact path; with `/**` at its end, the path before it and all below; with `{…}`, a template.',
    examples: ['/orders', '/orders/**', '/orders/{id}', { prefix: '/v2' }],
  },
);

const words = (what: string) => ({
  exact: scalarText('a text', { description: `${what} is this.`, examples: ['1'] }).optional(),
  prefix: scalarText('a text', { description: `${what} begins so.`, examples: ['eu-'] }).optional(),
  suffix: scalarText('a text', { description: `${what} ends so.`, examples: ['.example'] }).optional(),
  contains: scalarText('a text', { description: `${what} has this in it.`, examples: ['curl'] }).optional(),
  regex: regex(`${what} fits it.`, '.*curl.*').optional(),
});

const TEXT_EXPECTED = 'a text, or a map such as { prefix: eu- }';

const fieldMatch = field(
  z.union([
    z.union([z.string().regex(HEADER_VALUE_PATTERN), z.number(), z.boolean()]),
    z.strictObject({
      ...words('Its value'),
      ignoreCase: only(true, { description: 'Case does not count. Not with regex.', examples: [true] }).optional(),
      present: field(z.boolean(), 'true or false', {
        description: 'true: it must be there; false: it must not.',
        examples: [true],
      }).optional(),
      invert: only(true, { description: 'The opposite; one that is missing fits then.', examples: [true] }).optional(),
    }),
  ]),
  TEXT_EXPECTED,
  { description: 'A text is the exact value.', examples: ['1', { present: true }, { regex: '.*curl.*' }] },
);

export const methods = oneOrMore(
  text('a method in capitals, such as GET', METHOD_PATTERN, { description: 'A method.', examples: ['GET'] }),
  METHODS_MAX,
  'a method, or a list of methods',
  {
    description: 'Any of these.',
    examples: [['GET', 'HEAD']],
  },
);

export const headersMatch = textMapOf(TOKEN_PATTERN, 'a map of headers', 'Request headers; all must fit.', { 'x-beta': '1' });

export const authorityMatch = field(
  z.union([z.string().regex(/^[\x21-\x7e]{1,255}$/), z.strictObject(words('The authority'))]),
  TEXT_EXPECTED,
  {
    description: 'The host that the caller named, with its port where it named one. A text is the exact one.',
    examples: ['orders.mesh.internal'],
  },
);

export const grpcMatch = z
  .strictObject({
    service: text('the full name of a gRPC service such as shop.Orders', GRPC_SERVICE_PATTERN, {
      description: 'Full name of the service.',
      examples: ['shop.Orders'],
    }),
    method: text('the name of a gRPC method', /^[A-Za-z_][A-Za-z0-9_]*$/, {
      description: 'Its method. Default: all of them.',
      examples: ['Get'],
    }).optional(),
  })
  .meta({ description: 'Calls of a gRPC service, in place of a path.', examples: [{ service: 'shop.Orders', method: 'Get' }] })
  .register(EXPECTED, { expected: 'a map such as { service: shop.Orders, method: Get }' });

const oneMatch = z
  .strictObject({
    path: pathMatch.optional(),
    methods: methods.optional(),
    headers: headersMatch.optional(),
    query: textMapOf(PARAMETER_PATTERN, 'a map of query parameters', 'Parameters of the query; all must fit.', { debug: '1' }).optional(),
    authority: authorityMatch.optional(),
    grpc: grpcMatch.optional(),
  })
  .meta({ examples: [{ path: '/orders/**' }] })
  .register(EXPECTED, { expected: 'a map such as { path: /orders/** }' });

function textMapOf(names: RegExp, expected: string, description: string, example: Readonly<Record<string, string>>) {
  return field(z.record(z.string(), fieldMatch), expected, { description, examples: [example] }).meta({
    propertyNames: { pattern: names.source },
  });
}

export function requestMatch(description: string) {
  return oneMatch.meta({ description, examples: [{ path: '/orders/**' }] });
}

const MATCHES_MAX = 32;

export const requestMatches = oneOrMore(oneMatch, MATCHES_MAX, 'a map such as { path: /orders/** }, or a list of them', {
  description: 'Which requests the rule takes: all that a map says must fit; of a list, one map. Default: all requests.',
  examples: [{ path: { prefix: '/v2' }, headers: { 'x-beta': '1' } }],
});

export type RequestMatchOutput = z.output<typeof oneMatch>;
export type PathOutput = z.output<typeof pathMatch>;
export type GrpcOutput = z.output<typeof grpcMatch>;
export type AuthorityOutput = z.output<typeof authorityMatch>;
export type HeadersOutput = z.output<typeof headersMatch>;
