// Who may call whom, kept in the store: whole or not at all, whatever its size.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCESS_RULES_MAX, DEFAULT_SECURITY } from '@heddle/core';
import type { SecurityConfig } from '@heddle/core';
import { ManualClock } from '../testing/clock.ts';
import { service, silent } from '../testing/mesh.ts';
import { EGRESS, FULL_SECURITY } from '../testing/policies.ts';
import { openEmbeddedStore } from './embedded/store.ts';
import { openRegistry } from './registry.ts';
import type { Registry } from './registry.ts';
import { UNREADABLE_SECURITY, readSecurity, securityParts } from './security-record.ts';
import type { Store } from './store.ts';

const SERVICES = ['orders', 'stock', 'web'].map((name) => service(name));

function manyRules(count: number): SecurityConfig {
  const [rule] = FULL_SECURITY.access.rules;
  const rules = Array.from({ length: count }, (_, index) => ({ ...rule!, name: `règle 𝄞 ${index}` }));
  return { ...DEFAULT_SECURITY, access: { default: 'deny', rules } };
}

async function withStore(run: (store: Store, open: () => Promise<Registry>) => Promise<void>): Promise<void> {
  const store = openEmbeddedStore({ path: undefined, clock: new ManualClock() });
  const opened: Registry[] = [];
  try {
    await run(store, async () => {
      const registry = await openRegistry({ store, logger: silent });
      opened.push(registry);
      return registry;
    });
  } finally {
    for (const registry of opened) registry.close();
    await store.close();
  }
}

test('what is declared is what is read back, of one rule as of thousands; the default takes no room', () => {
  for (const config of [DEFAULT_SECURITY, FULL_SECURITY, manyRules(2_000)]) {
    const parts = securityParts(config);
    assert.deepEqual(readSecurity([...parts.values()]), config);
    for (const part of parts.values()) assert.ok(part.length <= 262_144 && part.isWellFormed());
  }
  assert.equal(securityParts(DEFAULT_SECURITY).size, 0);
  assert.ok(securityParts(manyRules(2_000)).size > 1);
  assert.throws(() => securityParts(manyRules(10_001)), /security\.access\.rules/);
  const endless = { ...DEFAULT_SECURITY, denied: Array.from({ length: 3_000 }, (_, index) => `${'x'.repeat(4_000)}${index}`) };
  assert.throws(() => securityParts(endless), /the registry takes 8388608/);
});

test('a registry that is opened again has it, and one beside it hears of each change as a whole', () =>
  withStore(async (_store, open) => {
    const registry = await open();
    const other = await open();
    const heard: SecurityConfig[] = [];
    other.onChange(({ security }) => {
      if (security) heard.push(other.security);
    });
    const many = manyRules(2_000);
    for (const config of [FULL_SECURITY, many, many, FULL_SECURITY, DEFAULT_SECURITY])
      await registry.declareServices(SERVICES, EGRESS, config);
    assert.deepEqual(heard, [FULL_SECURITY, many, FULL_SECURITY, DEFAULT_SECURITY]);
    await registry.declareServices(SERVICES, EGRESS, FULL_SECURITY);
    assert.deepEqual((await open()).security, FULL_SECURITY);
  }));

test('what cannot be read leaves what was; where nothing was, nobody may do anything', () =>
  withStore(async (store, open) => {
    const registry = await open();
    await registry.declareServices(SERVICES, [], FULL_SECURITY);
    const key = (await store.list('/heddle/security/')).entries[0]?.key ?? '';
    await store.transact({ conditions: [], operations: [{ kind: 'put', key, value: '{"mtls":"str' }] });
    const late = await open();
    assert.equal(late.security, UNREADABLE_SECURITY);
    assert.deepEqual(registry.security, FULL_SECURITY);
    await registry.declareServices(SERVICES, [], FULL_SECURITY);
    assert.deepEqual(late.security, FULL_SECURITY);
  }));

test('rules that data planes would refuse, and an authorizer that is none, are refused before anything is written', () =>
  withStore(async (store, open) => {
    const registry = await open();
    const [rule] = FULL_SECURITY.access.rules;
    const external = FULL_SECURITY.access.external!;
    const wrong: [Partial<SecurityConfig['access']>, RegExp][] = [
      [{ rules: [rule!, rule!] }, /access rule "readers": is there twice/],
      [{ rules: [{ ...rule!, subjects: [{ networks: ['nowhere'] }] }] }, /security: access rule "readers".*nowhere/],
      [{ rules: [{ ...rule!, permissions: [{ paths: [{ kind: 'regex', value: '(' }] }] }] }, /security: access rule "readers"/],
      [
        { rules: Array.from({ length: ACCESS_RULES_MAX + 1 }, (_, index) => ({ ...rule!, name: `r${index}` })) },
        /access rules are for default\/orders, the limit is/,
      ],
      [{ external: { ...external, service: { namespace: 'default', name: 'gone' } } }, /has the authorizer default\/gone, and there is no/],
    ];
    for (const [access, words] of wrong) {
      const config = { ...FULL_SECURITY, access: { ...FULL_SECURITY.access, ...access } };
      await assert.rejects(registry.declareServices(SERVICES, [], config), words);
    }
    assert.equal((await store.list('/heddle/')).entries.filter(({ key }) => key !== '/heddle/histories').length, 0);
  }));
