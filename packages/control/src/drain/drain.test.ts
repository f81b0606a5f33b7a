// Drains on a running control plane: real streams of data planes, asked for by the operator, by REST, and by the data plane of the instance itself.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { TYPE_URLS } from '@heddle/api';
import { AdsClient, controlChannelOptions } from '@heddle/api/grpc-js';
import type { DiscoveryResponse } from '@heddle/api';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { instanceMessage, operator } from '../testing/client.ts';
import type { Message, Registering, TestClient } from '../testing/client.ts';
import { TestDataPlane } from '../testing/data-plane.ts';
import { mesh, silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';

const ADMIN = 'heddle.admin.v1.Admin';
const DISCOVERY = 'heddle.discovery.v1.Discovery';
const ORDERS = 'outbound/default/orders';

describe('a drain', () => {
  let control: RunningControl;
  let stateDir: string;
  let admin: TestClient;
  let registered: Registering;
  const planes: TestDataPlane[] = [];

  before(async () => {
    stateDir = await mkdtemp(joinPath(tmpdir(), 'heddle-drain-'));
    control = await startControl({
      mesh: mesh(),
      stateDir,
      store: 'memory',
      listen: { address: '127.0.0.1', port: 0 },
      rest: { address: '127.0.0.1', port: 0 },
      logger: silent,
      clock: nodeClock,
      random: nodeRandom,
    });
    admin = operator(control);
  });
  beforeEach(async () => {
    registered = admin.register();
    for (const index of [1, 2]) {
      const stream = index === 1 ? registered : admin.register();
      await stream.send({ instance: instanceMessage('orders', index), health: 'HEALTH_HEALTHY' });
    }
  });
  afterEach(async () => {
    // Nothing of them is left for the next test: they go by nothing when they end.
    for (const plane of planes) {
      plane.resume();
      plane.forgetEndpoints();
    }
    await until('all to go by nothing', async () => (await heldEndpoints()) === 0);
    for (const plane of planes.splice(0)) plane.close();
    for (const instance of ['orders-1', 'orders-2']) await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance });
  });
  after(async () => {
    admin.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  async function heldEndpoints(): Promise<number> {
    const { proxies } = await admin.call(ADMIN, 'ListProxies');
    const sync = (proxies as Message[]).flatMap((proxy) => proxy['sync'] as Message[]).filter(({ kind }) => kind === 'endpoints');
    return sync.reduce((total, { sent_resources: sent }) => total + Number(sent), 0);
  }

  /** A data plane that has applied both instances. */
  async function plane(node: string): Promise<TestDataPlane> {
    const made = new TestDataPlane(admin, node);
    planes.push(made);
    await until(`${node} to know both instances`, () => healthOf(made, 1) === 'healthy' && healthOf(made, 2) === 'healthy');
    return made;
  }

  /** Steps of `DrainInstance`, to its end. */
  function drain(timeoutMs = 10_000): { readonly steps: Message[]; readonly ended: Promise<Message>; cancel(): void } {
    const steps: Message[] = [];
    const call = admin.watch(ADMIN, 'DrainInstance', { service: 'orders', instance: 'orders-1', timeout_ms: timeoutMs });
    const ended = new Promise<Message>((resolve, reject) => {
      call.on('data', ({ progress }: Message) => steps.push(progress));
      call.on('error', reject);
      call.on('end', () => resolve(steps.at(-1) ?? {}));
    });
    return { steps, ended, cancel: () => call.cancel() };
  }

  const names = (progress: Message | undefined): string[] =>
    ((progress?.['stragglers'] ?? []) as { node: string; reason: string }[]).map(({ node, reason }) => `${node} ${reason}`);

  it('is complete when every data plane has acknowledged, and none of them can choose the instance then', async () => {
    const all = await Promise.all(['ack-1', 'ack-2', 'ack-3'].map(plane));
    const last = await drain().ended;
    assert.deepEqual([last['outcome'], last['data_planes'], last['acknowledged']], ['DRAIN_OUTCOME_COMPLETE', 3, 3]);
    for (const one of all) assert.equal(healthOf(one, 1), 'draining');
  });

  it('waits for one that does not answer, names it, and goes on when it does', async () => {
    await plane('quick');
    const slow = await plane('slow');
    slow.pause();
    const { steps, ended } = drain();
    await until('the quick one', () => steps.at(-1)?.['acknowledged'] === 1);
    assert.deepEqual(names(steps.at(-1)), ['slow unacknowledged']);
    slow.resume();
    assert.equal((await ended)['outcome'], 'DRAIN_OUTCOME_COMPLETE');
  });

  it('ends at its bound with the names of those that are left', async () => {
    const slow = await plane('never');
    slow.pause();
    const last = await drain(200).ended;
    assert.equal(last['outcome'], 'DRAIN_OUTCOME_TIMED_OUT');
    assert.deepEqual(names(last), ['never unacknowledged']);
  });

  it('waits for one that has just lost its stream, until it is back', async () => {
    const lost = await plane('lost');
    lost.close();
    const { steps, ended } = drain();
    await until('it to be missed', () => names(steps.at(-1)).join() === 'lost disconnected');
    const back = new TestDataPlane(admin, 'lost');
    planes.push(back);
    const last = await ended;
    assert.deepEqual([last['outcome'], last['acknowledged'], last['gone']], ['DRAIN_OUTCOME_COMPLETE', 1, 0]);
    // It is a new process, which has begun without the instance.
    assert.notEqual(healthOf(back, 1), 'healthy');
  });

  it('does not wait for one that says goodbye: that wants no endpoints any more', async () => {
    const leaving = await plane('leaving');
    leaving.pause();
    const { steps, ended } = drain();
    await until('it to be waited for', () => names(steps.at(-1)).includes('leaving unacknowledged'));
    leaving.forgetEndpoints();
    assert.equal((await ended)['outcome'], 'DRAIN_OUTCOME_COMPLETE');
  });

  it('has a data plane of another kind acknowledge, too: by the version that it was sent', async () => {
    const client = new AdsClient(admin.target, admin.credentials, controlChannelOptions());
    try {
      const call = client.stateOfTheWorld(admin.metadata);
      call.on('error', () => {});
      const responses: DiscoveryResponse[] = [];
      call.on('data', (response: DiscoveryResponse) => responses.push(response));
      const typeUrl = TYPE_URLS.endpoints;
      const acknowledge = ({ versionInfo, nonce }: DiscoveryResponse): void =>
        void call.write({ typeUrl, resourceNames: [ORDERS], versionInfo, responseNonce: nonce });
      call.write({ node: { id: 'grpc-client', userAgentName: 'gRPC Go' }, typeUrl, resourceNames: [ORDERS] });
      acknowledge(await until('its endpoints', () => responses[0]));
      const { steps, ended } = drain();
      const second = await until('what it is told', () => responses[1]);
      await until('it to be waited for', () => names(steps.at(-1)).join() === 'grpc-client unacknowledged');
      acknowledge(second);
      assert.equal((await ended)['outcome'], 'DRAIN_OUTCOME_COMPLETE');
      call.write({ typeUrl, resourceNames: [], versionInfo: second.versionInfo, responseNonce: second.nonce });
      await until('it to go by nothing', async () => (await heldEndpoints()) === 0);
      call.cancel();
    } finally {
      client.close();
    }
  });

  it('does not mind data planes that came later, nor other instances that change all the while', async () => {
    const slow = await plane('early');
    slow.pause();
    const { steps, ended } = drain();
    await until('the first step', () => steps.length > 0);
    const late = new TestDataPlane(admin, 'late');
    planes.push(late);
    for (let round = 0; round < 5; round += 1) {
      await admin.call(DISCOVERY, 'ReportHealth', {
        ...{ service: 'orders', instance: 'orders-2' },
        health: round % 2 === 0 ? 'HEALTH_UNHEALTHY' : 'HEALTH_HEALTHY',
        reason: `round ${round}`,
      });
    }
    slow.resume();
    const last = await ended;
    assert.equal(last['outcome'], 'DRAIN_OUTCOME_COMPLETE');
    await admin.call(DISCOVERY, 'ReportHealth', { service: 'orders', instance: 'orders-2', health: 'HEALTH_HEALTHY' });
  });

  it('ends when the instance is put back, and stays when the call is given up', async () => {
    const slow = await plane('undecided');
    slow.pause();
    const given = drain();
    await until('the first step', () => given.steps.length > 0);
    given.ended.catch(() => {});
    given.cancel();
    const { instances } = await admin.call(ADMIN, 'ListInstances', { service: 'orders' });
    assert.deepEqual(
      (instances as Message[]).map(({ id, health }) => `${id} ${health}`),
      ['orders-1 HEALTH_DRAINING', 'orders-2 HEALTH_HEALTHY'],
    );
    const { steps, ended } = drain();
    await until('the first step', () => steps.length > 0);
    const { instance } = await admin.call(ADMIN, 'UndrainInstance', { service: 'orders', instance: 'orders-1' });
    assert.equal(instance['health'], 'HEALTH_HEALTHY');
    assert.equal((await ended)['outcome'], 'DRAIN_OUTCOME_RETURNED');
  });

  it('of an instance that nobody knows, or with a bound out of all reason, is refused', async () => {
    const refusal = (request: Message): Promise<ServiceError> =>
      new Promise((resolve) => {
        admin
          .watch(ADMIN, 'DrainInstance', request)
          .on('error', resolve)
          .on('data', () => {});
      });
    assert.equal((await refusal({ service: 'orders', instance: 'orders-9' })).code, status.NOT_FOUND);
    const tooLong = await refusal({ service: 'orders', instance: 'orders-1', timeout_ms: 3_600_000 });
    assert.match(tooLong.details, /timeout_ms: at most 600000 ms/);
    assert.equal(tooLong.code, status.INVALID_ARGUMENT);
  });

  it('that an instance reports of itself is told on its own stream, unasked', async () => {
    const slow = await plane('hosting');
    slow.pause();
    const answer = await registered.send({ health: 'HEALTH_DRAINING', health_reason: 'stopping', drain_timeout_ms: 5_000 });
    assert.deepEqual([answer['drain']['outcome'], names(answer['drain'])], ['DRAIN_OUTCOME_WAITING', ['hosting unacknowledged']]);
    const unasked = registered.next();
    slow.resume();
    assert.equal((await unasked)['drain']['outcome'], 'DRAIN_OUTCOME_COMPLETE');
    // It stays in every answer, until the instance is back.
    assert.equal((await registered.send({}))['drain']['outcome'], 'DRAIN_OUTCOME_COMPLETE');
    assert.equal((await registered.send({ health: 'HEALTH_HEALTHY' }))['drain'], null);
  });

  it('by REST is answered at once, or when it is over', async () => {
    const slow = await plane('rest');
    slow.pause();
    const url = `http://127.0.0.1:${control.rest?.port}/api/v1/instances/default/orders/orders-1/drain`;
    const headers = { authorization: `Bearer ${control.operatorToken}` };
    const call = async (method: string, query = ''): Promise<Message> =>
      (await (await fetch(`${url}${query}`, { method, headers })).json()) as Message;
    const atOnce = await call('PUT');
    assert.deepEqual([atOnce['instance'].health, atOnce['drain']], ['draining', undefined]);
    const timedOut = await call('PUT', '?waitMs=100');
    assert.deepEqual(timedOut['drain'], {
      ...{ outcome: 'timed-out', dataPlanes: 1, acknowledged: 0, gone: 0 },
      stragglers: [{ node: 'rest', reason: 'unacknowledged' }],
    });
    const waiting = call('PUT', '?waitMs=10000');
    slow.resume();
    assert.equal((await waiting)['drain'].outcome, 'complete');
    assert.equal((await call('DELETE'))['instance'].health, 'healthy');
  });

  it('counts one that refuses as one that goes on', async () => {
    const one = await plane('refusing');
    one.refusal = 'not today';
    const last = await drain(300).ended;
    assert.deepEqual(names(last), ['refusing refused']);
  });
});

function healthOf(plane: TestDataPlane, index: number): string | undefined {
  return plane.held.endpoints.get(ORDERS)?.endpoints.find(({ instance }) => instance === `orders-${index}`)?.health;
}
