// All that is compiled can be sent to every kind of data plane, and what our own read is what was meant.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TYPE_URLS, decodeResource, encodeFor } from '@heddle/api';
import type { DataPlaneFlavour, PublishedResource, ResourceKind, RouteConfig } from '@heddle/core';
import { conditionSyntax } from '@heddle/core/cel';
import { instance, service } from '../testing/mesh.ts';
import { EGRESS, FULL_SECURITY, FULL_SERVICE } from '../testing/policies.ts';
import { Compiler } from './compiler.ts';

const ROOTS = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';

function compileAll(flavour: DataPlaneFlavour): [ResourceKind, string, PublishedResource][] {
  const services = [FULL_SERVICE, service('stock'), service('cache', { protocol: 'tcp' }), service('mixed', { protocol: 'auto' })];
  const views = new Map(
    services.map((declared) => [
      `default/${declared.name}`,
      { service: declared, instances: [instance(declared.name, 1, { version: 'v2', labels: { tier: 'gold' } })] },
    ]),
  );
  const compiler = new Compiler({
    source: {
      snapshot: () => ({ revision: 0, services: views }),
      service: (key) => views.get(key),
      instancesOfNode: () => [...views.values()].flatMap(({ instances }) => instances),
      egress: EGRESS,
      security: FULL_SECURITY,
    },
    trustDomain: 'shop.test',
    rootsPem: ROOTS,
  });
  const own = compiler.forNode({
    ...{ node: 'node-1', flavour, mayHost: () => true },
    ...{ outboundProxy: { address: '127.0.0.1', port: 15_001 }, identityDir: '/run/heddle' },
  });
  const all: [ResourceKind, string, PublishedResource][] = [];
  for (const maps of [compiler.shared, own])
    for (const kind of ['listener', 'route', 'cluster', 'endpoints', 'secret'] as const)
      for (const [name, resource] of maps[kind]) all.push([kind, name, resource]);
  return all;
}

for (const flavour of ['heddle', 'envoy', 'grpc'] as const) {
  test(`whatever is compiled can be encoded for ${flavour}`, () => {
    const all = compileAll(flavour);
    assert.ok(all.length > 20);
    const routes = new Map(all.flatMap(([kind, name, resource]) => (kind === 'route' ? [[name, resource as RouteConfig] as const] : [])));
    const options = { trustDomain: 'shop.test', routeConfig: (name: string) => routes.get(name), expression: conditionSyntax };
    for (const [kind, name, resource] of all) {
      const encoded = encodeFor(flavour, kind, resource as never, options);
      if (flavour !== 'heddle') continue;
      assert.deepEqual(
        encoded.map(({ any }) => decodeResource(kind, { typeUrl: TYPE_URLS[kind], value: any.value }, name)),
        [resource],
        `${kind} ${name}`,
      );
    }
  });
}
