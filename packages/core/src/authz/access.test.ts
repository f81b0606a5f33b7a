import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessPolicy, Subject } from '../model/security.ts';
import { RouteFault } from '../routing/error.ts';
import { accessRuleProblem, compileAccess } from './access.ts';
import type { Condition, ConditionCompiler } from './condition.ts';
import { ANYONE, idOf, MESH, paths, policy, rule, service, view, type ViewParts } from './test-support.ts';
import type { Decision } from './view.ts';

const decide = (of: AccessPolicy, parts: ViewParts = {}, conditions?: ConditionCompiler): Decision =>
  compileAccess(of, conditions && { conditions }).decide(view(parts));

function assertDecision(decision: Decision, allowed: boolean, name: string): void {
  assert.deepEqual([decision.allowed, decision.rule], [allowed, name]);
  assert.equal(decision.code === undefined, allowed);
}

/** `true`, `false`, `unknown`; with `token` in front: asks for the token. */
const words: ConditionCompiler = (source) => {
  if (!/^(token )?(true|false|unknown)$/.test(source)) throw new RouteFault(`"${source}" is no word`, 'write one');
  const holds = source.endsWith('unknown') ? undefined : source.endsWith('true');
  const condition: Condition = {
    readsToken: source.startsWith('token'),
    readsPath: false,
    holds: () => holds,
    whyUnknown: () => 'it is unknown',
  };
  return condition;
};

describe('a decision', () => {
  it('goes by rules that deny before rules that allow, in whichever order they stand, then by the default', () => {
    const of = (byDefault: 'allow' | 'deny'): AccessPolicy =>
      policy(byDefault, rule('allow', MESH, undefined, { name: 'mesh' }), rule('deny', service('web'), undefined, { name: 'no web' }));
    assertDecision(decide(of('deny'), { from: 'web' }), false, 'no web');
    assertDecision(decide(of('deny'), { from: 'shop' }), true, 'mesh');
    assertDecision(decide(of('deny')), false, '');
    assertDecision(decide(of('allow')), true, '');
  });

  it('names the first of the rules that fit', () => {
    const of = policy('deny', rule('allow', service('web'), undefined, { name: 'a' }), rule('allow', MESH, undefined, { name: 'b' }));
    assertDecision(decide(of, { from: 'web' }), true, 'a');
    assertDecision(decide(of, { from: 'x' }), true, 'b');
  });

  it('hands out the same object for the same answer', () => {
    const access = compileAccess(policy('deny', rule('allow', service('web'))));
    const first = access.decide(view({ from: 'web' }));
    assert.equal(access.decide(view({ from: 'web' })), first);
    assert.notEqual(access.decide(view({ from: 'x' })), first);
  });

  it('needs one subject, one permission and all that is in them', () => {
    const of: AccessPolicy = policy('deny', {
      ...rule('allow', service('web')),
      subjects: [service('web'), { identities: [{ kind: 'any' }], networks: ['10.0.0.0/8'] }],
      permissions: [
        { methods: ['GET'], ...paths('segments', '/a') },
        { methods: ['POST'], ...paths('segments', '/b') },
      ],
    });
    const allows = (parts: ViewParts): boolean => decide(of, parts).allowed;
    assert.equal(allows({ from: 'web', path: '/a/1' }), true);
    assert.equal(allows({ from: 'web', path: '/b', method: 'POST' }), true);
    assert.equal(allows({ from: 'web', path: '/a', method: 'POST' }), false);
    assert.equal(allows({ from: 'shop', path: '/a' }), false);
    assert.equal(allows({ from: 'shop', path: '/a', peerAddress: '10.1.2.3' }), true);
    assert.equal(allows({ path: '/a', peerAddress: '10.1.2.3' }), false);
  });
});

