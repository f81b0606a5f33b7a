import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync } from '@grpc/proto-loader';
import { fromBinary, toBinary, create } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { ExampleClient } from '../grpc-js/clients.ts';
import { DiscoveryService, type ServicesList } from './example.ts';
import { reflectionPackage } from './reflection.ts';

test('the descriptors hold every service that a control plane has, complete enough to call it from them alone', () => {
  const files = Object.values(reflectionPackage()).flatMap(({ fileDescriptorProtos }) => fileDescriptorProtos);
  const set = create(FileDescriptorSetSchema, { file: files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes)) });
  const loaded = loadFileDescriptorSetFromBuffer(Buffer.from(toBinary(FileDescriptorSetSchema, set)));
  for (const [service, method] of [
    ['example.Discovery', 'ListServices'],
    ['heddle.discovery.v1.Discovery', 'Register'],
    ['heddle.identity.v1.Identity', 'Sign'],
    ['heddle.admin.v1.Admin', 'Changes'],
    ['envoy.service.discovery.v3.AggregatedDiscoveryService', 'DeltaAggregatedResources'],
    ['envoy.service.endpoint.v3.EndpointDiscoveryService', 'StreamEndpoints'],
    ['envoy.service.status.v3.ClientStatusDiscoveryService', 'FetchClientStatus'],
    ['envoy.service.load_stats.v3.LoadReportingService', 'StreamLoadStats'],
  ] as const) {
    const definition = loaded[service] as unknown as Record<string, { path: string }>;
    assert.equal(definition?.[method]?.path, `/${service}/${method}`);
  }
});

test('a service definition of ours and a client made from the contract alone understand each other', async (t) => {
  const server = new Server();
  server.addService(DiscoveryService, {
    listServices: (_call: unknown, done: (error: null, answer: ServicesList) => void) =>
      done(null, { services: [{ name: 'orders', ip: '127.0.0.1' }] }),
  });
  const port = await new Promise<number>((done, fail) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? done(bound) : fail(error)));
  });
  t.after(() => server.forceShutdown());
  const contract = loadSync('example/discovery.proto', { includeDirs: [new URL('../../proto', import.meta.url).pathname] });
  const { makeClientConstructor } = await import('@grpc/grpc-js');
  const Foreign = makeClientConstructor(contract['example.Discovery'] as never, 'Discovery');
  const foreign = new Foreign(`127.0.0.1:${port}`, credentials.createInsecure());
  const ours = new ExampleClient(`127.0.0.1:${port}`, credentials.createInsecure());
  t.after(() => [foreign, ours].forEach((client) => client.close()));
  const ask = (call: (request: object, done: (error: unknown, answer: unknown) => void) => unknown) =>
    new Promise((done, fail) => call({}, (error, answer) => (error === null ? done(answer) : fail(error as Error))));
  const expected = { services: [{ name: 'orders', ip: '127.0.0.1' }] };
  assert.deepEqual(await ask((request, done) => (foreign as unknown as ExampleClient).listServices(request, done as never)), expected);
  assert.deepEqual(await ask((request, done) => ours.listServices(request, done)), expected);
});
