import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AccessPolicy } from '../model/security.ts';
import { compileAccess } from './access.ts';
import { callersOf, mayCall } from './callers.ts';
import { ANYONE, idOf, MESH, policy, rule, service, view } from './test-support.ts';

describe('the callers of a policy', () => {
  const may = (of: AccessPolicy, name: string): boolean => {
    const callers = callersOf(of);
    return callers === undefined || mayCall(callers, idOf(name));
  };

  it('are those that some rule may allow', () => {
    const of = policy(
      'deny',
      rule('allow', service('web', 'shop'), { methods: ['GET'] }),
      rule('allow', service('web'), undefined, { name: 'b', when: 'x' }),
    );
    assert.deepEqual(callersOf(of), {
      allowed: [
        { kind: 'exact', id: idOf('web') },
        { kind: 'exact', id: idOf('shop') },
      ],
      denied: [],
    });
    assert.deepEqual([may(of, 'web'), may(of, 'shop'), may(of, 'bank')], [true, true, false]);
  });

  it('are all where some rule asks for no identity, or the default allows', () => {
    assert.equal(callersOf(policy('deny', rule('allow', service('web')), rule('allow', { networks: ['10.0.0.0/8'] }))), undefined);
    assert.equal(callersOf(policy('allow', rule('allow', service('web')))), undefined);
    assert.equal(callersOf({ ...policy('deny'), audit: true }), undefined);
  });

  it('are none where nothing allows, and nobody of the mesh where everybody is denied', () => {
    assert.deepEqual(callersOf(policy('deny')), { allowed: [], denied: [] });
    assert.equal(may(policy('deny', rule('allow', MESH, undefined, { audit: true })), 'web'), false);
    assert.equal(may(policy('allow', rule('deny', ANYONE)), 'web'), false);
  });

  it('are not those that a rule denies whatever they ask', () => {
    const denied = (...rules: Parameters<typeof rule>[]): boolean => !may(policy('allow', ...rules.map((one) => rule(...one))), 'web');
    assert.equal(denied(['deny', service('web')]), true);
    assert.equal(denied(['deny', service('web'), {}]), true);
    assert.equal(denied(['deny', service('web'), { methods: ['GET'] }]), false);
    assert.equal(denied(['deny', service('web'), undefined, { when: 'x' }]), false);
    assert.equal(denied(['deny', service('web'), undefined, { audit: true }]), false);
    assert.equal(denied(['deny', { ...service('web'), networks: ['10.0.0.0/8'] }]), false);
    assert.equal(denied(['deny', { ...service('web'), token: { issuers: [], claims: [] } }]), false);
    assert.equal(denied(['deny', { identities: [{ kind: 'prefix', prefix: 'spiffe://mesh.internal/ns/default/' }] }]), true);
  });

  it('are never fewer than those who are allowed something', () => {
    const subject = fc.constantFrom(ANYONE, MESH, service('web'), service('shop', 'bank'), { networks: ['192.0.2.0/24'] });
    const permission = fc.constantFrom(undefined, {}, { methods: ['GET'] });
    const one = fc.tuple(fc.constantFrom('allow' as const, 'deny' as const), subject, permission, fc.boolean());
    fc.assert(
      fc.property(
        fc.constantFrom('allow' as const, 'deny' as const),
        fc.array(one, { maxLength: 4 }),
        fc.constantFrom('web', 'shop', 'x'),
        (byDefault, rules, from) => {
          const of = policy(
            byDefault,
            ...rules.map(([effect, who, what, audit], index) => rule(effect, who, what, { name: `r${index}`, ...(audit && { audit }) })),
          );
          const allowed = ['GET', 'POST'].some((method) => compileAccess(of).decide(view({ from, method })).allowed);
          if (allowed) assert.equal(may(of, from), true);
        },
      ),
    );
  });
});