describe('who calls', () => {
  const allows = (subject: Subject, parts: ViewParts): boolean => decide(policy('deny', rule('allow', subject)), parts).allowed;

  it('is known by the whole identity, by its beginning, or as anybody of the mesh', () => {
    const shop: Subject = { identities: [{ kind: 'prefix', prefix: 'spiffe://mesh.internal/ns/shop/' }] };
    assert.equal(allows(shop, { from: idOf('web', 'shop') }), true);
    assert.equal(allows(shop, { from: idOf('web', 'shop2') }), false);
    assert.equal(allows(service('web'), { from: 'web' }), true);
    assert.equal(allows(service('web'), { from: 'web2' }), false);
    assert.equal(allows(service('web'), { from: idOf('web').toUpperCase() }), false);
    assert.equal(allows(MESH, { from: 'web' }), true);
    assert.equal(allows(MESH, {}), false);
    assert.equal(allows(ANYONE, {}), true);
  });

  it('is known by network, in IPv4, IPv6, and IPv4 within IPv6', () => {
    const of = (...networks: string[]): Subject => ({ networks });
    assert.equal(allows(of('10.0.0.0/8'), { peerAddress: '10.255.1.2' }), true);
    assert.equal(allows(of('10.0.0.0/8'), { peerAddress: '11.0.0.1' }), false);
    assert.equal(allows(of('10.0.0.0/8'), { peerAddress: '::ffff:10.1.1.1' }), true);
    assert.equal(allows(of('::ffff:10.0.0.0/104'), { peerAddress: '10.1.1.1' }), true);
    assert.equal(allows(of('0.0.0.0/0'), { peerAddress: '2001:db8::1' }), false);
    assert.equal(allows(of('::/0'), { peerAddress: '10.0.0.1' }), false);
    assert.equal(allows(of('2001:db8:0:1:8000::/65'), { peerAddress: '2001:db8:0:1:ffff::1' }), true);
    assert.equal(allows(of('2001:db8:0:1:8000::/65'), { peerAddress: '2001:db8:0:1:7fff::1' }), false);
    assert.equal(allows(of('fe80::/10', '192.0.2.7'), { peerAddress: 'fe80::1%eth0' }), true);
    assert.equal(allows(of('192.0.2.7'), { peerAddress: '192.0.2.7' }), true);
    assert.equal(allows(of('192.0.2.7'), { peerAddress: '192.0.2.8' }), false);
  });

  it('is taken for the worst where the address is not known', () => {
    const subject: Subject = { networks: ['10.0.0.0/8'] };
    assert.equal(allows(subject, { peerAddress: '' }), false);
    assertDecision(decide(policy('allow', rule('deny', subject)), { peerAddress: '' }), false, 'deny');
  });

  it('is known by claims of a token, by its issuer, and by words of its scope', () => {
    const of = (claim: string[], ...values: (string | number | boolean)[]): Subject => ({
      token: { issuers: ['login'], claims: [{ claim, values }] },
    });
    assert.equal(allows(of(['sub'], 'ann'), { claims: { sub: 'ann' } }), true);
    assert.equal(allows(of(['sub'], 'ann'), { claims: { sub: 'ann' }, issuer: 'other' }), false);
    assert.equal(allows(of(['groups'], 'staff', 'admin'), { claims: { groups: ['x', 'admin'] } }), true);
    assert.equal(allows(of(['groups'], 'staff'), { claims: { groups: ['x'] } }), false);
    assert.equal(allows(of(['realm', 'roles'], 'a'), { claims: { realm: { roles: ['a'] } } }), true);
    assert.equal(allows(of(['scope'], 'write'), { claims: { scope: 'read write' } }), true);
    assert.equal(allows(of(['scope'], 'read write'), { claims: { scope: 'read write' } }), true);
    assert.equal(allows(of(['sub'], 'read'), { claims: { sub: 'read write' } }), false);
    assert.equal(allows(of(['level'], 5), { claims: { level: 5 } }), true);
    assert.equal(allows(of(['level'], '5'), { claims: { level: 5 } }), false);
    assert.equal(allows(of(['constructor'], 'x'), { claims: {} }), false);
    assert.equal(allows({ token: { issuers: [], claims: [] } }, { claims: {}, issuer: 'any' }), true);
    assert.equal(allows({ token: { issuers: [], claims: [] } }, {}), false);
  });
});

