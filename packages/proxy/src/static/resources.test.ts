// What a static proxy's file becomes in the data plane.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_OUTLIER, DEFAULT_RETRY_BUDGET, forwardTo, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type { StaticConfig, StaticListener, StaticService } from '@heddle/core';
import { checkCluster, checkListener } from '../../../dataplane/src/data-plane-resources.ts';
import { bundlesOf, certificatesOf, clusterOf, listenerOf, nameListeners, nowhere, routesOf } from './resources.ts';

const CERTIFICATE = { certificatePem: 'a certificate', keyPem: 'a private key' };
const service = (name: string, change: Partial<StaticService> = {}): StaticService => ({
  name,
  protocol: 'http',
  endpoints: [{ address: '127.0.0.1', port: 9_000, weight: 1 }],
  balance: SINGLE_BALANCE,
  timeoutMs: 15_000,
  connectTimeoutMs: 1_000,
  idleTimeoutMs: 0,
  retry: NO_RETRY,
  retryBudget: DEFAULT_RETRY_BUDGET,
  breaker: NO_BREAKER,
  hash: [],
  ...change,
});
const listener = (change: Partial<StaticListener>): StaticListener => ({
  address: '127.0.0.1',
  port: 9_100,
  protocol: 'http',
  service: 'a',
  ...change,
});
const compiled = (change: Partial<StaticListener>) => listenerOf(nameListeners([listener(change)])[0]!, 9_100, 'node', { services: [] });

describe('listeners of a static proxy', () => {
  test('carry requests, bytes, or what they find', () => {
    const routes = { kind: 'http', routeConfigName: 'static/a', useRemoteAddress: true };
    const bytes = { kind: 'tcp', cluster: 'static/a' };
    for (const protocol of ['http', 'http2', 'grpc'] as const) assert.deepEqual(compiled({ protocol }).filter, routes);
    for (const protocol of ['tcp', 'tls'] as const) assert.deepEqual(compiled({ protocol }).filter, bytes);
    assert.deepEqual(compiled({ protocol: 'auto' }).filter, { ...routes, otherwise: bytes });
  });

  test('lead by server name, and nowhere where there is no service for the rest', () => {
    const passing = listener({ protocol: 'tls', service: undefined, serverNames: [{ name: 'db.example', service: 'db' }] });
    const { serverNames, filter } = compiled(passing);
    assert.deepEqual(serverNames, [{ names: ['db.example'], filter: { kind: 'tcp', cluster: 'static/db' } }]);
    assert.deepEqual(filter, { kind: 'tcp', cluster: 'static:nowhere' });
    const [cluster] = nowhere({ listeners: [passing], services: [] });
    assert.equal(cluster?.name, 'static:nowhere');
    assert.deepEqual(cluster.endpoints, { kind: 'static', endpoints: [] });
    assert.equal(checkCluster(cluster, 1), undefined);
    assert.deepEqual(nowhere({ listeners: [listener({})], services: [] }), []);
  });

  test('end TLS with certificates and roots that are named after their content, and keys stay out of it', () => {
    const tls = { certificate: CERTIFICATE, rootsPem: 'roots' };
    const config: StaticConfig = { listeners: [listener({ tls }), listener({ port: 1, tls: { certificate: CERTIFICATE } })], services: [] };
    const certificates = certificatesOf(config);
    const bundles = bundlesOf(config);
    const made = compiled({ tls });
    assert.deepEqual(
      [[...certificates.keys()], bundles.map(({ name }) => name)],
      [[made.tls?.certificateName], [made.tls?.trustBundleName]],
    );
    assert.deepEqual([...certificates.values()], [CERTIFICATE]);
    assert.equal(made.tls?.trustDomain, undefined);
    assert.equal(
      checkListener(made, (name) => certificates.has(name)),
      undefined,
    );
    const renewed = { ...CERTIFICATE, certificatePem: 'another' };
    assert.notEqual(compiled({ tls: { certificate: renewed } }).tls?.certificateName, made.tls?.certificateName);
    assert.equal(compiled({ tls: { certificate: CERTIFICATE } }).tls?.trustBundleName, undefined);
    assert.doesNotMatch(JSON.stringify(made), /private key/);
  });

  test('keep their names from one version of the file to the next', () => {
    const names = nameListeners([
      listener({}),
      listener({ port: 0 }),
      listener({ port: 0 }),
      listener({ port: 0, protocol: 'tls', service: undefined, serverNames: [] }),
    ]).map(({ name }) => name);
    assert.deepEqual(names, ['static/127.0.0.1:9100', 'static/127.0.0.1/a/1', 'static/127.0.0.1/a/2', 'static/127.0.0.1/sni/1']);
  });
});

