// What is found in traffic rules before any request comes; and that what is called unreachable is.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { NO_RETRY } from '../model/defaults.ts';
import type { FieldMatch, PathMatch, RedirectAction, RequestMatch, TextMatch } from '../model/route.ts';
import type { RuleForward, TrafficRule } from '../model/traffic.ts';
import { analyseService } from './analysis.ts';
import type { AnalysedService, RouteFinding } from './analysis.ts';
import { covers } from './covers.ts';
import { whyNotMatch } from './explain.ts';
import { PlainRequest } from './request.ts';
import { matching } from './test-support.ts';

const ORDERS = { namespace: 'default', name: 'orders' };
const V1 = { service: ORDERS, labels: { version: 'v1' }, weight: 90 };
const V2 = { service: ORDERS, labels: { version: 'v2' }, weight: 10 };
const ALL = { service: ORDERS, labels: {}, weight: 1 };

function found(rules: readonly TrafficRule[], more: Partial<AnalysedService> = {}): RouteFinding[] {
  return analyseService({ ...ORDERS, port: 8081, timeoutMs: 0, retry: NO_RETRY, hash: [], rules, ...more });
}

type ActionParts = Partial<RuleForward> | Exclude<TrafficRule['action'], RuleForward>;

function rule(name: string, match: RequestMatch | readonly RequestMatch[] | string, action: ActionParts = {}): TrafficRule {
  const matches = typeof match === 'string' ? [matching(match)] : 'kind' in match ? [match] : match;
  if (action.kind === 'redirect' || action.kind === 'respond') return { name, matches, action };
  return { name, matches, action: { to: [ALL], ...action, kind: 'forward' } };
}

function assertFound(
  findings: readonly RouteFinding[],
  ...expected: readonly (readonly [severity: string, path: string, reason: RegExp])[]
): void {
  assert.deepEqual(
    findings.map(({ severity, path }) => [severity, path.join('.')]),
    expected.map(([severity, path]) => [severity, path]),
  );
  for (const [index, [, , reason]] of expected.entries()) {
    assert.match(findings[index]?.reason ?? '', reason);
    assert.notEqual(findings[index]?.mend, '');
  }
}

