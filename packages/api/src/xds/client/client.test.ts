import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DeltaDiscoveryRequest } from '../../ads.ts';
import { LinkedClient } from '../../testing/linked-client.ts';
import { clusterNamed, endpointsNamed, listenerNamed, routeNamed, snapshotOf } from '../../testing/resources.ts';
import { encodeResource } from '../convert/index.ts';
import { TYPE_URLS } from '../kinds.ts';
import { AdsProtocolError } from '../protocol-error.ts';
import { type ApplyResult, DeltaAdsClient, type ResourceUpdate } from './index.ts';

const A = {
  cluster: [clusterNamed('a')],
  endpoints: [endpointsNamed('a')],
  route: [routeNamed('r', 'a')],
  listener: [listenerNamed('l', 'r')],
};

/** A data plane that asks for the endpoints of its clusters and the routes of its listeners, as Heddle's does. */
function follow(link: LinkedClient): void {
  link.decide = (update) => {
    if (update.kind === 'cluster')
      link.client.subscribe(
        'endpoints',
        [...link.names('cluster'), ...update.upserts.map(({ name }) => name)].filter((name) => !update.removed.includes(name)),
      );
    if (update.kind === 'listener')
      link.client.subscribe(
        'route',
        update.upserts.flatMap(({ filter }) => (filter.kind === 'http' ? [filter.routeConfigName] : [])),
      );
    return undefined;
  };
}

/** A client alone, with what it sent. */
function alone(apply: (update: ResourceUpdate) => ApplyResult | Promise<ApplyResult> = () => undefined): {
  client: DeltaAdsClient;
  sent: DeltaDiscoveryRequest[];
} {
  const sent: DeltaDiscoveryRequest[] = [];
  const client = new DeltaAdsClient({ node: { id: 'n', cluster: 'shop', version: '1' }, apply, send: (request) => sent.push(request) });
  client.connected();
  return { client, sent };
}

describe('with our server', () => {
  test('gets everything it needs, in the order in which it can be used', async () => {
    const link = new LinkedClient();
    follow(link);
    link.publish(snapshotOf('1', A));
    link.connect();
    await link.settle();
    assert.deepEqual(
      link.updates.map(({ kind }) => kind),
      ['cluster', 'endpoints', 'listener', 'route'],
    );
    assert.deepEqual(
      link.updates.map(({ upserts }) => upserts[0]),
      [A.cluster[0], A.endpoints[0], A.listener[0], A.route[0]],
    );
    assert.deepEqual(link.session.node, { id: 'node-1', cluster: '', userAgent: 'heddle 1.2.3' });
    assert.ok(link.session.sync().every(({ ackedVersion, rejection }) => ackedVersion === '1' && rejection === ''));
  });

  test('a reconnect sends nothing that it has, and what changed meanwhile', async () => {
    const link = new LinkedClient();
    follow(link);
    link.publish(snapshotOf('1', A));
    link.connect();
    await link.settle();
    link.updates.length = 0;
    link.disconnect();
    link.connect();
    await link.settle();
    assert.deepEqual(link.updates, []);
    assert.equal(link.session.sync().length, 4);
    link.disconnect();
    link.publish(snapshotOf('2', { ...A, endpoints: [endpointsNamed('a', 81)] }));
    link.connect();
    await link.settle();
    assert.deepEqual(
      link.updates.map(({ kind, upserts }) => [kind, upserts]),
      [['endpoints', [endpointsNamed('a', 81)]]],
    );
  });

  test('a refused update keeps the last good one on both sides, and is reported', async () => {
    const link = new LinkedClient();
    follow(link);
    link.publish(snapshotOf('1', A));
    link.connect();
    await link.settle();
    const accept = link.decide;
    link.decide = (update) => (update.kind === 'cluster' ? 'no room' : accept(update));
    link.publish(snapshotOf('2', { ...A, cluster: [clusterNamed('a', 7), clusterNamed('b')] }));
    await link.settle();
    assert.deepEqual([...(link.applied.get('cluster')?.values() ?? [])], A.cluster);
    const sync = link.session.sync().find(({ kind }) => kind === 'cluster');
    assert.deepEqual([sync?.sentVersion, sync?.ackedVersion, sync?.rejection], ['2', '1', 'no room']);
    assert.equal(link.client.status().find(({ kind }) => kind === 'cluster')?.rejection, 'no room');
    // The next stream begins with what is really here.
    link.decide = accept;
    link.disconnect();
    link.connect();
    await link.settle();
    assert.deepEqual(link.names('cluster'), ['a', 'b']);
    assert.equal(link.client.status().find(({ kind }) => kind === 'cluster')?.version, '2');
  });

  test('what does not exist is told as removed', async () => {
    const link = new LinkedClient();
    link.client.subscribe('endpoints', ['ghost']);
    link.publish(snapshotOf('1', A));
    link.connect();
    await link.settle();
    assert.deepEqual(
      link.updates.filter(({ kind }) => kind === 'endpoints').map(({ removed }) => removed),
      [['ghost']],
    );
  });
});

