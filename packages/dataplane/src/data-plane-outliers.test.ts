// Instances that are left out on the caller's own evidence, and come back.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { DEFAULT_OUTLIER, NO_RETRY } from '@heddle/core';
import type { OutlierPolicy } from '@heddle/core';
import { answerGrpc, failGrpc, GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { Fleet, FleetOptions } from './testing/instances.ts';
import { endpoint, mustApply, TestMesh } from './testing/mesh.ts';
import { connectRaw, DEAD_PORTS, RawServer, until } from './testing/raw-http.ts';

const OUTLIER: OutlierPolicy = { ...DEFAULT_OUTLIER, consecutiveErrors: 3, consecutiveLocalErrors: 3, ejectMs: 60_000 };
const options = { route: { retry: NO_RETRY }, cluster: { outlier: OUTLIER } };
const CLUSTER = 'outbound/default/orders';

interface Dump {
  readonly clusters: readonly {
    readonly hosts: readonly { readonly instance: string; readonly health: string; readonly outlier?: object }[];
  }[];
}

const hostsOf = ({ way }: Fleet) => (way.planes[0]!.plane.configDump() as Dump).clusters[0]!.hosts;

describe('outliers', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });
  const fleet = (made: FleetOptions, answer: Parameters<typeof startFleet>[2]) => startFleet(mesh, made, answer);

  for (const way of WAYS) {
    test(`an instance that fails three times in a row gets no more requests (${way.name})`, async () => {
      const made = await fleet({ ...way, ...options, count: 2 }, (_request, response, { name }) => {
        response.writeHead(name === 'orders-2' ? 500 : 200).end();
      });
      const { client, instances, metrics } = made;
      for (let call = 0; call < 12; call++) await client.call();
      assert.deepEqual(
        instances.map(({ requests }) => requests),
        [9, 3],
      );
      assert.match(metrics(), /heddle_outlier_ejections_total\{cluster="outbound\/default\/orders",reason="failures-in-a-row"\} 1\n/);
      assert.match(metrics(), /heddle_outliers\{[^}]*\} 1\n/);
      const [, bad] = hostsOf(made);
      assert.equal(bad?.health, 'unhealthy');
      assert.match(JSON.stringify(bad.outlier), /"ejected":true,"reason":"3 tries in a row failed"/);
    });
  }

  test('the same by the status of gRPC in its trailers, and when nothing answers', async () => {
    const made = await fleet({ hops: 'single', version: 'http2', ...options, count: 2 }, (request, response, { name }) => {
      request.resume();
      if (name === 'orders-1') answerGrpc(response, 'fine');
      else if (request.url === '/s/Late') answerGrpc(response, 'half', 14);
      else failGrpc(response, 13);
    });
    const call = (path: string) => made.client.call({ method: 'POST', path, headers: GRPC_HEADERS, body: [Buffer.alloc(5)] });
    for (let number = 0; number < 12; number++) await call(number % 4 < 2 ? '/s/Late' : '/s/Early');
    assert.deepEqual(
      made.instances.map(({ requests }) => requests),
      [9, 3],
    );
  });

  test('a frozen instance costs a few tries their time, and then nothing', async () => {
    const route = { retry: { attempts: 2, on: ['timeout'], perTryMs: 250 } } as const;
    const made = await fleet({ ...WAYS[3]!, count: 2, route, cluster: { outlier: OUTLIER } }, (_request, response, { name }) => {
      if (name === 'orders-1') response.end();
    });
    for (let call = 0; call < 20; call++) assert.equal((await made.client.call()).status, 200);
    assert.equal(made.instances[1]!.requests, 3);
    assert.match(JSON.stringify(hostsOf(made)[1]), /"ejected":true,"reason":"3 tries in a row got no answer"/);
  });

  test('it comes back after its time, and at once when the policy goes', async () => {
    let isBad = true;
    const outlier = { ...OUTLIER, ejectMs: 700 };
    const made = await fleet({ ...WAYS[1]!, ...options, cluster: { outlier }, count: 2 }, (_request, response, { name }) => {
      response.writeHead(isBad && name === 'orders-2' ? 503 : 200).end();
    });
    const { client, instances, metrics, way } = made;
    for (let call = 0; call < 6; call++) await client.call();
    assert.equal(hostsOf(made)[1]?.health, 'unhealthy');
    isBad = false;
    await until(() => hostsOf(made)[1]?.health === 'healthy', 'its time is over');
    assert.match(metrics(), /heddle_outliers\{[^}]*\} 0\n/);
    const before = instances[1]!.requests;
    for (let call = 0; call < 4; call++) await client.call();
    assert.equal(instances[1]!.requests, before + 2);
    isBad = true;
    for (let call = 0; call < 6; call++) await client.call();
    assert.equal(hostsOf(made)[1]?.health, 'unhealthy');
    const { plane } = way.planes[0]!;
    const { status: _status, hosts: _hosts, ...config } = (plane.configDump() as { clusters: Record<string, unknown>[] }).clusters[0]!;
    const { outlier: _outlier, ...rest } = config;
    await mustApply(plane, { kind: 'cluster', upserts: [rest as never], removed: [] });
    assert.equal(hostsOf(made)[1]?.health, 'healthy');
    const then = instances[1]!.requests;
    for (let call = 0; call < 12; call++) await client.call();
    assert.equal(instances[1]!.requests, then + 6);
  });

  test('the last instances stay, however bad they are, and a list that comes anew changes nothing', async () => {
    const made = await fleet({ ...WAYS[0]!, ...options, count: 2 }, (_request, response) => void response.writeHead(500).end());
    for (let call = 0; call < 12; call++) assert.equal((await made.client.call()).status, 500);
    assert.deepEqual(
      hostsOf(made)
        .map(({ health }) => health)
        .sort(),
      ['healthy', 'unhealthy'],
    );
    const before = hostsOf(made).map(({ health }) => health);
    const endpoints = made.instances.map(({ port, name }) => endpoint(port, name));
    await mustApply(made.way.planes[0]!.plane, { kind: 'endpoints', upserts: [{ cluster: CLUSTER, endpoints }], removed: [] });
    assert.deepEqual(
      hostsOf(made).map(({ health }) => health),
      before,
    );
  });

  test('a byte stream too goes elsewhere when an instance refuses connections', async () => {
    const good = await RawServer.listen();
    mesh.onClose(() => good.close());
    good.onPeer = (peer) => peer.send('hello');
    const endpoints = [endpoint(good.port, 'orders-1'), endpoint(DEAD_PORTS[0], 'orders-2')];
    const { plane, metrics } = mesh.plane('web');
    const cluster = { http: 'http1', tls: undefined, outlier: OUTLIER } as const;
    await mesh.outbound(plane, 'orders', endpoints, { cluster });
    const bind = await plane.reserve({ address: '127.0.0.1', port: 0 });
    const filter = { kind: 'tcp', cluster: CLUSTER } as const;
    const listener = { name: 'bytes', direction: 'outbound', ...bind, workload: 'default/web/web-1', filter } as const;
    await mustApply(plane, { kind: 'listener', upserts: [listener], removed: [] });
    for (let stream = 0; stream < 12; stream++) {
      const client = connectRaw(bind.port);
      await client.expect('hello');
      client.socket.destroy();
    }
    assert.match(metrics.expose(), /heddle_outlier_ejections_total\{[^}]*failures-in-a-row[^}]*\} 1\n/);
    assert.match(metrics.expose(), /heddle_upstream_connect_failures_total\{[^}]*reason="refused"[^}]*\} 3\n/);
  });
});
