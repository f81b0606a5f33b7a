// What every gRPC server should have, seen by clients made from the public .proto files.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Metadata, loadPackageDefinition, status } from '@grpc/grpc-js';
import type { ChannelCredentials, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { controlChannelOptions } from '@heddle/api/grpc-js';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { protoPath as healthProto } from 'grpc-health-check';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, operator } from '../testing/client.ts';
import type { Message } from '../testing/client.ts';
import { mesh, silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';

const reflectionProto = join(
  dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json')),
  'build/proto/grpc/reflection/v1/reflection.proto',
);
const definitions = loadPackageDefinition(
  loadSync([healthProto, reflectionProto], { keepCase: true, enums: String, defaults: true }),
) as Message;

describe('health and reflection', () => {
  let stateDir: string;
  let control: RunningControl;
  let stranger: TestClient;
  let admin: TestClient;
  const clients: { close(): void }[] = [];

  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'heddle-grpc-'));
    control = await startControl({
      mesh: mesh(),
      stateDir,
      store: 'memory',
      listen: { address: '127.0.0.1', port: 0 },
      logger: silent,
      clock: nodeClock,
      random: nodeRandom,
    });
    stranger = new TestClient(control);
    admin = operator(control);
    clients.push(stranger, admin);
  });
  after(async () => {
    for (const client of clients) client.close();
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });
  function clientOf(
    constructor: new (target: string, credentials: ChannelCredentials, options: object) => Message & { close(): void },
    as: TestClient,
  ): Message {
    const client = new constructor(as.target, as.credentials, controlChannelOptions());
    clients.push(client);
    return client;
  }

  test('health is told to anybody, and turns before the server goes', async () => {
    const client = clientOf(definitions.grpc.health.v1.Health, stranger);
    const answer = await new Promise((resolve, reject) =>
      client.Check({ service: '' }, (error: ServiceError | null, response: object) => (error === null ? resolve(response) : reject(error))),
    );
    assert.deepEqual(answer, { status: 'SERVING' });
  });

  async function reflect(as: TestClient, request: object): Promise<Message> {
    const call = clientOf(definitions.grpc.reflection.v1.ServerReflection, as).ServerReflectionInfo(as.metadata);
    const answer = once(call, 'data');
    call.write(request);
    const [response] = await answer;
    call.cancel();
    call.on('error', () => {});
    return response;
  }

  test('reflection lists the contracts and gives their descriptors, to callers who are known', async () => {
    const listed = await reflect(admin, { list_services: '' });
    const names = listed.list_services_response.service.map(({ name }: { name: string }) => name);
    for (const name of ['example.Discovery', 'heddle.discovery.v1.Discovery', 'heddle.identity.v1.Identity', 'heddle.admin.v1.Admin'])
      assert.ok(names.includes(name), `${name} in ${names}`);
    const found = await reflect(admin, { file_containing_symbol: 'heddle.admin.v1.Admin' });
    assert.ok(found.file_descriptor_response.file_descriptor_proto.length >= 1);
    await assert.rejects(reflect(stranger, { list_services: '' }), (error: ServiceError) => error.code === status.UNAUTHENTICATED);
  });

  test('metadata that claims to be somebody proves nothing', async () => {
    const metadata = new Metadata();
    for (const name of ['x-forwarded-client-cert', 'caller', 'spiffe-id'])
      metadata.set(name, 'spiffe://shop.test/ns/heddle-system/svc/operator');
    const client = clientOf(definitions.grpc.reflection.v1.ServerReflection, stranger);
    const call = client.ServerReflectionInfo(metadata);
    const [error] = (await once(call, 'error')) as [ServiceError];
    assert.equal(error.code, status.UNAUTHENTICATED);
  });

  test('health watchers are told that the server stops', async () => {
    const own = await startControl({
      mesh: mesh(),
      stateDir: join(stateDir, 'second'),
      store: 'memory',
      listen: { address: '127.0.0.1', port: 0 },
      logger: silent,
      clock: nodeClock,
      random: nodeRandom,
    });
    const as = new TestClient(own);
    const call = clientOf(definitions.grpc.health.v1.Health, as).Watch({ service: '' });
    const seen: string[] = [];
    call.on('data', (message: { status: string }) => seen.push(message.status)).on('error', () => {});
    await until('the first state', () => seen.length === 1);
    await own.close();
    await until('the last state', () => seen.length === 2);
    assert.deepEqual(seen, ['SERVING', 'NOT_SERVING']);
    as.close();
  });
});
