// The form of `security.issuers`, whose tokens count, and of `security.outbound`, the tokens that calls are given.
import { z } from 'zod';
import type { TokenAlgorithm } from '../../model/security.ts';
import { COOKIE_PATTERN } from './balance.ts';
import { choice, duration, EXPECTED, field, flag, LABEL_PATTERN, NO_NUL, oneOrMore, text, TOKEN_PATTERN } from './fields.ts';

const DAY_MS = 86_400_000;
const ISSUERS_MAX = 32;
const AUDIENCES_MAX = 64;
const SOURCES_MAX = 8;
const CLAIM_DEPTH_MAX = 16;
const OUTBOUND_MAX = 1_000;
const SERVICES_MAX = 256;
const SCOPES_MAX = 64;
/** RFC 6749 §3.3. */
const SCOPE_PATTERN = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const satisfies readonly TokenAlgorithm[];

export const DEFAULT_ALGORITHMS: readonly TokenAlgorithm[] = ['RS256', 'ES256', 'PS256', 'EdDSA'];

const NAME_WORDS = 'a name of lower-case letters, digits and "-", at most 63';
export const issuerName = (description: string) => text(NAME_WORDS, LABEL_PATTERN, { description, examples: ['login'] });
const url = (description: string, example: string) => text('a URL', /^[\x21-\x7e]{1,2048}$/, { description, examples: [example] });
const words = (expected: string, description: string, example: string) =>
  text(expected, /^[\x20-\x7e]{1,1024}$/, { description, examples: [example] });
const file = (description: string, example: string) => text('the name of a file', NO_NUL, { description, examples: [example] });
const headerName = (description: string, example: string) =>
  text('the name of a header', TOKEN_PATTERN, { description, examples: [example] });

const claimName = text('the name of a claim', /^[^\u0000]{1,256}$/, { description: 'A name.', examples: ['realm'] });

/** Dots lead into maps; in a list they are a part of a name. */
export const claimPath = (description: string, example: unknown) =>
  field(z.union([claimName, z.array(claimName).min(1).max(CLAIM_DEPTH_MAX)]), 'the name of a claim, or a list such as [realm, roles]', {
    description,
    examples: [example],
  });

const secretFile = file(
  'The file with the client secret, on each machine that needs it: the data plane reads it there. It is never in this file.',
  'secrets/orders',
);
const roots = file(
  'PEM file with the authorities that its server is trusted by, beside those of the platform. It is read with this file and goes to the data planes.',
  'ca.pem',
).optional();

const source = z
  .strictObject({
    header: headerName('The header it is in; metadata of gRPC calls are headers.', 'authorization').optional(),
    prefix: field(
      z.string().regex(/^(?:[\x21-\x7e][\x20-\x7e]{0,63})?$/),
      'a text of at most 64 characters, without a blank at its beginning',
      {
        description: 'What stands before it in the header. Default: `Bearer ` in authorization, else nothing.',
        examples: ['Bearer '],
      },
    ).optional(),
    cookie: text('the name of a cookie', COOKIE_PATTERN, { description: 'The cookie it is in.', examples: ['session'] }).optional(),
  })
  .meta({ description: 'A header or a cookie.', examples: [{ cookie: 'session' }] })
  .register(EXPECTED, { expected: 'a map such as { header: authorization, prefix: "Bearer " } or { cookie: session }' });

const introspection = z
  .strictObject({
    url: url('Where to ask.', 'https://id.example/introspect'),
    clientId: words('a text', 'Who asks.', 'mesh'),
    clientSecretFile: secretFile,
    cache: duration(0, 3_600_000, {
      description: 'Answers are remembered so long, never beyond the end of the token.',
      examples: ['60s'],
    }).default('60s'),
  })
  .meta({
    description: 'Tokens that are no JWT: the issuer is asked about them (RFC 7662).',
    examples: [{ url: 'https://id.example/introspect', clientId: 'mesh', clientSecretFile: 'secrets/introspect' }],
  })
  .register(EXPECTED, { expected: 'a map with url, clientId and clientSecretFile' });

