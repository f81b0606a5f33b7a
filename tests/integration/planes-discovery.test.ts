// A stranger's client, made from the .proto files or from reflection alone, finds the services of a running mesh.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { type Client, credentials, loadPackageDefinition, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync, type PackageDefinition } from '@grpc/proto-loader';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { ADMIN_TOKEN, application, Cleanup, control, host, LOOPBACK, machine, untilEndpoints, untilReady } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- messages of clients without generated types; assertions say what they hold
type Message = Record<string, any>;
type UntypedClient = Client & Message;

const OPTIONS = { keepCase: true, enums: String, longs: Number, defaults: true } as const;
const OURS = fileURLToPath(new URL('../../packages/api/proto', import.meta.url));
/** The public contracts, as the packages that the control plane uses bring them. */
const fromControl = createRequire(import.meta.resolve('@heddle/control'));
const REFLECTION = join(dirname(fromControl.resolve('@grpc/reflection/package.json')), 'build/proto/grpc/reflection/v1/reflection.proto');
const HEALTH = join(dirname(fromControl.resolve('grpc-health-check/package.json')), 'proto/health/v1/health.proto');

const ADMIN = { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } };

/** What one of the instances says about itself. */
const SAID = {
  version: 'v2',
  labels: { tier: 'gold' },
  metadata: { owner: 'payments', 'example.com/build': '7' },
  ports: { metrics: 9_100 },
  locality: { region: 'eu', zone: 'eu-1', subZone: 'hall-2' },
  weight: 3,
};

const cleanup = new Cleanup();
let plane: RunningControl;
let proxy: RunningProxy;

before(async () => {
  plane = await control(cleanup);
  proxy = await machine(cleanup, plane, { node: 'n1' });
  for (const name of ['echo-1', 'echo-2', 'web-1'])
    await host(proxy, plane, name, (await application(cleanup, name)).port, name === 'echo-2' ? SAID : {});
  await untilReady(proxy);
  await untilEndpoints(proxy, 'echo', ['echo-1', 'echo-2']);
  await untilEndpoints(proxy, 'web', ['web-1']);
});
after(() => cleanup.run());

/** With nothing of Heddle's: the root certificate, the name in the server's certificate, and the service's full name. */
function clientOf(definition: PackageDefinition, service: string): UntypedClient {
  const found = service.split('.').reduce((node: Message, part) => node[part], loadPackageDefinition(definition));
  const options = { 'grpc.ssl_target_name_override': 'control.mesh.internal' };
  const client = new (found as unknown as new (...args: unknown[]) => UntypedClient)(
    `${LOOPBACK}:${plane.port}`,
    credentials.createSsl(Buffer.from(plane.rootsPem)),
    options,
  );
  cleanup.add(() => client.close());
  return client;
}

function bearer(token = plane.operatorToken): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

