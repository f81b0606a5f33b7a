// Who administers a mesh: roles of tokens and of logins at a real issuer, by gRPC and by REST; what is noted of it; and that nobody else on the
// machine can read what the control plane keeps.
import assert from 'node:assert/strict';
import { lstat, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { type RunningControl, startControl } from '@heddle/control';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { TestClient, instanceMessage, join as joinMesh, operator } from '../../packages/control/src/testing/client.ts';
import type { Message } from '../../packages/control/src/testing/client.ts';
import { OidcIssuer, SHOP } from '../support/oidc-issuer.ts';
import { Cleanup, meshOf, silent, temporaryDirectory } from '../support/planes.ts';

const cleanup = new Cleanup();
const ADMIN = 'heddle.admin.v1.Admin';
const mesh = (timeout: string) => meshOf(`mesh: test\nservices:\n  orders: { port: 80, timeout: ${timeout} }\n`);
let control: RunningControl;
let admin: TestClient;
let issuer: OidcIssuer;
let stateDir: string;

before(async () => {
  issuer = await OidcIssuer.start();
  cleanup.add(() => issuer.close());
  stateDir = await temporaryDirectory(cleanup);
  const listen = { address: '127.0.0.1', port: 0 };
  const login = { issuer: issuer.url, audience: SHOP, roles: { 'orders-role': 'editor', reader: 'viewer' } } as const;
  control = await startControl({
    mesh: mesh('1s'),
    stateDir,
    listen,
    rest: listen,
    login,
    logger: silent,
    clock: nodeClock,
    random: nodeRandom,
  });
  cleanup.add(() => control.close());
  admin = operator(control);
  const workload = new TestClient(control, await joinMesh(control, 'orders'));
  cleanup.add(() => {
    admin.close();
    workload.close();
  });
  await workload.register().send({ instance: instanceMessage('orders', 1), health: 'HEALTH_HEALTHY' });
});
after(() => cleanup.run());

async function rest(token: string, path: string, method = 'GET', body?: object): Promise<{ status: number; body: Message }> {
  const { address, port } = control.rest!;
  const answer = await fetch(`http://${address}:${port}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Message) };
}

function as(token: string): TestClient {
  const client = new TestClient(control, undefined, token);
  cleanup.add(() => client.close());
  return client;
}

const audit = async (filter: Message = {}): Promise<Message[]> => (await admin.call(ADMIN, 'ListAudit', filter))['entries'] as Message[];
const isStatus = (code: status) => (error: unknown) => (error as ServiceError).code === code;

describe('those who administer a mesh', () => {
  test('do with a named token what its role allows, until it is revoked, by gRPC as by REST', async () => {
    const { body } = await rest(control.operatorToken, '/admin-tokens', 'POST', { name: 'ann', role: 'viewer' });
    const ann: string = body['token'];
    const { token: bob } = await admin.call(ADMIN, 'CreateAdminToken', { name: 'bob', role: 'editor', ttl_ms: 60_000 });
    const drain = '/instances/default/orders/orders-1/drain';
    assert.deepEqual([(await rest(ann, '/services')).status, (await rest(ann, '/audit')).status], [200, 200]);
    assert.equal((await rest(ann, drain, 'PUT')).status, 403);
    assert.equal((await rest(bob, drain, 'PUT', { reason: 'by bob' })).status, 200);
    assert.equal((await rest(bob, '/tokens', 'POST', { service: 'orders' })).status, 403);
    await as(bob).call(ADMIN, 'UndrainInstance', { service: 'orders', instance: 'orders-1' });
    await as(ann).call(ADMIN, 'ListProxies');
    await assert.rejects(
      as(ann).call(ADMIN, 'UndrainInstance', { service: 'orders', instance: 'orders-1' }),
      isStatus(status.PERMISSION_DENIED),
    );
    await assert.rejects(as(bob).call(ADMIN, 'CreateAdminToken', { name: 'eve', role: 'operator' }), isStatus(status.PERMISSION_DENIED));
    const { tokens } = await as(ann).call(ADMIN, 'ListAdminTokens');
    assert.deepEqual(
      (tokens as Message[]).map(({ name, role, by }) => [name, role, by]),
      [
        ['ann', 'viewer', 'operator token'],
        ['bob', 'editor', 'operator token'],
      ],
    );
    assert.equal((await rest(control.operatorToken, '/admin-tokens/ann', 'DELETE')).status, 204);
    assert.equal((await rest(ann, '/services')).status, 401);
    await assert.rejects(as(ann).call(ADMIN, 'GetMesh'), isStatus(status.UNAUTHENTICATED));
    assert.equal((await rest(control.operatorToken, '/admin-tokens/ann', 'DELETE')).status, 404);
  });

  test('may log in at an issuer, whose keys may change', async () => {
    const viewer = await issuer.token('web');
    assert.equal((await rest(viewer, '/mesh')).status, 200);
    assert.equal((await rest(viewer, '/instances/default/orders/orders-1/drain', 'PUT')).status, 403);
    await issuer.rotate();
    const editor = await issuer.token('orders');
    assert.equal((await rest(editor, '/instances/default/orders/orders-1/drain', 'DELETE')).status, 200);
    await as(editor).call(ADMIN, 'GetMesh');
    const elsewhere = await issuer.token('web', 'urn:elsewhere');
    assert.equal((await rest(elsewhere, '/mesh')).status, 401);
    const entry = (await audit({ action: 'undrain-instance' })).at(-1);
    assert.equal(entry?.['who'], `login orders at ${issuer.url}`);
    assert.equal(entry?.['role'], 'editor');
  });

  test('leave an entry with every change: who, from where, what it was and what it is; and so does the mesh file', async () => {
    const [drained] = await audit({ action: 'drain-instance' });
    assert.deepEqual(
      [drained?.['who'], drained?.['subject'], drained?.['outcome']],
      ['admin token bob', 'default/orders/orders-1', 'done'],
    );
    assert.match(drained?.['from'], /^127\.0\.0\.1:\d+$/);
    assert.equal(JSON.parse(drained?.['before'])['health'], 'healthy');
    assert.deepEqual(
      [JSON.parse(drained?.['after'])['health'], JSON.parse(drained?.['after'])['healthReason']],
      ['draining', 'it is leaving; the operator reports: by bob'],
    );
    await control.setMesh(mesh('2s'));
    const declared = await audit({ who: 'mesh file' });
    assert.deepEqual(JSON.parse(declared.at(-1)?.['after'])['changes'], ['service default/orders: timeoutMs 1000 → 2000']);
    await control.setMesh(mesh('2s'));
    assert.equal((await audit({ who: 'mesh file' })).length, declared.length);
    const actions = new Set((await audit({ outcome: 'done' })).map(({ action }) => action));
    for (const action of [
      'create-admin-token',
      'revoke-admin-token',
      'create-join-token',
      'drain-instance',
      'undrain-instance',
      'declare-mesh',
    ])
      assert.ok(actions.has(action), action);
    const refused = await audit({ outcome: 'refused', who: 'admin token bob' });
    assert.deepEqual(
      new Set(refused.map(({ subject }) => subject)),
      new Set(['/heddle.admin.v1.Admin/CreateAdminToken', 'POST /api/v1/tokens']),
    );
  });

  test('are told by a status with retry-after when too many wrong tokens came from their address', async () => {
    const answers = await Promise.all(Array.from({ length: 110 }, (_, index) => rest(`wrong-${index}`, '/mesh')));
    assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([401, 429]));
    assert.equal((await rest(control.operatorToken, '/mesh')).status, 200);
  });
});

test('nobody else on the machine can read what the control plane keeps', async () => {
  const seen: string[] = [];
  const walk = async (path: string): Promise<void> => {
    const { mode } = await lstat(path);
    seen.push(path.slice(stateDir.length + 1));
    const isDirectory = (await lstat(path)).isDirectory();
    // Certificates are no secret, and lie in a directory that nobody else can enter.
    const isPublic = path.endsWith('.pem') && !isDirectory && !/PRIVATE/.test(await readFile(path, 'utf8'));
    assert.equal(mode & (isPublic ? 0o022 : 0o077), 0, `${path} has mode ${(mode & 0o777).toString(8)}`);
    if (!isDirectory) return;
    for (const name of await readdir(path)) await walk(join(path, name));
  };
  await walk(stateDir);
  for (const name of ['registry.sqlite', 'audit.jsonl', 'events.jsonl', 'operator.token', 'ca/root.key.pem'])
    assert.ok(seen.includes(name), name);
});
