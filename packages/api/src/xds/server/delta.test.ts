import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ResourceKind } from '@heddle/core';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../../ads.ts';
import { bundleNamed, clusterNamed, endpointsNamed, listenerNamed, routeNamed, snapshotOf } from '../../testing/resources.ts';
import { kindOfTypeUrl, TYPE_URLS } from '../kinds.ts';
import { AdsProtocolError } from '../protocol-error.ts';
import { DeltaAdsSession } from './delta.ts';
import { SUBSCRIPTIONS_MAX } from './session.ts';

/** A session with what a test client says to it. */
class Stream {
  readonly session = new DeltaAdsSession();

  ask(kind: ResourceKind, request: DeltaDiscoveryRequest = {}): DeltaDiscoveryResponse[] {
    return this.session.onRequest({ typeUrl: TYPE_URLS[kind], ...request }, 1_000);
  }

  subscribe(kind: ResourceKind, ...names: string[]): DeltaDiscoveryResponse[] {
    return this.ask(kind, { resourceNamesSubscribe: names });
  }

  ack(response: DeltaDiscoveryResponse | undefined, nowMs = 2_000): DeltaDiscoveryResponse[] {
    return this.session.onRequest({ typeUrl: response?.typeUrl, responseNonce: response?.nonce }, nowMs);
  }

  nack(response: DeltaDiscoveryResponse | undefined, message: string): DeltaDiscoveryResponse[] {
    return this.session.onRequest({ typeUrl: response?.typeUrl, responseNonce: response?.nonce, errorDetail: { code: 3, message } }, 3_000);
  }

  sync(kind: ResourceKind) {
    return this.session.sync().find((sync) => sync.kind === kind);
  }
}

/** `cluster +a +b -c`, for each response. */
function summary(responses: readonly DeltaDiscoveryResponse[]): string[] {
  return responses.map(({ typeUrl = '', resources = [], removedResources = [] }) =>
    [kindOfTypeUrl(typeUrl) ?? typeUrl, ...resources.map(({ name }) => `+${name}`), ...removedResources.map((name) => `-${name}`)].join(
      ' ',
    ),
  );
}

const A = {
  cluster: [clusterNamed('a')],
  endpoints: [endpointsNamed('a')],
  route: [routeNamed('r', 'a')],
  listener: [listenerNamed('l', 'r')],
};

