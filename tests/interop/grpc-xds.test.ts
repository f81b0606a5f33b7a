// gRPC libraries of three languages in the mesh without a proxy: they find services by `xds:///`, balance and follow changes, show their identity and
// ask for that of the service. The instances are behind proxies of ours.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import {
  adminCall,
  type Certificate,
  certificateOf,
  Cleanup,
  connectedProxies,
  control,
  host,
  joinToken,
  LOOPBACK,
  machine,
  meshOf,
  putWorkload,
  registerInstance,
  temporaryDirectory,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { grpcServer } from './support/grpc.ts';
import {
  type Found,
  goProgram,
  heddle,
  loadsOf,
  nodeProgram,
  type Program,
  pythonProgram,
  reportHealth,
  watchIdentity,
  XdsClient,
} from './support/grpc-xds.ts';
import { reason } from './support/programs.ts';

// Repeated calls would hide those that fail; `patient` has the tries that a mesh file may ask for, `limited` and `bounded` the time limit.
const MESH = `
mesh: interop
services:
  shop: { port: 80 }
  orders: { port: 8081, protocol: grpc, balance: round-robin, health: { interval: 300ms, timeout: 300ms }, retry: { attempts: 0 } }
  patient: { port: 8082, protocol: grpc, retry: { attempts: 2, on: [reset], nonIdempotent: true }, health: { interval: 300ms, timeout: 300ms } }
  limited: { port: 8084, protocol: grpc, timeout: 400ms, retry: { attempts: 0 }, health: { interval: 300ms, timeout: 300ms } }
  bounded: { port: 8085, protocol: grpc, timeout: 4s, retry: { attempts: 0 }, health: { interval: 300ms, timeout: 300ms } }
  vault: { port: 8083, protocol: grpc, retry: { attempts: 0 } }
`;
const CALLER = 'spiffe://interop/ns/default/svc/shop';
/** The shortest that all libraries take. */
const LOAD_INTERVAL_MS = 1_000;
const NOT_THERE_MS = 3_000;
/** Of calls that go on while the control plane is away. */
const CALLS_WITHOUT = 300;

interface Library {
  readonly name: string;
  readonly found: Found;
  /** `tls`: its own way to the control plane. `socket`: that of `heddle identity watch`. */
  readonly way: 'tls' | 'socket';
  /** The service with the shortest time limit that it keeps. */
  readonly limited: 'limited' | 'bounded';
}

const node: Library = { name: 'grpc-js', found: nodeProgram('client'), way: 'socket', limited: 'limited' };
const libraries: readonly Library[] = [
  { name: 'grpc-go', found: await goProgram('client'), way: 'tls', limited: 'limited' },
  // On this kind of virtual machine it ends calls at once whose limit is a second or less and comes from configuration, also without a mesh.
  { name: 'grpcio', found: await pythonProgram('client'), way: 'tls', limited: 'bounded' },
  node,
];
const present = libraries.filter(({ found }) => !('reason' in found));
/** As which it is known to the control plane. */
const nodeOf = ({ name }: Library): string => `shop-${name}`;
const skipped = ({ found }: Library): string | false => ('reason' in found ? reason(found.reason) : false);
const program = ({ found }: Library): Program => {
  if ('reason' in found) throw new Error(`not on this machine: ${found.reason}`);
  return found;
};

const cleanup = new Cleanup();
let stateDir: string;
let plane: RunningControl;
let far: RunningProxy;
let orders: Certificate;
let ordersInbound: { readonly address: string; readonly port: number };
/** Bootstrap file of the caller for each library. */
const bootstraps = new Map<Library, string>();
const programs = new Map<Library, XdsClient>();
let foreignFile: string;
let socket: string;
let identityDir: string;

