// What the owners of a mesh say about security, as data planes are told it; and that a change of one rule touches only what it concerns.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_SECURITY } from '@heddle/core';
import type { AccessRule, SecurityConfig, Service } from '@heddle/core';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry } from '../registry/registry.ts';
import type { Registry } from '../registry/registry.ts';
import type { Store } from '../registry/store.ts';
import { ManualClock } from '../testing/clock.ts';
import { registration, service, silent } from '../testing/mesh.ts';
import { FULL_SECURITY } from '../testing/policies.ts';
import { Compiler } from './compiler.ts';
import type { CompiledChange, NodeScope } from './compiler.ts';

const id = (name: string): string => `spiffe://shop.test/ns/default/svc/${name}`;
const ref = (name: string) => ({ namespace: 'default', name });
const scope: NodeScope = { node: 'node-1', flavour: 'heddle', outboundProxy: undefined, identityDir: undefined, mayHost: () => true };
const SERVICES = [service('orders'), service('web'), service('cache', { protocol: 'tcp' })];

type Rule = SecurityConfig['access']['rules'][number];

/** Lets one service call others. */
function allow(name: string, from: string, to: readonly string[], over: Partial<AccessRule> = {}): Rule {
  const subjects = [{ identities: [{ kind: 'exact' as const, id: id(from) }] }];
  return { name, effect: 'allow', subjects, permissions: [], to: to.map((one) => ({ kind: 'service', service: ref(one) })), ...over };
}

function security(over: Partial<SecurityConfig>): SecurityConfig {
  return { ...DEFAULT_SECURITY, ...over };
}

function denyAll(...rules: readonly Rule[]): SecurityConfig {
  return security({ access: { default: 'deny', rules } });
}