describe('subscriptions', () => {
  test('a first request without names means everything for clusters and listeners, and nothing for the rest', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    assert.deepEqual(summary(stream.ask('endpoints')), []);
    assert.deepEqual(summary(stream.ask('listener')), ['listener +l']);
    assert.deepEqual(summary(stream.ask('cluster')), ['cluster +a']);
  });

  test('names give just these, and a name that does not exist is told so, once', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    const [first] = stream.subscribe('endpoints', 'a', 'b');
    assert.deepEqual(summary(first ? [first] : []), ['endpoints +a -b']);
    assert.deepEqual(stream.ack(first), []);
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('2', { ...A, endpoints: [endpointsNamed('a'), endpointsNamed('b')] }))), [
      'endpoints +b',
    ]);
  });

  test('an empty mesh answers everything with nothing, so that the client knows', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', {}));
    assert.deepEqual(summary(stream.ask('listener')), ['listener']);
  });

  test('nothing is answered before the first snapshot', () => {
    const stream = new Stream();
    assert.deepEqual(stream.ask('cluster'), []);
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('1', A))), ['cluster +a']);
  });

  test('a name that is subscribed again is sent again, one that is unsubscribed not any more', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    stream.ack(stream.subscribe('endpoints', 'a')[0]);
    const [again] = stream.subscribe('endpoints', 'a');
    assert.deepEqual(summary(again ? [again] : []), ['endpoints +a']);
    stream.ack(again);
    assert.deepEqual(stream.ask('endpoints', { resourceNamesUnsubscribe: ['a'] }), []);
    assert.deepEqual(stream.session.onSnapshot(snapshotOf('2', { ...A, endpoints: [endpointsNamed('a', 81)] })), []);
    assert.equal(stream.sync('endpoints')?.sentResources, 0);
  });

  test('what the client has from an earlier stream is not sent, what changed is, what is gone is removed', () => {
    const first = new Stream();
    const [response] = [
      ...first.session.onSnapshot(snapshotOf('1', { cluster: [clusterNamed('a'), clusterNamed('b'), clusterNamed('c')] })),
      ...first.ask('cluster'),
    ];
    const initialResourceVersions = Object.fromEntries((response?.resources ?? []).map(({ name = '', version = '' }) => [name, version]));
    const same = new Stream();
    same.session.onSnapshot(snapshotOf('1', { cluster: [clusterNamed('a'), clusterNamed('b'), clusterNamed('c')] }));
    assert.deepEqual(same.ask('cluster', { initialResourceVersions }), []);
    assert.equal(same.sync('cluster')?.ackedVersion, '1');
    const later = new Stream();
    later.session.onSnapshot(snapshotOf('2', { cluster: [clusterNamed('a'), clusterNamed('b', 9)] }));
    const [changed] = later.ask('cluster', { initialResourceVersions });
    assert.deepEqual(summary(changed ? [changed] : []), ['cluster +b']);
    // Nothing is on the way that could still use it: the removal follows at once.
    assert.deepEqual(summary(later.ack(changed)), ['cluster -c']);
  });

  test('a name that is asked for again is answered again, whether there is something of that name or not', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    stream.ack(stream.subscribe('endpoints', 'a', 'nobody')[0]);
    for (let round = 0; round < 3; round += 1) {
      const responses = stream.subscribe('endpoints', 'a', 'nobody');
      assert.deepEqual(summary(responses), ['endpoints +a -nobody']);
      stream.ack(responses[0]);
    }
    // While a response is under way, the answer follows it.
    const [first] = stream.subscribe('endpoints', 'a');
    assert.deepEqual(stream.subscribe('endpoints', 'a', 'nobody'), []);
    assert.deepEqual(summary(stream.ack(first)), ['endpoints +a -nobody']);
  });

  test('of what the client has from an earlier stream by name, what is gone is removed, and what it does not ask for is nothing to it', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('2', A));
    const initialResourceVersions = { a: 'older', gone: '1', other: '1' };
    const responses = stream.ask('endpoints', { resourceNamesSubscribe: ['a', 'gone'], initialResourceVersions });
    // The removal waits until nothing is on the way that could still use it.
    assert.deepEqual(summary(responses), ['endpoints +a']);
    assert.deepEqual(summary(stream.ack(responses[0])), ['endpoints -gone']);
  });

  test('everything can be asked for by "*" as well, besides names, and given up again', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { cluster: [clusterNamed('a'), clusterNamed('b')] }));
    stream.ack(stream.subscribe('cluster', 'a')[0]);
    const [all] = stream.subscribe('cluster', '*');
    assert.deepEqual(summary(all ? [all] : []), ['cluster +b']);
    stream.ack(all);
    assert.deepEqual(stream.ask('cluster', { resourceNamesUnsubscribe: ['*'] }), []);
    const next = { cluster: [clusterNamed('a', 7), clusterNamed('b', 7), clusterNamed('c')] };
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('2', next))), ['cluster +a']);
  });

  test('a type that Heddle does not have is answered, and its acknowledgement not', () => {
    const stream = new Stream();
    const typeUrl = 'type.googleapis.com/envoy.service.runtime.v3.Runtime';
    const [response] = stream.session.onRequest({ typeUrl, resourceNamesSubscribe: ['x'] }, 0);
    assert.deepEqual([response?.typeUrl, response?.removedResources], [typeUrl, ['x']]);
    assert.deepEqual(stream.session.onRequest({ typeUrl, responseNonce: response?.nonce }, 0), []);
  });

  test('a stream that asks for too much, or in a way that is not supported, is ended', () => {
    const names = Array.from({ length: SUBSCRIPTIONS_MAX + 1 }, (_, index) => String(index));
    assert.throws(
      () => new Stream().subscribe('endpoints', ...names),
      (error) => error instanceof AdsProtocolError && error.grpcStatus === 8,
    );
    assert.throws(() => new Stream().subscribe('endpoints', 'x'.repeat(3_000)), /a resource name of 3000 characters/);
    assert.throws(() => new Stream().session.onRequest({}, 0), /type_url is required/);
    assert.throws(() => new Stream().ask('cluster', { _unknownFields: { 66: [Uint8Array.of(0)] } }), /resource locators are not supported/);
  });
});

