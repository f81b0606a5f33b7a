import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ResourceKind } from '@heddle/core';
import type { DiscoveryRequest, DiscoveryResponse } from '../../ads.ts';
import { clusterNamed, endpointsNamed, listenerNamed, routeNamed, snapshotOf } from '../../testing/resources.ts';
import { decodeResource } from '../convert/index.ts';
import { kindOfTypeUrl, TYPE_URLS } from '../kinds.ts';
import { SotwAdsSession } from './sotw.ts';

class Stream {
  readonly session = new SotwAdsSession();

  ask(kind: ResourceKind, resourceNames: string[] = [], more: DiscoveryRequest = {}): DiscoveryResponse[] {
    return this.session.onRequest({ typeUrl: TYPE_URLS[kind], resourceNames, ...more }, 1_000);
  }

  ack(response: DiscoveryResponse | undefined, resourceNames: string[] = []): DiscoveryResponse[] {
    return this.session.onRequest(
      { typeUrl: response?.typeUrl, versionInfo: response?.versionInfo, responseNonce: response?.nonce, resourceNames },
      2_000,
    );
  }

  sync(kind: ResourceKind) {
    return this.session.sync().find((sync) => sync.kind === kind);
  }
}

/** `cluster a b`, for each response. */
function summary(responses: readonly DiscoveryResponse[]): string[] {
  return responses.map(({ typeUrl = '', resources = [] }) => {
    const kind = kindOfTypeUrl(typeUrl);
    const names = resources.map(({ value = new Uint8Array() }) => {
      if (kind === undefined) return '?';
      const resource = decodeResource(kind, { typeUrl, value });
      return 'name' in resource ? resource.name : resource.cluster;
    });
    return [kind ?? typeUrl, ...names].join(' ');
  });
}

const A = {
  cluster: [clusterNamed('a')],
  endpoints: [endpointsNamed('a')],
  route: [routeNamed('r', 'a')],
  listener: [listenerNamed('l', 'r')],
};

describe('completeness', () => {
  test('each response about clusters holds all of them, each about endpoints those that changed', () => {
    const stream = new Stream();
    const both = { cluster: [clusterNamed('a'), clusterNamed('b')], endpoints: [endpointsNamed('a'), endpointsNamed('b')] };
    stream.session.onSnapshot(snapshotOf('1', both));
    const [clusters] = stream.ask('cluster');
    const [endpoints] = stream.ask('endpoints', ['a', 'b']);
    assert.deepEqual(summary([clusters ?? {}, endpoints ?? {}]), ['cluster a b', 'endpoints a b']);
    stream.ack(clusters);
    stream.ack(endpoints, ['a', 'b']);
    const changed = { cluster: [clusterNamed('a', 5), clusterNamed('b')], endpoints: [endpointsNamed('a'), endpointsNamed('b', 81)] };
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('2', changed))), ['cluster a b', 'endpoints b']);
  });

  test('a cluster asked for by name that does not exist is answered by its absence, an endpoint set is waited for', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    assert.deepEqual(summary(stream.ask('cluster', ['a', 'nope'])), ['cluster a']);
    assert.deepEqual(stream.ask('endpoints', ['nope']), []);
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('2', { ...A, endpoints: [endpointsNamed('nope')] }))), [
      'endpoints nope',
    ]);
  });

  test('a removed cluster stays in the responses until no route needs it', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    stream.ack(stream.ask('cluster')[0]);
    stream.ack(stream.ask('route', ['r'])[0], ['r']);
    const [made] = stream.session.onSnapshot(snapshotOf('2', { ...A, cluster: [clusterNamed('b')], route: [routeNamed('r', 'b')] }));
    assert.deepEqual(summary(made ? [made] : []), ['cluster a b']);
    const [route] = stream.ack(made);
    assert.deepEqual(summary(route ? [route] : []), ['route r']);
    assert.deepEqual(summary(stream.ack(route, ['r'])), ['cluster b']);
  });

  test('the version of a set depends on its content alone', () => {
    const [first, second] = [new Stream(), new Stream()];
    first.session.onSnapshot(snapshotOf('1', { cluster: [clusterNamed('a'), clusterNamed('b')] }));
    second.session.onSnapshot(snapshotOf('2', { cluster: [clusterNamed('b'), clusterNamed('a')] }));
    assert.equal(first.ask('cluster')[0]?.versionInfo, second.ask('cluster')[0]?.versionInfo);
  });
});