describe('what is asked', () => {
  it('is compared without port and case of the authority', () => {
    const of = (effect: 'allow' | 'deny'): AccessPolicy =>
      policy(effect === 'deny' ? 'allow' : 'deny', rule(effect, ANYONE, { authorities: [{ kind: 'exact', value: 'Admin.example' }] }));
    for (const authority of ['admin.example', 'ADMIN.example', 'admin.example:8080', 'admin.example.', 'admin.example.:80']) {
      assert.equal(decide(of('deny'), { authority }).allowed, false, authority);
      assert.equal(decide(of('allow'), { authority }).allowed, true, authority);
    }
    assert.equal(decide(of('deny'), { authority: 'x.admin.example' }).allowed, true);
    const withPort = policy('deny', rule('allow', ANYONE, { authorities: [{ kind: 'exact', value: '[::1]:80' }] }));
    assert.equal(decide(withPort, { authority: '[::1]:80' }).allowed, true);
    assert.equal(decide(withPort, { authority: '[::1]:81' }).allowed, false);
  });

  it('is compared with the method as it is where it allows, in any case where it denies', () => {
    const get = { methods: ['GET'] };
    assert.equal(decide(policy('deny', rule('allow', ANYONE, get)), { method: 'get' }).allowed, false);
    assert.equal(decide(policy('deny', rule('allow', ANYONE, get)), { method: 'HEAD' }).allowed, false);
    assert.equal(decide(policy('allow', rule('deny', ANYONE, get)), { method: 'gEt' }).allowed, false);
  });

  it('is compared with the path in any case and with any slash at the end where it denies', () => {
    const denies = (kind: 'exact' | 'prefix' | 'segments' | 'template' | 'regex', value: string, path: string): boolean =>
      !decide(policy('allow', rule('deny', ANYONE, paths(kind, value))), { path }).allowed;
    assert.equal(denies('exact', '/admin', '/ADMIN/?x'), true);
    assert.equal(denies('exact', '/Admin/', '/admin'), true);
    assert.equal(denies('exact', '/admin', '/admin/x'), false);
    assert.equal(denies('prefix', '/admin/', '/admin'), true);
    assert.equal(denies('segments', '/admin', '/admin2'), false);
    assert.equal(denies('template', '/Users/{id}/Keys', '/users/7/keys/'), true);
    assert.equal(denies('regex', '/[A-F]x', '/ax/'), true);
    assert.equal(denies('exact', '/', '/'), true);
    assert.equal(denies('segments', '/admin', '/admin%20./x'), true);
    assert.equal(denies('exact', '/a/b', '/A./b%20'), true);
    assert.equal(denies('segments', '/admin', '/%E2%84%AA'), false);
    assert.equal(denies('prefix', '/', '*'), true);
    assert.equal(denies('exact', '/v1/things:delete', '/v1/things%3Adelete'), true);
    const allows = (value: string, path: string): boolean =>
      decide(policy('deny', rule('allow', ANYONE, paths('exact', value))), { path }).allowed;
    assert.equal(allows('/admin', '/Admin'), false);
    assert.equal(allows('/admin', '/admin/'), false);
    assert.equal(allows('/admin', '/x/..//admin?y'), true);
  });

  it('is looked at line by line of a header', () => {
    const of = policy('allow', rule('deny', ANYONE, { headers: [{ name: 'X-Debug', match: { kind: 'exact', value: '1' } }] }));
    assert.equal(
      decide(of, {
        headers: [
          ['x-debug', '0'],
          ['X-DEBUG', '1'],
        ],
      }).allowed,
      false,
    );
    assert.equal(decide(of, { headers: [['x-debug', '0']] }).allowed, true);
  });

  it('has no method, path, authority or headers where it is a stream of bytes', () => {
    const stream: ViewParts = { from: 'web', isStream: true, path: '' };
    for (const permission of [
      { methods: ['GET'] },
      paths('prefix', '/'),
      { authorities: [{ kind: 'exact', value: 'orders' } as const] },
      { headers: [{ name: 'a', invert: true } as const] },
    ]) {
      assert.equal(decide(policy('deny', rule('allow', MESH, permission)), stream).allowed, false);
      assert.equal(decide(policy('allow', rule('deny', MESH, permission)), stream).allowed, true);
    }
    assert.equal(decide(policy('deny', rule('allow', MESH)), stream).allowed, true);
    assert.equal(decide(policy('deny', rule('allow', MESH, {})), stream).allowed, true);
  });

  it('is refused by rules about paths, and allowed by others, where the path is not understood', () => {
    const odd: ViewParts = { from: 'web', path: '/a%2f..%2fb' };
    assertDecision(decide(policy('allow', rule('deny', ANYONE, paths('exact', '/zzz'))), odd), false, 'deny');
    assertDecision(decide(policy('deny', rule('allow', ANYONE, paths('prefix', '/a'))), odd), false, '');
    assertDecision(decide(policy('deny', rule('allow', service('web'))), odd), true, 'allow');
    assertDecision(decide(policy('allow', rule('deny', ANYONE, { methods: ['POST'], ...paths('exact', '/zzz') })), odd), true, '');
  });

  it('says whether rules read paths', () => {
    assert.equal(compileAccess(policy('deny', rule('allow', MESH))).readsPaths, false);
    assert.equal(compileAccess(policy('deny', rule('allow', MESH, paths('prefix', '/')))).readsPaths, true);
  });
});

