// A workload whose key is in the wrong hands goes through every method of the control plane: it gets no other identity, nothing of another
// service's configuration, and changes nothing that is not its own. Each attempt is refused, and noted.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { controlChannelOptions } from '@heddle/api/grpc-js';
import { type RunningControl, startControl } from '@heddle/control';
import { certificateDer, createCsr, generateKeyPair, nodeClock, nodeRandom, readPeerId } from '@heddle/runtime/node';
import type { OperationId } from '../../packages/control/src/rest/operations.ts';
import { OPERATIONS } from '../../packages/control/src/rest/operations.ts';
import { ACCESS } from '../../packages/control/src/server/access.ts';
import { TestClient, instanceMessage, join, operator } from '../../packages/control/src/testing/client.ts';
import type { Message } from '../../packages/control/src/testing/client.ts';
import { TestDataPlane } from '../../packages/control/src/testing/data-plane.ts';
import { Cleanup, meshOf, silent, temporaryDirectory } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
const MESH = `
mesh: test
services:
  orders: { port: 80 }
  web: { port: 81 }
`;
const ATTACKER = 'spiffe://test/ns/default/svc/orders';
let control: RunningControl;
let attacker: TestClient;
let victim: TestClient;
let webToken: string;
let identity: Awaited<ReturnType<typeof join>>;

before(async () => {
  const stateDir = await temporaryDirectory(cleanup);
  const listen = { address: '127.0.0.1', port: 0 };
  control = await startControl({
    mesh: meshOf(MESH),
    stateDir,
    listen,
    rest: listen,
    logger: silent,
    clock: nodeClock,
    random: nodeRandom,
  });
  cleanup.add(() => control.close());
  identity = await join(control, 'orders');
  attacker = new TestClient(control, identity);
  const web = await join(control, 'web');
  webToken = web.token;
  victim = new TestClient(control, web);
  cleanup.add(() => {
    attacker.close();
    victim.close();
  });
  await victim.register().send({ instance: instanceMessage('web', 1, { node: 'node-of-web' }), health: 'HEALTH_HEALTHY' });
});
after(() => cleanup.run());

/** The newest entry about it, once it is there. */
async function noted(subject: string, reason: RegExp, who = ATTACKER): Promise<Message> {
  const admin = operator(control);
  cleanup.add(() => admin.close());
  return await waitFor(`an entry about ${subject} by ${who}`, async () => {
    const { entries } = await admin.call('heddle.admin.v1.Admin', 'ListAudit', { subject, outcome: 'refused', who });
    return (entries as Message[]).findLast((entry) => reason.test(entry['reason']));
  });
}

function refusedWith(code: status) {
  return (error: unknown): boolean => {
    assert.equal((error as ServiceError).code, code, (error as ServiceError).details);
    return true;
  };
}

async function webIsUntouched(): Promise<void> {
  const { service } = await victim.call('heddle.discovery.v1.Discovery', 'GetService', { name: 'web' });
  assert.deepEqual(
    (service['instances'] as Message[]).map(({ id, node, health }) => [id, node, health]),
    [['web-1', 'node-of-web', 'HEALTH_HEALTHY']],
  );
}

