// Configuration while traffic flows: whole or not at all, rotation, removal, draining.
import assert from 'node:assert/strict';
import net from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, Listener, Resource, ResourceKind } from '@heddle/core';
import { endpoint, localCluster, meshCluster, mustApply, routeConfig, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';

const GET = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('configuration', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  async function pair(): Promise<{ web: Plane; orders: Plane; port: number; inbound: number; application: RawServer }> {
    const web = mesh.plane('web');
    const orders = mesh.plane('orders');
    const application = await RawServer.listen();
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send(OK));
    mesh.onClose(() => application.close());
    const inbound = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(inbound, 'orders-1')]);
    return { web, orders, port, inbound, application };
  }

  async function answered(port: number): Promise<void> {
    const client = connectRaw(port);
    client.send(GET);
    await client.expect('\r\n\r\nok');
    client.socket.destroy();
  }

  test('a listener whose port is taken is rejected with the reason, together with its whole update', async () => {
    const { web, port } = await pair();
    const blocker = await RawServer.listen();
    mesh.onClose(() => blocker.close());
    const free = await web.plane.reserve({ address: '127.0.0.1', port: 0 });
    await web.plane.release(free);
    const listener = (name: string, at: number): Listener => ({
      name,
      direction: 'outbound',
      address: '127.0.0.1',
      port: at,
      workload: 'default/web/web-1',
      filter: { kind: 'http', routeConfigName: 'outbound/default/orders' },
    });
    const reason = await web.plane.apply({
      kind: 'listener',
      upserts: [listener('a', free.port), listener('b', blocker.port)],
      removed: ['outbound/default/web/web-1/default/orders'],
    });
    assert.match(reason ?? '', new RegExp(`127\\.0\\.0\\.1:${blocker.port}.*another process`));
    await answered(port);
    const probe = net.connect(free.port, '127.0.0.1');
    const code = await new Promise<string>((resolve) => {
      probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      probe.on('connect', () => resolve('connected'));
    });
    assert.equal(code, 'ECONNREFUSED');
    probe.destroy();
  });

  test('resources that cannot work are rejected, each with its name and why', async () => {
    const { plane } = mesh.plane('p');
    const base: Listener = {
      name: 'l',
      direction: 'outbound',
      address: '127.0.0.1',
      port: 1,
      workload: 'a/b/c',
      filter: { kind: 'http', routeConfigName: 'r' },
    };
    const cases: [Parameters<typeof plane.apply>[0], RegExp][] = [
      [{ kind: 'listener', upserts: [{ ...base, port: 0 }], removed: [] }, /listener "l": 0 is not a port/],
      [
        { kind: 'listener', upserts: [{ ...base, direction: 'inbound', tls: { certificateName: 'workload' } }], removed: [] },
        /listener "l": an inbound listener with TLS that asks for no identity/,
      ],
      [
        { kind: 'listener', upserts: [{ ...base, workload: undefined, filter: { kind: 'tcp', cluster: 'c' } }], removed: [] },
        /must name its workload/,
      ],
      [{ kind: 'listener', upserts: [base, { ...base, name: 'm' }], removed: [] }, /listeners "l" and "m" both want 127\.0\.0\.1:1/],
      [
        { kind: 'route', upserts: [{ name: 'r', virtualHosts: [{ name: 'v', domains: ['*', '*'], routes: [] }] }], removed: [] },
        /route configuration "r", virtual host "v"/,
      ],
      [
        { kind: 'cluster', upserts: [{ ...meshCluster('x'), tls: { ...meshCluster('x').tls!, peerIds: [] } }], removed: [] },
        /no SPIFFE id is accepted/,
      ],
      [
        {
          kind: 'cluster',
          upserts: [{ ...meshCluster('x'), balance: { ...SINGLE_BALANCE, algorithm: 'magic' as 'random' } }],
          removed: [],
        },
        /"magic" is not known/,
      ],
      [{ kind: 'cluster', upserts: [localCluster('x', 'x-1', 0)], removed: [] }, /x-1 has port 0/],
      [
        { kind: 'endpoints', upserts: [{ cluster: 'c', endpoints: [endpoint(70_000, 'c-1')] }], removed: [] },
        /endpoints of "c": c-1 has port 70000/,
      ],
      [{ kind: 'secret', upserts: [{ name: 's', rootsPem: 'nonsense' }], removed: [] }, /secret "s": there is no certificate/],
      [
        { kind: 'secret', upserts: [{ name: 's', rootsPem: mesh.authority.service('web').certificatePem }], removed: [] },
        /is not an authority/,
      ],
    ];
    for (const [update, expected] of cases) assert.match((await plane.apply(update)) ?? 'accepted', expected);
    assert.deepEqual(plane.wanted(), { routes: [], endpoints: [], secrets: [] });
  });

  test('more resources or endpoints than the limits are rejected, and room that an update makes counts', async () => {
    const { plane } = mesh.plane('p', { resourcesPerTypeMax: 2, endpointsPerClusterMax: 2 });
    const names = ['a', 'b', 'c'] as const;
    const endpoints = [endpoint(1, 'x-1'), endpoint(2, 'x-2'), endpoint(3, 'x-3')];
    const listener = (name: string, port: number): Listener => ({
      name,
      direction: 'outbound',
      address: '127.0.0.1',
      port,
      workload: 'default/web/web-1',
      filter: { kind: 'http', routeConfigName: 'r' },
    });
    const binds = await Promise.all(names.map(() => plane.reserve({ address: '127.0.0.1', port: 0 })));
    const of: Record<ResourceKind, readonly Resource[]> = {
      listener: names.map((name, index) => listener(name, binds[index]!.port)),
      route: names.map((name) => routeConfig(name, 'x')),
      cluster: names.map((name) => meshCluster(name)),
      endpoints: names.map((name) => ({ cluster: name, endpoints: [] })),
      secret: names.map((name) => ({ name, rootsPem: mesh.authority.rootsPem })),
    };
    for (const kind of ['listener', 'route', 'cluster', 'endpoints', 'secret'] as const) {
      const [a, b, c] = of[kind] as [Resource, Resource, Resource];
      const [nameOfA, nameOfB, nameOfC] = kind === 'cluster' ? [a, b, c].map((r) => (r as Cluster).name) : names;
      const apply = (upserts: readonly Resource[], removed: readonly string[] = []) => plane.apply({ kind, upserts, removed });
      const tooMany = new RegExp(`^3 resources of kind ${kind} are more than the 2 .*resourcesPerTypeMax`);
      assert.match((await apply([a, b, c])) ?? 'accepted', tooMany);
      assert.equal(await apply([a, b]), undefined);
      assert.match((await apply([b, c], ['stranger'])) ?? 'accepted', tooMany);
      assert.equal(await apply([b, c], [nameOfA!]), undefined);
      assert.equal(await apply([], [nameOfB!, nameOfC!]), undefined);
    }
    assert.match(
      (await plane.apply({ kind: 'endpoints', upserts: [{ cluster: 'x', endpoints }], removed: [] })) ?? 'accepted',
      /^endpoints of "x": 3 endpoints are more than 2 \(endpointsPerClusterMax\)/,
    );
    const wide: Cluster = { ...localCluster('x', 'x-1', 1), endpoints: { kind: 'static', endpoints } };
    assert.match(
      (await plane.apply({ kind: 'cluster', upserts: [wide], removed: [] })) ?? 'accepted',
      /^cluster "local\/default\/x\/x-1": 3 endpoints/,
    );
    assert.equal(
      await plane.apply({ kind: 'endpoints', upserts: [{ cluster: 'x', endpoints: endpoints.slice(1) }], removed: [] }),
      undefined,
    );
  });

  test('says what it wants, and when that changes', async () => {
    const { plane } = mesh.plane('p');
    let wantedChanges = 0;
    let clusterChanges = 0;
    plane.onWantedChange = () => {
      wantedChanges += 1;
    };
    plane.onClustersChange = () => {
      clusterChanges += 1;
    };
    await mustApply(plane, { kind: 'cluster', upserts: [meshCluster('orders'), localCluster('web', 'web-1', 9)], removed: [] });
    await mustApply(plane, { kind: 'cluster', upserts: [meshCluster('orders')], removed: [] });
    assert.deepEqual(plane.wanted(), { routes: [], endpoints: ['outbound/default/orders'], secrets: ['trust-bundle'] });
    assert.deepEqual([wantedChanges, clusterChanges], [1, 2]);
    assert.deepEqual(
      plane.localClusters().map((cluster) => cluster.name),
      ['local/default/web/web-1'],
    );
    const dump = JSON.stringify(plane.configDump());
    assert.match(dump, /outbound\/default\/orders/);
  });

  test('a reserved port closes connections until its listener comes, and waits for its identity', async () => {
    const { plane } = mesh.plane('p');
    const bind = await plane.reserve({ address: '127.0.0.1', port: 0 });
    assert.deepEqual(await plane.reserve(bind), bind);
    await connectRaw(bind.port).gone();
    await mesh.trust(plane);
    await mustApply(plane, {
      kind: 'listener',
      upserts: [
        {
          name: 'inbound/default/a/a-1',
          direction: 'inbound',
          ...bind,
          workload: 'default/a/a-1',
          tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.test' },
          filter: { kind: 'tcp', cluster: 'local/default/a/a-1' },
        },
      ],
      removed: [],
    });
    assert.deepEqual(
      plane.status().listeners.map(({ state, reason }) => [state, reason]),
      [['waiting', 'workload default/a/a-1 has no certificate yet']],
    );
    plane.setIdentity('default/a/a-1', mesh.authority.service('a'));
    assert.equal(plane.status().listeners[0]!.state, 'accepting');
    await mustApply(plane, { kind: 'listener', upserts: [], removed: ['inbound/default/a/a-1'] });
    assert.equal(plane.status().listeners[0]!.state, 'reserved');
    await plane.release(bind);
    assert.equal(plane.status().listeners.length, 0);
  });

  test('a new identity is used for new connections, with no request lost under load', async () => {
    const { web, orders, port } = await pair();
    let stop = false;
    let answers = 0;
    const worker = async (): Promise<void> => {
      const client = connectRaw(port);
      for (let sent = 1; !stop; sent++) {
        client.send(GET);
        await until(() => client.text.split('\r\n\r\nok').length === sent + 1 || client.closed, 'an answer');
        assert.equal(client.closed, false);
        answers += 1;
      }
      assert.doesNotMatch(client.text, /x-heddle-error/);
      client.socket.destroy();
    };
    const workers = [worker(), worker(), worker(), worker()];
    for (let i = 1; i <= 4; i++) {
      const before = answers;
      web.plane.setIdentity('default/web/web-1', mesh.authority.service('web'));
      orders.plane.setIdentity('default/orders/orders-1', mesh.authority.service('orders'));
      await until(() => answers >= before + 20, 'traffic goes on');
    }
    stop = true;
    await Promise.all(workers);
    assert.throws(() => web.plane.setIdentity('default/web/web-1', { certificatePem: 'x', keyPem: 'y' }), /cannot be used/);
    await answered(port);
  });

  test('an endpoint that is no longer listed gets no request, and the one in flight finishes', async () => {
    const { web, port, inbound, application } = await pair();
    application.onPeer = () => {};
    const client = connectRaw(port);
    client.send(GET);
    await until(() => application.peers.length === 1 && application.peers[0]!.receivedBytes > 0, 'in flight');
    const second = await RawServer.listen();
    second.onPeer = (peer) => peer.socket.on('data', () => peer.send(OK));
    mesh.onClose(() => second.close());
    const other = mesh.plane('orders-2');
    const otherInbound = await mesh.inbound(other.plane, 'orders', 'orders-2', second.port);
    const list = (health: 'draining' | 'unhealthy') => ({
      kind: 'endpoints' as const,
      upserts: [
        { cluster: 'outbound/default/orders', endpoints: [endpoint(inbound, 'orders-1', health), endpoint(otherInbound, 'orders-2')] },
      ],
      removed: [],
    });
    for (const health of ['draining', 'unhealthy'] as const) {
      await mustApply(web.plane, list(health));
      for (let i = 0; i < 4; i++) await answered(port);
    }
    await mustApply(web.plane, {
      kind: 'endpoints',
      upserts: [{ cluster: 'outbound/default/orders', endpoints: [endpoint(otherInbound, 'orders-2')] }],
      removed: [],
    });
    await answered(port);
    assert.equal(application.peers.length, 1);
    application.peers[0]!.send(OK);
    await client.expect('\r\n\r\nok');
    client.socket.destroy();
  });

  test('a peer without certificate, or with another protocol, never reaches the application', async () => {
    const { orders, inbound, application } = await pair();
    await connectRaw(inbound).send(GET).gone();
    const web = mesh.plane('web-tcp');
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(inbound, 'orders-1')], {
      cluster: { tls: { ...meshCluster('orders').tls!, alpn: ['other'] } },
    });
    const client = connectRaw(port).send(GET);
    await client.expect('x-heddle-error: PEER_NOT_TRUSTED');
    client.socket.destroy();
    assert.equal(application.peers.length, 0);
    assert.match(orders.metrics.expose(), /heddle_tls_refused_handshakes_total\{[^}]*\} [2-9]/);
  });

  test('draining refuses newcomers, finishes what runs, says close, and then is gone', async () => {
    const { orders, port, inbound, application } = await pair();
    const client = connectRaw(port);
    application.onPeer = () => {};
    client.send(GET);
    await until(() => application.peers.length === 1 && application.peers[0]!.receivedBytes > 0, 'in flight');
    let drained = false;
    const drain = orders.plane.drain(5_000).then(() => {
      drained = true;
    });
    await until(() => orders.plane.status().draining, 'draining');
    const late = connectRaw(inbound);
    await until(() => late.error !== undefined || late.ended, 'refused');
    assert.equal(drained, false);
    application.peers[0]!.send(OK);
    await client.expect('\r\n\r\nok');
    await drain;
    assert.deepEqual([orders.plane.status().activeRequests, orders.plane.status().openConnections], [0, 0]);
    client.socket.destroy();
  });

  test('draining cuts what is left after the grace', async () => {
    const { orders, port, application } = await pair();
    application.onPeer = () => {};
    const client = connectRaw(port);
    client.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1\r\n\r\nx');
    await until(() => application.peers.length === 1 && application.peers[0]!.receivedBytes > 0, 'in flight');
    await orders.plane.drain(50);
    assert.match(await client.expect('UPSTREAM_RESET: '), /^HTTP\/1\.1 502 /);
    client.socket.destroy();
  });

  test('a route changes under a kept connection', async () => {
    const { web, port } = await pair();
    const client = connectRaw(port);
    client.send(GET);
    await client.expect('\r\n\r\nok');
    await mustApply(web.plane, {
      kind: 'route',
      upserts: [routeConfig('outbound/default/orders', 'outbound/default/nowhere')],
      removed: [],
    });
    client.send(GET);
    await client.expect('the cluster "outbound/default/nowhere" has not arrived yet');
    client.socket.destroy();
  });
});