describe('a condition', () => {
  const with_ = (effect: 'allow' | 'deny', when: string): Decision =>
    decide(policy(effect === 'allow' ? 'deny' : 'allow', rule(effect, ANYONE, undefined, { when })), {}, words);

  it('that cannot be told does not fit where it allows, and fits where it denies', () => {
    assert.equal(with_('allow', 'true').allowed, true);
    assert.equal(with_('allow', 'false').allowed, false);
    assert.equal(with_('allow', 'unknown').allowed, false);
    assert.equal(with_('deny', 'true').allowed, false);
    assert.equal(with_('deny', 'false').allowed, true);
    assert.equal(with_('deny', 'unknown').allowed, false);
  });

  it('needs somebody who can read it', () => {
    assert.throws(
      () => decide(policy('deny', rule('allow', ANYONE, undefined, { when: 'true' }))),
      /access rule "allow", condition: .*read conditions/,
    );
  });
});

describe('a refusal for want of a token', () => {
  const byToken: Subject = { identities: [{ kind: 'any' }], token: { issuers: [], claims: [{ claim: ['sub'], values: ['ann'] }] } };
  const code = (of: AccessPolicy, parts: ViewParts): Decision['code'] => decide(of, parts, words).code;

  it('is told apart from one that no token would change', () => {
    const of = policy('deny', rule('allow', byToken, { methods: ['GET'] }));
    assert.equal(code(of, { from: 'web' }), 'TOKEN_REQUIRED');
    assert.equal(code(of, { from: 'web', claims: { sub: 'bob' } }), 'ACCESS_DENIED');
    assert.equal(code(of, { from: 'web', claims: { sub: 'ann' } }), undefined);
    assert.equal(code(of, {}), 'ACCESS_DENIED');
    assert.equal(code(of, { from: 'web', method: 'POST' }), 'ACCESS_DENIED');
    assert.equal(code(policy('deny', rule('allow', service('shop'))), { from: 'web' }), 'ACCESS_DENIED');
  });

  it('is none where a rule denies', () => {
    assert.equal(code(policy('deny', rule('allow', byToken), rule('deny', service('web'))), { from: 'web' }), 'ACCESS_DENIED');
  });

  it('is one where a condition asks for the token, or holds', () => {
    assert.equal(code(policy('deny', rule('allow', MESH, undefined, { when: 'token unknown' })), { from: 'web' }), 'TOKEN_REQUIRED');
    assert.equal(code(policy('deny', rule('allow', MESH, undefined, { when: 'unknown' })), { from: 'web' }), 'ACCESS_DENIED');
    assert.equal(code(policy('deny', rule('allow', byToken, undefined, { when: 'false' })), { from: 'web' }), 'ACCESS_DENIED');
    assert.equal(code(policy('deny', rule('allow', byToken, undefined, { when: 'true' })), { from: 'web' }), 'TOKEN_REQUIRED');
  });
});

describe('rules that only watch', () => {
  it('decide nothing and are noted', () => {
    const of = policy(
      'deny',
      rule('allow', service('web'), undefined, { name: 'a' }),
      rule('deny', MESH, { methods: ['GET'] }, { name: 'b', audit: true }),
      rule('allow', ANYONE, undefined, { name: 'c', audit: true }),
    );
    const asWeb = decide(of, { from: 'web' });
    assertDecision(asWeb, true, 'a');
    assert.deepEqual(asWeb.audited, [
      { rule: 'b', effect: 'deny' },
      { rule: 'c', effect: 'allow' },
    ]);
    const other = decide(of, { method: 'POST' });
    assertDecision(other, false, '');
    assert.deepEqual(other.audited, [{ rule: 'c', effect: 'allow' }]);
    assert.deepEqual(decide({ ...of, rules: of.rules.slice(0, 2) }, { from: 'web', method: 'POST' }).audited, []);
  });

  it('may be all of a policy: nothing is refused, and what would be is noted', () => {
    const of: AccessPolicy = { ...policy('deny', rule('deny', service('bad')), rule('allow', service('web'))), audit: true };
    assert.deepEqual(decide(of, { from: 'bad' }), {
      allowed: true,
      rule: 'deny',
      code: undefined,
      audited: [{ rule: 'deny', effect: 'deny' }],
    });
    assert.deepEqual(decide(of, { from: 'x' }), { allowed: true, rule: '', code: undefined, audited: [{ rule: '', effect: 'deny' }] });
    assert.deepEqual(decide(of, { from: 'web' }), { allowed: true, rule: 'allow', code: undefined, audited: [] });
  });
});