before(async () => {
  stateDir = await temporaryDirectory(cleanup);
  plane = await control(cleanup, { mesh: meshOf(MESH), stateDir, reportIntervalMs: LOAD_INTERVAL_MS });
  far = await machine(cleanup, plane, { node: 'far' });
  const identity = watchIdentity(cleanup, stateDir, 'shop');
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    const { inbound } = await host(far, plane, `orders-${index + 1}`, await grpcServer(cleanup, name));
    ordersInbound = inbound;
  }
  for (const [index, weight] of [3, 1].entries()) {
    await putWorkload(far, `default/patient/patient-${index + 1}`, {
      joinToken: await joinToken(plane, 'patient'),
      application: { address: LOOPBACK, port: await grpcServer(cleanup, `weight ${weight}`) },
      inbound: { address: LOOPBACK, port: 0 },
      weight,
    });
  }
  for (const name of ['limited', 'bounded']) await host(far, plane, `${name}-1`, await grpcServer(cleanup, name));
  orders = await certificateOf(plane, 'orders');
  ({ dir: identityDir, socket } = await identity);
  const named = (library: Library): string[] => ['--node', nodeOf(library), ...(library.way === 'socket' ? ['--xds-socket', socket] : [])];
  await Promise.all(present.map(async (library) => bootstraps.set(library, await bootstrap(library.name, ...named(library)))));
  // That one goes to the control plane by the socket, so that only peers see the foreign certificate.
  foreignFile = await foreignBootstrap(bootstraps.get(node) ?? '');
  await untilReady(far);
  await untilEndpoints(far, 'orders', ['orders-1', 'orders-2', 'orders-3']);
  await untilEndpoints(far, 'patient', ['patient-1', 'patient-2']);
});
after(() => cleanup.run());

/** Path of a bootstrap file. */
async function bootstrap(name: string, ...options: readonly string[]): Promise<string> {
  const file = join(await temporaryDirectory(cleanup), `${name}.json`);
  await heddle('export', 'grpc', '--service', 'shop', '--identity-dir', identityDir, '--state-dir', stateDir, '-o', file, ...options);
  return file;
}

/** Path of a bootstrap file by which a program shows its peers a certificate for the same name, but of another mesh's authority. */
async function foreignBootstrap(own: string): Promise<string> {
  const { certificatePem, keyPem } = await certificateOf(await control(cleanup, { mesh: meshOf(MESH) }), 'shop');
  const directory = await temporaryDirectory(cleanup);
  const [certificate_file, private_key_file] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  await writeFile(certificate_file, certificatePem);
  await writeFile(private_key_file, keyPem, { mode: 0o600 });
  const file = join(directory, 'xds.json');
  const content = JSON.parse(await readFile(own, 'utf8')) as { certificate_providers: { heddle: { config: object } } };
  Object.assign(content.certificate_providers.heddle.config, { certificate_file, private_key_file });
  await writeFile(file, JSON.stringify(content));
  return file;
}

function client(library: Library, target: string, file = bootstraps.get(library) ?? ''): XdsClient {
  return new XdsClient(cleanup, program(library), `xds:///${target}`, file);
}

/** The one program of a library that all tests use. */
function shared(library: Library): XdsClient {
  const known = programs.get(library) ?? client(library, 'orders.mesh.internal');
  programs.set(library, known);
  return known;
}

