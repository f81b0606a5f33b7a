// The bootstrap file of gRPC libraries: what stands in it, and that wrong usage names the flag.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GrpcBootstrapInput, grpcBootstrap } from './export-grpc-bootstrap.ts';
import { exportGrpc, type ExportGrpcOptions } from './export-grpc.ts';

const FILES = {
  certificate_file: '/run/shop/cert.pem',
  private_key_file: '/run/shop/key.pem',
  ca_certificate_file: '/run/shop/ca.pem',
  refresh_interval: '10s',
};
const input: GrpcBootstrapInput = {
  control: { host: '10.0.0.5', port: 15_010 },
  namespace: 'default',
  service: 'shop',
  node: 'shop-machine',
  identityDir: '/run/shop',
};

describe('the bootstrap of a gRPC program', () => {
  test('that calls: the control plane over TLS, and the files of its identity', () => {
    const { description, ...rest } = grpcBootstrap(input);
    assert.match(String(description), /default\/shop.*GRPC_XDS_BOOTSTRAP/);
    assert.deepEqual(rest, {
      xds_servers: [{ server_uri: '10.0.0.5:15010', channel_creds: [{ type: 'tls', config: FILES }], server_features: ['xds_v3'] }],
      node: {
        id: 'shop-machine',
        cluster: 'default/shop',
        locality: {},
        metadata: { heddle: { flavour: 'grpc', identityDir: '/run/shop' } },
      },
      certificate_providers: { heddle: { plugin_name: 'file_watcher', config: FILES } },
    });
  });

  test('an IPv6 address has its brackets', () => {
    const [server] = grpcBootstrap({ ...input, control: { host: '::1', port: 15_010 } })['xds_servers'] as { server_uri: string }[];
    assert.equal(server?.server_uri, '[::1]:15010');
  });

  test('through a socket: the library needs no certificate on the way to the control plane', () => {
    assert.deepEqual(grpcBootstrap({ ...input, control: { socket: '/run/shop/xds.sock' } })['xds_servers'], [
      { server_uri: 'unix:/run/shop/xds.sock', channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] },
    ]);
  });

  test('that serves: the instance to be registered, and the name of its listener', () => {
    const instance = { id: 'shop-1', inbound: { host: '10.0.0.7', port: 50_051 }, version: '2', labels: { tier: 'gold' }, weight: 3 };
    const locality = { region: 'eu', zone: 'a', subZone: 'rack-1' };
    const bootstrap = grpcBootstrap({ ...input, locality, instance });
    assert.equal(bootstrap['server_listener_resource_name_template'], 'inbound/default/shop/shop-1');
    const node = bootstrap['node'] as { locality: object; metadata: { heddle: { instance: object } } };
    assert.deepEqual(node.locality, { region: 'eu', zone: 'a', sub_zone: 'rack-1' });
    assert.deepEqual(node.metadata.heddle.instance, {
      id: 'shop-1',
      service: 'shop',
      namespace: 'default',
      inbound: { address: '10.0.0.7', port: 50_051 },
      application: { address: '10.0.0.7', port: 50_051 },
      weight: 3,
      version: '2',
      labels: { tier: 'gold' },
      locality,
    });
  });
});

describe('heddle export grpc', () => {
  const options: ExportGrpcOptions = {
    service: 'shop',
    namespace: 'default',
    identityDir: 'identity',
    control: { host: '10.0.0.5', port: 15_010 },
    weight: 1,
  };

  test('an instance without an address, or an address without an instance, is wrong usage', () => {
    assert.throws(() => exportGrpc({ ...options, instance: 'shop-1' }), { exitCode: 2, message: /^--inbound is missing/ });
    assert.throws(() => exportGrpc({ ...options, inbound: { host: '10.0.0.7', port: 1 } }), {
      exitCode: 2,
      message: /^--instance is missing/,
    });
  });

  test('a file that cannot be written is named', () => {
    assert.throws(() => exportGrpc({ ...options, output: '/nowhere/xds.json' }), { exitCode: 1, message: /\/nowhere\/xds\.json/ });
  });
});
