import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_SECURITY } from '../model/defaults.ts';
import type { AccessConfig, AccessTarget, SecurityConfig } from '../model/security.ts';
import { accessPolicyOf, type LabelledService } from './policy-of.ts';
import { ANYONE, idOf, MESH, rule } from './test-support.ts';

const orders: LabelledService = { namespace: 'default', name: 'orders', labels: { tier: 'gold' } };
const web: LabelledService = { namespace: 'default', name: 'web', labels: { zone: 'eu' } };
const bare: LabelledService = { namespace: 'shop', name: 'bare', labels: {} };

const security = (access: Partial<AccessConfig>): SecurityConfig => ({
  ...DEFAULT_SECURITY,
  access: { default: 'deny', rules: [], ...access },
});
const to = (...targets: AccessTarget[]): { to: readonly AccessTarget[] } => ({ to: targets });
const policyFor = (access: Partial<AccessConfig>, of = orders, cluster?: string): ReturnType<typeof accessPolicyOf> =>
  accessPolicyOf(security(access), of, [orders, web, bare], 'mesh.internal', cluster);

describe('the policy of a service', () => {
  it('has the rules that are for it, for its namespace or for all, in their order and with their names', () => {
    const rules = [
      {
        ...rule('allow', MESH, undefined, { name: 'rule 1' }),
        ...to({ kind: 'service', service: { namespace: 'default', name: 'orders' } }),
      },
      { ...rule('allow', MESH, undefined, { name: 'rule 2' }), ...to({ kind: 'service', service: { namespace: 'shop', name: 'orders' } }) },
      {
        ...rule('deny', ANYONE, undefined, { name: 'rule 3' }),
        ...to({ kind: 'namespace', namespace: 'shop' }, { kind: 'namespace', namespace: 'default' }),
      },
      { ...rule('deny', ANYONE, undefined, { name: 'rule 4' }), ...to() },
    ];
    assert.deepEqual(
      policyFor({ rules })?.rules.map(({ name }) => name),
      ['rule 1', 'rule 3', 'rule 4'],
    );
    assert.deepEqual(
      policyFor({ rules }, bare)?.rules.map(({ name }) => name),
      ['rule 3', 'rule 4'],
    );
    assert.equal(Object.hasOwn(policyFor({ rules })?.rules[0] ?? {}, 'to'), false);
  });

  it('is absent where everybody may do everything and nobody is asked', () => {
    assert.equal(policyFor({ default: 'allow' }), undefined);
    assert.deepEqual(policyFor({ default: 'deny' }), { default: 'deny', rules: [] });
    const external = { service: { namespace: 'default', name: 'authz' }, timeoutMs: 200, failOpen: false, bodyBytesMax: 0 };
    assert.equal(policyFor({ default: 'allow', external }), undefined);
    assert.deepEqual(policyFor({ default: 'allow', external, audit: true }, orders, 'c'), {
      default: 'allow',
      rules: [],
      audit: true,
      external: { cluster: 'c', timeoutMs: 200, failOpen: false, bodyBytesMax: 0 },
    });
  });

  it('has labels of the service and of callers that have some, where a condition asks for them', () => {
    const with_ = (when: string): AccessConfig['rules'] => [{ ...rule('allow', MESH, undefined, { when }), ...to() }];
    assert.deepEqual(policyFor({ rules: with_('source.labels.zone == destination.labels.zone') })?.labels, {
      destination: { tier: 'gold' },
      sources: { [idOf('orders')]: { tier: 'gold' }, [idOf('web')]: { zone: 'eu' } },
    });
    assert.equal(policyFor({ rules: with_('request.method == "GET"') })?.labels, undefined);
  });
});
