// The index against rules that are asked one by one, in their order: both must name the same rule.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { AccessPolicy, AccessRule, Permission, Subject } from '../model/security.ts';
import type { FieldMatch } from '../model/route.ts';
import { compileAccess } from './access.ts';
import { explainAccess } from './explain.ts';
import { idOf, policy, view, type ViewParts } from './test-support.ts';

const optional = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(values, { nil: undefined });
const some = <T>(...values: T[]): fc.Arbitrary<T[]> => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
const withoutUndefined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as T;

const identity = fc.oneof(
  fc.constantFrom('web', 'shop', 'bank').map((name) => ({ kind: 'exact' as const, id: idOf(name) })),
  fc.constantFrom('default', 'other').map((namespace) => ({ kind: 'prefix' as const, prefix: `spiffe://mesh.internal/ns/${namespace}/` })),
  fc.constant({ kind: 'any' as const }),
);
const NETWORKS = ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', '0.0.0.0/0', '2001:db8::/32', '2001:db8:0:0:1::/80', '::/0', '192.0.2.128/25'];
const claims = fc.constantFrom(['groups', 'a'], ['groups', 'b'], ['sub', 'ann'], ['scope', 'read'], ['level', 5]);
const subject: fc.Arbitrary<Subject> = fc
  .record({
    identities: optional(fc.array(identity, { minLength: 1, maxLength: 2 })),
    networks: optional(some(...NETWORKS)),
    token: optional(
      fc.record({
        issuers: fc.subarray(['login', 'other']),
        claims: fc.array(
          claims.map(([claim, value]) => ({ claim: [String(claim)], values: [value as string] })),
          { maxLength: 2 },
        ),
      }),
    ),
  })
  .map((parts) => withoutUndefined(parts) as Subject);
const PATHS = ['/', '/a', '/a/b', '/ab', '/a/b/c', '/b', '/A'];
const path = fc.oneof(
  fc.record({ kind: fc.constantFrom('prefix', 'exact', 'segments'), value: fc.constantFrom(...PATHS) }),
  fc.record({ kind: fc.constant('template'), value: fc.constantFrom('/a/{x}', '/{x}/b', '/a/{x=**}') }),
  fc.record({ kind: fc.constant('regex'), value: fc.constantFrom('/a.*', '.*', '/[ab]/.*', '/a/?', '/ab*', '/a|/b', '/A/b(/c)?') }),
);
const header: fc.Arbitrary<FieldMatch> = fc.constantFrom<FieldMatch>(
  { name: 'X-A', match: { kind: 'exact', value: '1' } },
  { name: 'x-a', match: { kind: 'exact', value: '2' } },
  { name: 'x-b', match: { kind: 'exact', value: 'Q', ignoreCase: true } },
  { name: 'x-b', match: { kind: 'exact', value: 'r' }, invert: true },
  { name: 'x-b' },
);
const permission: fc.Arbitrary<Permission> = fc
  .record({
    methods: optional(some('GET', 'POST', 'get')),
    paths: optional(fc.array(path, { minLength: 1, maxLength: 3 })),
    headers: optional(fc.array(header, { maxLength: 2 })),
  })
  .map((parts) => withoutUndefined(parts) as Permission);
const rule: fc.Arbitrary<Omit<AccessRule, 'name'>> = fc.record({
  effect: fc.constantFrom('allow', 'deny'),
  subjects: fc.array(subject, { minLength: 1, maxLength: 2 }),
  permissions: fc.array(permission, { maxLength: 2 }),
});
const anyPolicy: fc.Arbitrary<AccessPolicy> = fc
  .tuple(fc.constantFrom('allow' as const, 'deny' as const), fc.array(rule, { maxLength: 70 }), fc.nat(80))
  .map(([byDefault, rules, audited]) =>
    policy(byDefault, ...rules.map((one, index) => ({ ...one, name: `r${index}`, ...(index === audited && { audit: true as const }) }))),
  );
const anyView: fc.Arbitrary<ViewParts> = fc.record({
  from: fc.constantFrom('', 'web', 'shop', idOf('x', 'other'), 'x:y'),
  peerAddress: fc.constantFrom('', '10.1.2.3', '10.1.9.9', '10.9.9.9', '192.0.2.200', '2001:db8::1', '2001:db8:0:0:1::1', '2001:db9::'),
  method: fc.constantFrom('GET', 'POST', 'get'),
  path: fc.constantFrom(...PATHS, '/a/', '/a/x', '/x/b?q', '/AB', '/a%2fb', '/%61', '*', '/b/..', '/a./b', '/A%20'),
  headers: fc.array(fc.tuple(fc.constantFrom('x-a', 'X-B'), fc.constantFrom('1', '2', 'q', 'r')), { maxLength: 3 }),
  isStream: fc.nat(9).map((number) => number === 0),
  ...{ claims: optional(fc.constantFrom({}, { groups: ['a', 'c'] }, { sub: 'ann', level: 5 }, { scope: 'write read' }, { groups: 'b' })) },
  issuer: fc.constantFrom('login', 'other'),
}) as fc.Arbitrary<ViewParts>;

it('an indexed decision is that of rules asked one by one', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(anyPolicy, fc.array(anyView, { minLength: 5, maxLength: 20 }), (of, views) => {
      const access = compileAccess(of);
      for (const parts of views) {
        const decision = access.decide(view(parts));
        const { rules } = explainAccess(of, view(parts));
        const first = (effect: string): (typeof rules)[number] | undefined =>
          rules.find((one) => one.fits && !one.audit && one.effect === effect);
        const deciding = first('deny') ?? first('allow');
        assert.equal(decision.rule, deciding?.name ?? '');
        assert.equal(decision.allowed, (deciding?.effect ?? of.default) === 'allow');
        assert.deepEqual(
          new Set(decision.audited.map((note) => note.rule)),
          new Set(rules.filter((one) => one.fits && one.audit).map((one) => one.name)),
        );
        const wantsToken =
          deciding === undefined && of.default === 'deny' && rules.some((one) => one.effect === 'allow' && !one.audit && one.wantsToken);
        assert.equal(decision.code === 'TOKEN_REQUIRED', wantsToken);
        for (const { fits, why } of rules) assert.equal(fits || why !== '', true);
        seen.add(`${decision.code ?? 'allowed'} ${deciding?.effect ?? 'default'}`);
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(seen.size >= 5, [...seen].join(', '));
});
