// What is declared, from the mesh file to the store and back: nothing lost, nothing let through that nobody could follow, and records of the
// version before read as what they meant.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ANY_REQUEST, DEFAULT_RETRY_BUDGET, NO_BREAKER, NO_RETRY } from '@heddle/core';
import type { EgressHost, Service, TrafficRule } from '@heddle/core';
import { ManualClock } from '../testing/clock.ts';
import { registration, service, silent } from '../testing/mesh.ts';
import { EGRESS, FULL_SERVICE } from '../testing/policies.ts';
import { checkDeclaration } from './declaration.ts';
import { openEmbeddedStore } from './embedded/store.ts';
import { RegistryError } from './errors.ts';
import type { RegistryErrorCode } from './errors.ts';
import { openRegistry } from './registry.ts';
import type { Registry } from './registry.ts';
import { readEgress, readService } from './service-record.ts';

const stock = service('stock');
const cache = service('cache', { protocol: 'tcp' });
const ref = (name: string) => ({ namespace: 'default', name });

/** As the version before balancing policies wrote it. */
const OLD_RECORD = {
  namespace: 'default',
  name: 'orders',
  port: 8_081,
  protocol: 'http',
  labels: {},
  health: { kind: 'http', path: '/healthz', intervalMs: 2_000, timeoutMs: 1_000, unhealthyAfter: 2, healthyAfter: 1 },
  balance: 'round-robin',
  timeoutMs: 15_000,
  connectTimeoutMs: 1_000,
  retry: { attempts: 2, on: ['connect-failure', 'refused'] },
  virtualAddress: '240.0.0.2',
};

function fails(code: RegistryErrorCode, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RegistryError, String(error));
    assert.match(error.message, words);
    return error.code === code;
  };
}

/** One life of a control plane on the store of the file. */
async function withRegistry(
  path: string,
  run: (registry: Registry, put: (key: string, value: unknown) => Promise<void>) => Promise<void>,
): Promise<void> {
  const store = openEmbeddedStore({ path, clock: new ManualClock() });
  const registry = await openRegistry({ store, logger: silent });
  const put = async (key: string, value: unknown): Promise<void> => {
    await store.transact({ conditions: [], operations: [{ kind: 'put', key, value: JSON.stringify(value) }] });
  };
  try {
    await run(registry, put);
  } finally {
    registry.close();
    await store.close();
  }
}

describe('records of services', () => {
  test('all that a service can say comes back from the disk as it was declared, hosts outside the mesh too', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'heddle-records-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const path = join(directory, 'registry.sqlite');
    await withRegistry(path, (registry) => registry.declareServices([FULL_SERVICE, stock], EGRESS));
    await withRegistry(path, async (registry) => {
      const { virtualAddress, ...read } = registry.service('default/orders')?.service ?? service('');
      assert.ok(virtualAddress);
      assert.deepEqual(read, FULL_SERVICE);
      assert.deepEqual(
        new Set(registry.egress.map(({ host, port, protocol }) => `${host}:${port} ${protocol}`)),
        new Set(EGRESS.map(({ host, port, protocol }) => `${host}:${port} ${protocol}`)),
      );
      const { revision } = registry;
      await registry.declareServices([FULL_SERVICE, stock], EGRESS);
      assert.equal(registry.revision, revision, 'what is as it was is not written again');
      await registry.declareServices([FULL_SERVICE, stock]);
      assert.deepEqual(registry.egress, []);
    });
  });

  test('a registry of the version before is read: balanced as then, with what did not exist switched off', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'heddle-records-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const path = join(directory, 'registry.sqlite');
    await withRegistry(path, (_, put) => put('/heddle/services/default/orders', OLD_RECORD));
    await withRegistry(path, async (registry) => {
      const read = registry.service('default/orders')?.service;
      assert.deepEqual(read, {
        ...OLD_RECORD,
        metadata: {},
        ports: {},
        balance: { algorithm: 'round-robin', locality: 'any', slowStartMs: 0, panicPercent: 0 },
        idleTimeoutMs: 0,
        retry: { ...NO_RETRY, attempts: 2, on: ['connect-failure', 'refused'] },
        retryBudget: DEFAULT_RETRY_BUDGET,
        breaker: NO_BREAKER,
        hash: [],
        rateLimits: [],
        rules: [],
      });
      await registry.register(registration('orders', 1), 0);
      await registry.declareServices([service('orders', { port: 8_081 })]);
      const now = registry.service('default/orders');
      assert.equal(now?.service.virtualAddress, '240.0.0.2');
      assert.equal(now.instances.length, 1);
    });
  });

  test('what is wrong in a record is named by its field', () => {
    const wrong: [change: object, words: RegExp][] = [
      [{ port: 0 }, /^service\.port .*>=1/],
      [{ balance: { ...FULL_SERVICE.balance, algorithm: 'best' } }, /^service\.balance\.algorithm .*"probing"/],
      [{ balance: 'random' }, /^service\.balance /],
      [{ breaker: { connections: 1, pending: 2 } }, /^service\.breaker\.requests is missing/],
      [{ retry: { ...FULL_SERVICE.retry, on: ['always'] } }, /^service\.retry\.on\[0\] /],
      [{ hash: [{ kind: 'moon' }] }, /^service\.hash\[0\]\.kind /],
      [{ rules: [{ ...FULL_SERVICE.rules[0], matches: [] }] }, /^service\.rules\[0\]\.matches /],
      [{ rateLimits: [{ ...FULL_SERVICE.rateLimits[0], burst: 0 }] }, /^service\.rateLimits\[0\]\.burst /],
      [{ outlier: { ...FULL_SERVICE.outlier, maxEjectMs: 1 } }, /^service\.outlier\.maxEjectMs is less than ejectMs/],
      [{ health: { ...FULL_SERVICE.health, kind: 'tcp' } }, /^service\.health\.path goes with checks by HTTP/],
      [{ virtualAddress: '10.0.0.1' }, /^service\.virtualAddress is not one of 240/],
      [{ metadata: { '': 'x' } }, /^service\.metadata/],
      [{ name: 'a/b' }, /^service\.name is not a name/],
      [{ polished: true }, /^service\.polished there is no such field/],
    ];
    for (const [change, words] of wrong)
      assert.throws(() => readService(JSON.stringify({ ...FULL_SERVICE, ...change })), fails('INVALID', words), JSON.stringify(change));
    assert.throws(() => readService('null'), fails('INVALID', /^service /));
    assert.throws(() => readService('{'), fails('INVALID', /not JSON/));
    assert.throws(() => readEgress('{"host":"a.test","port":1,"protocol":"udp"}'), fails('INVALID', /^egress\.protocol /));
  });
});