const issuer = z
  .strictObject({
    name: issuerName('What rules call it.'),
    issuer: words(
      'a text without blanks at its ends',
      'What its tokens have in `iss`, compared as text: a URL, most often.',
      'https://id.example',
    ),
    audiences: oneOrMore(
      words('a text', 'An audience.', 'shop'),
      AUDIENCES_MAX,
      'an audience, or a list of at least one: a token for somebody else is not for this mesh',
      { description: 'One of these must be in `aud` of a token.', examples: [['shop']] },
    ),
    keys: field(
      z.union([
        z.string().regex(/^[\x21-\x7e]{1,2048}$/),
        z.strictObject({
          url: url('Where it is.', 'https://id.example/jwks.json').optional(),
          file: file('A file with it, read with this file.', 'jwks.json').optional(),
        }),
      ]),
      'a URL, or a map such as { file: jwks.json }',
      {
        description:
          'Its JSON Web Key Set, by URL or from a file. Default: where `/.well-known/openid-configuration` of the issuer says (OpenID Connect Discovery).',
        examples: ['https://id.example/jwks.json', { file: 'jwks.json' }],
      },
    ).optional(),
    keysMaxAge: duration(30_000, DAY_MS, {
      description: 'Keys are asked for again after this, and when a token names one that is not known. Default: 10m.',
      examples: ['10m'],
    }).optional(),
    roots,
    algorithms: field(
      z.array(choice(ALGORITHMS, { description: 'An algorithm.', examples: ['ES256'] })).min(1),
      `a list of ${ALGORITHMS.join(', ')}`,
      {
        description: `Signature algorithms that are taken: ${ALGORITHMS.join(', ')}. Default: ${DEFAULT_ALGORITHMS.join(', ')}.`,
        examples: [['RS256', 'ES256']],
      },
    ).default([...DEFAULT_ALGORITHMS]),
    from: oneOrMore(source, SOURCES_MAX, 'a map such as { header: authorization, prefix: "Bearer " }, or a list of them', {
      description: 'Where a token is looked for; the first that is there counts. Default: in authorization, after `Bearer `.',
      examples: [[{ header: 'authorization', prefix: 'Bearer ' }, { cookie: 'session' }]],
    }).optional(),
    skew: duration(0, 600_000, { description: 'Clocks may differ so much.', examples: ['60s'] }).default('60s'),
    claimHeaders: field(z.record(z.string(), claimPath('The claim.', 'sub')), 'a map of headers to claims', {
      description:
        'Headers that the application gets, and the claims in them; of lists, the values with commas between. Whatever callers send under these names is removed.',
      examples: [{ 'x-user': 'sub', 'x-roles': ['realm', 'roles'] }],
    })
      .meta({ propertyNames: { pattern: TOKEN_PATTERN.source } })
      .optional(),
    forward: flag({ description: 'The token itself goes on to the application, too.', examples: [true] }).default(true),
    rolesClaim: claimPath('Where `roles` of a rule look.', 'realm.roles').default('roles'),
    groupsClaim: claimPath('Where `groups` of a rule look.', 'groups').default('groups'),
    introspection: introspection.optional(),
  })
  .meta({ examples: [{ name: 'login', issuer: 'https://id.example', audiences: ['shop'] }] })
  .register(EXPECTED, { expected: 'a map with name, issuer and audiences' });

export const issuers = field(z.array(issuer).max(ISSUERS_MAX), `a list of at most ${ISSUERS_MAX} issuers`, {
  description:
    'Whose tokens count (JWT, and others by introspection). A token that is there and not valid is refused with 401, whatever the rules say; one that is missing proves nothing.',
  examples: [[{ name: 'login', issuer: 'https://id.example', audiences: ['shop'] }]],
});

const outboundToken = z
  .strictObject({
    name: text(NAME_WORDS, LABEL_PATTERN, { description: 'For people, in logs and metrics.', examples: ['billing-api'] }),
    from: oneOrMore(
      text('the name of a service', NO_NUL, { description: 'A service.', examples: ['orders'] }),
      SERVICES_MAX,
      'a service, or a list of them',
      {
        description: 'The services whose calls get the token.',
        examples: [['orders']],
      },
    ),
    to: oneOrMore(
      text('the name of a service, or a host of "egress"', NO_NUL, {
        description: 'A service, or a host of `egress`.',
        examples: ['billing'],
      }),
      SERVICES_MAX,
      'a service or a host of "egress", or a list of them',
      {
        description: 'The services, and hosts of `egress`, that calls with the token go to.',
        examples: [['billing'], ['api.example.com']],
      },
    ),
    grant: choice(['client-credentials', 'token-exchange'], {
      description:
        "client-credentials: in the caller's own name (RFC 6749 §4.4); token-exchange: on behalf of whoever the token of the incoming call speaks for (RFC 8693).",
      examples: ['client-credentials'],
    }).default('client-credentials'),
    url: url('Where tokens are given.', 'https://id.example/token'),
    clientId: words('a text', 'Who asks.', 'orders'),
    clientSecretFile: secretFile,
    scopes: field(
      z.array(text('a scope without blanks', SCOPE_PATTERN, { description: 'A scope.', examples: ['bill'] })).max(SCOPES_MAX),
      'a list of scopes',
      { description: 'What is asked for.', examples: [['bill']] },
    ).default([]),
    audience: words('a text', 'Whom the token is for, where the issuer wants to be told.', 'billing').optional(),
    header: headerName('Set to `Bearer` and the token, in place of what the application sent.', 'authorization').default('authorization'),
    roots,
  })
  .meta({
    examples: [
      {
        name: 'billing-api',
        from: ['orders'],
        to: ['billing'],
        url: 'https://id.example/token',
        clientId: 'orders',
        clientSecretFile: 'secrets/orders',
      },
    ],
  })
  .register(EXPECTED, { expected: 'a map with name, from, to, url, clientId and clientSecretFile' });

export const outbound = field(z.array(outboundToken).max(OUTBOUND_MAX), `a list of at most ${OUTBOUND_MAX} tokens`, {
  description: 'Tokens that data planes get, renew and attach to calls. The first one for a caller and a called service counts.',
  examples: [
    [
      {
        name: 'billing-api',
        from: ['orders'],
        to: ['billing'],
        url: 'https://id.example/token',
        clientId: 'orders',
        clientSecretFile: 'secrets/orders',
      },
    ],
  ],
});
