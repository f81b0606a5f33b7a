// The form of `security.access`: who may call what, said in rules and in roles.
import { z } from 'zod';
import { choice, duration, EXPECTED, field, flag, NO_NUL, oneOrMore, size, text } from './fields.ts';
import { issuerName } from './issuer.ts';
import { authorityMatch, grpcMatch, headersMatch, methods, pathMatch } from './match.ts';
import { RULE_NAME_PATTERN } from './rule.ts';

const RULES_MAX = 5_000;
const ROLES_MAX = 1_000;
/** Of one rule or role. */
const PARTS_MAX = 256;
const PATHS_MAX = 64;
const ROLES_OF_RULE_MAX = 16;
const CONDITION_LENGTH_MAX = 2_048;
/** Names of roles, of groups and values of claims are other people's; no control characters. */
const WORD_PATTERN = /^[^\u0000-\u001f\u007f]{1,256}$/;
export const ROLE_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

const aWord = (description: string, example: string) => text('a text', WORD_PATTERN, { description, examples: [example] });
const claimValue = field(z.union([z.string().regex(WORD_PATTERN), z.number(), z.boolean()]), 'a text, a number, true or false', {
  description: 'A value.',
  examples: ['staff'],
});

const tokenFields = {
  jwt: oneOrMore(issuerName('An issuer.'), PARTS_MAX, 'the name of an issuer, or a list of them', {
    description: 'With a valid token of this issuer, or of one of these.',
    examples: ['login'],
  }).optional(),
  claims: field(
    z.record(
      z.string(),
      oneOrMore(claimValue, PARTS_MAX, 'a value, or a list of values', { description: 'One of these.', examples: [true] }),
    ),
    'a map of claims',
    {
      description:
        'Whose token says this, all of it; of several values, one. Dots lead into maps (`realm.roles`); a name that is a URL is taken whole. Of a claim that is a list, one item must be the value; of `scope`, one word.',
      examples: [{ email_verified: true, 'realm.roles': ['a', 'b'] }],
    },
  ).optional(),
  groups: oneOrMore(aWord('A group.', 'staff'), PARTS_MAX, 'a group, or a list of groups', {
    description: 'One of these must be in the claim that is `groupsClaim` of the issuer.',
    examples: [['staff']],
  }).optional(),
};

const WHO_WORDS =
  'A service (`web` or `NAMESPACE/web`); `mesh`: every identity of the mesh; `operator`: the person at this machine; `anyone`: also without any proof; or a map, all of which must fit.';

const who = field(
  z.union([
    z.string().regex(/^[^\u0000]{1,2048}$/),
    z.strictObject({
      service: text('the name of a service', NO_NUL, { description: 'A service.', examples: ['web'] }).optional(),
      namespace: text('the name of a namespace', NO_NUL, {
        description: 'The namespace of the service; alone, all services in it.',
        examples: ['shop'],
      }).optional(),
      identity: text('a SPIFFE id', NO_NUL, {
        description: 'A SPIFFE id; `/*` at its end stands for all below.',
        examples: ['spiffe://shop/ns/default/svc/web'],
      }).optional(),
      network: text('an address or a network such as 10.0.0.0/8', NO_NUL, {
        description: 'The address of the connection, or a network that it is in. What headers say does not count.',
        examples: ['10.0.0.0/8'],
      }).optional(),
      ...tokenFields,
      roles: oneOrMore(aWord('A role.', 'admin'), PARTS_MAX, 'a role, or a list of roles', {
        description: 'One of these must be in the claim that is `rolesClaim` of the issuer.',
        examples: [['admin']],
      }).optional(),
    }),
  ]),
  'the name of a service, "mesh", "operator", "anyone", or a map such as { namespace: shop }',
  {
    description: WHO_WORDS,
    examples: ['web', { namespace: 'shop' }],
  },
);

