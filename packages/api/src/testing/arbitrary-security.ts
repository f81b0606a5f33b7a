// Random policies of a virtual host: who may make requests, which tokens count, which are attached.
import type {
  AccessPolicy,
  AccessRule,
  AttachedToken,
  CallerPolicy,
  ClaimHeader,
  ClaimMatch,
  ExternalAuthorizer,
  IdentityMatch,
  IntrospectionPolicy,
  KeySource,
  OutboundToken,
  Permission,
  Subject,
  TokenAlgorithm,
  TokenIssuer,
  TokenMatch,
  TokenSource,
  VirtualHost,
} from '@heddle/core';
import fc from 'fast-check';
import { fieldMatch, pathMatch, textMatch } from './arbitrary-matches.ts';
import { durationMs, headerText, partly, record, text, token } from './arbitrary-values.ts';

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;
const some = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(of, { minLength: 1, maxLength: 3 });
const url = fc.webUrl();
const claim = some(text);
/** As code makes them: every name is the object's own. */
const named = <T>(key: fc.Arbitrary<string>, value: fc.Arbitrary<T>): fc.Arbitrary<Readonly<Record<string, T>>> =>
  fc.uniqueArray(fc.tuple(key, value), { maxLength: 3, selector: ([name]) => name }).map((entries) => Object.fromEntries(entries));

export const spiffeId = fc.oneof(
  fc.stringMatching(/^[a-z0-9./-]{1,20}$/).map((rest) => `spiffe://${rest}`),
  fc.constant('spiffe://shop.local/ns/default/svc/web'),
);
const identity: fc.Arbitrary<IdentityMatch> = fc.oneof(
  record<IdentityMatch>({ kind: fc.constant('exact'), id: spiffeId }),
  record<IdentityMatch>({ kind: fc.constant('prefix'), prefix: spiffeId }),
  record<IdentityMatch>({ kind: fc.constant('any') }),
);
const network = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([address, length]) => `${address}/${length}`),
  fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([address, length]) => `${address}/${length}`),
);

const claimMatch: fc.Arbitrary<ClaimMatch> = record<ClaimMatch>({
  claim,
  values: some(fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean())),
});
const subject = (issuers: readonly string[]): fc.Arbitrary<Subject> => {
  const match: fc.Arbitrary<TokenMatch> = record<TokenMatch>({
    issuers: fc.subarray([...issuers]),
    claims: fc.array(claimMatch, { maxLength: 2 }),
  });
  const others = { identities: some(identity), networks: some(network) };
  return issuers.length === 0
    ? partly<Subject>(others, 'identities', 'networks')
    : partly<Subject>({ ...others, token: match }, 'identities', 'networks', 'token');
};
const permission: fc.Arbitrary<Permission> = partly<Permission>(
  {
    methods: some(fc.constantFrom('GET', 'POST', 'PURGE')),
    paths: some(pathMatch),
    authorities: some(textMatch),
    headers: some(fieldMatch(token)),
  },
  ...(['methods', 'paths', 'authorities', 'headers'] as const),
);
const rule = (issuers: readonly string[]): fc.Arbitrary<AccessRule> =>
  partly<AccessRule>(
    {
      name: text,
      effect: fc.constantFrom('allow', 'deny'),
      audit: fc.constant(true),
      subjects: some(subject(issuers)),
      permissions: fc.array(permission, { maxLength: 2 }),
      when: text,
    },
    'audit',
    'when',
  );
const external: fc.Arbitrary<ExternalAuthorizer> = record<ExternalAuthorizer>({
  cluster: text,
  timeoutMs: durationMs,
  failOpen: fc.boolean(),
  bodyBytesMax: fc.nat(),
});
const labels = named(fc.oneof(text, fc.constant('__proto__')), fc.string());
const access = (issuers: readonly string[]): fc.Arbitrary<AccessPolicy> =>
  partly<AccessPolicy>(
    {
      default: fc.constantFrom('allow', 'deny'),
      rules: fc.uniqueArray(rule(issuers), { maxLength: 3, selector: ({ name }) => name }),
      audit: fc.constant(true),
      external,
      labels: record<NonNullable<AccessPolicy['labels']>>({ destination: labels, sources: named(spiffeId, labels) }),
    },
    ...(['audit', 'external', 'labels'] as const),
  );

const keys: fc.Arbitrary<KeySource> = fc.oneof(
  record<KeySource>({ kind: fc.constant('discovery') }),
  record<KeySource>({ kind: fc.constant('url'), url }),
  record<KeySource>({ kind: fc.constant('inline'), jwks: text }),
);
const source: fc.Arbitrary<TokenSource> = fc.oneof(
  record<TokenSource>({ kind: fc.constant('header'), name: token, prefix: headerText }),
  record<TokenSource>({ kind: fc.constant('cookie'), name: token }),
);
const issuer: fc.Arbitrary<TokenIssuer> = partly<TokenIssuer>(
  {
    name: text,
    issuer: text,
    audiences: some(text),
    keys,
    keysMaxAgeMs: durationMs,
    rootsPem: text,
    algorithms: some(fc.constantFrom<TokenAlgorithm>(...ALGORITHMS)),
    sources: some(source),
    skewMs: fc.nat(),
    claimHeaders: fc.uniqueArray(record<ClaimHeader>({ claim, header: token }), { maxLength: 3, selector: ({ header }) => header }),
    forward: fc.boolean(),
    introspection: record<IntrospectionPolicy>({ url, clientId: text, clientSecretFile: text, cacheMs: fc.nat() }),
  },
  'rootsPem',
  'introspection',
);
const issuers = fc.uniqueArray(issuer, { minLength: 1, maxLength: 2, selector: ({ name }) => name });

const callers: fc.Arbitrary<CallerPolicy> = record<CallerPolicy>({
  allowed: fc.oneof(fc.constant('everyone' as const), fc.array(identity, { maxLength: 3 })),
  denied: fc.array(identity, { maxLength: 2 }),
});
const outboundToken: fc.Arbitrary<OutboundToken> = partly<OutboundToken>(
  {
    name: text,
    grant: fc.constantFrom('client-credentials', 'token-exchange'),
    url,
    clientId: text,
    clientSecretFile: text,
    scopes: fc.array(text, { maxLength: 2 }),
    audience: text,
    rootsPem: text,
    header: token,
  },
  'audience',
  'rootsPem',
);
const attach = some(record<AttachedToken>({ from: fc.array(spiffeId, { maxLength: 2 }), token: outboundToken }));

type HostPolicies = Pick<VirtualHost, 'access' | 'tokens' | 'callers' | 'attach'>;

/** Rules ask for issuers of the same virtual host. */
export const hostPolicies: fc.Arbitrary<HostPolicies> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<HostPolicies>({}) },
  {
    weight: 1,
    arbitrary: fc.oneof(fc.constant(undefined), issuers).chain((known) =>
      partly<HostPolicies>(
        {
          access: access((known ?? []).map(({ name }) => name)),
          callers,
          attach,
          ...(known !== undefined && { tokens: fc.constant({ issuers: known }) }),
        },
        ...(['access', 'callers', 'attach'] as const),
      ),
    ),
  },
);