describe('a policy that cannot be applied', () => {
  const message = (of: AccessPolicy): string => {
    try {
      compileAccess(of, { conditions: words });
      return '';
    } catch (error) {
      assert.equal((error as Error).name, 'AccessPolicyError');
      return (error as Error).message;
    }
  };

  it('says which rule, which part of it, why, and what to do', () => {
    const about = (subject: Subject, permission = {}): string => message(policy('deny', rule('allow', subject, permission, { name: 'r' })));
    assert.match(
      about({ networks: ['10.0.0.0/33'] }),
      /^access rule "r", subject: "10\.0\.0\.0\/33" is neither an address nor a network; write/,
    );
    assert.match(about({ networks: ['10.1.2.3/8'] }), /bits set behind the first 8; write "10\.1\.2\.3" alone/);
    assert.match(about({ networks: [] }), /list of networks is empty/);
    assert.match(about({ identities: [] }), /list of identities is empty/);
    assert.match(about({ identities: [{ kind: 'exact', id: 'web' }] }), /"web" is not a SPIFFE id/);
    assert.match(about({ identities: [{ kind: 'prefix', prefix: 'spiffe://m/ns/shop' }] }), /ends within a name/);
    assert.match(about({ token: { issuers: [], claims: [{ claim: ['a', ''], values: [1] }] } }), /a claim has no name/);
    assert.match(about({ token: { issuers: [], claims: [{ claim: ['a'], values: [] }] } }), /claim "a" has no values/);
    assert.match(about(ANYONE, { methods: [] }), /^access rule "r", permission: the list of methods is empty/);
    assert.match(about(ANYONE, { methods: ['CONNECT'] }), /makes a stream of bytes/);
    assert.match(about(ANYONE, { paths: [] }), /the list of paths is empty/);
    assert.match(about(ANYONE, paths('regex', '(?=a)')), /look-around/);
    assert.match(about(ANYONE, paths('exact', '/a//b')), /"\/a\/\/b" can never fit.*write "\/a\/b"/);
    assert.match(about(ANYONE, paths('prefix', '/%61%3A')), /write "\/a:"/);
    assert.match(about(ANYONE, paths('segments', '/a;b')), /not understood/);
    assert.match(about(ANYONE, paths('template', '/a/../{id}')), /can never fit.*write its texts in that form/);
    assert.match(about(ANYONE, { headers: [{ name: 'host' }] }), /the header "host" is the authority/);
    assert.match(
      message(policy('deny', rule('allow', ANYONE, undefined, { when: 'x' }))),
      /^access rule "allow", condition: "x" is no word; write one$/,
    );
    assert.match(message(policy('deny', rule('allow', ANYONE), rule('allow', MESH))), /the name is that of an earlier rule too/);
    assert.match(message(policy('deny', { ...rule('allow', ANYONE), subjects: [] })), /it is about nobody/);
    assert.match(message(policy('deny', rule('allow', ANYONE, undefined, { name: '' }))), /^access policy: a rule has no name/);
    const two = policy('deny', { ...rule('allow', ANYONE), permissions: [{}, { methods: ['?'] }] });
    assert.match(message(two), /^access rule "allow", permission 2: "\?" is not a method/);
    const many = Array.from({ length: 10_001 }, (_, index) => rule('allow', ANYONE, undefined, { name: `${index}` }));
    assert.match(message(policy('deny', ...many)), /^access policy: there are 10001 rules for one service; at most 10000 are taken/);
  });

  it('can be found out rule by rule', () => {
    assert.equal(accessRuleProblem(rule('allow', ANYONE, undefined, { when: 'what?' })), undefined);
    assert.equal(accessRuleProblem(rule('allow', ANYONE, undefined, { when: 'what?' }), words)?.reason, 'condition: "what?" is no word');
    assert.equal(accessRuleProblem(rule('allow', { networks: ['x'] }))?.rule, 'allow');
  });
});
