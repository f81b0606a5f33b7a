// `heddle explain` and `heddle describe instance` as a person runs them, against a mesh of real processes: what they say is what then happens.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Explanation } from '@heddle/dataplane/explain';
import type { InstanceDescription } from '../../packages/cli/src/commands/describe-instance.ts';
import { askProxy } from '../../packages/cli/src/commands/explain-proxy.ts';
import { callThroughProxy } from '../support/load.ts';
import { type RunningMesh, startUp } from '../support/up.ts';

const MESH = `
mesh: test
services:
  orders:
    port: 8081
    run: exec {{ECHO}}
    replicas: 2
    timeout: 2s
    retry: { attempts: 2 }
    rateLimit: { requests: 100, per: 1s, by: identity }
    health: { http: /healthz, interval: 500ms, timeout: 400ms }
  web:
    port: 8080
    run: exec {{ECHO}}
    uses: [orders, cache]
    health: { http: /healthz, interval: 500ms, timeout: 400ms }
  cache: { port: 6379, protocol: tcp }
routes:
  - service: orders
    rules:
      - name: old
        match: { path: /old/** }
        redirect: { prefix: /new, status: 308 }
      - name: beta
        match: { headers: { x-beta: '1' } }
        timeout: 1s
`;

const WEB_ID = 'spiffe://test/ns/default/svc/web';

describe('heddle explain', () => {
  let mesh: RunningMesh;
  before(async () => {
    mesh = await startUp(MESH);
  });
  after(() => mesh.stop());

  /** As the command asks, without a process for each question. */
  const ask = async (method: string, url: string, from?: string): Promise<Explanation> =>
    (await askProxy({ stateDir: mesh.stateDirectory }, { method, url, from })) as Explanation;

  it('tells a person the way of a request from its caller to the instances', async () => {
    const { code, stdout, stderr } = await mesh.heddle('explain', 'GET', 'http://orders/items', '--from', 'web', '--header', 'x-beta: 1');
    assert.equal(code, 0, stderr);
    for (const line of [
      /^GET http:\/\/orders\/items\nforwarded: goes to default\/orders: one of 2 instances$/m,
      /^Caller {5}default\/web\/web-1, which was asked for/m,
      /^Listener {3}outbound\/proxy on 127\.0\.0\.1:\d+, accepting$/m,
      /^Route {6}beta, number 2 of 3, of outbound\/default\/orders by its domain orders$/m,
      /not old: the path "\/items" is neither below nor equal to "\/old"/,
      /^Time {7}1 s for the whole request; then REQUEST_TIMEOUT$/m,
      /^Retry {6}up to 2 more/m,
      /^Limits {5}at each instance: each caller may make 100 requests per 1s, .*counts as spiffe:\/\/test\/ns\/default\/svc\/web$/m,
      /every workload of the mesh may call/,
      /^ {2}balanced by probing/m,
      /^orders-1 +127\.0\.0\.1:\d+ +1 +healthy +yes/m,
    ])
      assert.match(stdout, line);
  });

  it('says by its exit code what would be refused, and what was asked wrongly', async () => {
    const [bytes, wrong] = await Promise.all([
      mesh.heddle('explain', 'CONNECT', 'cache:6379', '--from', 'web'),
      mesh.heddle('explain', 'GET', 'http://orders/', '--from', 'wep'),
    ]);
    assert.equal(bytes.code, 1);
    assert.match(bytes.stdout, /^refused: default\/cache has no instances \(503 NO_HEALTHY_INSTANCE\)$/m);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /nobody called "wep".*did you mean web\?/);
  });

  it('says beforehand how requests end', async () => {
    for (const [url, kind] of [
      ['http://orders.mesh.internal/', 'forwarded'],
      ['http://orders/old/7', 'answered'],
      ['http://ordrs/', 'refused'],
      ['http://example.com/', 'refused'],
    ] as const) {
      const { outcome } = await ask('GET', url);
      assert.equal(outcome.kind, kind, url);
      const { status, error } = await callThroughProxy({ proxy: mesh.proxy, url });
      assert.equal(status, outcome.status ?? 200, `${url} ${error}`);
    }
  });

  it('names who calls, and the limits at instances that the proxy hosts', async () => {
    const { caller, access, route, calledSide } = await ask('GET', 'http://orders/', 'web-1');
    assert.deepEqual([caller.workload, access.shows, route?.name], ['default/web/web-1', WEB_ID, 'default']);
    assert.deepEqual(
      calledSide.map(({ instance, rateLimits }) => [instance, rateLimits[0]?.key]),
      [
        ['orders-1', WEB_ID],
        ['orders-2', WEB_ID],
      ],
    );
  });

  it('shows an instance that was taken out of rotation, and all that is known of it', async () => {
    assert.equal((await mesh.heddle('drain', 'orders-1')).code, 0);
    const [target] = (await ask('GET', 'http://orders/')).clusters;
    assert.deepEqual(
      target?.candidates.shown.map(({ instance, canBePicked, why }) => [instance, canBePicked, why]),
      [
        ['orders-2', true, ''],
        ['orders-1', false, 'draining'],
      ],
    );
    const [text, json] = await Promise.all([
      mesh.heddle('describe', 'instance', 'orders-1', '--service', 'orders'),
      mesh.heddle('describe', 'instance', 'orders/orders-1', '-o', 'json'),
    ]);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^Health {7}draining: /m);
    assert.match(text.stdout, /^draining +draining +it is leaving$/m);
    assert.match(text.stdout, /^check +healthy +checks pass$/m);
    assert.match(text.stdout, /instance-health +healthy → draining/);
    const { instance, pid, reasons, told } = JSON.parse(json.stdout) as InstanceDescription;
    assert.deepEqual([instance.id, instance.health, pid], ['orders-1', 'draining', await mesh.pid('orders-1')]);
    assert.ok(reasons.some(({ source, health }) => source === 'lease' && health === 'healthy'));
    assert.deepEqual([told.dataPlanes, told.applied, told.hostConnected], [1, 1, true]);
  });
});
