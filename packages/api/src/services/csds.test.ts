// What CSDS says of a data plane, from a session; and which matchers it takes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clusterNamed, endpointsNamed, snapshotOf } from '../testing/resources.ts';
import { TYPE_URLS } from '../xds/kinds.ts';
import { DeltaAdsSession } from '../xds/server/index.ts';
import { ClientStatusService, CONTENT_BYTES_MAX, readNodeMatchers, StatusBudget, statusToMessage } from './csds.ts';

const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } = ClientStatusService.fetchClientStatus;

describe('node matchers', () => {
  const matches = (...nodeMatchers: object[]) => readNodeMatchers({ nodeMatchers });

  test('none means every data plane; several mean any of them', () => {
    assert.equal(matches()('anything'), true);
    const either = matches(
      { nodeId: { matchPattern: { $case: 'exact', value: 'a' } } },
      { nodeId: { matchPattern: { $case: 'prefix', value: 'b-' } } },
    );
    assert.deepEqual(['a', 'ab', 'b-1', 'b'].map(either), [true, false, true, false]);
  });

  test('that cannot be followed are refused: passing over them would show too much', () => {
    // node_matchers { node_id { suffix: "x" } }, as another client writes it.
    const suffix = requestDeserialize(Buffer.from([0x0a, 5, 0x0a, 3, 0x1a, 1, 0x78]));
    assert.throws(() => readNodeMatchers(suffix), /node_matchers\[0\].*suffix is not supported: match by node_id, exact or prefix/);
    assert.throws(() => matches({ nodeMetadatas: [{}] }), /node_matchers\[0\]\.node_metadatas: is not supported/);
    assert.throws(() => matches({}), /node_matchers\[0\]\.node_id: needs exact or prefix/);
    assert.throws(() => matches(...Array.from({ length: 1_001 }, () => ({}))), /1001 matchers; at most 1000/);
    assert.deepEqual(readNodeMatchers(requestDeserialize(requestSerialize({ nodeMatchers: [] })))('x'), true);
  });
});

describe('the status of a data plane', () => {
  const session = new DeltaAdsSession();
  session.onSnapshot(snapshotOf('1', { cluster: [clusterNamed('good'), clusterNamed('bad')], endpoints: [endpointsNamed('good')] }), 1_000);
  const [clusters] = session.onRequest({ node: { id: 'n' }, typeUrl: TYPE_URLS.cluster }, 1_500);
  const [good] = session.onRequest(
    { typeUrl: TYPE_URLS.cluster, responseNonce: clusters?.nonce, errorDetail: { code: 3, message: "Cluster 'bad': no room" } },
    2_250,
  );
  session.onRequest({ typeUrl: TYPE_URLS.cluster, responseNonce: good?.nonce }, 3_000);
  session.onRequest({ typeUrl: TYPE_URLS.endpoints, resourceNamesSubscribe: ['good', 'ghost'] }, 4_000);
  const shown = (withContent: boolean) =>
    statusToMessage(
      {
        id: 'n',
        userAgent: 'test 1',
        metadata: { flavour: 'heddle' },
        scope: 'ADS delta',
        resources: session.resources(),
        ackedMs: () => 3_000,
      },
      withContent,
      new StatusBudget(),
    );

  test('has each resource with its state, its version and, where it was refused, why and when', () => {
    const config = shown(true);
    const back = responseDeserialize(responseSerialize({ config: [config] })).config?.[0];
    assert.deepEqual([back?.node?.id, back?.node?.userAgentName, back?.clientScope], ['n', 'test 1', 'ADS delta']);
    assert.deepEqual(back?.node?.metadata, { heddle: { flavour: 'heddle' } });
    const byName = new Map(
      back?.genericXdsConfigs?.map((resource) => [`${resource.typeUrl?.split('.').at(-1)} ${resource.name}`, resource]),
    );
    const taken = byName.get('Cluster good');
    // SYNCED, ACKED
    assert.deepEqual([taken?.configStatus, taken?.clientStatus, taken?.lastUpdated?.seconds], [1, 3, 3]);
    assert.equal(taken?.xdsConfig?.typeUrl, TYPE_URLS.cluster);
    assert.equal(taken?.errorState, undefined);
    const refused = byName.get('Cluster bad');
    // ERROR, NACKED
    assert.deepEqual([refused?.configStatus, refused?.clientStatus], [4, 4]);
    assert.equal(refused?.errorState?.details, "Cluster 'bad': no room");
    assert.deepEqual([refused?.errorState?.lastUpdateAttempt?.seconds, refused?.errorState?.lastUpdateAttempt?.nanos], [2, 250_000_000]);
    assert.equal(refused?.versionInfo, refused?.errorState?.versionInfo);
    // STALE, REQUESTED: sent, and not answered yet
    assert.deepEqual(
      [byName.get('ClusterLoadAssignment good')?.configStatus, byName.get('ClusterLoadAssignment good')?.clientStatus],
      [3, 1],
    );
    assert.equal(byName.size, 4);
  });

  test('comes without contents where these are not wanted, and never with more than an answer may hold', () => {
    assert.ok(shown(false).genericXdsConfigs?.every(({ xdsConfig }) => xdsConfig === undefined));
    const budget = new StatusBudget();
    budget.spend(CONTENT_BYTES_MAX);
    assert.throws(() => budget.spend(1), /more than 16 MiB: name fewer data planes, or set exclude_resource_contents/);
  });
});