describe('security, compiled', () => {
  let store: Store;
  let registry: Registry;
  let compiler: Compiler;
  const changes: CompiledChange[] = [];
  before(async () => {
    store = openEmbeddedStore({ path: undefined, clock: new ManualClock() });
    registry = await openRegistry({ store, logger: silent });
    await registry.declareServices(SERVICES);
    compiler = new Compiler({ source: registry, trustDomain: 'shop.test', rootsPem: 'roots' });
    registry.onChange((change) => changes.push(compiler.apply(change)));
    for (const [index, name] of ['orders', 'web', 'cache'].entries())
      await registry.register(registration(name, index + 1, { node: `node-${index + 1}` }), 0);
  });
  after(async () => {
    registry.close();
    await store.close();
  });

  async function declare(config: SecurityConfig, services: readonly Service[] = SERVICES): Promise<void> {
    await registry.declareServices(services, [], config);
  }
  const inbound = (name: string, index: number) => {
    const own = compiler.forNode({ ...scope, node: `node-${index}` });
    const host = own.route.get(`inbound/default/${name}/${name}-${index}`)?.virtualHosts[0];
    return { access: host?.access, tokens: host?.tokens, tls: own.listener.get(`inbound/default/${name}/${name}-${index}`)?.tls };
  };
  const outbound = (name: string) => {
    const host = compiler.shared.route.get(`outbound/default/${name}`)?.virtualHosts[0];
    const mesh = compiler.shared.route.get('outbound/mesh')?.virtualHosts.find((one) => one.name === `outbound/default/${name}`);
    assert.deepEqual([mesh?.callers, mesh?.attach], [host?.callers, host?.attach]);
    return { callers: host?.callers, attach: host?.attach };
  };

  test('a mesh that says nothing is compiled to what it always was', async () => {
    await declare(DEFAULT_SECURITY);
    assert.deepEqual(inbound('orders', 1), {
      access: undefined,
      tokens: undefined,
      tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.test' },
    });
    assert.deepEqual(outbound('orders'), { callers: undefined, attach: undefined });
    assert.deepEqual([...compiler.shared.secret.values()], [{ name: 'trust-bundle', rootsPem: 'roots' }]);
    assert.equal((await store.list('/heddle/security/')).entries.length, 0);
  });

  test('rules go to the way in of the services they are for, and their callers learn who need not try', async () => {
    await declare(denyAll(allow('readers', 'web', ['orders']), allow('all', 'orders', [], { permissions: [{ methods: ['GET'] }] })));
    const names = (name: string, index: number) => inbound(name, index).access?.rules.map((rule) => rule.name);
    assert.deepEqual([names('orders', 1), names('web', 2), names('cache', 3)], [['readers', 'all'], ['all'], ['all']]);
    assert.equal(inbound('web', 2).access?.default, 'deny');
    assert.deepEqual(outbound('orders').callers, {
      allowed: [
        { kind: 'exact', id: id('web') },
        { kind: 'exact', id: id('orders') },
      ],
      denied: [],
    });
  });

  test('a change of one rule touches only the services it concerns', async () => {
    const rules = [allow('to orders', 'web', ['orders']), allow('to web', 'orders', ['web'])] as const;
    await declare(denyAll(...rules));
    const web = compiler.forNode({ ...scope, node: 'node-2' }).route.get('inbound/default/web/web-2');
    changes.length = 0;
    await declare(denyAll(allow('to orders', 'cache', ['orders']), rules[1]));
    assert.deepEqual(
      changes.map(({ nodes, shared }) => [nodes, shared]),
      [[new Set(['node-1']), new Map([['route', new Set(['outbound/default/orders', 'outbound/mesh'])]])]],
    );
    assert.equal(compiler.forNode({ ...scope, node: 'node-2' }).route.get('inbound/default/web/web-2'), web);
    changes.length = 0;
    await declare(denyAll(allow('to orders', 'cache', ['orders']), rules[1]));
    assert.deepEqual(changes, []);
  });

  test('who may not call a service may still ask for it where its rules lead elsewhere or answer', async () => {
    const moved = service('web', {
      rules: [
        {
          name: 'moved',
          matches: [{ kind: 'request', path: { kind: 'prefix', value: '/old' } }],
          action: { kind: 'forward', to: [{ service: ref('orders'), labels: {}, weight: 1 }] },
        },
      ],
    });
    await declare(denyAll(allow('to web', 'orders', ['web'])), [SERVICES[0]!, moved, SERVICES[2]!]);
    assert.equal(outbound('web').callers, undefined);
    assert.notEqual(outbound('orders').callers, undefined);
  });

  test('labels go along only where a condition asks for them, and follow the services', async () => {
    const labelled = (zone: string): Service[] => [service('orders'), service('web', { labels: { zone } }), SERVICES[2]!];
    const rule = allow('near', 'web', ['orders'], { when: 'source.labels.zone == "eu"' });
    await declare(denyAll(rule, allow('to web', 'orders', ['web'])), labelled('eu'));
    assert.deepEqual(inbound('orders', 1).access?.labels, { destination: {}, sources: { [id('web')]: { zone: 'eu' } } });
    assert.equal(inbound('web', 2).access?.labels, undefined);
    changes.length = 0;
    await declare(denyAll(rule, allow('to web', 'orders', ['web'])), labelled('us'));
    assert.deepEqual(inbound('orders', 1).access?.labels?.sources, { [id('web')]: { zone: 'us' } });
    assert.ok(changes.every(({ nodes }) => nodes !== 'all' && nodes.has('node-1')));
  });

  test('strict, permissive and off, of the mesh and of a service, on both sides', async () => {
    const cluster = (name: string) => compiler.shared.cluster.get(`outbound/default/${name}`)?.tls;
    await declare(security({ mtls: 'permissive', tlsMin: '1.2' }), [SERVICES[0]!, service('web', { mtls: 'off' }), SERVICES[2]!]);
    assert.deepEqual(inbound('orders', 1).tls, {
      certificateName: 'workload',
      trustBundleName: 'trust-bundle',
      trustDomain: 'shop.test',
      plaintext: true,
      minVersion: '1.2',
    });
    assert.deepEqual([cluster('orders')?.minVersion, cluster('orders')?.peerIds], ['1.2', [id('orders')]]);
    assert.deepEqual([inbound('web', 2).tls, cluster('web')], [undefined, undefined]);
    changes.length = 0;
    await declare(security({ mtls: 'permissive', tlsMin: '1.2' }), SERVICES);
    assert.notEqual(cluster('web'), undefined);
    assert.deepEqual(changes[0]?.shared.get('cluster'), new Set(['outbound/default/web']));
    // Nobody has an identity there, so nobody is refused for one.
    await declare({ ...denyAll(allow('to web', 'orders', ['web'])), mtls: 'off' });
    assert.equal(outbound('web').callers, undefined);
  });

  test('tokens count on the way in of what takes requests; those for calls are attached on the way out', async () => {
    const { issuers, outboundTokens } = FULL_SECURITY;
    const [first] = outboundTokens;
    await registry.declareServices(
      SERVICES,
      [{ host: 'api.test', port: 443, protocol: 'https' }],
      security({ issuers, outboundTokens: [{ ...first!, to: [ref('web'), first!.to[1]!] }] }),
    );
    assert.deepEqual(inbound('orders', 1).tokens, { issuers });
    assert.equal(inbound('cache', 3).tokens, undefined);
    const attach = [{ from: [id('orders')], token: first!.token }];
    assert.deepEqual(outbound('web').attach, attach);
    assert.equal(outbound('orders').attach, undefined);
    const egress = compiler.shared.route.get('outbound/mesh')?.virtualHosts.find(({ name }) => name === 'egress/api.test:443');
    assert.deepEqual(egress?.attach, attach);
  });

  test('the authorizer is asked by all others over the cluster of its service, and lets itself be asked', async () => {
    const external = { service: ref('web'), timeoutMs: 200, failOpen: false, bodyBytesMax: 0 };
    await declare(security({ access: { default: 'deny', rules: [], external } }));
    assert.deepEqual(inbound('orders', 1).access?.external, {
      cluster: 'outbound/default/web',
      timeoutMs: 200,
      failOpen: false,
      bodyBytesMax: 0,
    });
    assert.ok(compiler.shared.cluster.has('outbound/default/web'));
    const own = inbound('web', 2).access;
    assert.equal(own?.external, undefined);
    assert.deepEqual(
      own?.rules.map(({ effect, permissions }) => [effect, permissions]),
      [['allow', [{ methods: ['POST'], paths: [{ kind: 'exact', value: '/envoy.service.auth.v3.Authorization/Check' }] }]]],
    );
    assert.deepEqual(outbound('web').callers, { allowed: [{ kind: 'any' }], denied: [] });
  });

  test('identities that are denied travel with the roots', async () => {
    changes.length = 0;
    await declare(security({ denied: [id('cache')] }));
    assert.deepEqual(compiler.shared.secret.get('trust-bundle'), { name: 'trust-bundle', rootsPem: 'roots', denied: [id('cache')] });
    assert.deepEqual(changes[0]?.shared.get('secret'), new Set(['trust-bundle']));
  });

  test('step by step gives what compiling everything anew gives', async () => {
    const steps: [SecurityConfig, readonly Service[]][] = [
      [{ ...FULL_SECURITY, access: { ...FULL_SECURITY.access, external: undefined as never } }, SERVICES],
      [denyAll(allow('a', 'web', [])), SERVICES.slice(1)],
      [security({ mtls: 'off' }), SERVICES],
      [denyAll(allow('a', 'web', ['orders'], { when: 'source.labels.a == "b"' })), [service('web', { labels: { a: 'b' } }), SERVICES[0]!]],
      [DEFAULT_SECURITY, SERVICES],
    ];
    for (const [config, services] of steps) {
      const { external: _, ...access } = config.access;
      await declare({ ...config, access }, services);
      const anew = new Compiler({ source: registry, trustDomain: 'shop.test', rootsPem: 'roots' });
      for (const kind of ['route', 'cluster', 'secret'] as const)
        assert.deepEqual(Object.fromEntries(compiler.shared[kind]), Object.fromEntries(anew.shared[kind]));
      for (const node of ['node-1', 'node-2', 'node-3'])
        assert.deepEqual(compiler.forNode({ ...scope, node }), anew.forNode({ ...scope, node }));
    }
  });
});
