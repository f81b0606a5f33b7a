// What a data plane refuses of a resource, with the name of the resource and why.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_RETRY_BUDGET, NO_BREAKER, SINGLE_BALANCE, SYSTEM_ROOTS } from '@heddle/core';
import type { Cluster, Listener, TcpFilter, UpstreamTls } from '@heddle/core';
import { checkCluster, checkListener } from './data-plane-resources.ts';

const http = { kind: 'http', routeConfigName: 'r' } as const;
const tcp: TcpFilter = { kind: 'tcp', cluster: 'c' };
const OUT: Listener = { name: 'l', direction: 'outbound', address: '127.0.0.1', port: 1, workload: 'a/b/c', filter: http };
const MUTUAL = { certificateName: 'workload', trustBundleName: 'roots', trustDomain: 'shop.test' };
const IN: Listener = { ...OUT, direction: 'inbound', tls: MUTUAL };
const hasCertificate = (name: string): boolean => name === 'server';

function cluster(tls?: UpstreamTls): Cluster {
  return {
    name: 'c',
    service: { namespace: 'a', name: 'b' },
    endpoints: { kind: 'eds' },
    balance: SINGLE_BALANCE,
    connectTimeoutMs: 1,
    breaker: NO_BREAKER,
    retryBudget: DEFAULT_RETRY_BUDGET,
    http: 'http2',
    ...(tls && { tls }),
  };
}

describe('a listener', () => {
  test('is taken in every shape that can work', () => {
    const { workload: _, ...shared } = OUT;
    const good: Listener[] = [
      OUT,
      IN,
      { ...OUT, filter: { ...http, otherwise: { ...tcp, tunnel: 'db.default.mesh.internal:5432' } } },
      { ...OUT, filter: { ...tcp, tunnel: '[fd00::1]:1' } },
      { ...OUT, tls: { certificateName: 'server' } },
      { ...OUT, filter: tcp, tls: { certificateName: 'server', trustBundleName: 'roots' } },
      { ...shared, serverNames: [{ names: ['a.example', 'b.example'], filter: tcp }] },
      { ...OUT, serverNames: [], tls: { certificateName: 'workload' } },
      { ...OUT, direction: 'inbound' },
      { ...IN, tls: { ...MUTUAL, plaintext: true, minVersion: '1.2' }, filter: { ...http, otherwise: tcp } },
    ];
    for (const listener of good) assert.equal(checkListener(listener, hasCertificate), undefined, JSON.stringify(listener));
  });

  test('is refused where it would let anybody in', () => {
    const cases: [Listener, RegExp][] = [
      [{ ...IN, tls: { certificateName: 'workload' } }, /asks for no identity would let anybody in/],
      [{ ...IN, tls: { certificateName: 'workload', trustBundleName: 'roots' } }, /asks for no identity would let anybody in/],
      [{ ...IN, tls: { ...MUTUAL, certificateName: 'server' } }, /shows the certificate of its workload/],
      [{ ...IN, serverNames: [{ names: ['a'], filter: tcp }] }, /lets nothing pass by its server name/],
      [{ ...IN, filter: { ...http, otherwise: tcp } }, /without TLS only/],
    ];
    for (const [listener, expected] of cases) assert.match(checkListener(listener, hasCertificate) ?? 'accepted', expected);
  });

  test('is refused where a part of it could not work', () => {
    const { workload: _, ...nobody } = OUT;
    const cases: [Listener, RegExp][] = [
      [{ ...nobody, filter: tcp }, /must name its workload/],
      [{ ...nobody, filter: { ...http, otherwise: tcp } }, /other bytes than HTTP must name its workload/],
      [{ ...nobody, tls: { certificateName: 'workload' } }, /there is no workload whose certificate/],
      [{ ...OUT, tls: { certificateName: 'stranger' } }, /certificate "stranger" is not known/],
      [{ ...OUT, tls: { certificateName: 'server', trustDomain: 'x' } }, /a trust domain without a trust bundle/],
      [{ ...OUT, tls: { ...MUTUAL, trustDomain: '' } }, /the trust domain is empty/],
      [{ ...OUT, tls: { certificateName: 'server' }, filter: { ...http, otherwise: tcp } }, /under TLS the client says it/],
      [{ ...OUT, tls: { certificateName: 'server' }, serverNames: [{ names: ['a'], filter: tcp }] }, /not both/],
      [{ ...IN, tls: { ...MUTUAL, minVersion: '1.1' as '1.2' } }, /TLS "1.1" is not known/],
      [{ ...OUT, serverNames: [{ names: [], filter: tcp }] }, /without any name/],
      [{ ...OUT, serverNames: [{ names: ['*.example'], filter: tcp }] }, /"\*\.example" is not a server name/],
      [{ ...OUT, serverNames: [{ names: ['A'], filter: tcp }] }, /"A" is not a server name in lower case/],
      [
        {
          ...OUT,
          serverNames: [
            { names: ['a'], filter: tcp },
            { names: ['a'], filter: tcp },
          ],
        },
        /server name "a" is listed twice/,
      ],
      [{ ...OUT, serverNames: [{ names: ['a'], filter: http as never }] }, /its filter must be tcp/],
      [{ ...OUT, filter: { ...tcp, tunnel: 'db' } }, /"db" is not a host with a port/],
      [{ ...OUT, filter: { ...http, otherwise: { ...tcp, tunnel: 'db:0' } } }, /"db:0" is not a host with a port/],
      [{ ...OUT, serverNames: [{ names: ['a'], filter: { ...tcp, tunnel: 'db:65536' } }] }, /"db:65536" is not a host/],
    ];
    for (const [listener, expected] of cases) assert.match(checkListener(listener, hasCertificate) ?? 'accepted', expected);
    assert.match(checkListener({ ...OUT, tls: { certificateName: 'server' } }) ?? 'accepted', /"server" is not known/);
  });
});

describe('a cluster', () => {
  const ID = 'spiffe://shop.test/ns/default/svc/orders';
  const byId = { certificateName: 'workload', trustBundleName: 'roots', peerIds: [ID], alpn: ['h2'] };
  const byName = { trustBundleName: 'roots', peerIds: [], serverName: 'db.example', alpn: [] };

  test('tells its peers by identities or by a name', () => {
    for (const tls of [undefined, byId, byName, { ...byName, certificateName: 'server' }])
      assert.equal(checkCluster(cluster(tls), 1, hasCertificate), undefined);
  });

  test('is refused where it would accept anybody or nobody', () => {
    const cases: [Cluster, RegExp][] = [
      [cluster({ ...byId, peerIds: [] }), /no SPIFFE id is accepted/],
      [cluster({ ...byId, peerIds: ['spiffe://x'] }), /"spiffe:\/\/x" is not a SPIFFE id/],
      [cluster({ ...byName, peerIds: [ID] }), /by SPIFFE ids or by a server name, not by both/],
      [cluster({ ...byName, serverName: '10.0.0.1' }), /"10\.0\.0\.1" is not a server name/],
      [cluster({ ...byName, certificateName: 'stranger' }), /certificate "stranger" is not known/],
      [cluster({ ...byId, trustBundleName: SYSTEM_ROOTS }), /with the authorities that the platform trusts, a server is known by its name/],
      [{ ...cluster(), endpoints: { kind: 'dns', host: 'a.example', port: 0 } }, /a\.example has port 0/],
      [{ ...cluster(), http: 'http3' as 'http2' }, /"http3" is not known; http1 and http2 are/],
    ];
    for (const [wrong, expected] of cases) assert.match(checkCluster(wrong, 1, hasCertificate) ?? 'accepted', expected);
  });
});