function unary(client: UntypedClient, method: string, request: object, metadata: Metadata): Promise<Message> {
  return new Promise((resolve, reject) => {
    client[method](request, metadata, { deadline: Date.now() + 10_000 }, (error: ServiceError | null, response: Message) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

/** google.protobuf.FileDescriptorSet: `repeated FileDescriptorProto file = 1`, each as a length-delimited field. */
function descriptorSet(files: readonly Buffer[]): Buffer {
  return Buffer.concat(
    files.flatMap((file) => {
      const length: number[] = [];
      for (let rest = file.length; ; rest >>>= 7) {
        length.push(rest > 127 ? (rest & 127) | 128 : rest);
        if (rest <= 127) break;
      }
      return [Buffer.from([0x0a, ...length]), file];
    }),
  );
}

const fromFile = (path: string): PackageDefinition => loadSync(path, { ...OPTIONS, includeDirs: [OURS] });

test('the small contract lists each healthy service with its address', async () => {
  const client = clientOf(fromFile('example/discovery.proto'), 'example.Discovery');
  assert.deepEqual(await unary(client, 'ListServices', {}, bearer()), {
    services: [
      { name: 'echo', ip: LOOPBACK },
      { name: 'web', ip: LOOPBACK },
    ],
  });
});

test('the full contract lists services with their instances', async () => {
  const client = clientOf(fromFile('heddle/discovery/v1/discovery.proto'), 'heddle.discovery.v1.Discovery');
  const { services } = await unary(client, 'ListServices', { namespace: 'default' }, bearer());
  const found = Object.fromEntries(
    services.map((service: Message) => [
      service['name'],
      service['instances'].map((instance: Message) => `${instance['id']} ${instance['health']}`),
    ]),
  );
  assert.deepEqual(found, { cache: [], echo: ['echo-1 HEALTH_HEALTHY', 'echo-2 HEALTH_HEALTHY'], web: ['web-1 HEALTH_HEALTHY'] });
});

test('what an instance says about itself is told to whoever lists it, and where it runs to every data plane', async () => {
  const client = clientOf(fromFile('heddle/discovery/v1/discovery.proto'), 'heddle.discovery.v1.Discovery');
  const { service } = await unary(client, 'GetService', { name: 'echo' }, bearer());
  const found = service['instances'].find((instance: Message) => instance['id'] === 'echo-2');
  const { region, zone, subZone } = SAID.locality;
  assert.deepEqual({ ...found, ...SAID, locality: { region, zone, sub_zone: subZone } }, found);
  assert.ok(found['revision'] > 0);
  const dump = (await (await fetch(`http://${LOOPBACK}:${proxy.admin.port}/config_dump`, ADMIN)).json()) as Message;
  const { endpoints } = dump['endpoints'].find((set: Message) => set['cluster'] === 'outbound/default/echo');
  assert.deepEqual(
    endpoints.map(({ instance, locality, weight }: Message) => [instance, locality, weight]),
    [
      ['echo-1', undefined, 1],
      ['echo-2', SAID.locality, 3],
    ],
  );
});

test('a watch tells of an instance that goes', async () => {
  const client = clientOf(fromFile('heddle/discovery/v1/discovery.proto'), 'heddle.discovery.v1.Discovery');
  const stream = client['Watch']({ namespace: '' }, bearer());
  const web: string[][] = [];
  stream.on('error', () => {});
  stream.on('data', ({ changed }: Message) => {
    for (const service of changed) if (service['name'] === 'web') web.push(service['instances'].map((instance: Message) => instance['id']));
  });
  await waitFor('the present state', () => web.length > 0);
  assert.deepEqual(web, [['web-1']]);
  await fetch(`http://${LOOPBACK}:${proxy.admin.port}/workloads/default/web/web-1`, { method: 'DELETE', ...ADMIN });
  await waitFor('the change', () => web.at(-1)?.length === 0);
  stream.cancel();
});

test('nobody lists services without a token, or with a wrong one', async () => {
  const client = clientOf(fromFile('example/discovery.proto'), 'example.Discovery');
  for (const metadata of [new Metadata(), bearer('wrong')]) {
    await assert.rejects(unary(client, 'ListServices', {}, metadata), (error: ServiceError) => error.code === status.UNAUTHENTICATED);
  }
});

test('reflection is enough to make a client that lists services', async () => {
  const reflection = clientOf(loadSync(REFLECTION, { ...OPTIONS, bytes: Buffer }), 'grpc.reflection.v1.ServerReflection');
  const stream = reflection['ServerReflectionInfo'](bearer());
  stream.on('error', () => {});
  const ask = async (request: object): Promise<Message> => {
    const answer = once(stream, 'data');
    stream.write(request);
    return ((await answer) as [Message])[0];
  };
  const { list_services_response: listed } = await ask({ list_services: '' });
  const names = listed['service'].map((service: Message) => service['name']);
  for (const name of ['example.Discovery', 'heddle.discovery.v1.Discovery']) assert.ok(names.includes(name), names.join());
  const { file_descriptor_response: files } = await ask({ file_containing_symbol: 'example.Discovery' });
  stream.cancel();
  const definition = loadFileDescriptorSetFromBuffer(descriptorSet(files['file_descriptor_proto']), OPTIONS);
  const { services } = await unary(clientOf(definition, 'example.Discovery'), 'ListServices', {}, bearer());
  assert.deepEqual(services[0], { name: 'echo', ip: LOOPBACK });
});

test('the health check says SERVING to anybody', async () => {
  const health = clientOf(loadSync(HEALTH, OPTIONS), 'grpc.health.v1.Health');
  assert.deepEqual(await unary(health, 'Check', { service: '' }, new Metadata()), { status: 'SERVING' });
});
