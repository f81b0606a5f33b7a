// The same rules and the same requests, decided by a real Envoy and by our own engine: who may do what must not depend on which data plane stands
// beside the service. Every policy is a virtual host of one Envoy; callers come with certificates of several services, with tokens, or with
// nothing; paths come with everything that has ever walked around a rule.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compileAccess } from '@heddle/core';
import type {
  AccessPolicy,
  AccessRule,
  AccessView,
  Listener,
  Permission,
  RouteConfig,
  Subject,
  TokenIssuer,
  VerifiedToken,
} from '@heddle/core';
import { compileCondition, conditionSyntax } from '@heddle/core/cel';
import fc from 'fast-check';
import { TestAuthority } from '../../packages/dataplane/src/testing/certificates.ts';
import { TestIssuer } from '../../packages/dataplane/src/testing/issuer.ts';
import { Cleanup, LOOPBACK } from '../support/planes.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { startStaticEnvoy } from './support/envoy-static.ts';
import { reason } from './support/programs.ts';
import { RawCaller } from './support/raw-requests.ts';

const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);
const cleanup = new Cleanup();
after(() => cleanup.run());

/** So many runs find what one does; `HEDDLE_ACCESS_SEED` looks elsewhere. */
const SEED = Number(process.env['HEDDLE_ACCESS_SEED'] ?? 20_261_123);
const POLICIES = Number(process.env['HEDDLE_ACCESS_POLICIES'] ?? 60);
const REQUESTS = 40;

const TRUST_DOMAIN = 'shop.test';
const idOf = (service: string): string => `spiffe://${TRUST_DOMAIN}/ns/default/svc/${service}`;
const OTHER_ADDRESS = '127.0.0.2';

const ISSUERS = { login: 'https://id.example', partner: 'https://partner.example/tokens' } as const;
type IssuerName = keyof typeof ISSUERS;

/** By name, what tokens say besides who issued them. */
const TOKENS: Readonly<Record<string, { readonly issuer: IssuerName; readonly claims: Readonly<Record<string, unknown>> }>> = {
  staff: {
    issuer: 'login',
    claims: { sub: 'ada', groups: ['staff', 'all'], scope: 'read write', level: 3, verified: true, realm: { roles: ['admin'] } },
  },
  guest: { issuer: 'login', claims: { sub: 'bob', groups: 'staff', scope: 'readwrite', level: '3', verified: false, realm: 'admin' } },
  partner: { issuer: 'partner', claims: { sub: 'acme', groups: ['partners'], scope: 'read', level: 4 } },
};

const SUBJECTS: readonly Subject[] = [
  {},
  { identities: [{ kind: 'any' }] },
  { identities: [{ kind: 'exact', id: idOf('web') }] },
  {
    identities: [
      { kind: 'exact', id: idOf('shop') },
      { kind: 'exact', id: idOf('web') },
    ],
  },
  { identities: [{ kind: 'prefix', prefix: `spiffe://${TRUST_DOMAIN}/ns/default/` }] },
  { identities: [{ kind: 'prefix', prefix: `spiffe://${TRUST_DOMAIN}/ns/other/` }] },
  { networks: [OTHER_ADDRESS] },
  { networks: ['10.0.0.0/8', '127.0.0.0/31'] },
  { networks: ['2001:db8::/32', '::1'] },
  { identities: [{ kind: 'exact', id: idOf('web') }], networks: ['127.0.0.0/8'] },
  { token: { issuers: [], claims: [] } },
  { token: { issuers: ['login'], claims: [] } },
  { token: { issuers: ['partner', 'login'], claims: [{ claim: ['groups'], values: ['staff', 'partners'] }] } },
  { token: { issuers: ['login'], claims: [{ claim: ['scope'], values: ['write'] }] } },
  {
    token: {
      issuers: [],
      claims: [
        { claim: ['level'], values: [3] },
        { claim: ['verified'], values: [true] },
      ],
    },
  },
  { token: { issuers: [], claims: [{ claim: ['realm', 'roles'], values: ['admin'] }] }, identities: [{ kind: 'any' }] },
];