describe('answers', () => {
  test('an acknowledgement is recorded with its time; later snapshots that change nothing of the kind count as acknowledged', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    const [response] = stream.ask('cluster', { node: { id: 'node-1', userAgentName: 'test' } });
    assert.deepEqual(stream.session.node, { id: 'node-1', cluster: '', userAgent: 'test' });
    assert.deepEqual(stream.sync('cluster'), {
      kind: 'cluster',
      sentResources: 1,
      sentVersion: '1',
      ackedVersion: '',
      ackedMs: 0,
      rejection: '',
      heldHash: '0000000000000000',
      givenHash: stream.sync('cluster')?.givenHash,
      behindSinceMs: 1_000,
    });
    stream.ack(response, 5_000);
    stream.session.onSnapshot(snapshotOf('2', A));
    assert.deepEqual(stream.sync('cluster'), {
      kind: 'cluster',
      sentResources: 1,
      sentVersion: '2',
      ackedVersion: '2',
      ackedMs: 5_000,
      rejection: '',
      heldHash: stream.sync('cluster')?.givenHash,
      givenHash: stream.sync('cluster')?.heldHash,
      behindSinceMs: 0,
    });
  });

  test('a refusal is recorded, its resources are tried alone, and the bad one is not sent again until it changes', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { cluster: [clusterNamed('a'), clusterNamed('b')] }));
    const [first] = stream.nack(stream.ask('cluster')[0], 'no');
    assert.deepEqual(summary(first ? [first] : []), ['cluster +a']);
    assert.deepEqual([stream.sync('cluster')?.rejection, stream.sync('cluster')?.sentResources], ['no', 1]);
    const [second] = stream.ack(first);
    assert.deepEqual(summary(second ? [second] : []), ['cluster +b']);
    assert.deepEqual(stream.nack(second, 'never'), []);
    assert.equal(stream.sync('cluster')?.rejection, 'never');
    assert.deepEqual(stream.session.onSnapshot(snapshotOf('2', { cluster: [clusterNamed('a'), clusterNamed('b')] })), []);
    assert.equal(stream.sync('cluster')?.ackedVersion, '');
    const [mended] = stream.session.onSnapshot(snapshotOf('3', { cluster: [clusterNamed('a'), clusterNamed('b', 7)] }));
    assert.deepEqual(summary(mended ? [mended] : []), ['cluster +b']);
    assert.deepEqual(stream.ack(mended), []);
    assert.deepEqual([stream.sync('cluster')?.rejection, stream.sync('cluster')?.ackedVersion], ['', '3']);
  });

  test('a refused answer without anything is a refusal, too, until one is acknowledged', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', {}));
    assert.deepEqual(stream.nack(stream.ask('listener')[0], 'no'), []);
    assert.deepEqual([stream.sync('listener')?.rejection, stream.sync('listener')?.ackedVersion], ['no', '']);
    const [again] = stream.session.retryRefused();
    assert.deepEqual(summary(again ? [again] : []), ['listener']);
    stream.ack(again);
    assert.deepEqual([stream.sync('listener')?.rejection, stream.sync('listener')?.ackedVersion], ['', '1']);
    assert.deepEqual(stream.session.retryRefused(), []);
  });

  test('what the refusal does not name goes out again together, also that something does not exist', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { secret: [bundleNamed('first'), bundleNamed('second')] }));
    const [rest] = stream.nack(stream.subscribe('secret', 'first', 'second', 'third')[0], 'second is wrong');
    assert.deepEqual(summary(rest ? [rest] : []), ['secret +first -third']);
    const [alone] = stream.ack(rest);
    assert.deepEqual(summary(alone ? [alone] : []), ['secret +second']);
    assert.deepEqual(stream.nack(alone, 'second is wrong'), []);
  });

  test('a client that names the wrong ones is believed only some times; then groups are halved until each stood alone', () => {
    const stream = new Stream();
    const names = Array.from({ length: 50 }, (_, index) => `name-${String(index).padStart(2, '0')}`);
    stream.session.onSnapshot(snapshotOf('1', { secret: names.map((name) => bundleNamed(name)) }));
    let [response] = stream.subscribe('secret', ...names);
    const sizes: number[] = [];
    while (response !== undefined) {
      sizes.push(response.resources?.length ?? 0);
      [response] = stream.nack(response, `bad: ${response.resources?.[0]?.name}`);
    }
    const groups = sizes.filter((size) => size > 1);
    assert.deepEqual(groups.slice(0, 14), [50, 49, 48, 47, 46, 45, 44, 43, 42, 21, 10, 5, 2, 3]);
    // Of 42 that stand alone in the end, 41 groups were halved.
    assert.equal(groups.length, 8 + 41);
    assert.equal(sizes.length - groups.length, 50);
  });

  test('of 3,000 resources that are refused without a name, the bad ones are found by halves', () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `name-${index}`);
    const responsesFor = (bad: ReadonlySet<string | undefined>): number => {
      const stream = new Stream();
      stream.session.onSnapshot(snapshotOf('1', { secret: names.map((name) => bundleNamed(name)) }));
      let [response] = stream.subscribe('secret', ...names);
      const taken = new Set<string | undefined>();
      let count = 0;
      for (; response !== undefined; count += 1) {
        const { resources = [] } = response;
        if (resources.some(({ name }) => bad.has(name))) [response] = stream.nack(response, '?');
        else {
          for (const { name } of resources) taken.add(name);
          [response] = stream.ack(response);
        }
      }
      assert.equal(taken.size, names.length - bad.size);
      assert.equal(stream.sync('secret')?.sentResources, names.length - bad.size);
      return count;
    };
    assert.equal(responsesFor(new Set()), 1);
    assert.ok(responsesFor(new Set(['name-7'])) <= 1 + 2 * 12);
    assert.ok(responsesFor(new Set(['name-7', 'name-1500', 'name-2999'])) <= 1 + 3 * 2 * 12);
    // Every group once, down to each alone: twice as many as there are.
    assert.equal(responsesFor(new Set(names)), 2 * 3_000 - 1);
  });

  test('a refused name that is asked for again is answered again, also while the refusal is on its way', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { secret: [bundleNamed('x')] }));
    const [response] = stream.subscribe('secret', 'x');
    assert.deepEqual(stream.subscribe('secret', 'x'), []);
    const [again] = stream.nack(response, 'no');
    assert.deepEqual(summary(again ? [again] : []), ['secret +x']);
    assert.deepEqual(stream.nack(again, 'no'), []);
    const [asked] = stream.subscribe('secret', 'x');
    assert.deepEqual(summary(asked ? [asked] : []), ['secret +x']);
    stream.ask('secret', { resourceNamesUnsubscribe: ['x'] });
    assert.deepEqual(stream.nack(asked, 'no'), []);
    assert.deepEqual([stream.sync('secret')?.rejection, stream.sync('secret')?.ackedVersion], ['', '1']);
  });

  test('what was refused can be offered again unchanged', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    stream.nack(stream.ask('listener')[0], 'port is taken');
    const again = stream.session.retryRefused();
    assert.deepEqual(summary(again), ['listener +l']);
    stream.ack(again[0]);
    assert.deepEqual(stream.session.retryRefused(), []);
  });

  test('answers with any other nonce count for nothing, in any order', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    const [response] = stream.ask('cluster');
    for (const responseNonce of ['0', '999', 'x', `${response?.nonce} `]) {
      assert.deepEqual(stream.ask('cluster', { responseNonce }), []);
      assert.deepEqual(stream.ask('cluster', { responseNonce, errorDetail: { code: 3, message: 'no' } }), []);
    }
    assert.deepEqual([stream.sync('cluster')?.ackedVersion, stream.sync('cluster')?.rejection], ['', '']);
    stream.ack(response);
    stream.nack(response, 'too late');
    assert.deepEqual([stream.sync('cluster')?.ackedVersion, stream.sync('cluster')?.rejection], ['1', '']);
  });

  test('changes that come while a response is unanswered wait and go out as one', () => {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', { cluster: [clusterNamed('a')] }));
    const [response] = stream.ask('cluster');
    for (let round = 2; round < 50; round += 1) {
      assert.deepEqual(
        stream.session.onSnapshot(snapshotOf(String(round), { cluster: [clusterNamed('a', round), clusterNamed('b')] })),
        [],
      );
    }
    const [next] = stream.ack(response);
    assert.deepEqual(summary(next ? [next] : []), ['cluster +a +b']);
    assert.equal(next?.systemVersionInfo, '49');
  });

  test('a large state comes in several responses', () => {
    const stream = new Stream();
    const secret = Array.from({ length: 5 }, (_, index) => ({ name: `s${index}`, rootsPem: 'x'.repeat(1024 * 1024) }));
    stream.session.onSnapshot(snapshotOf('1', { secret }));
    const [first] = stream.subscribe('secret', ...secret.map(({ name }) => name));
    assert.deepEqual(summary(first ? [first] : []), ['secret +s0']);
    assert.equal(stream.sync('secret')?.ackedVersion, '');
    assert.deepEqual(summary(stream.ack(first)), ['secret +s1']);
  });
});

