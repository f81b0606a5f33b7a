// Where a request goes when there is a choice: weights, hashes, sessions, nearness, names outside the mesh.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { DEFAULT_BALANCE, SINGLE_BALANCE } from '@heddle/core';
import type { BalanceAlgorithm, Endpoint } from '@heddle/core';
import type { Client, HeaderMap } from './testing/clients.ts';
import { startFleet, WAYS } from './testing/instances.ts';
import type { FleetOptions } from './testing/instances.ts';
import { endpoint, meshCluster, mustApply, routeConfig, TestMesh } from './testing/mesh.ts';
import { single, startApplication } from './testing/paths.ts';

const byHash = (algorithm: BalanceAlgorithm) => ({ ...SINGLE_BALANCE, algorithm });
const named = (_request: unknown, response: { end(text: string): void }, { name }: { name: string }): void => response.end(name);

async function answers(client: Client, count: number, headers: HeaderMap = {}, path = '/'): Promise<string[]> {
  const got: string[] = [];
  for (let call = 0; call < count; call++) got.push((await client.call({ headers, path })).body.toString());
  return got;
}

describe('choices', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });
  const fleet = (made: FleetOptions, answer: Parameters<typeof startFleet>[2]) => startFleet(mesh, made, answer);

  for (const way of WAYS) {
    describe(way.name, () => {
      const algorithm = way.hops === 'single' ? 'ring-hash' : 'maglev';
      test(`${algorithm}: what has the same hash goes to the same instance, and all instances get something`, async () => {
        const route = { hash: [{ kind: 'header', name: 'x-user' } as const] };
        const { client } = await fleet({ ...way, count: 4, route, cluster: { balance: byHash(algorithm) } }, named);
        const seen = new Set<string>();
        for (let user = 0; user < 40; user++) {
          const [first = '', second] = await answers(client, 2, { 'x-user': `user-${user}` });
          assert.equal(first, second);
          seen.add(first);
        }
        assert.equal(seen.size, 4);
        assert.ok(new Set(await answers(client, 40)).size > 1);
      });

      test('a cookie that may be made is set once, and keeps its client on one instance', async () => {
        const route = { hash: [{ kind: 'cookie', name: 'sid', ttlMs: 3_600_000 } as const] };
        const { client } = await fleet({ ...way, count: 4, route, cluster: { balance: byHash('ring-hash') } }, named);
        const answer = await client.call();
        const [line = ''] = answer.headers['set-cookie'] as string[];
        assert.match(line, /^sid=[0-9a-f]{16}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/);
        const cookie = line.slice(0, line.indexOf(';'));
        const again = await client.call({ headers: { cookie: `a=b; ${cookie}` } });
        assert.equal(again.headers['set-cookie'], undefined);
        assert.equal(again.body.toString(), answer.body.toString());
        assert.deepEqual(new Set(await answers(client, 10, { cookie })), new Set([answer.body.toString()]));
      });

      test('a session stays with its instance until that is gone, and then with another', async () => {
        const cluster = { session: { cookie: 'heddle-session', ttlMs: 0 } };
        const { client, way: through } = await fleet({ ...way, count: 3, cluster }, named);
        const first = await client.call();
        const [line = ''] = first.headers['set-cookie'] as string[];
        assert.match(line, /^heddle-session=[0-9a-f]{16}; Path=\/; HttpOnly; SameSite=Lax$/);
        const cookie = line.slice(0, line.indexOf(';'));
        assert.deepEqual(new Set(await answers(client, 6, { cookie })), new Set([first.body.toString()]));
        assert.equal((await client.call({ headers: { cookie } })).headers['set-cookie'], undefined);
        const { plane } = through.planes[0]!;
        const dump = plane.configDump() as { endpoints: { endpoints: { instance: string; health: string }[] }[] };
        const endpoints = dump.endpoints[0]!.endpoints.map((one) => ({
          ...one,
          health: one.instance === first.body.toString() ? 'draining' : 'healthy',
        }));
        await mustApply(plane, {
          kind: 'endpoints',
          upserts: [{ cluster: 'outbound/default/orders', endpoints: endpoints as never }],
          removed: [],
        });
        const moved = await client.call({ headers: { cookie } });
        assert.notEqual(moved.body.toString(), first.body.toString());
        assert.match(String(moved.headers['set-cookie']), /^heddle-session=/);
      });
    });
  }

  /** One route over the clusters v1 and v2, an instance each. */
  async function split(weights: readonly [number, number], splitByHash: boolean): Promise<Client> {
    const ports: number[] = [];
    for (const name of ['v1', 'v2']) ports.push((await startApplication(mesh, 'http1', (_request, response) => response.end(name))).port);
    const way = await single(mesh, 'http1', [ports[0]!]);
    const { plane } = way.planes[0]!;
    const names = ['outbound/default/orders{version=v1}', 'outbound/default/orders{version=v2}'];
    const plain = { http: 'http1', tls: undefined } as const;
    await mustApply(plane, { kind: 'cluster', upserts: names.map((name) => ({ ...meshCluster('orders', plain), name })), removed: [] });
    const sets = names.map((cluster, index) => ({ cluster, endpoints: [endpoint(ports[index]!, `orders-${index + 1}`)] }));
    await mustApply(plane, { kind: 'endpoints', upserts: sets, removed: [] });
    const clusters = names.map((cluster, index) => ({ cluster, weight: weights[index]! }));
    const route = { clusters, hash: [{ kind: 'header', name: 'x-user' } as const], ...(splitByHash && { splitByHash }) };
    await mustApply(plane, { kind: 'route', upserts: [routeConfig('outbound/default/orders', '', ['*'], route)], removed: [] });
    return way.client('http1');
  }

  test('clusters get their shares', async () => {
    const client = await split([80, 20], false);
    const second = (await answers(client, 500, { 'x-user': 'one' })).filter((name) => name === 'v2').length;
    // 500 draws at 20 %: four standard deviations are 36.
    assert.ok(second > 64 && second < 136, `${second} of 500`);
  });

  test('by hash a user stays on one side, and the shares hold over the users', async () => {
    const client = await split([50, 50], true);
    let second = 0;
    for (let user = 0; user < 200; user++) {
      const [first, again] = await answers(client, 2, { 'x-user': `user-${user}` });
      assert.equal(first, again);
      if (first === 'v2') second += 1;
    }
    assert.ok(second > 70 && second < 130, `${second} of 200`);
  });

  test('the workload’s own zone comes first where that is asked for, and the next one when it is ill', async () => {
    const balance = { ...DEFAULT_BALANCE, algorithm: 'round-robin', locality: 'prefer' } as const;
    const { client, way, instances } = await fleet({ ...WAYS[1]!, count: 3, cluster: { balance } }, named);
    const { plane } = way.planes[0]!;
    const list = (health: 'healthy' | 'unhealthy') =>
      mustApply(plane, {
        kind: 'endpoints',
        upserts: [
          {
            cluster: 'outbound/default/orders',
            endpoints: instances.map(({ port, name }, index) => ({
              ...endpoint(port, name, index === 0 ? health : 'healthy'),
              locality: { region: index === 2 ? 'us' : 'eu', zone: `zone-${index}` },
            })),
          },
        ],
        removed: [],
      });
    await list('healthy');
    plane.setIdentity('default/web/web-1', { ...mesh.authority.service('web'), locality: { region: 'eu', zone: 'zone-0' } });
    assert.deepEqual(new Set(await answers(client, 12)), new Set(['orders-1']));
    await list('unhealthy');
    assert.deepEqual(new Set(await answers(client, 12)), new Set(['orders-2']));
  });

  test('a zone with more callers than its instances can carry sends the rest elsewhere', async () => {
    const balance = { ...DEFAULT_BALANCE, algorithm: 'round-robin', locality: 'zone-aware' } as const;
    const { client, way, instances } = await fleet({ ...WAYS[1]!, count: 6, cluster: { balance } }, named);
    const { plane } = way.planes[0]!;
    const inZone = (zone: number) => ({ locality: { region: 'eu', zone: `zone-${zone}` } });
    plane.setIdentity('default/web/web-1', { ...mesh.authority.service('web'), ...inZone(1) });
    const orders = instances.map(({ port, name }, index) => ({ ...endpoint(port, name), ...inZone(index < 3 ? 0 : 1) }));
    const set = (service: string, endpoints: readonly Endpoint[]) =>
      mustApply(plane, { kind: 'endpoints', upserts: [{ cluster: `outbound/default/${service}`, endpoints }], removed: [] });
    const near = new Set(instances.slice(3).map(({ name }) => name));
    await set('orders', orders);
    assert.ok(
      (await answers(client, 30)).every((name) => near.has(name)),
      'callers count as spread like the instances',
    );
    // Where the callers are is known to a data plane that follows their service.
    await set(
      'web',
      [0, 1, 1, 1].map((zone, index) => ({ ...endpoint(1 + index, `web-${index}`), ...inZone(zone) })),
    );
    await set('orders', orders);
    const far = (await answers(client, 120)).filter((name) => !near.has(name)).length;
    // A third: half of the instances carry three quarters of the callers.
    assert.ok(far > 15 && far < 70, `${far} of 120`);
  });

  test('a cluster may lead to a name, which is looked up with each connection', async () => {
    const application = await startApplication(mesh, 'http1', (_request, response) => response.end('outside'));
    const { plane } = mesh.plane('web');
    const dns = { kind: 'dns', host: 'localhost', port: application.port } as const;
    const port = await mesh.outbound(plane, 'orders', [], { cluster: { http: 'http1', tls: undefined, endpoints: dns } });
    const answer = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    assert.equal(answer, 'outside');
    const nowhere = { kind: 'dns', host: 'nowhere.invalid', port: 1 } as const;
    await mustApply(plane, {
      kind: 'cluster',
      upserts: [meshCluster('orders', { http: 'http1', tls: undefined, endpoints: nowhere })],
      removed: [],
    });
    const failed = await fetch(`http://127.0.0.1:${port}/`);
    assert.equal(failed.status, 503);
    assert.match(await failed.text(), /nowhere\.invalid/);
    const bad = { kind: 'dns', host: 'no host', port: 1 } as const;
    const refused = await plane.apply({ kind: 'cluster', upserts: [meshCluster('orders', { endpoints: bad })], removed: [] });
    assert.match(String(refused), /"no host" is neither a host name in lower case nor an address/);
  });
});
