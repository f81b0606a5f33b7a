// Sessions that are limited to one type, in both variants.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clusterNamed, endpointsNamed, snapshotOf } from '../../testing/resources.ts';
import { TYPE_URLS } from '../kinds.ts';
import { AdsProtocolError } from '../protocol-error.ts';
import { DeltaAdsSession, SotwAdsSession } from './index.ts';

const SNAPSHOT = snapshotOf('1', { cluster: [clusterNamed('a')], endpoints: [endpointsNamed('a'), endpointsNamed('b')] });
const refusedAs = (pattern: RegExp) => (error: unknown) =>
  error instanceof AdsProtocolError && error.grpcStatus === 3 && pattern.test(error.message);

describe('a session for one type', () => {
  test('takes an empty type_url for its own, and answers with the whole one', () => {
    const delta = new DeltaAdsSession('endpoints');
    delta.onSnapshot(SNAPSHOT);
    const [response] = delta.onRequest({ node: { id: 'n' }, resourceNamesSubscribe: ['a'] }, 1_000);
    assert.deepEqual([response?.typeUrl, response?.resources?.map(({ name }) => name)], [TYPE_URLS.endpoints, ['a']]);
    assert.deepEqual(delta.onRequest({ responseNonce: response?.nonce }, 2_000), []);
    assert.deepEqual(
      delta.sync().map(({ kind, ackedVersion, ackedMs }) => [kind, ackedVersion, ackedMs]),
      [['endpoints', '1', 2_000]],
    );

    const sotw = new SotwAdsSession('cluster');
    sotw.onSnapshot(SNAPSHOT);
    const [all] = sotw.onRequest({ node: { id: 'n' } }, 1_000);
    assert.deepEqual([all?.typeUrl, all?.resources?.length], [TYPE_URLS.cluster, 1]);
    const [named] = sotw.onRequest({ typeUrl: TYPE_URLS.cluster, responseNonce: all?.nonce, resourceNames: ['a', 'x'] }, 2_000);
    assert.equal(named?.typeUrl, TYPE_URLS.cluster);
  });

  test('refuses another type, which an aggregated stream would take', () => {
    for (const session of [new DeltaAdsSession('endpoints'), new SotwAdsSession('endpoints')]) {
      session.onSnapshot(SNAPSHOT);
      assert.throws(
        () => session.onRequest({ typeUrl: TYPE_URLS.cluster }, 1),
        refusedAs(/for type.*ClusterLoadAssignment alone, not for .*Cluster:/),
      );
      assert.throws(() => session.onRequest({ typeUrl: 'x'.repeat(10_000) }, 1), refusedAs(/^.{1000,2300}$/));
    }
    assert.throws(() => new DeltaAdsSession().onRequest({}, 1), refusedAs(/type_url is required/));
  });

  test('waits for no other type: endpoints come although nobody asked for clusters', () => {
    const session = new DeltaAdsSession('endpoints');
    session.onSnapshot(SNAPSHOT);
    const [response] = session.onRequest({ resourceNamesSubscribe: ['a', 'b', 'ghost'] }, 1);
    assert.deepEqual([response?.resources?.length, response?.removedResources], [2, ['ghost']]);
  });
});

test('who a data plane says it is, in the forms of Envoy and of the gRPC libraries', () => {
  const agentOf = (node: object) => {
    const session = new DeltaAdsSession('cluster');
    session.onRequest({ node }, 1);
    return session.node?.userAgent;
  };
  const version = { majorNumber: 1, minorNumber: 30, patch: 4 };
  assert.equal(
    agentOf({ userAgentName: 'envoy', userAgentVersionType: { $case: 'userAgentBuildVersion', value: { version } } }),
    'envoy 1.30.4',
  );
  assert.equal(
    agentOf({ userAgentName: 'gRPC Go', userAgentVersionType: { $case: 'userAgentVersion', value: '1.60.1' } }),
    'gRPC Go 1.60.1',
  );
  assert.equal(agentOf({}), '');
});

describe('what a session tells of each resource', () => {
  const told = (session: DeltaAdsSession) =>
    [...session.resources()].map(
      ({ kind, name, state, refusal }) => `${kind} ${name} ${state}${refusal === undefined ? '' : ` ${refusal.reason}`}`,
    );

  test('is how far the data plane is with it', () => {
    const session = new DeltaAdsSession();
    session.onRequest({ typeUrl: TYPE_URLS.endpoints, resourceNamesSubscribe: ['a', 'ghost'] }, 1);
    assert.deepEqual(told(session), ['endpoints a requested', 'endpoints ghost requested']);
    const [first] = session.onSnapshot(SNAPSHOT, 2);
    assert.deepEqual(told(session), ['endpoints a sent', 'endpoints ghost sent']);
    assert.equal([...session.resources()][0]?.hadBefore, false);
    session.onRequest({ typeUrl: TYPE_URLS.endpoints, responseNonce: first?.nonce }, 3);
    assert.deepEqual(told(session), ['endpoints a acknowledged', 'endpoints ghost absent']);

    const [second] = session.onSnapshot(snapshotOf('2', { endpoints: [endpointsNamed('a', 81)] }), 4);
    assert.deepEqual([...session.resources()].map(({ name, state, hadBefore }) => [name, state, hadBefore])[0], ['a', 'sent', true]);
    session.onRequest({ typeUrl: TYPE_URLS.endpoints, responseNonce: second?.nonce, errorDetail: { code: 3, message: 'no 81' } }, 5);
    assert.deepEqual(told(session).toSorted(), ['endpoints a refused no 81', 'endpoints ghost absent']);
    const [refused] = [...session.resources()];
    assert.equal(refused?.refusal?.ms, 5);
    // What it has is the version before; what was refused is what there is.
    assert.notEqual(refused?.version, refused?.refusal?.version);
    assert.equal(refused?.refusal?.version, refused?.present?.version);
  });
});