describe('make before break', () => {
  /** A client that has everything of A. */
  function settled(): Stream {
    const stream = new Stream();
    stream.session.onSnapshot(snapshotOf('1', A));
    for (const response of [...stream.ask('cluster'), ...stream.subscribe('endpoints', 'a')]) stream.ack(response);
    for (const response of [...stream.ask('listener'), ...stream.subscribe('route', 'r')]) stream.ack(response);
    return stream;
  }

  test('a route moves to a new cluster only when cluster and endpoints are acknowledged; the old cluster goes last', () => {
    const stream = settled();
    const moved = { ...A, cluster: [clusterNamed('b')], endpoints: [endpointsNamed('b')], route: [routeNamed('r', 'b')] };
    const [cluster, ...more] = stream.session.onSnapshot(snapshotOf('2', moved));
    assert.deepEqual([summary(cluster ? [cluster] : []), more], [['cluster +b'], []]);
    const [endpoints] = stream.subscribe('endpoints', 'b');
    assert.deepEqual(summary(endpoints ? [endpoints] : []), ['endpoints +b']);
    assert.deepEqual(stream.ack(cluster), []);
    const [route] = stream.ack(endpoints);
    assert.deepEqual(summary(route ? [route] : []), ['route +r']);
    assert.deepEqual(summary(stream.ack(route)), ['endpoints -a', 'cluster -a']);
  });

  test('one that comes back loses nothing that its routes may need before it has said which it has', () => {
    const stream = new Stream();
    const before = { ...A, cluster: [clusterNamed('a'), clusterNamed('old')], route: [routeNamed('r', 'old')] };
    const versions = (kind: 'cluster' | 'route' | 'listener', names: readonly string[]): DeltaDiscoveryRequest => {
      const earlier = new Stream();
      earlier.session.onSnapshot(snapshotOf('1', before));
      const [response] = earlier.ask(kind, kind === 'route' ? { resourceNamesSubscribe: [...names] } : {});
      return {
        initialResourceVersions: Object.fromEntries((response?.resources ?? []).map(({ name = '', version = '' }) => [name, version])),
      };
    };
    stream.session.onSnapshot(snapshotOf('2', A));
    assert.deepEqual(summary(stream.ask('cluster', versions('cluster', []))), []);
    assert.deepEqual(summary(stream.ask('endpoints', { resourceNamesSubscribe: ['old'], initialResourceVersions: { old: '1' } })), []);
    assert.deepEqual(summary(stream.ask('listener', versions('listener', []))), []);
    const [route] = stream.ask('route', { resourceNamesSubscribe: ['r'], ...versions('route', ['r']) });
    assert.deepEqual(summary(route ? [route] : []), ['route +r']);
    assert.deepEqual(summary(stream.ack(route)), ['endpoints -old', 'cluster -old']);
  });

  test('a cluster stays while the route that leaves it is refused, and nothing is sent in circles', () => {
    const stream = settled();
    const [cluster] = stream.session.onSnapshot(snapshotOf('2', { ...A, cluster: [clusterNamed('b')], route: [routeNamed('r', 'b')] }));
    const [route] = stream.nack(cluster, 'no');
    assert.deepEqual(summary(route ? [route] : []), ['route +r']);
    assert.equal(stream.sync('cluster')?.rejection, 'no');
    assert.deepEqual(stream.session.onSnapshot(snapshotOf('3', { ...A, cluster: [clusterNamed('b')], route: [routeNamed('r', 'b')] })), []);
  });

  test('routes wait until each of the new clusters has been tried alone', () => {
    const stream = settled();
    const more = { ...A, cluster: [clusterNamed('a', 5), clusterNamed('second')], route: [routeNamed('r', 'second')] };
    const [first, ...earlier] = stream.nack(stream.session.onSnapshot(snapshotOf('2', more))[0], 'no');
    assert.deepEqual([summary(first ? [first] : []), earlier], [['cluster +a'], []]);
    const [second, ...early] = stream.nack(first, 'no');
    assert.deepEqual([summary(second ? [second] : []), early], [['cluster +second'], []]);
    assert.deepEqual(summary(stream.ack(second)), ['route +r']);
  });

  test('endpoints that only change hold nothing back, however often they do', () => {
    const stream = settled();
    const [endpoints] = stream.session.onSnapshot(snapshotOf('2', { ...A, endpoints: [endpointsNamed('a', 81)] }));
    assert.deepEqual(summary(endpoints ? [endpoints] : []), ['endpoints +a']);
    const busy = { ...A, endpoints: [endpointsNamed('a', 82)], route: [routeNamed('r', 'b')] };
    assert.deepEqual(summary(stream.session.onSnapshot(snapshotOf('3', busy))), ['route +r']);
    assert.deepEqual(summary(stream.ack(endpoints)), ['endpoints +a']);
  });
});