const PATHS: readonly NonNullable<Permission['paths']>[number][] = [
  { kind: 'prefix', value: '/' },
  { kind: 'exact', value: '/' },
  { kind: 'exact', value: '/admin' },
  { kind: 'exact', value: '/admin/' },
  { kind: 'prefix', value: '/admin' },
  { kind: 'prefix', value: '/admin/' },
  { kind: 'segments', value: '/admin' },
  { kind: 'segments', value: '/Public' },
  { kind: 'template', value: '/orders/{id}/items' },
  { kind: 'template', value: '/files/{rest=**}' },
  { kind: 'regex', value: '/v[12]/.*' },
  { kind: 'exact', value: '/caf%C3%A9' },
  { kind: 'segments', value: '/a%5Bb%5D' },
  { kind: 'prefix', value: '/x%20y/' },
  { kind: 'exact', value: '/buy!now' },
  { kind: 'segments', value: '/@me/a:b' },
  { kind: 'template', value: '/%C3%A9t%C3%A9/{day}' },
];

const WHENS: readonly string[] = [
  'request.method == "GET"',
  'request.path.startsWith("/admin")',
  'request.path == "/admin" || request.headers["x-a"] == "1"',
  '!("x-a" in request.headers)',
  '"x-a" in request.headers && request.headers["x-a"].startsWith("1")',
  'source.service == "web"',
  'source.namespace in ["default", "other"] && source.identity != ""',
  'source.identity.endsWith("/shop")',
  'claims.sub == "ada"',
  'has(claims.realm) && claims.level == 3',
  '!has(claims.verified) || claims.verified != true',
  'token.issuer == "login"',
  'request.query.contains("q=1")',
  'request.time > timestamp("2020-01-01T00:00:00Z") && request.time.getFullYear() < 2020',
  'source.labels.zone == "eu"',
  'source.labels["zone"] != "eu"',
  'destination.labels.tier == "gold"',
  'request.host in ["nobody.test", "elsewhere.test"] || size(request.method) > 3',
  'request.path.matches("^/v[0-9]/")',
];
const LABELS: NonNullable<AccessPolicy['labels']> = {
  destination: { tier: 'gold' },
  sources: { [idOf('web')]: { zone: 'eu' }, [idOf('shop')]: { zone: 'us' } },
};

const HEADERS: readonly NonNullable<Permission['headers']>[number][] = [
  { name: 'x-a' },
  { name: 'x-a', invert: true },
  { name: 'x-a', match: { kind: 'exact', value: '1' } },
  { name: 'x-a', match: { kind: 'prefix', value: '1' } },
  { name: 'x-b', match: { kind: 'contains', value: 'UP', ignoreCase: true } },
  { name: 'x-b', match: { kind: 'regex', value: '[a-z]+' } },
];

const hostOf = (policy: number): string => `p${policy}.test`;
const some = <T>(of: readonly T[], maxLength: number): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...of), { minLength: 1, maxLength });

const permission = (host: string): fc.Arbitrary<Permission> =>
  fc.record(
    {
      methods: some(['GET', 'POST', 'DELETE'], 2),
      paths: some(PATHS, 2),
      authorities: some(
        [
          { kind: 'exact', value: host },
          { kind: 'exact', value: `${host}:8080` },
          { kind: 'prefix', value: host.slice(0, 2) },
          { kind: 'suffix', value: '.test' },
          { kind: 'contains', value: '8080' },
          { kind: 'regex', value: 'p[0-9]+[.]test' },
        ],
        2,
      ),
      headers: fc.uniqueArray(fc.constantFrom(...HEADERS), { minLength: 1, maxLength: 2, selector: ({ name }) => name }),
    },
    { requiredKeys: [], noNullPrototype: true },
  ) as fc.Arbitrary<Permission>;