describe('services of a static proxy', () => {
  test('have routes where they carry requests, and speak the version that they declare', () => {
    const protocols = ['http', 'http2', 'grpc', 'tcp', 'tls', 'auto'] as const;
    const services = protocols.map((protocol) => service(protocol, { protocol }));
    assert.deepEqual(
      routesOf({ listeners: [], services }).map(({ name }) => name),
      ['static/http', 'static/http2', 'static/grpc', 'static/auto'],
    );
    assert.deepEqual(
      services.map((each) => clusterOf(each, () => 'healthy').http),
      ['http1', 'http2', 'http2', 'http1', 'http1', 'http1'],
    );
  });

  test('are called by the policies of the file', () => {
    const policies = {
      retryBudget: { percent: 10, minPerSecond: 1 },
      breaker: { connections: 1, pending: 2, requests: 3 },
      adaptiveConcurrency: { minRequests: 1, maxRequests: 9 },
      outlier: DEFAULT_OUTLIER,
      session: { cookie: 'sid', ttlMs: 0 },
    };
    const perRoute = { hash: [{ kind: 'source' }], hedge: { afterMs: 5, attempts: 1 }, idleTimeoutMs: 7_000, timeoutMs: 9 } as const;
    const all = service('a', { ...policies, ...perRoute, endpoints: [{ address: '127.0.0.1', port: 9_000, weight: 3 }] });
    const cluster = clusterOf(all, () => 'healthy');
    for (const [name, policy] of Object.entries(policies)) assert.deepEqual(cluster[name as keyof typeof cluster], policy);
    assert.ok(cluster.endpoints.kind === 'static' && cluster.endpoints.endpoints[0]?.weight === 3);
    const action = routesOf({ listeners: [], services: [all] })[0]?.virtualHosts[0]?.routes[0]?.action;
    assert.deepEqual(action, { ...forwardTo('static/a'), ...perRoute, retry: all.retry });
    const bytes = listenerOf(nameListeners([listener({ protocol: 'tcp' })])[0]!, 9_100, 'node', { services: [all] });
    assert.deepEqual(bytes.filter, { kind: 'tcp', cluster: 'static/a', idleTimeoutMs: 7_000 });
  });

  test('are reached by TLS for their name, with HTTP/2 agreed on where it is spoken', () => {
    const tls = { rootsPem: 'roots', serverName: 'db.example' };
    const plain = clusterOf(service('a', { tls }), () => 'healthy');
    assert.deepEqual(plain.tls, {
      trustBundleName: bundlesOf({ listeners: [], services: [service('a', { tls })] })[0]?.name,
      peerIds: [],
      serverName: 'db.example',
      alpn: [],
      minVersion: '1.2',
    });
    assert.deepEqual(clusterOf(service('a', { protocol: 'grpc', tls }), () => 'healthy').tls?.alpn, ['h2']);
    const mutual = service('a', { tls: { ...tls, certificate: CERTIFICATE } });
    const [name] = certificatesOf({ listeners: [], services: [mutual] }).keys();
    const cluster = clusterOf(mutual, () => 'healthy');
    assert.equal(cluster.tls?.certificateName, name);
    assert.equal(
      checkCluster(cluster, 1, (known) => known === name),
      undefined,
    );
    assert.doesNotMatch(JSON.stringify(cluster), /private key/);
  });
});