describe('the analysis of rules', () => {
  it('finds nothing in good ones', () => {
    const good = [
      rule('beta', matching('/', { headers: [{ name: 'x-beta' }] }), { to: [V2] }),
      rule('canary', '/', {
        to: [V1, V2],
        timeoutMs: 2_000,
        retry: { ...NO_RETRY, attempts: 2, perTryMs: 500 },
        hedge: { afterMs: 300, attempts: 2 },
        mirrors: [{ service: ORDERS, labels: { version: 'v3' }, percent: 1 }],
      }),
    ];
    assert.deepEqual(found(good), []);
    assert.deepEqual(
      found([
        rule('shares', '/', {
          to: [
            { ...V1, weight: 2 },
            { ...V2, weight: 1 },
          ],
        }),
      ]),
      [],
    );
  });

  it('finds rules and matches behind one that takes all they take', () => {
    assert.equal(found([rule('all', '/'), rule('late', '/a')])[0]?.kind, 'unreachable');
    assertFound(found([rule('all', '/'), rule('late', '/a')]), ['error', 'rules.1.matches.0', /rule "all" before it/]);
    assertFound(found([rule('a', '/a'), rule('late', [matching('/a/b'), matching('/a/c')])]), [
      'error',
      'rules.1',
      /the rule can never be reached: rule "a"/,
    ]);
    assertFound(found([rule('a', '/a'), rule('late', [matching('/b'), matching('/a/c')])]), [
      'error',
      'rules.1.matches.1',
      /the match can never/,
    ]);
    assertFound(found([rule('twice', [matching('/a'), matching('/a/b')])]), [
      'error',
      'rules.0.matches.1',
      /another match of the same rule/,
    ]);
    assertFound(found([rule('a', '/a/b'), rule('b', '/a')]));
  });

  it('passes on what a data plane would refuse, with its place', () => {
    const findings = found([
      rule('broken', [matching('/'), matching({ kind: 'regex', value: '(' })]),
      rule('zero', '/b', {
        to: [
          { ...V1, weight: 0 },
          { ...V2, weight: 0 },
        ],
      }),
      rule('zero', '/c', { splitByHash: true, to: [V1, V2] }),
      { ...rule('host', '/d'), requestHeaders: { set: { host: 'x' }, add: {}, remove: [] } },
      rule('none', []),
    ]);
    assertFound(
      findings,
      ['error', 'rules.0.matches.1', /regular expression "\("/],
      ['error', 'rules.1', /weights of all clusters are 0/],
      ['error', 'rules.2.name', /an earlier rule is called "zero" too/],
      ['error', 'rules.2', /nothing says what is hashed/],
      ['error', 'rules.3', /"host"/],
      ['error', 'rules.4.matches', /no match/],
    );
    assert.equal(found([rule('hash', '/', { splitByHash: true, to: [V1, V2] })], { hash: [{ kind: 'source' }] }).length, 0);
  });

  it('warns of percentages that do not add up', () => {
    assertFound(found([rule('r', '/', { to: [V1, { ...V2, weight: 20 }] })]), [
      'warning',
      'rules.0.action.to',
      /add up to 110; so the shares are 81.8 %, 18.2 %/,
    ]);
    for (const weights of [
      [50, 50],
      [30, 30],
      [1, 2],
      [500, 499],
      [100, 0],
    ])
      assertFound(found([rule('r', '/', { to: [V1, V2].map((to, index) => ({ ...to, weight: weights[index] as number })) })]));
  });

  it('warns of instances that stand in a split twice', () => {
    assertFound(found([rule('r', '/', { to: [V1, { ...V2, weight: 5 }, { ...V2, weight: 5 }] })]), [
      'warning',
      'rules.0.action.to.2',
      /stand in the split before/,
    ]);
  });

  it('warns of a mirror to those who get the request anyway', () => {
    const mirrors = [{ service: ORDERS, labels: { version: 'v2' }, percent: 10 }];
    assertFound(found([rule('r', '/', { to: [V1, V2], mirrors })]), ['warning', 'rules.0.action.mirrors.0', /get it twice/]);
    assertFound(found([rule('r', '/', { to: [V1, { ...V2, weight: 0 }], mirrors })]));
  });

  it('warns of retries that do not fit into the timeout, where they were said', () => {
    const retry = { ...NO_RETRY, attempts: 3, perTryMs: 500 };
    assertFound(found([], { timeoutMs: 1_200, retry }), ['warning', 'retry', /3 retries do not fit: after 3 tries of 500 ms/]);
    assertFound(found([], { timeoutMs: 1_501, retry }));
    assertFound(found([rule('r', '/')], { timeoutMs: 1_200, retry }), ['warning', 'retry', /do not fit/]);
    assertFound(found([rule('r', '/', { timeoutMs: 1_000 })], { retry }), ['warning', 'rules.0.action.timeoutMs', /do not fit/]);
    assertFound(found([rule('r', '/', { retry })], { timeoutMs: 400 }), ['warning', 'rules.0.action.retry', /limit of a try never counts/]);
  });

  it('finds hedges that are never sent', () => {
    assertFound(found([], { timeoutMs: 200, hedge: { afterMs: 200, attempts: 1 } }), ['error', 'hedge', /never sent/]);
    assertFound(found([], { timeoutMs: 500, hedge: { afterMs: 200, attempts: 3 } }), ['warning', 'hedge', /try 3 beyond the first/]);
    assertFound(found([rule('r', '/', { hedge: false, timeoutMs: 100 })], { hedge: { afterMs: 200, attempts: 1 } }));
    assertFound(found([rule('r', '/', { timeoutMs: 100 })], { hedge: { afterMs: 200, attempts: 1 } }), [
      'error',
      'rules.0.action.timeoutMs',
      /never sent/,
    ]);
  });

  it('warns of a delay that is longer than the timeout', () => {
    const delayed = { ...rule('r', '/'), fault: { delay: { percent: 10, delayMs: 2_000 } } };
    assertFound(found([delayed], { timeoutMs: 1_000 }), ['warning', 'rules.0.fault.delay', /2000 ms is not shorter/]);
    assertFound(found([delayed], { timeoutMs: 3_000 }));
  });

  it('finds redirects that lead back to themselves', () => {
    const redirect = (action: Partial<RedirectAction>): RedirectAction => ({ kind: 'redirect', status: 302, ...action });
    const looping: readonly [match: RequestMatch, action: RedirectAction][] = [
      [matching('/a'), redirect({ path: { kind: 'prefix', value: '/a/b' } })],
      [matching('/'), redirect({ path: { kind: 'full', value: '/x' } })],
      [matching('/a'), redirect({ stripQuery: true })],
      [matching('/a'), redirect({ authority: 'Orders.mesh.internal:8081' })],
      [matching({ kind: 'template', value: '/{x}' }), redirect({ path: { kind: 'full', value: '/y' } })],
    ];
    for (const [match, action] of looping)
      assertFound(found([rule('r', match, action)]), ['error', 'rules.0.matches.0', /redirects again/]);
    const fine: readonly [match: RequestMatch, action: RedirectAction][] = [
      [matching('/a'), redirect({ path: { kind: 'prefix', value: '/b' } })],
      [matching({ kind: 'segments', value: '/a' }), redirect({ path: { kind: 'full', value: '/ab' } })],
      [matching('/'), redirect({ authority: 'elsewhere.test' })],
      [matching('/'), redirect({ scheme: 'https' })],
      [matching('/a', { query: [{ name: 'old' }] }), redirect({ stripQuery: true })],
    ];
    for (const [match, action] of fine) assertFound(found([rule('r', match, action)]));
    assertFound(
      found([rule('x', matching({ kind: 'exact', value: '/x' })), rule('r', '/', redirect({ path: { kind: 'full', value: '/x' } }))]),
    );
  });
});

