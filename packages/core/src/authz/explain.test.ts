import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessPolicy, Permission, Subject } from '../model/security.ts';
import type { Condition } from './condition.ts';
import { explainAccess } from './explain.ts';
import { ANYONE, idOf, MESH, paths, policy, rule, service, view, type ViewParts } from './test-support.ts';

const unknown: Condition = { readsPath: false, readsToken: false, holds: () => undefined, whyUnknown: () => 'field not found: x' };
const options = {
  conditions: (source: string): Condition => (source === 'no' ? { ...unknown, holds: () => false, whyUnknown: () => '' } : unknown),
};

const why = (subject: Subject, permission: Permission | undefined, parts: ViewParts): string | undefined =>
  explainAccess(policy('deny', rule('allow', subject, permission)), view(parts), options).rules[0]?.why;

describe('an explanation', () => {
  it('says what decided', () => {
    const reason = (of: AccessPolicy, parts: ViewParts = {}): string => explainAccess(of, view(parts), options).reason;
    assert.equal(reason(policy('deny', rule('allow', service('web'))), { from: 'web' }), 'rule "allow" decides');
    assert.equal(reason(policy('deny')), 'no rule fits, and the default is deny');
    assert.equal(
      reason({ ...policy('deny'), audit: true }),
      'no rule fits, and the default is deny, but the policy only watches: nothing is refused',
    );
    assert.equal(
      reason(policy('deny', rule('allow', ANYONE, paths('prefix', '/a'))), { path: '/a;b' }),
      'no rule fits, and the default is deny; the path "/a;b" is not understood',
    );
  });

  it('says of each rule what speaks against it', () => {
    assert.equal(why(service('web'), undefined, { from: 'web' }), '');
    assert.equal(why(service('web'), undefined, { from: 'shop' }), `the caller is ${idOf('shop')}, not ${idOf('web')}`);
    assert.equal(
      why(service('a', 'b', 'c', 'd', 'e'), undefined, { from: 'x' }),
      `the caller is ${idOf('x')}, not ${idOf('a')} or ${idOf('b')} or ${idOf('c')} or 2 others`,
    );
    assert.equal(why(MESH, undefined, {}), 'the caller has no identity');
    assert.equal(why({ networks: ['10.0.0.0/8'] }, undefined, {}), "the caller's address 192.0.2.1 is not in 10.0.0.0/8");
    assert.equal(why({ networks: ['10.0.0.0/8'] }, undefined, { peerAddress: '' }), "the caller's address is not known");
    const token: Subject = { token: { issuers: ['login'], claims: [{ claim: ['realm', 'roles'], values: ['a', 'b'] }] } };
    assert.equal(why(token, undefined, {}), 'no token came');
    assert.equal(why(token, undefined, { claims: {}, issuer: 'other' }), 'the token is of "other", not of "login"');
    assert.equal(why(token, undefined, { claims: { realm: { roles: ['secret'] } } }), 'the token\'s claim "realm.roles" is not "a" or "b"');
    assert.equal(why(ANYONE, { methods: ['GET', 'PUT'] }, { method: 'POST' }), 'the method is POST, not GET or PUT');
    assert.equal(why(ANYONE, paths('segments', '/a'), { path: '/%62?x' }), 'the path "/b" is neither below nor equal to "/a"');
    assert.equal(
      why(ANYONE, paths('exact', '/a', '/c'), { path: '/b' }),
      'the path "/b" is not "/a", and no other of the 2 alternatives fits',
    );
    assert.equal(why(ANYONE, paths('exact', '/a'), { path: '/%2f' }), 'the path "/%2f" is not understood');
    assert.equal(why(ANYONE, { authorities: [{ kind: 'exact', value: 'a' }] }, { authority: 'b:80' }), 'the authority "b:80" is not "a"');
    const header = { headers: [{ name: 'x-user' }, { name: 'x-team', match: { kind: 'exact' as const, value: 'a' } }] };
    assert.equal(why(ANYONE, header, { headers: [['x-user', 'ann']] }), 'the header "x-team" is missing');
    assert.equal(why(ANYONE, { methods: ['GET'] }, { isStream: true }), 'a stream of bytes has no method, path or headers');
  });

  it('says of several subjects or permissions what speaks against each', () => {
    const of = policy('deny', { ...rule('allow', ANYONE), permissions: [{ methods: ['GET'] }, paths('exact', '/a')] });
    assert.equal(
      explainAccess(of, view({ method: 'POST', path: '/b' })).rules[0]?.why,
      'the method is POST, not GET, and the path "/b" is not "/a"',
    );
  });

  it('says of conditions whether they are false or cannot be told', () => {
    const whyWhen = (effect: 'allow' | 'deny', when: string): string | undefined =>
      explainAccess(policy('deny', rule(effect, ANYONE, undefined, { when })), view(), options).rules[0]?.why;
    assert.equal(whyWhen('allow', 'no'), 'its condition is false');
    assert.equal(whyWhen('allow', 'x'), 'its condition cannot be told: field not found: x');
    assert.equal(whyWhen('deny', 'x'), 'its condition cannot be told (field not found: x), which counts as fitting where it denies');
    const odd = explainAccess(policy('allow', rule('deny', ANYONE, paths('exact', '/a'))), view({ path: '/;' }));
    assert.equal(odd.rules[0]?.why, 'the path is not understood, which counts as fitting where it denies');
  });

  it('says what a token would change', () => {
    const token: Subject = { token: { issuers: [], claims: [] } };
    const of = policy('deny', rule('allow', token, undefined, { name: 'a' }), rule('allow', token, undefined, { name: 'b' }));
    assert.equal(explainAccess(of, view()).token, 'with a token, rules "a", "b" may allow it');
    assert.equal(explainAccess(of, view({ claims: {} })).token, '');
    assert.equal(explainAccess(policy('deny'), view()).token, '');
    const denied = policy('deny', rule('allow', token), rule('deny', ANYONE));
    assert.equal(explainAccess(denied, view()).token, 'a token may make rule "allow" fit, but a rule that denies goes before');
  });
});