describe('a compromised workload', () => {
  test('gets a certificate for itself alone, whatever it asks for', async () => {
    const sign = (request: Message): Promise<Message> => attacker.call('heddle.identity.v1.Identity', 'Sign', request);
    const { certificate_pem: certificatePem, spiffe_id: spiffeId } = await sign({ csr_der: createCsr(generateKeyPair()) });
    const svid = readPeerId(certificateDer(certificatePem));
    assert.deepEqual([spiffeId, svid.ok && svid.uri], [ATTACKER, ATTACKER]);
    const csr_der = createCsr(generateKeyPair());
    const method = '/heddle.identity.v1.Identity/Sign';
    await assert.rejects(sign({ csr_der, join_token: webToken }), refusedWith(status.UNAUTHENTICATED));
    await noted(method, /has been used already/);
    const [head = '', claims = ''] = webToken.split('.');
    const guessed = `${head}.${claims}.${Buffer.alloc(32, 7).toString('base64url')}`;
    await assert.rejects(sign({ csr_der, join_token: guessed }), refusedWith(status.UNAUTHENTICATED));
    await noted(method, /does not know the join token/);
  });

  test('registers, removes and reports on nothing that is not its own', async () => {
    const discovery = '/heddle.discovery.v1.Discovery';
    const register = attacker.register().send({ instance: instanceMessage('web', 2), health: 'HEALTH_HEALTHY' });
    await assert.rejects(register, refusedWith(status.PERMISSION_DENIED));
    await noted(`${discovery}/Register`, /may not register instances of default\/web/);
    const asked = { service: 'web', instance: 'web-1' };
    for (const [method, request] of [
      ['Deregister', asked],
      ['ReportHealth', { ...asked, health: 'HEALTH_UNHEALTHY', reason: 'says I' }],
    ] as const) {
      await assert.rejects(attacker.call('heddle.discovery.v1.Discovery', method, request), refusedWith(status.PERMISSION_DENIED));
      await noted(`${discovery}/${method}`, /of default\/web, only of its own service/);
    }
    await webIsUntouched();
  });

  test('gets nothing of the configuration of another service, by its node, by names, or by bringing an instance of it', async () => {
    const ads = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
    const own = new TestDataPlane(victim, 'node-of-web');
    cleanup.add(() => own.close());
    await waitFor('the way in of web', () => own.names('listener').includes('inbound/default/web/web-1'));
    const thief = new TestDataPlane(attacker, 'node-of-web');
    cleanup.add(() => thief.close());
    await waitFor('what everybody gets', () => thief.names('cluster').length > 0 && thief.names('secret').length > 0);
    await noted(ads, /asked for the configuration of default\/web \(node node-of-web\)/);
    assert.deepEqual(thief.names('listener'), []);
    assert.deepEqual(
      thief.names('cluster').filter((name) => name.startsWith('local/')),
      [],
    );
    thief.ask('route', ['inbound/default/web/web-1', 'outbound/mesh']);
    await waitFor('the routes of all', () => thief.names('route').includes('outbound/mesh'));
    assert.deepEqual(thief.names('route'), ['outbound/mesh']);
    await noted(ads, /asked for the configuration of default\/web \(inbound\/default\/web\/web-1\)/);
    const place = { address: '127.0.0.1', port: 9 };
    const attached = { id: 'web-9', service: 'web', inbound: place, application: place, metadata: {}, ports: {} };
    const bringer = new TestDataPlane(attacker, 'node-x', { heddle: { instance: attached } });
    cleanup.add(() => bringer.close());
    await waitFor('its stream to end', () => bringer.ended !== undefined);
    assert.equal(bringer.ended?.code, status.PERMISSION_DENIED);
    await noted(ads, /may not attach instances of default\/web/);
    await webIsUntouched();
  });

  test('may not call any method of those who administer the mesh', async () => {
    const client = new Client(attacker.target, attacker.credentials, controlChannelOptions());
    cleanup.add(() => client.close());
    const raw = (path: string): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const done = (error: ServiceError | null, answer?: Buffer): void =>
          error === null ? resolve(answer ?? Buffer.alloc(0)) : reject(error);
        client.makeUnaryRequest(
          path,
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          Buffer.alloc(0),
          done,
        );
      });
    const closed = Object.entries(ACCESS).filter(([, access]) => access === 'viewer' || access === 'editor' || access === 'operator');
    assert.ok(closed.length > 15);
    for (const [path] of closed) {
      await assert.rejects(raw(path), refusedWith(status.PERMISSION_DENIED), path);
      const { from, role } = await noted(path, /may not call/);
      assert.match(from, /^127\.0\.0\.1:\d+$/);
      assert.equal(role, '');
    }
  });

  test('is nobody else by what it writes beside its certificate', async () => {
    for (const token of ['guessed', webToken.slice(0, 200), 'heddle-admin.ann.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']) {
      const liar = new TestClient(control, identity, token);
      cleanup.add(() => liar.close());
      await assert.rejects(liar.call('heddle.admin.v1.Admin', 'GetMesh'), refusedWith(status.UNAUTHENTICATED));
    }
    await noted('/heddle.admin.v1.Admin/GetMesh', /operator token is wrong/, 'nobody');
    await noted('/heddle.admin.v1.Admin/GetMesh', /administrator token is not known/, 'nobody');
  });

  test('gets nothing from the REST API, of which it has no token', async () => {
    const { address, port } = control.rest!;
    for (const id of Object.keys(OPERATIONS) as OperationId[]) {
      const operation: { method: string; url: string; role?: string } = OPERATIONS[id];
      if (operation.role === undefined) continue;
      const path = operation.url.replaceAll(/\{(\w+)\}/g, 'web');
      const answer = await fetch(`http://${address}:${port}${path}`, { method: operation.method });
      await answer.body?.cancel();
      assert.equal(answer.status, 401, id);
      await noted(`${operation.method} ${path}`, /needs the header/, 'nobody');
    }
    await webIsUntouched();
  });
});