const TARGET_WORDS = 'A service (`orders` or `NAMESPACE/orders`), a map such as `{ namespace: shop }`, or `*` for all services.';

const target = field(
  z.union([
    z.string().regex(/^[^\u0000]{1,2048}$/),
    z.strictObject({
      service: text('the name of a service', NO_NUL, { description: 'A service.', examples: ['orders'] }).optional(),
      namespace: text('the name of a namespace', NO_NUL, {
        description: 'Its namespace; alone, all services in it.',
        examples: ['shop'],
      }).optional(),
    }),
  ]),
  'the name of a service, "*", or a map such as { namespace: shop }',
  {
    description: TARGET_WORDS,
    examples: ['orders', { namespace: 'shop' }],
  },
);

const TARGETS_WORDS = 'a service, "*", or a list of services';

const permissionFields = {
  methods: methods.optional(),
  paths: oneOrMore(pathMatch, PATHS_MAX, 'a path, a map such as { prefix: /v2 }, or a list of them', {
    description:
      'One of these, compared after the path has been brought to its normal form, so that no other spelling of it gets through. A text is the exact path; with `/**` at its end, the path before it and all below; with `{…}`, a template.',
    examples: [['/orders/**']],
  }).optional(),
  grpc: oneOrMore(grpcMatch, PATHS_MAX, 'a map such as { service: shop.Orders, method: Get }, or a list of them', {
    description: 'Calls of these gRPC services and methods, in place of paths.',
    examples: [{ service: 'shop.Orders', method: 'Get' }],
  }).optional(),
  hosts: oneOrMore(authorityMatch, PATHS_MAX, 'a host, a map such as { prefix: orders. }, or a list of them', {
    description: 'One of these is the host that the caller named, with its port or without it. A text is the exact one.',
    examples: ['orders.mesh.internal'],
  }).optional(),
  headers: headersMatch.optional(),
};

const rule = z
  .strictObject({
    name: text('a name of letters, digits, blanks, ".", "_", "/" and "-", at most 63', RULE_NAME_PATTERN, {
      description: 'In logs, explanations and the answer to who was refused. Default: rule 1, rule 2, …',
      examples: ['admins'],
    }).optional(),
    effect: choice(['allow', 'deny'], {
      description: 'A rule that denies goes before all rules that allow, wherever it stands.',
      examples: ['deny'],
    }).default('allow'),
    audit: flag({ description: 'It decides nothing: what it would decide is logged and counted.', examples: [true] }).default(false),
    from: oneOrMore(who, PARTS_MAX, 'a service, "mesh", "operator", "anyone", a map such as { namespace: shop }, or a list of them', {
      description: `Who: one of these; needed unless a token or a role says it. ${WHO_WORDS}`,
      examples: [['web'], 'mesh', [{ network: '10.0.0.0/8' }]],
    }).optional(),
    to: oneOrMore(target, PARTS_MAX, TARGETS_WORDS, {
      description: `Which services it is for; needed. ${TARGET_WORDS}`,
      examples: ['orders', '*'],
    }).optional(),
    ...permissionFields,
    ...tokenFields,
    roles: oneOrMore(aWord('A role.', 'admin'), ROLES_OF_RULE_MAX, 'a role, or a list of roles', {
      description:
        'One of these: a role of `access.roles`, whose members are meant, or with `jwt` a value of the claim that is `rolesClaim` of the issuer.',
      examples: [['admin']],
    }).optional(),
    when: text(`a condition of at most ${CONDITION_LENGTH_MAX} characters`, /^[^\u0000]{1,2048}$/, {
      description:
        'A condition in the Common Expression Language over `source`, `destination`, `request`, `claims` and `token`. What cannot be evaluated does not fit to allow, and fits to deny.',
      examples: ['source.labels.zone == "eu"'],
    }).optional(),
  })
  .meta({ examples: [{ from: ['web'], to: 'orders', methods: ['GET'] }] })
  .register(EXPECTED, { expected: 'a map such as { from: [web], to: orders }' });