for (const library of libraries) {
  describe(`a client with ${library.name}`, { skip: skipped(library) }, () => {
    let calls: XdsClient;
    before(() => {
      calls = shared(library);
    });

    test('is known by its identity to the instance it calls', async () => {
      assert.deepEqual({ ...(await calls.call()), server: '' }, { code: 'OK', details: '', server: '', peer: CALLER });
    });

    test('gives every instance its share', async () => {
      assert.deepEqual(await calls.calls(30), { servers: { a: 10, b: 10, c: 10 }, failures: [] });
    });

    test('calls of all four kinds', async () => {
      assert.deepEqual(await calls.kinds(), {
        unary: 'hello',
        collect: ['3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
        count: ['0', '1', '2', '3', '4'],
        chat: ['one', 'two', 'three'],
      });
    });

    test('follows instances that come, fall ill, recover and go, without a failed call', async () => {
      await calls.start();
      await calls.until('a', 'b', 'c');
      await host(far, plane, 'orders-4', await grpcServer(cleanup, 'd'));
      await calls.until('a', 'b', 'c', 'd');
      await reportHealth(plane, orders, 'orders-2', false);
      await calls.until('a', 'c', 'd');
      await reportHealth(plane, orders, 'orders-2', true);
      await calls.until('a', 'b', 'c', 'd');
      assert.equal((await adminCall(far, 'DELETE', '/workloads/default/orders/orders-4')).status, 200);
      await calls.until('a', 'b', 'c');
      assert.deepEqual([...new Set(await calls.stop())], []);
    });

    test('takes weights and tries from the mesh file', async () => {
      const target = 'xds:///patient.default.mesh.internal:8082';
      const { servers, failures } = await calls.calls(200, { target });
      assert.deepEqual([...new Set(failures)], []);
      const share = (servers['weight 3'] ?? 0) / 200;
      assert.ok(share > 0.6 && share < 0.9, `an instance with 3/4 of the weight got ${share} of the calls`);
      assert.equal((await calls.call({ target, metadata: { 'x-flaky': library.name } })).code, 'OK');
      assert.equal((await calls.call({ metadata: { 'x-flaky': library.name } })).code, 'UNAVAILABLE');
    });

    test('takes the time limit from the mesh file', async () => {
      const target = `xds:///${library.limited}`;
      assert.equal((await calls.call({ target })).code, 'OK');
      assert.equal((await calls.call({ target, metadata: { 'x-wait': 'forever' } })).code, 'DEADLINE_EXCEEDED');
    });

    test('calls no instance that shows the identity of another service', async () => {
      // What answers is an instance of orders.
      const vault = await certificateOf(plane, 'vault');
      const remove = await registerInstance(cleanup, plane, vault, { id: 'vault-1', service: 'vault', inbound: ordersInbound });
      const { code, server } = await calls.call({ target: 'xds:///vault.mesh.internal', timeoutMs: NOT_THERE_MS });
      assert.deepEqual({ code, server }, { code: 'UNAVAILABLE', server: '' });
      await remove();
    });

    test('is not let in with a certificate of another authority', async () => {
      const foreign = client(library, 'orders.mesh.internal', foreignFile);
      assert.equal((await foreign.call({ timeoutMs: NOT_THERE_MS })).code, 'UNAVAILABLE');
    });

    test('has its configuration acknowledged', async () => {
      const found = (await connectedProxies(plane)).filter(({ node }) => node === nodeOf(library));
      assert.ok(found.length > 0);
      for (const { flavour, identity, sync } of found) {
        assert.deepEqual({ flavour, identity }, { flavour: 'grpc', identity: CALLER });
        for (const kind of sync) assert.equal(kind.rejection, '', JSON.stringify(kind));
      }
    });
  });
}

test('a service that clients ask for before it is declared is found then, and is gone when it is', async () => {
  const clients = present.map(shared);
  const target = 'xds:///later';
  // The libraries wait 15 s for a name that nobody knows.
  for (const one of clients) assert.equal((await one.call({ target, timeoutMs: 200 })).code, 'DEADLINE_EXCEEDED');
  await plane.setMesh(meshOf(`${MESH}  later: { port: 8085, protocol: grpc }\n`));
  await host(far, plane, 'later-1', await grpcServer(cleanup, 'later'));
  for (const one of clients) await waitFor('an answer', async () => (await one.call({ target })).server === 'later');
  assert.equal((await adminCall(far, 'DELETE', '/workloads/default/later/later-1')).status, 200);
  await plane.setMesh(meshOf(MESH));
  for (const one of clients) await waitFor('no service', async () => (await one.call({ target })).code === 'UNAVAILABLE');
});

test('all report their load, go on calling while the control plane is away, and follow it again when it is back', async () => {
  const clients = present.map(shared);
  for (const one of clients) await one.start({ target: 'xds:///orders:8081' });
  for (const one of clients) await one.until('a', 'b', 'c');
  for (const library of present) await waitFor(`the load of ${library.name}`, () => reportsLoad(library));
  await plane.close();
  for (const one of clients) await one.answered(CALLS_WITHOUT);
  plane = await control(cleanup, { mesh: meshOf(MESH), stateDir, port: plane.port });
  await host(far, plane, 'orders-4', await grpcServer(cleanup, 'd'));
  for (const one of clients) await one.until('a', 'b', 'c', 'd');
  for (const one of clients) assert.deepEqual([...new Set(await one.stop())], []);
});

async function reportsLoad(library: Library): Promise<boolean> {
  const loads = await loadsOf(plane, nodeOf(library));
  return loads.some((load) => load.source === 'default/shop' && load.destination === 'default/orders' && load.requestsPerSecond > 0);
}
