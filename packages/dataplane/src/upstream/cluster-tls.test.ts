// Which certificate is shown to a cluster's endpoints, and when a context is made anew.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SYSTEM_ROOTS } from '@heddle/core';
import type { UpstreamTls } from '@heddle/core';
import { type ClientTlsOptions, type Network, NetworkError } from '@heddle/runtime';
import { ClusterTls } from './cluster-tls.ts';
import { Identities } from './identities.ts';

const MESH: UpstreamTls = { certificateName: 'workload', trustBundleName: 'roots', peerIds: ['spiffe://a/ns/b/svc/c'], alpn: ['h2'] };
const NAMED: UpstreamTls = { trustBundleName: 'roots', peerIds: [], serverName: 'db.example', alpn: [] };
const pem = (name: string) => ({ certificatePem: `${name} certificate`, keyPem: `${name} key` });

function setUp(options: UpstreamTls | undefined) {
  const made: ClientTlsOptions[] = [];
  // Only this part of the network is used; contexts are told apart by identity.
  const network = {
    clientTls: (asked: ClientTlsOptions) => {
      if (asked.rootsPem === 'bad') throw new NetworkError('tls', 'the roots cannot be used');
      made.push(asked);
      return { kind: 'client' };
    },
  } as unknown as Network;
  const identities = new Identities();
  const tls = new ClusterTls(network, identities, { ...(options && { tls: options }) });
  identities.onChange = () => tls.forget();
  return { made, identities, tls };
}

describe('TLS towards a cluster', () => {
  test('shows the certificate of each calling workload, with one context for each', () => {
    const { made, identities, tls } = setUp(MESH);
    assert.ok(tls.isNeeded && tls.showsWorkload);
    assert.match(tls.missing('a/b/1'), /^workload a\/b\/1 has no certificate yet$/);
    identities.set('a/b/1', pem('one'));
    assert.equal(tls.of('a/b/1'), undefined);
    assert.match(tls.missing('a/b/1'), /the trust bundle "roots" has not arrived/);
    identities.setBundles([{ name: 'roots', rootsPem: 'r' }], []);
    identities.set('a/b/2', pem('two'));
    const first = tls.of('a/b/1');
    assert.ok(first !== undefined && tls.of('a/b/1') === first && tls.of('a/b/2') !== first);
    assert.deepEqual(
      made.map(({ identity }) => identity?.keyPem),
      ['one key', 'two key'],
    );
    assert.deepEqual([made[0]?.peerIds, made[0]?.serverName], [MESH.peerIds, undefined]);
    identities.set('a/b/1', pem('renewed'));
    assert.notEqual(tls.of('a/b/1'), first);
    assert.equal(made.at(-1)?.identity?.keyPem, 'renewed key');
  });

  test('shows nothing where nothing is to be shown, and shares one context', () => {
    const { made, identities, tls } = setUp(NAMED);
    identities.setBundles([{ name: 'roots', rootsPem: 'r' }], []);
    assert.ok(tls.isNeeded && !tls.showsWorkload);
    assert.equal(tls.of('a/b/1'), tls.of('a/b/2'));
    assert.deepEqual(made, [{ rootsPem: 'r', peerIds: [], serverName: 'db.example', alpn: [] }]);
  });

  test('trusts what the platform trusts where the configuration says so, without waiting for roots', () => {
    const { made, tls } = setUp({ ...NAMED, trustBundleName: SYSTEM_ROOTS });
    assert.ok(tls.of('a/b/1') !== undefined);
    assert.deepEqual(made, [{ peerIds: [], serverName: 'db.example', alpn: [] }]);
  });

  test('shows a certificate that was given by name, whoever calls', () => {
    const { made, identities, tls } = setUp({ ...NAMED, certificateName: 'client' });
    identities.setBundles([{ name: 'roots', rootsPem: 'r' }], []);
    assert.equal(tls.of('a/b/1'), undefined);
    assert.match(tls.missing('a/b/1'), /the certificate "client" has not been given/);
    identities.setCertificate('client', pem('client'));
    assert.equal(tls.of('a/b/1'), tls.of('a/b/2'));
    assert.equal(made[0]?.identity?.keyPem, 'client key');
    identities.removeCertificate('client');
    assert.equal(tls.of('a/b/1'), undefined);
  });

  test('says so when what is there cannot be used', () => {
    const { identities, tls } = setUp(NAMED);
    identities.setBundles([{ name: 'roots', rootsPem: 'bad' }], []);
    assert.equal(tls.of('a/b/1'), undefined);
    assert.equal(tls.missing('a/b/1'), 'the roots cannot be used');
  });

  test('is not there for a plaintext cluster', () => {
    const { tls } = setUp(undefined);
    assert.ok(!tls.isNeeded && !tls.showsWorkload && tls.of('a/b/1') === undefined);
    assert.ok(tls.isCurrent(undefined, 'a/b/1') && !tls.isCurrent({ kind: 'client' }, 'a/b/1'));
  });

  test('a plaintext connection is of no use any more once TLS is needed, also while there is no certificate', () => {
    const { tls } = setUp(MESH);
    assert.equal(tls.of('a/b/1'), undefined);
    assert.equal(tls.isCurrent(undefined, 'a/b/1'), false);
  });
});

test("the name of the workloads' own certificates cannot be given to another", () => {
  const identities = new Identities();
  assert.throws(() => identities.setCertificate('workload', pem('x')), RangeError);
  assert.deepEqual(identities.certificateNames, []);
  identities.setCertificate('b', { ...pem('x'), more: 'is not kept' } as ReturnType<typeof pem>);
  assert.deepEqual(identities.certificate('b'), pem('x'));
  assert.deepEqual([identities.resolve('b', 'a/b/1'), identities.resolve('workload', 'a/b/1')], [pem('x'), undefined]);
});
