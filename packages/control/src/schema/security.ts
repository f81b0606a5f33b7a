// What the owners of a mesh say about security, as a schema: of the registry's record, and of rules in the REST API. Secrets are not in it: it
// names the files in which the data planes have them.
import type { SecurityConfig } from '@heddle/core';
import { z } from 'zod';
import { POLICY_LIMITS } from './limits.ts';
import { duration, token } from './policies.ts';
import { FieldMatch, PathMatch, ServiceRef, TextMatch } from './rules.ts';

const { textChars, ruleParts, accessRules, issuers, deniedIdentities, outboundTokens } = POLICY_LIMITS;
const is = z.literal(true).optional();
const text = () => z.string().max(textChars);
const named = () => z.string().min(1).max(256);
/** Keys and certificates. */
const longText = () => z.string().max(262_144);
const some = <T extends z.ZodType>(item: T) => z.array(item).max(ruleParts);

export const MtlsMode = z.enum(['strict', 'permissive', 'off']);

const IdentityMatch = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exact'), id: text() }),
  z.strictObject({ kind: z.literal('prefix'), prefix: text() }),
  z.strictObject({ kind: z.literal('any') }),
]);

const ClaimMatch = z.strictObject({
  claim: z.array(text()).min(1).max(16),
  values: some(z.union([text(), z.number(), z.boolean()])),
});

const Subject = z
  .strictObject({
    identities: some(IdentityMatch).optional(),
    networks: some(text()).optional(),
    token: z.strictObject({ issuers: some(named()), claims: some(ClaimMatch) }).optional(),
  })
  .meta({
    id: 'Subject',
    description: 'Who calls: all that is given must fit. Nothing given: everybody.',
    examples: [{ identities: [{ kind: 'exact', id: 'spiffe://shop.internal/ns/default/svc/web' }] }],
  });

const Permission = z
  .strictObject({
    methods: some(token()).optional(),
    paths: some(PathMatch).optional(),
    authorities: some(TextMatch).optional(),
    headers: some(FieldMatch).optional(),
  })
  .meta({
    id: 'Permission',
    description: 'What is asked for: all that is given must fit.',
    examples: [{ methods: ['GET'], paths: [{ kind: 'segments', value: '/orders' }] }],
  });

const ruleFields = {
  name: named(),
  effect: z.enum(['allow', 'deny']),
  audit: is.meta({ description: 'It decides nothing: what it would decide is logged.' }),
  subjects: some(Subject).min(1).meta({ description: 'One of these.' }),
  permissions: some(Permission).meta({ description: 'One of these; none: every request.' }),
  when: text().optional().meta({ description: 'A condition in the Common Expression Language.' }),
};

export const AccessRule = z.strictObject(ruleFields).meta({
  id: 'AccessRule',
  description: 'A rule that denies goes before rules that allow.',
  examples: [{ name: 'rule 1', effect: 'allow', subjects: [{ identities: [{ kind: 'any' }] }], permissions: [{ methods: ['GET'] }] }],
});

const AccessTarget = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('service'), service: ServiceRef }),
  z.strictObject({ kind: z.literal('namespace'), namespace: named() }),
]);

const Access = z.strictObject({
  default: z.enum(['allow', 'deny']),
  audit: is,
  rules: z.array(z.strictObject({ ...ruleFields, to: some(AccessTarget) })).max(accessRules),
  external: z
    .strictObject({ service: ServiceRef, timeoutMs: duration(1), failOpen: z.boolean(), bodyBytesMax: z.int().min(0).max(1_048_576) })
    .optional(),
});

const KeySource = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('discovery') }),
  z.strictObject({ kind: z.literal('url'), url: text() }),
  z.strictObject({ kind: z.literal('inline'), jwks: longText() }),
]);

const TokenSource = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('header'), name: token(), prefix: text() }),
  z.strictObject({ kind: z.literal('cookie'), name: token() }),
]);

const Introspection = z.strictObject({ url: text(), clientId: text(), clientSecretFile: text(), cacheMs: duration() });

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;

const TokenIssuer = z.strictObject({
  name: named(),
  issuer: text(),
  audiences: some(text()).min(1),
  keys: KeySource,
  keysMaxAgeMs: duration(),
  rootsPem: longText().optional(),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).max(ALGORITHMS.length),
  sources: some(TokenSource),
  skewMs: duration(),
  claimHeaders: some(z.strictObject({ claim: z.array(text()).min(1).max(16), header: token() })),
  forward: z.boolean(),
  introspection: Introspection.optional(),
});

const OutboundToken = z.strictObject({
  name: named(),
  grant: z.enum(['client-credentials', 'token-exchange']),
  url: text(),
  clientId: text(),
  clientSecretFile: text(),
  scopes: some(text()),
  audience: text().optional(),
  rootsPem: longText().optional(),
  header: token(),
});

/** A service, or a host outside the mesh by its name and port. */
const Called = z.strictObject({ namespace: named(), name: z.string().min(1).max(320) });

export const SecurityRecord: z.ZodType<SecurityConfig> = z.strictObject({
  mtls: MtlsMode,
  tlsMin: z.enum(['1.2', '1.3']),
  issuers: z.array(TokenIssuer).max(issuers),
  access: Access,
  denied: z.array(text()).max(deniedIdentities),
  outboundTokens: z.array(z.strictObject({ token: OutboundToken, from: some(ServiceRef), to: some(Called) })).max(outboundTokens),
});