const rule = (host: string): fc.Arbitrary<Omit<AccessRule, 'name'>> =>
  fc
    .record({
      effect: fc.constantFrom('allow' as const, 'allow' as const, 'deny' as const),
      audit: fc.constantFrom(false, false, false, false, true),
      subjects: some(SUBJECTS, 2),
      permissions: fc.array(permission(host), { maxLength: 2 }),
      when: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom(...WHENS) }),
    })
    .map(({ audit, when, ...rest }) => ({ ...rest, ...(audit && { audit: true as const }), ...(when !== undefined && { when }) }));

const policyFor = (host: string): fc.Arbitrary<AccessPolicy> =>
  fc
    .record({
      default: fc.constantFrom('allow' as const, 'deny' as const, 'deny' as const),
      rules: fc.array(rule(host), { minLength: 1, maxLength: 4 }),
      audit: fc.constantFrom(false, false, false, false, false, false, false, true),
    })
    .map(({ audit, rules, ...rest }) => ({
      ...rest,
      rules: rules.map((one, index) => ({ name: `rule ${index + 1}`, ...one })),
      labels: LABELS,
      ...(audit && { audit: true as const }),
    }));

/** Paths that the rules speak of, and what is done to them to get past a rule. */
const PLAIN_PATHS = [
  ...[
    '/',
    '/admin',
    '/admin/',
    '/admin/x',
    '/administrator',
    '/Admin',
    '/public/a',
    '/Public',
    '/orders/7/items',
    '/orders/7/items/',
    '/orders/',
  ],
  ...[
    '/files',
    '/files/',
    '/files/a/b',
    '/v1/x',
    '/v3/x',
    '/V1/x',
    '/caf%C3%A9',
    '/caf%c3%a9',
    '/a%5Bb%5D/c',
    '/a[b]',
    '/x%20y/z',
    '/CAF%C3%89',
    '/buy!now',
    '/buy%21now',
    '/%40me/a%3ab/c',
    '/%C3%89t%c3%a9/1',
    '/other',
  ],
];
type Trick = (path: string) => string;
const TRICKS: readonly Trick[] = [
  (path) => path,
  (path) => path.replaceAll('/', '//'),
  (path) => `/.${path}`,
  (path) => `/zz/..${path}`,
  (path) => `/zz/%2e%2e${path}`,
  (path) => `/zz/%2E.${path}`,
  (path) => `${path}/.`,
  (path) => `${path}/..`,
  (path) => `${path}/%2e`,
  (path) => `/../..${path}`,
  (path) => path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  (path) => path.replace(/(.)\//, '$1%2f'),
  (path) => path.replace(/(.)\//, '$1%5C'),
  (path) => `${path};a=b`,
  (path) => `${path}%3bx`,
  (path) => path.toUpperCase(),
  (path) => `${path}?q=1`,
  (path) => `${path}?x=/../admin`,
  (path) => `/zz/%252e%252e${path}`,
  (path) => `${path}%25`,
  (path) => `${path}%25zz`,
  (path) => `${path}%c0%af`,
  (path) => `${path}%e2%82%ac`,
  (path) => `${path}%ed%a0%80`,
  (path) => `${path}%7e~"<>^\`{|}`,
  (path) => `${path}%`,
  (path) => `${path}%zz`,
  (path) => `${path}/`,
  (path) => `${path}.`,
  (path) => `${path}.%2e.%20`,
  (path) => `${path}%20/`,
  (path) => path.replace(/(.)\//, '$1./'),
  (path) => path.replace(/(.)\//, '$1%20../'),
  (path) => path.replace(/^\//, '/.../'),
];

/** What Envoy resolves before anybody looks, and our own data planes do not understand: the rules hold for what is forwarded in either case. */
const RESOLVED: readonly (readonly [sent: Trick, read: Trick])[] = [
  [(path) => `/zz/..;${path}`, (path) => `/zz/..${path}`],
  [(path) => `/zz/..;a=b${path}`, (path) => `/zz/..${path}`],
  [(path) => `/zz\\..${path}`, (path) => `/zz/..${path}`],
  [(path) => path.replace(/(.)\//, '$1\\'), (path) => path],
];
/** Two slashes are left of them at an Envoy, which is no path that rules could know. */
const SLASHES_ALONE = /^\/{2,}(?:\.|%2e)?$/i;
/** What Envoy does not take at all, whatever the rules say. */
const NOT_TAKEN: readonly Trick[] = [(path) => `${path}%00`, (path) => `${path}\u00e9`, (path) => `${path}#x`];

interface Tried {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly caller: string | undefined;
  readonly address: string;
  readonly token: string | undefined;
}

const tried = (host: string, tricks: readonly Trick[] = TRICKS): fc.Arbitrary<Tried> =>
  fc
    .record({
      method: fc.constantFrom('GET', 'GET', 'POST', 'DELETE', 'HEAD', 'PATCH'),
      path: fc.constantFrom(...PLAIN_PATHS),
      trick: fc.constantFrom(...tricks),
      host: fc.constantFrom(host, host, host.toUpperCase(), `${host}:8080`, `${host}.`),
      a: fc.constantFrom(undefined, '1', '12', '2'),
      b: fc.constantFrom(undefined, 'upper', 'x1'),
      caller: fc.constantFrom(undefined, 'web', 'shop', 'other'),
      address: fc.constantFrom(LOOPBACK, LOOPBACK, OTHER_ADDRESS),
      token: fc.constantFrom(undefined, undefined, ...Object.keys(TOKENS)),
    })
    .map(({ path, trick, a, b, ...rest }) => ({
      ...rest,
      target: SLASHES_ALONE.test(trick(path)) ? path : trick(path),
      headers: [...(a === undefined ? [] : [['x-a', a] as const]), ...(b === undefined ? [] : [['x-b', b] as const])],
    }));

/** What our own data plane would ask its engine. */
function viewOf({ method, target, host, headers, caller, address, token }: Tried): AccessView {
  const all = new Map<string, string>(headers);
  const verified = token === undefined ? undefined : TOKENS[token];
  const claims = verified && ({ issuer: verified.issuer, claims: verified.claims } as unknown as VerifiedToken);
  return {
    ...{ method, path: target, authority: host, header: (name: string, line = 0) => (line === 0 ? all.get(name) : undefined) },
    ...{ sourceAddress: '', sourceIdentity: caller === undefined ? '' : idOf(caller), peerAddress: address },
    ...{ claims, isStream: false, nowMs: Date.now() },
  };
}

/** Else Envoy leaves paths as they are, and nobody looks at them. */
function readsPaths(policy: AccessPolicy): boolean {
  return policy.rules.some(
    ({ permissions, when = '' }) => when.includes('request.path') || permissions.some(({ paths }) => paths !== undefined),
  );
}

interface Case {
  readonly policy: AccessPolicy;
  readonly requests: readonly Tried[];
}

function generated(index: number): Case {
  const seed = SEED + index;
  return {
    policy: fc.sample(policyFor(hostOf(index)), { seed, numRuns: 1 })[0]!,
    requests: fc.sample(tried(hostOf(index)), { seed, numRuns: REQUESTS }),
  };
}

/** One rule that decides alone. */
function alone(effect: 'allow' | 'deny', over: Partial<AccessRule>): AccessPolicy {
  const rules: AccessRule[] = [{ name: 'alone', effect, subjects: [{}], permissions: [], ...over }];
  return { default: effect === 'allow' ? 'deny' : 'allow', rules, labels: LABELS };
}

/** Every kind of path in a rule, with every way to write the paths that are near to it. */
const BY_PATH = PATHS.flatMap((path) => {
  const near = PLAIN_PATHS.filter((plain) => plain.slice(0, 4).toLowerCase() === path.value.slice(0, 4).toLowerCase());
  const targets = TRICKS.flatMap((trick) => [...near, '/other'].map(trick)).filter((target) => !SLASHES_ALONE.test(target));
  return (['allow', 'deny'] as const).map((effect) => ({ policy: alone(effect, { permissions: [{ paths: [path] }] }), targets }));
});
/** Every condition, with all kinds of requests. */
const BY_CONDITION = WHENS.flatMap((when) => (['allow', 'deny'] as const).map((effect) => ({ policy: alone(effect, { when }) })));

const cases: readonly Case[] = [
  ...Array.from({ length: POLICIES }, (_, index) => generated(index)),
  ...BY_PATH.map(({ policy, targets }, number): Case => {
    const host = hostOf(POLICIES + number);
    const asked = { method: 'GET', host, headers: [], caller: 'web', address: LOOPBACK, token: undefined };
    return { policy, requests: targets.map((target) => ({ ...asked, target })) };
  }),
  ...BY_CONDITION.map(({ policy }, number): Case => {
    const index = POLICIES + BY_PATH.length + number;
    return { policy, requests: fc.sample(tried(hostOf(index)), { seed: SEED + index, numRuns: REQUESTS }) };
  }),
];
let bearer: ReadonlyMap<string, string>;
let envoyPort = 0;
const authority = new TestAuthority();
const callers = new Map<string, RawCaller>();

before(async () => {
  if (typeof found !== 'string') return;
  // One key for both: what tells them apart is what their tokens say.
  const signer = await TestIssuer.start('ES256');
  cleanup.add(() => signer.close());
  const jwks = JSON.stringify({ keys: signer.keys.map(({ jwk }) => jwk) });
  const sign = async ([name, { issuer, claims }]: [string, (typeof TOKENS)[string]]): Promise<[string, string]> => [
    name,
    await signer.token({ iss: ISSUERS[issuer], ...claims }),
  ];
  bearer = new Map(await Promise.all(Object.entries(TOKENS).map(sign)));
  const issuers = (Object.keys(ISSUERS) as IssuerName[]).map(
    (name): TokenIssuer => ({
      ...{ name, issuer: ISSUERS[name], audiences: ['shop'], keys: { kind: 'inline', jwks }, keysMaxAgeMs: 300_000, algorithms: ['ES256'] },
      ...{ sources: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }], skewMs: 60_000, claimHeaders: [], forward: true },
    }),
  );
  const name = 'inbound/default/orders/orders-1';
  const action = { kind: 'respond', status: 200, body: 'yes', contentType: 'text/plain' } as const;
  const routes: RouteConfig = {
    name,
    virtualHosts: cases.map(({ policy: access }, index) => ({
      name: hostOf(index),
      domains: [hostOf(index), `${hostOf(index)}:8080`, `${hostOf(index)}.`],
      routes: [{ name: 'all', match: { kind: 'request', path: { kind: 'prefix', value: '/' } }, action }],
      access,
      tokens: { issuers },
    })),
  };
  const listener: Listener = {
    ...{ name, direction: 'inbound', address: LOOPBACK, port: 1 },
    tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: TRUST_DOMAIN, plaintext: true },
    filter: { kind: 'http', routeConfigName: name },
  };
  const told: string[] = [];
  const envoy = await startStaticEnvoy(cleanup, found, {
    listener,
    routes,
    identity: { ...authority.service('orders'), rootsPem: authority.rootsPem },
    options: {
      trustDomain: TRUST_DOMAIN,
      expression: conditionSyntax,
      onRefused: (_, { name: what, reason: why }) => told.push(`${what}: ${why}`),
    },
  });
  envoyPort = envoy.port;
  // Whatever could not be told would make the comparison say nothing.
  assert.deepEqual(told, []);
  cleanup.add(() => callers.forEach((caller) => caller.close()));
});

function callerOf({ caller, address }: Tried): RawCaller {
  const key = `${caller ?? ''} ${address}`;
  let known = callers.get(key);
  if (known === undefined) {
    const identity = caller === undefined ? undefined : { ...authority.service(caller), rootsPem: authority.rootsPem };
    callers.set(key, (known = new RawCaller(envoyPort, identity, address)));
  }
  return known;
}

async function statusOf(one: Tried): Promise<number> {
  const token = one.token === undefined ? [] : [['authorization', `Bearer ${bearer.get(one.token)}`] as const];
  const { status, headers } = await callerOf(one).ask({ ...one, headers: [...one.headers, ...token] });
  if (status === 403) assert.equal(headers['x-heddle-error'], 'ACCESS_DENIED');
  return status;
}

/** An expression that denies cannot be told to ignore dots and blanks at the end of segments; so an Envoy refuses what has them. */
function refusesMore({ rules }: AccessPolicy, { target }: Tried): boolean {
  const isExpression = rules.some(
    ({ effect, permissions }) => effect === 'deny' && permissions.some(({ paths = [] }) => paths.some(({ kind }) => kind === 'regex')),
  );
  return isExpression && /(?:\.|%2e|%20)(?:[/?]|$)/i.test(target);
}

const inShort = (policy: AccessPolicy): string => JSON.stringify({ ...policy, labels: undefined });

test('Envoy decides about every request as our own engine does', { skip }, async () => {
  const differences: string[] = [];
  const seen = { allowed: 0, refused: 0 };
  for (const { policy, requests } of cases) {
    const engine = compileAccess(policy, { conditions: compileCondition });
    for (const one of requests) {
      const { allowed, rule: by } = engine.decide(viewOf(one));
      const status = await statusOf(one);
      seen[allowed ? 'allowed' : 'refused'] += 1;
      if (status !== (allowed ? 200 : 403) && !(status === 403 && refusesMore(policy, one)))
        differences.push(`Envoy ${status}, ours ${allowed} by ${by || 'default'}: ${JSON.stringify(one)} under ${inShort(policy)}`);
    }
  }
  assert.deepEqual(differences.slice(0, 5), [], `${differences.length} differences`);
  // Both answers must come, and often.
  assert.ok(Math.min(seen.allowed, seen.refused) > (seen.allowed + seen.refused) / 5, JSON.stringify(seen));
});

test('what Envoy resolves by itself is decided as what it resolves to', { skip }, async () => {
  for (const [index, { policy }] of cases.entries()) {
    if (!readsPaths(policy)) continue;
    const engine = compileAccess(policy, { conditions: compileCondition });
    for (const [number, [sent, read]] of RESOLVED.entries()) {
      const [one] = fc.sample(tried(hostOf(index), [(path) => path]), { seed: SEED + number, numRuns: 1 }) as [Tried];
      const { allowed, rule: by } = engine.decide(viewOf({ ...one, target: read(one.target) }));
      const status = await statusOf({ ...one, target: sent(one.target) });
      assert.equal(status, allowed ? 200 : 403, `${by}: ${sent(one.target)} of ${JSON.stringify(one)} under ${inShort(policy)}`);
    }
  }
});

test('what Envoy does not take as a path is refused whatever the rules say', { skip }, async () => {
  for (const target of NOT_TAKEN.map((trick) => trick('/admin'))) {
    const status = await statusOf({
      method: 'GET',
      target,
      host: hostOf(0),
      headers: [],
      caller: 'web',
      address: LOOPBACK,
      token: undefined,
    });
    assert.equal(status, 400, JSON.stringify(target));
  }
});

test('a path of slashes alone is allowed by no rule for paths, and denied by each', { skip }, async () => {
  for (const [number, { policy }] of BY_PATH.entries()) {
    const asked = { method: 'GET', host: hostOf(POLICIES + number), headers: [], caller: 'web', address: LOOPBACK, token: undefined };
    for (const target of ['//', '///', '//.'])
      assert.equal(await statusOf({ ...asked, target }), 403, `${target} under ${inShort(policy)}`);
  }
});

test('an identity of another mesh gets no connection', { skip }, async () => {
  const strangers = [new TestAuthority().service('web'), authority.service('web', 'other.test')];
  for (const stranger of strangers) {
    const caller = new RawCaller(envoyPort, { ...stranger, rootsPem: authority.rootsPem });
    const { status } = await caller.ask({ method: 'GET', target: '/', host: hostOf(0), headers: [] });
    caller.close();
    assert.equal(status, 0);
  }
});