describe('alone', () => {
  const cluster = encodeResource('cluster', clusterNamed('a'));
  const resource = { name: 'a', version: 'v1', resource: cluster.any };

  test('names itself in the first request only, and asks for clusters and listeners', () => {
    const { sent } = alone();
    assert.deepEqual(
      sent.map(({ typeUrl, node }) => [typeUrl, node?.id]),
      [
        [TYPE_URLS.cluster, 'n'],
        [TYPE_URLS.listener, undefined],
      ],
    );
  });

  test('asks for differences when subscriptions change', () => {
    const { client, sent } = alone();
    sent.length = 0;
    client.subscribe('endpoints', ['a', 'b']);
    client.subscribe('endpoints', ['b', 'c']);
    client.subscribe('endpoints', ['c', 'b']);
    assert.deepEqual(
      sent.map(({ resourceNamesSubscribe, resourceNamesUnsubscribe }) => [resourceNamesSubscribe, resourceNamesUnsubscribe]),
      [
        [['a', 'b'], undefined],
        [['c'], ['a']],
      ],
    );
  });

  test('refuses a response whole when one resource cannot be used, and says why', () => {
    const updates: ResourceUpdate[] = [];
    const { client, sent } = alone((update) => {
      updates.push(update);
      return undefined;
    });
    const broken = { name: 'b', version: 'v1', resource: { typeUrl: TYPE_URLS.cluster, value: Uint8Array.of(0xff) } };
    const misnamed = { name: 'c', version: 'v1', resource: cluster.any };
    const withTtl = {
      ...resource,
      $type: 'envoy.service.discovery.v3.Resource' as const,
      name: 'd',
      _unknownFields: { 50: [Uint8Array.of(0)] },
    };
    client.receive({ typeUrl: TYPE_URLS.cluster, nonce: '7', resources: [resource, resource, broken, misnamed, withTtl] }, 1);
    assert.deepEqual(updates, []);
    const { responseNonce, errorDetail } = sent.at(-1) ?? {};
    assert.equal(responseNonce, '7');
    assert.match(
      errorDetail?.message ?? '',
      /^Cluster 'a': is in the response twice; Cluster 'b': is not a valid envoy.config.cluster.v3.Cluster: .*; Cluster 'c': calls itself 'a'; Cluster 'd': ttl is not supported$/,
    );
  });

  test('refuses a type it did not ask for', () => {
    const { client, sent } = alone();
    client.receive({ typeUrl: 'x', nonce: '1' }, 1);
    assert.equal(sent.at(-1)?.errorDetail?.message, 'resources of type "x" were not asked for');
  });

  test('a failure of apply is a refusal', async () => {
    const failing = alone(() => {
      throw new Error('boom');
    });
    failing.client.receive({ typeUrl: TYPE_URLS.cluster, nonce: '1', resources: [resource] }, 1);
    assert.equal(failing.sent.at(-1)?.errorDetail?.message, 'internal error while applying: boom');
    const later = alone(() => Promise.reject(new Error('later')));
    later.client.receive({ typeUrl: TYPE_URLS.cluster, nonce: '1', resources: [resource] }, 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(later.sent.at(-1)?.errorDetail?.message, 'internal error while applying: later');
  });

  test('applies one response after the other though applying takes time, and answers in order', async () => {
    const running: { update: ResourceUpdate; done: (result: ApplyResult) => void }[] = [];
    const { client, sent } = alone((update) => new Promise((done) => running.push({ update, done })));
    sent.length = 0;
    client.receive({ typeUrl: TYPE_URLS.cluster, nonce: '1', systemVersionInfo: 'x', resources: [resource] }, 1);
    client.receive({ typeUrl: TYPE_URLS.listener, nonce: '2' }, 2);
    client.receive({ typeUrl: TYPE_URLS.cluster, nonce: '3', systemVersionInfo: 'y', removedResources: ['a'] }, 3);
    const finish = async (result: ApplyResult) => {
      running.shift()?.done(result);
      await new Promise((resolve) => setImmediate(resolve));
    };
    assert.deepEqual([running.length, sent.length], [1, 0]);
    await finish(undefined);
    assert.deepEqual(
      running.map(({ update }) => update.kind),
      ['listener'],
    );
    await finish('not now');
    assert.deepEqual(
      running.map(({ update }) => update.removed),
      [['a']],
    );
    await finish(undefined);
    assert.deepEqual(
      sent.map(({ responseNonce, errorDetail }) => [responseNonce, errorDetail?.message]),
      [
        ['1', undefined],
        ['2', 'not now'],
        ['3', undefined],
      ],
    );
    assert.deepEqual(
      client.status().find(({ kind }) => kind === 'cluster'),
      { kind: 'cluster', resources: 0, version: 'y', appliedMs: 3, rejection: '', hash: '0000000000000000' },
    );
  });

  test('what was being applied when the stream broke counts, but is not answered on the next stream', async () => {
    let done: (result: ApplyResult) => void = () => undefined;
    const { client, sent } = alone(() => new Promise((resolve) => (done = resolve)));
    client.receive({ typeUrl: TYPE_URLS.cluster, nonce: '1', resources: [resource] }, 1);
    client.disconnected();
    client.connected();
    const before = sent.length;
    // Until it is known what is here, nothing is said on the new stream.
    done(undefined);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      sent.slice(before).map(({ typeUrl, responseNonce, initialResourceVersions }) => [typeUrl, responseNonce, initialResourceVersions]),
      [
        [TYPE_URLS.cluster, undefined, { a: 'v1' }],
        [TYPE_URLS.listener, undefined, {}],
      ],
    );
  });

  test('a server that does not wait for answers is cut off', () => {
    const { client } = alone(() => new Promise(() => undefined));
    const flood = () => {
      for (let nonce = 0; nonce < 100; nonce += 1) client.receive({ typeUrl: TYPE_URLS.cluster, nonce: String(nonce) }, 1);
    };
    assert.throws(flood, (error) => error instanceof AdsProtocolError && error.grpcStatus === 8);
  });
});
