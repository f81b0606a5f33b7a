// Hosts outside the mesh: a cluster each that shows nothing of the mesh, and a place among the routes of the shared proxy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileRoutes, forwardTo } from '@heddle/core';
import type { EgressHost } from '@heddle/core';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry } from '../registry/registry.ts';
import { ManualClock } from '../testing/clock.ts';
import { SERVICES, service, silent } from '../testing/mesh.ts';
import { EGRESS } from '../testing/policies.ts';
import { Compiler } from './compiler.ts';
import type { CompiledChange } from './compiler.ts';
import { compileEgressCluster } from './egress-resources.ts';
import { compileMeshRoute } from './service-resources.ts';

const host = (name: string, port: number, protocol: EgressHost['protocol']): EgressHost => ({ host: name, port, protocol });

test('clusters are looked up by name; to https hosts with TLS against the roots of the platform, without a certificate', () => {
  assert.deepEqual(
    EGRESS.map(compileEgressCluster).map(({ name, service: ref, endpoints, http, tls }) => [name, ref.name, endpoints, http, tls]),
    [
      [
        'egress/api.example.com:443',
        'api.example.com:443',
        { kind: 'dns', host: 'api.example.com', port: 443 },
        'http1',
        { trustBundleName: 'system-roots', peerIds: [], serverName: 'api.example.com', alpn: ['http/1.1'], minVersion: '1.2' },
      ],
      ['egress/api.example.com:80', 'api.example.com:80', { kind: 'dns', host: 'api.example.com', port: 80 }, 'http1', undefined],
      ['egress/db.example.com:5432', 'db.example.com:5432', { kind: 'dns', host: 'db.example.com', port: 5_432 }, 'http1', undefined],
      ['egress/[2001:db8::1]:8080', '[2001:db8::1]:8080', { kind: 'dns', host: '2001:db8::1', port: 8_080 }, 'http1', undefined],
    ],
  );
});

test('requests go to them by name and port, bytes by CONNECT', () => {
  const route = compileMeshRoute([service('orders')], () => [], EGRESS);
  const matcher = compileRoutes(route);
  const action = (authority: string) =>
    matcher.match({ method: 'GET', authority, path: '/x', header: () => undefined, sourceAddress: '', sourceIdentity: '' })?.action;
  assert.deepEqual(action('api.example.com'), forwardTo('egress/api.example.com:80'));
  assert.deepEqual(action('api.example.com:80'), forwardTo('egress/api.example.com:80'));
  assert.deepEqual(action('api.example.com:443'), forwardTo('egress/api.example.com:443'));
  assert.deepEqual(action('[2001:db8::1]:8080'), forwardTo('egress/[2001:db8::1]:8080'));
  assert.equal(action('db.example.com:5432'), undefined);
  assert.deepEqual(matcher.matchConnect('db.example.com:5432')?.action, {
    kind: 'tunnel',
    how: 'terminate',
    cluster: 'egress/db.example.com:5432',
  });
  assert.equal(matcher.matchConnect('api.example.com:443'), undefined);
});

test('a name without a port is that of HTTP, else of HTTPS, and no domain is there twice', () => {
  const domains = (...egress: EgressHost[]): Record<string, readonly string[]> => {
    const route = compileMeshRoute([service('orders')], () => [], egress);
    compileRoutes(route);
    return Object.fromEntries(
      route.virtualHosts.filter(({ name }) => name.startsWith('egress/')).map(({ name, domains: own }) => [name, own]),
    );
  };
  const both = domains(host('a.test', 443, 'https'), host('a.test', 80, 'http'));
  assert.deepEqual(both, { 'egress/a.test:443': ['a.test:443'], 'egress/a.test:80': ['a.test', 'a.test:80'] });
  assert.deepEqual(domains(host('a.test', 443, 'https')), { 'egress/a.test:443': ['a.test', 'a.test:443'] });
  // CONNECT has the port of HTTP, and with it the name.
  assert.deepEqual(domains(host('a.test', 443, 'https'), host('a.test', 80, 'tcp')), {
    'egress/a.test:443': ['a.test:443'],
    'egress/a.test:80': ['a.test:80'],
  });
  // Declarations with these are refused; data planes must not hear of them all the same.
  assert.deepEqual(domains(host('orders', 80, 'http'), host('orders', 8_080, 'tcp')), {});
});

test('they come, change and go with the declaration, and touch nothing else', async () => {
  const store = openEmbeddedStore({ path: undefined, clock: new ManualClock() });
  const registry = await openRegistry({ store, logger: silent });
  await registry.declareServices(SERVICES, [host('a.test', 443, 'tcp')]);
  const compiler = new Compiler({ source: registry, trustDomain: 't', rootsPem: '' });
  const changes: CompiledChange[] = [];
  registry.onChange((change) => changes.push(compiler.apply(change)));
  assert.ok(compiler.shared.cluster.has('egress/a.test:443'));
  await registry.declareServices(SERVICES, [host('a.test', 443, 'https'), host('b.test', 80, 'http')]);
  await registry.declareServices(SERVICES);
  const names = new Set(['egress/a.test:443', 'egress/b.test:80']);
  for (const { shared, nodes, clientListeners } of changes) {
    assert.deepEqual(
      shared,
      new Map([
        ['cluster', names],
        ['route', new Set(['outbound/mesh'])],
      ]),
    );
    assert.deepEqual([nodes, clientListeners], [new Set(), new Set()]);
  }
  assert.equal(changes.length, 2);
  assert.deepEqual(
    [...compiler.shared.cluster.keys()].filter((name) => name.startsWith('egress/')),
    [],
  );
  registry.close();
  await store.close();
});