const permission = z
  .strictObject({
    to: oneOrMore(target, PARTS_MAX, TARGETS_WORDS, { description: `Which services. ${TARGET_WORDS}`, examples: ['orders'] }),
    ...permissionFields,
  })
  .meta({ examples: [{ to: 'orders', methods: ['GET'] }] })
  .register(EXPECTED, { expected: 'a map such as { to: orders, methods: [GET] }' });

const role = z
  .strictObject({
    members: oneOrMore(who, PARTS_MAX, 'a service, "operator", a map such as { jwt: login, groups: [staff] }, or a list of them', {
      description: `Who has the role: one of these. ${WHO_WORDS}`,
      examples: [['web', { jwt: 'login', groups: ['staff'] }]],
    }),
    permissions: field(z.array(permission).min(1).max(PARTS_MAX), 'a list of maps such as { to: orders, methods: [GET] }', {
      description: 'What its members may do; they are allowed to without any rule. Default: only what rules with this role say.',
      examples: [[{ to: 'orders', methods: ['GET'], paths: ['/orders/**'] }]],
    }).optional(),
  })
  .meta({ examples: [{ members: ['web'], permissions: [{ to: 'orders', methods: ['GET'] }] }] })
  .register(EXPECTED, { expected: 'a map with members' });

const authorizer = z
  .strictObject({
    service: text('the name of a service', NO_NUL, { description: 'A service of this file, with protocol grpc.', examples: ['authz'] }),
    timeout: duration(1, 60_000, { description: 'Time it gets to answer.', examples: ['200ms'] }).default('200ms'),
    failOpen: flag({ description: 'Requests pass when it does not answer. false: they are refused with 503.', examples: [false] }).default(
      false,
    ),
    body: size(0, 1_048_576, {
      description: 'So much of the body goes along; longer ones are cut. 0: nothing.',
      examples: ['8KiB'],
    }).default(0),
  })
  .meta({
    description: "A service that is asked when the rules have allowed, by Envoy's `envoy.service.auth.v3.Authorization/Check`.",
    examples: [{ service: 'authz' }],
  })
  .register(EXPECTED, { expected: 'a map such as { service: authz }' });

export const access = z
  .strictObject({
    default: choice(['allow', 'deny'], { description: 'What becomes of requests that fit no rule.', examples: ['deny'] }).default('deny'),
    audit: flag({ description: 'Nothing is refused: what would be is logged and counted.', examples: [true] }).default(false),
    authorizer: authorizer.optional(),
    roles: field(
      z.record(z.string(), role).refine((roles) => Object.keys(roles).length <= ROLES_MAX),
      `a map of at most ${ROLES_MAX} roles by name`,
      {
        description: 'Roles by name.',
        examples: [{ 'order-reader': { members: ['web'], permissions: [{ to: 'orders', methods: ['GET'] }] } }],
      },
    )
      .meta({ propertyNames: { pattern: ROLE_PATTERN.source } })
      .default({}),
    rules: field(z.array(rule).max(RULES_MAX), `a list of at most ${RULES_MAX} rules`, {
      description: 'A request is refused when a rule that denies fits, allowed when one that allows fits, and else what `default` says.',
      examples: [[{ from: ['web'], to: 'orders', methods: ['GET'] }]],
    }).default([]),
  })
  .meta({
    description: 'Who may call whom. Without it, every workload of the mesh may call every service; with it, only who is allowed to.',
    examples: [{ rules: [{ from: ['web'], to: 'orders' }] }],
  })
  .register(EXPECTED, { expected: 'a map with rules' });

export type AccessOutput = z.output<typeof access>;
export type AccessRuleOutput = AccessOutput['rules'][number];
export type RoleOutput = AccessOutput['roles'][string];
export type WhoOutput = z.output<typeof who>;
export type TargetOutput = z.output<typeof target>;