describe('requests', () => {
  test('a stale nonce acknowledges nothing, and the answer to what the request wants waits for the newest response', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { endpoints: [endpointsNamed('a'), endpointsNamed('b')] }));
    const [first] = stream.ask('endpoints', ['a']);
    stream.ack(first, ['a']);
    const [second] = stream.session.onSnapshot(snapshotOf('2', { endpoints: [endpointsNamed('a', 81), endpointsNamed('b')] }));
    assert.deepEqual(stream.ack(first, ['a', 'b']), []);
    assert.equal(stream.sync('endpoints')?.ackedVersion, '1');
    assert.deepEqual(summary(stream.ack(second, ['a', 'b'])), ['endpoints b']);
  });

  test('a name that was dropped and is wanted again is sent anew, also when both requests came before the newest response was seen', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { endpoints: [endpointsNamed('a')] }));
    const [first] = stream.ask('endpoints', ['a', 'b']);
    stream.ack(first, ['a', 'b']);
    const [second] = stream.session.onSnapshot(snapshotOf('2', { endpoints: [endpointsNamed('a'), endpointsNamed('b')] }));
    assert.deepEqual(summary(second ? [second] : []), ['endpoints b']);
    assert.deepEqual(stream.ack(first, ['b']), []);
    assert.deepEqual(stream.ack(first, ['a', 'b']), []);
    assert.deepEqual(summary(stream.ack(second, ['a', 'b'])), ['endpoints a']);
  });

  test('names that were dropped are not sent any more; without names left, nothing is', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    const [response] = stream.ask('cluster', ['a']);
    assert.deepEqual(stream.ack(response, []), []);
    assert.deepEqual(stream.session.onSnapshot(snapshotOf('2', { ...A, cluster: [clusterNamed('a', 3)] })), []);
    assert.deepEqual(stream.session.subscription('cluster'), { wildcard: false, names: new Set() });
  });

  test('acknowledging without names goes on to mean everything where none were ever named', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    assert.deepEqual(stream.ack(stream.ask('cluster')[0]), []);
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('2', { ...A, cluster: [clusterNamed('a'), clusterNamed('z')] }))), [
      'cluster a z',
    ]);
  });

  test('a refusal is recorded and not answered with the same again, also while something else vanishes', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { route: [routeNamed('r', 'a'), routeNamed('s', 'a')] }));
    const [response] = stream.ask('route', ['r', 's']);
    const nack = (refused: DiscoveryResponse | undefined) =>
      stream.ask('route', ['r', 's'], { responseNonce: refused?.nonce, errorDetail: { code: 3, message: 'no' } });
    // Each alone, once.
    const [first] = nack(response);
    assert.deepEqual(summary(first ? [first] : []), ['route r']);
    const [second] = nack(first);
    assert.deepEqual(summary(second ? [second] : []), ['route s']);
    assert.deepEqual(nack(second), []);
    assert.equal(stream.sync('route')?.rejection, 'no');
    assert.deepEqual(stream.session.onSnapshot(snapshotOf('2', { route: [routeNamed('r', 'a')] })), []);
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('3', { route: [routeNamed('r', 'b')] }))), ['route r']);
  });

  test('a type that Heddle does not have is answered once with nothing', () => {
    const stream = new Stream();
    const typeUrl = 'type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration';
    const [response] = stream.session.onRequest({ typeUrl }, 0);
    assert.deepEqual([response?.typeUrl, response?.resources], [typeUrl, []]);
    assert.deepEqual(stream.session.onRequest({ typeUrl, responseNonce: response?.nonce }, 0), []);
  });
});