describe('a match that covers another one', () => {
  const path = (kind: PathMatch['kind'], value: string): PathMatch => ({ kind, value });

  it('is recognised in its path', () => {
    const yes: readonly (readonly [PathMatch, PathMatch])[] = [
      [path('prefix', '/'), path('regex', '/x')],
      [path('segments', '/'), path('prefix', '/')],
      [path('prefix', '/a'), path('segments', '/ab')],
      [path('prefix', '/a'), path('template', '/a/{x}')],
      [path('segments', '/a'), path('prefix', '/a/b')],
      [path('segments', '/a'), path('exact', '/a')],
      [path('template', '/{x}/{y=**}'), path('template', '/a/{z}/b')],
      [path('template', '/a/{x=**}'), path('prefix', '/a/b')],
      [path('template', '/{x}'), path('exact', '/a')],
      [path('regex', '.*'), path('prefix', '/')],
      [path('regex', '/.*'), path('exact', '/a')],
      [path('regex', '/a|/b'), path('exact', '/b')],
    ];
    for (const [outer, inner] of yes) assert.ok(covers(matching(outer), matching(inner)), JSON.stringify([outer, inner]));
    const no: readonly (readonly [PathMatch, PathMatch])[] = [
      [path('segments', '/a'), path('prefix', '/a')],
      [path('exact', '/a'), path('segments', '/a')],
      [path('template', '/{x}'), path('template', '/{x=**}')],
      [path('template', '/{x=**}'), path('prefix', '/')],
      [path('template', '/{x}/{y}'), path('template', '/{x}/')],
      [path('regex', '/.*'), path('prefix', '/')],
    ];
    for (const [outer, inner] of no) assert.ok(!covers(matching(outer), matching(inner)), JSON.stringify([outer, inner]));
  });

  it('is recognised in headers that say more, and in methods that are fewer', () => {
    const one = (name: string, value: string): FieldMatch => ({ name, match: { kind: 'exact', value } });
    assert.ok(covers(matching('/', { headers: [{ name: 'X' }] }), matching('/', { headers: [one('x', '1'), one('y', '2')] })));
    assert.ok(covers(matching('/', { query: [{ ...one('x', '1'), invert: true }] }), matching('/', { query: [one('x', '2')] })));
    // A header may have two lines.
    assert.ok(!covers(matching('/', { headers: [{ ...one('x', '1'), invert: true }] }), matching('/', { headers: [one('x', '2')] })));
    assert.ok(covers(matching('/', { methods: ['GET', 'PUT'] }), matching('/a', { methods: ['PUT'] })));
    assert.ok(!covers(matching('/', { methods: ['GET'] }), matching('/')));
    assert.ok(!covers(matching('/', { headers: [{ name: 'x' }] }), matching('/', { query: [{ name: 'x' }] })));
    assert.ok(!covers(matching('/', { headers: [{ name: 'x' }] }), matching('/', { headers: [{ ...one('x', '1'), invert: true }] })));
  });

  it('takes every request that the other one takes (property)', () => {
    const segments = fc.array(fc.constantFrom('a', 'b'), { maxLength: 2 }).map((names) => `/${names.join('/')}`);
    const anyPath: fc.Arbitrary<PathMatch> = fc.oneof(
      fc.record({ kind: fc.constantFrom('prefix', 'exact', 'segments'), value: segments }),
      fc.record({
        kind: fc.constant('template' as const),
        value: fc.constantFrom('/{x}', '/a/{x}', '/{x}/a', '/{x=**}', '/a/{x=**}', '/{x}/{y=**}'),
      }),
      fc.record({ kind: fc.constant('regex' as const), value: fc.constantFrom('.*', '/.*', '/a|/b', '/[ab]') }),
    );
    const text = fc.oneof(
      fc.record({
        kind: fc.constantFrom('exact', 'prefix', 'suffix', 'contains'),
        value: fc.constantFrom('a', 'b', 'ab', 'A'),
        ignoreCase: fc.constantFrom(undefined, true),
      }),
      fc.record({ kind: fc.constant('regex' as const), value: fc.constantFrom('.*', 'a', '[aA]b?') }),
    ) as fc.Arbitrary<TextMatch>;
    const field = fc.record(
      { name: fc.constantFrom('x', 'X', 'y'), match: text, invert: fc.constantFrom(undefined, true) },
      { requiredKeys: ['name'] },
    ) as fc.Arbitrary<FieldMatch>;
    const whole = fc.record(
      {
        kind: fc.constant('request' as const),
        path: anyPath,
        methods: fc.uniqueArray(fc.constantFrom('GET', 'PUT'), { minLength: 1 }),
        headers: fc.array(field, { maxLength: 2 }),
        query: fc.array(field, { maxLength: 1 }),
        authority: text,
      },
      { requiredKeys: ['kind', 'path'] },
    ) as fc.Arbitrary<RequestMatch>;
    const match = fc.oneof(
      fc.record({ kind: fc.constant('request' as const), path: anyPath }),
      fc.record({ kind: fc.constant('request' as const), path: anyPath, headers: fc.array(field, { minLength: 1, maxLength: 1 }) }),
      whole,
    ) as fc.Arbitrary<RequestMatch>;
    // The outer one says less than the inner one, or something else: else hardly ever one covers another.
    const outerOf = fc.tuple(match, match, fc.boolean()).map(([inner, other, isLess]) => ({
      inner,
      outer: isLess
        ? { ...inner, path: other.path, ...(other.headers === undefined ? {} : { headers: other.headers.slice(0, 1) }) }
        : other,
    }));
    const value = fc.constantFrom('', 'a', 'b', 'ab', 'A', 'AB');
    const asked = fc
      .record({
        method: fc.constantFrom('GET', 'PUT', 'POST'),
        path: fc.oneof(fc.constant('*'), fc.tuple(segments, fc.constantFrom('', '/', '?x=a', '?y=ab&x'))),
        authority: value,
        headers: fc.array(fc.tuple(fc.constantFrom('x', 'y'), value), { maxLength: 2 }),
      })
      .map((parts) => new PlainRequest({ ...parts, path: typeof parts.path === 'string' ? parts.path : parts.path.join('') }));
    let proved = 0;
    fc.assert(
      fc.property(outerOf, fc.array(asked, { minLength: 10, maxLength: 20 }), ({ inner, outer }, requests) => {
        if (!covers(outer, inner)) return;
        for (const one of requests) {
          if (whyNotMatch(inner, one) !== '') continue;
          proved++;
          assert.equal(whyNotMatch(outer, one), '', `${JSON.stringify(outer)} does not cover ${JSON.stringify(inner)}`);
        }
      }),
      { numRuns: 1_000 },
    );
    assert.ok(proved > 20, `only ${proved} requests were in both`);
  });
});