describe('declarations', () => {
  const rule = (over: Partial<TrafficRule> = {}): TrafficRule => ({
    name: 'all',
    matches: [ANY_REQUEST],
    action: { kind: 'forward', to: [{ service: ref('stock'), labels: {}, weight: 1 }] },
    ...over,
  });
  const orders = (...rules: TrafficRule[]): Service => service('orders', { rules });

  test('whatever the mesh can follow is taken', () => {
    checkDeclaration([FULL_SERVICE, stock, cache], EGRESS);
    checkDeclaration([orders(rule()), stock], []);
  });

  test('rules that lead nowhere, or that data planes would refuse, are refused with their place', () => {
    const to = (name: string, weight = 1) => ({ service: ref(name), labels: { version: 'v2' }, weight });
    const forward = (...targets: ReturnType<typeof to>[]): TrafficRule => rule({ action: { kind: 'forward', to: targets } });
    const wrong: [services: readonly Service[], words: RegExp][] = [
      [
        [orders(forward(to('stok')))],
        /service default\/orders: rule "all": has the destination default\/stok\{version=v2\}, and there is no service default\/stok/,
      ],
      [
        [orders(rule({ action: { kind: 'forward', to: [to('orders')], mirrors: [{ service: ref('gone'), labels: {}, percent: 1 }] } }))],
        /the mirror default\/gone/,
      ],
      [[orders(forward(to('cache'))), cache], /default\/cache, which is spoken to by tcp/],
      [[orders(forward(to('stock', 0), to('orders', 0))), stock], /all have weight 0/],
      [[orders(rule(), rule({ matches: [{ ...ANY_REQUEST, methods: ['GET'] }] })), stock], /rule "all": is there twice/],
      [[orders(rule(), rule({ name: 'again' })), stock], /service default\/orders: .*route "again": it matches the same as route "all"/],
      [[orders(rule({ matches: [{ kind: 'request', path: { kind: 'regex', value: '(' } }] })), stock], /route "all"/],
      [[service('cache', { protocol: 'tcp', rules: [rule()] }), stock], /service default\/cache: has rules, which are for requests/],
      [[service('cache', { protocol: 'tls', rateLimits: FULL_SERVICE.rateLimits })], /has rate limits, which are for requests/],
      [
        [
          service('orders', {
            rateLimits: [
              { requests: 1, perMs: 1, burst: 1, by: { kind: 'all' }, match: { kind: 'request', path: { kind: 'exact', value: 'no' } } },
            ],
          }),
        ],
        /route "rate limit 1"/,
      ],
    ];
    for (const [services, words] of wrong) assert.throws(() => checkDeclaration(services, []), fails('INVALID', words), String(words));
  });

  test('hosts outside the mesh have one meaning each, and are none of the mesh', () => {
    const wrong: [egress: Partial<EgressHost>[], words: RegExp][] = [
      [[{}, { host: 'A.test', protocol: 'https' }], /a\.test:443: is declared twice/],
      [[{ host: '*.example.com' }], /\*\.example\.com:443: stands for many hosts/],
      [[{ host: 'orders' }], /is a name of the mesh itself/],
      [[{ host: 'x.mesh.internal' }], /is a name of the mesh itself/],
      [[{ host: '240.0.0.9' }], /is a name of the mesh itself/],
      [[{ host: '192.0.2.1', protocol: 'https' }], /a certificate is checked against a name/],
      [[{ host: 'a b' }], /neither a host name nor an address/],
    ];
    for (const [egress, words] of wrong)
      assert.throws(
        () =>
          checkDeclaration(
            [service('orders')],
            egress.map((one) => ({ host: 'a.test', port: 443, protocol: 'tcp', ...one })),
          ),
        fails('INVALID', words),
        String(words),
      );
  });

  test('what cannot be read back is not written, and nothing else is either', async () => {
    const store = openEmbeddedStore({ path: undefined, clock: new ManualClock() });
    const registry = await openRegistry({ store, logger: silent });
    const { revision } = registry;
    const endless = service('orders', { timeoutMs: 86_400_001 });
    await assert.rejects(registry.declareServices([stock, endless]), fails('INVALID', /^default\/orders: service\.timeoutMs /));
    const rules = Array.from({ length: 200 }, (_, index) =>
      rule({ name: `r${index}`, matches: [{ kind: 'request', path: { kind: 'exact', value: `/${index}/${'x'.repeat(2_000)}` } }] }),
    );
    await assert.rejects(registry.declareServices([stock, orders(...rules)]), fails('LIMIT', /default\/orders: .* characters/));
    assert.equal(registry.revision, revision);
    registry.close();
    await store.close();
  });
});
