// Every declared service has a virtual address that outlives the control plane, and callers are told it.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isVirtualAddress, type Service } from '@heddle/core';
import { compileMeshRoute } from '../compiler/service-resources.ts';
import { ManualClock } from '../testing/clock.ts';
import { service, silent } from '../testing/mesh.ts';
import { openEmbeddedStore } from './embedded/store.ts';
import { serviceStoreKey } from './keys.ts';
import { openRegistry, type Registry } from './registry.ts';
import type { Store } from './store.ts';

async function withRegistry(path: string | undefined, run: (registry: Registry, store: Store) => Promise<void>): Promise<void> {
  const store = openEmbeddedStore({ path, clock: new ManualClock() });
  const registry = await openRegistry({ store, logger: silent });
  try {
    await run(registry, store);
  } finally {
    registry.close();
    await store.close();
  }
}

function addresses(registry: Registry): Record<string, string | undefined> {
  return Object.fromEntries(
    [...registry.snapshot().services].map(
      ([
        key,
        {
          service: { virtualAddress },
        },
      ]) => [key, virtualAddress],
    ),
  );
}

test('services get addresses of their own, and keep them when others come and go, and when the control plane starts again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'heddle-registry-'));
  const path = join(directory, 'registry.sqlite');
  try {
    let first: Record<string, string | undefined> = {};
    await withRegistry(path, async (registry) => {
      await registry.declareServices([service('web'), service('orders')]);
      first = addresses(registry);
      assert.ok(Object.values(first).every((address) => address !== undefined && isVirtualAddress(address)));
      assert.equal(new Set(Object.values(first)).size, 2);
      const { revision } = registry;
      await registry.declareServices([service('web'), service('orders')]);
      assert.equal(registry.revision, revision, 'the same declaration again writes nothing');
    });
    await withRegistry(path, async (registry) => {
      await registry.declareServices([service('another'), service('web', { port: 99 })]);
      assert.equal(addresses(registry)['default/web'], first['default/web']);
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('an address that was held stays with its service, also when it would draw another; one that is none is replaced', async () => {
  await withRegistry(undefined, async (registry, store) => {
    const put = (declared: Service, virtualAddress: string) =>
      store.transact({
        conditions: [],
        operations: [{ kind: 'put', key: serviceStoreKey(declared), value: JSON.stringify({ ...declared, virtualAddress }) }],
      });
    await put(service('web'), '240.7.7.7');
    await put(service('orders'), '10.0.0.1');
    await store.transact({ conditions: [], operations: [{ kind: 'put', key: '/heddle/services/default/cache', value: '{' }] });
    await registry.declareServices([service('web'), service('orders'), service('cache')]);
    const { 'default/web': web, 'default/orders': orders = '', 'default/cache': cache = '' } = addresses(registry);
    assert.equal(web, '240.7.7.7');
    assert.ok(isVirtualAddress(orders) && isVirtualAddress(cache));
  });
});

test('the routes of the mesh name the address of a service, with and without its port', () => {
  const route = compileMeshRoute([service('web', { port: 81, virtualAddress: '240.7.7.7' }), service('orders')], () => []);
  const domains = (name: string) => route.virtualHosts.find((host) => host.name === `outbound/default/${name}`)?.domains ?? [];
  assert.ok(domains('web').includes('240.7.7.7') && domains('web').includes('240.7.7.7:81'));
  assert.ok(!domains('orders').some((domain) => domain.startsWith('2')));
});
