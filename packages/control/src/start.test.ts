// The whole control plane over real sockets, seen by clients made from the .proto files alone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import http2 from 'node:http2';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Client, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { controlChannelOptions } from '@heddle/api/grpc-js';
import { nodeClock, nodeRandom, createCsr, generateKeyPair, presentedChain, spkiPin } from '@heddle/runtime/node';
import { openAuthority } from './ca/index.ts';
import { ListenError } from './server/listening.ts';
import { startControl } from './start.ts';
import type { RunningControl } from './start.ts';
import { TestClient, instanceMessage, join, operator, plaintext } from './testing/client.ts';
import { SERVICES, mesh, service, silent } from './testing/mesh.ts';
import { until } from './testing/wait.ts';
import { StoreError } from './registry/store.ts';

const DISCOVERY = 'heddle.discovery.v1.Discovery';
const ADMIN = 'heddle.admin.v1.Admin';
const IDENTITY = 'heddle.identity.v1.Identity';

const directories: string[] = [];
after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

async function stateDirectory(): Promise<string> {
  const directory = await mkdtemp(joinPath(tmpdir(), 'heddle-control-'));
  directories.push(directory);
  return directory;
}

function options(stateDir: string, over: object = {}) {
  return {
    mesh: mesh(),
    stateDir,
    listen: { address: '127.0.0.1', port: 0 },
    logger: silent,
    clock: nodeClock,
    random: nodeRandom,
    ...over,
  };
}

function ends(code: status, words = /./): (error: unknown) => boolean {
  return (error) => {
    const { code: actual, details } = error as ServiceError;
    assert.equal(status[actual], status[code], details);
    assert.match(details, words);
    return true;
  };
}

describe('a running control plane', () => {
  let control: RunningControl;
  let stateDir: string;
  let admin: TestClient;
  let orders: TestClient;
  const clients: TestClient[] = [];

  before(async () => {
    stateDir = await stateDirectory();
    control = await startControl(options(stateDir));
    admin = keep(operator(control));
    orders = keep(new TestClient(control, await join(control, 'orders')));
  });
  after(async () => {
    for (const client of clients) client.close();
    await control.close();
  });
  function keep(client: TestClient): TestClient {
    clients.push(client);
    return client;
  }
  const healthOf = async (id: string): Promise<string | undefined> => {
    const { instances } = await admin.call(ADMIN, 'ListInstances');
    return (instances as { id: string; health: string }[]).find((found) => found.id === id)?.health;
  };

  test('says where it is, in a file that only appears whole, and keeps its secrets private', async () => {
    const told = JSON.parse(await readFile(joinPath(stateDir, 'control.json'), 'utf8')) as object;
    assert.deepEqual(told, { address: '127.0.0.1', port: control.port, pid: process.pid, mesh: 'shop', trustDomain: 'shop.test' });
    for (const name of ['operator.token', 'registry.sqlite', 'ca/root.key.pem'])
      assert.equal((await stat(joinPath(stateDir, name))).mode & 0o077, 0, name);
    const { mesh: name, trust_domain: trustDomain, version, started_ms: startedMs } = await admin.call(ADMIN, 'GetMesh');
    assert.deepEqual([name, trustDomain], ['shop', 'shop.test']);
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.ok(startedMs > 1_700_000_000_000);
  });

  test('shows its root in the chain, so that a joiner can compare the pin of its token', async () => {
    const chain = await presentedChain({ address: control.address, port: control.port, timeoutMs: 5_000, alpn: ['h2'] });
    assert.equal(chain.length, 2);
    const { token } = await admin.call(ADMIN, 'CreateToken', { service: 'orders' });
    const { pin } = JSON.parse(Buffer.from((token as string).split('.')[1] ?? '', 'base64url').toString()) as { pin: string };
    assert.equal(spkiPin(chain[1] ?? ''), pin);
  });

  test('gives a certificate for a token once, for the service of the token; then renews it over mutual TLS', async () => {
    const { token } = await admin.call(ADMIN, 'CreateToken', { service: 'web' });
    const stranger = keep(new TestClient(control));
    const key = generateKeyPair();
    const first = await stranger.call(IDENTITY, 'Sign', { csr_der: createCsr(key), join_token: token });
    assert.equal(first['spiffe_id'], 'spiffe://shop.test/ns/default/svc/web');
    await assert.rejects(
      stranger.call(IDENTITY, 'Sign', { csr_der: createCsr(generateKeyPair()), join_token: token }),
      ends(status.UNAUTHENTICATED, /used already/),
    );
    await assert.rejects(
      stranger.call(IDENTITY, 'Sign', { csr_der: createCsr(key), join_token: `${(token as string).slice(0, -4)}AAAA` }),
      ends(status.UNAUTHENTICATED),
    );
    await assert.rejects(
      stranger.call(IDENTITY, 'Sign', { csr_der: createCsr(key), join_token: 'heddle-join.x.y' }),
      ends(status.UNAUTHENTICATED),
    );
    await assert.rejects(stranger.call(IDENTITY, 'Sign', { csr_der: createCsr(key) }), ends(status.UNAUTHENTICATED, /token/));
    const web = keep(new TestClient(control, { certificatePem: first['certificate_pem'], key }));
    const renewed = await web.call(IDENTITY, 'Sign', { csr_der: createCsr(key) });
    assert.equal(renewed['spiffe_id'], first['spiffe_id']);
    await assert.rejects(web.call(IDENTITY, 'Sign', { csr_der: Buffer.from('junk') }), ends(status.INVALID_ARGUMENT));
  });

  test('makes tokens for declared services and for the operator only, and only for the operator', async () => {
    await assert.rejects(admin.call(ADMIN, 'CreateToken', { service: 'ordres' }), ends(status.NOT_FOUND, /no service default\/ordres/));
    await assert.rejects(
      admin.call(ADMIN, 'CreateToken', { namespace: 'heddle-system', service: 'control' }),
      ends(status.INVALID_ARGUMENT),
    );
    await assert.rejects(admin.call(ADMIN, 'CreateToken', { service: 'orders', ttl_ms: 604_800_001 }), ends(status.INVALID_ARGUMENT));
    await assert.rejects(orders.call(ADMIN, 'CreateToken', { service: 'orders' }), ends(status.PERMISSION_DENIED, /only the operator/));
    const machine = keep(new TestClient(control, await join(control, 'operator', 'heddle-system')));
    assert.equal((await machine.call(ADMIN, 'GetMesh'))['mesh'], 'shop');
  });

  test('refuses whoever shows nothing, a wrong token, or a certificate of another mesh', async () => {
    const stranger = keep(new TestClient(control));
    for (const [name, method] of [
      [DISCOVERY, 'ListServices'],
      [ADMIN, 'ListInstances'],
      ['example.Discovery', 'ListServices'],
    ] as const) {
      await assert.rejects(stranger.call(name, method), ends(status.UNAUTHENTICATED, /certificate/));
    }
    await assert.rejects(
      keep(new TestClient(control, undefined, 'wrong')).call(ADMIN, 'GetMesh'),
      ends(status.UNAUTHENTICATED, /operator token is wrong/),
    );
    const foreign = await openAuthority({
      stateDir: await stateDirectory(),
      trustDomain: 'shop.test',
      clock: nodeClock,
      random: nodeRandom,
      logger: silent,
    });
    const key = generateKeyPair();
    const { certificatePem } = await foreign.sign({
      csrDer: createCsr(key),
      identity: { trustDomain: 'shop.test', namespace: 'default', name: 'orders' },
    });
    await assert.rejects(keep(new TestClient(control, { certificatePem, key })).call(DISCOVERY, 'ListServices'), ends(status.UNAVAILABLE));
  });

  test('speaks neither plaintext, nor TLS 1.2, nor HTTP/1.1, and never resumes a session', async () => {
    const plain = new Client(`${control.address}:${control.port}`, plaintext);
    await assert.rejects(
      new Promise((_, reject) => plain.waitForReady(Date.now() + 300, (error) => reject(error ?? new Error('connected')))),
      /deadline/i,
    );
    plain.close();
    const outcome = (over: tls.ConnectionOptions): Promise<string> =>
      new Promise((resolve) => {
        const socket = tls.connect({ host: control.address, port: control.port, rejectUnauthorized: false, ...over });
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        socket.on('end', () => resolve('closed'));
        socket.resume();
      });
    assert.match(await outcome({ ALPNProtocols: ['h2'], maxVersion: 'TLSv1.2' }), /PROTOCOL_VERSION|ECONNRESET/);
    assert.match(await outcome({ ALPNProtocols: ['http/1.1'] }), /NO_APPLICATION_PROTOCOL|ECONNRESET|closed/);
    assert.match(await outcome({}), /NO_APPLICATION_PROTOCOL|ECONNRESET|closed/);
    const session = http2.connect(`https://${control.address}:${control.port}`, { rejectUnauthorized: false });
    let tickets = 0;
    (session.socket as tls.TLSSocket).on('session', () => {
      tickets += 1;
    });
    await new Promise((resolve) => session.ping((error) => resolve(error)));
    session.destroy();
    const again = await new Promise<boolean>((resolve, reject) => {
      const first = tls.connect({ host: control.address, port: control.port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
        const saved = first.getSession();
        first.destroy();
        const second = tls.connect(
          {
            host: control.address,
            port: control.port,
            rejectUnauthorized: false,
            ALPNProtocols: ['h2'],
            ...(saved === undefined ? {} : { session: saved }),
          },
          () => {
            resolve(second.isSessionReused());
            second.destroy();
          },
        );
        second.on('error', reject);
      });
      first.on('error', reject);
    });
    assert.equal(again, false, `${tickets} tickets were given`);
  });

  test('bytes that are no HTTP/2, and messages that are no protobuf, end that call or connection and nothing else', async () => {
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    const garbage = [
      'GET / HTTP/1.1\r\n\r\n',
      `${preface}\xff\xff\xff\x09\x09\x09`,
      `${preface}${'\x00'.repeat(4_000)}`,
      preface.slice(0, 10),
      'x'.repeat(100_000),
    ];
    for (const bytes of garbage) {
      const socket = tls.connect({ host: control.address, port: control.port, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
      socket.on('error', () => {});
      socket.resume();
      socket.end(bytes, 'latin1');
      await once(socket, 'close');
    }
    const raw = new Client(orders.target, orders.credentials, controlChannelOptions());
    for (const [path, bytes] of [
      [`/${DISCOVERY}/GetService`, Buffer.from('0affffffff', 'hex')],
      [`/${IDENTITY}/Sign`, Buffer.alloc(1_000, 0xff)],
      [`/${DISCOVERY}/Nothing`, Buffer.alloc(0)],
      [`/${DISCOVERY}/GetService`, Buffer.alloc(9 * 1024 * 1024)],
    ] as const) {
      const error = await new Promise<ServiceError | null>((resolve) =>
        raw.makeUnaryRequest(
          path,
          (message: Buffer) => message,
          (message) => message,
          bytes,
          resolve,
        ),
      );
      assert.ok(
        error !== null && [status.INTERNAL, status.UNIMPLEMENTED, status.RESOURCE_EXHAUSTED, status.INVALID_ARGUMENT].includes(error.code),
        `${path}: ${error?.code} ${error?.details}`,
      );
    }
    raw.close();
    assert.equal((await admin.call(ADMIN, 'GetMesh'))['mesh'], 'shop');
  });

  test('a registered instance is seen through both discovery contracts, by its health', async () => {
    const stream = orders.register();
    const answer = await stream.send({ instance: instanceMessage('orders', 1) });
    assert.equal(answer['lease_ttl_ms'], 10_000);
    assert.equal(await healthOf('orders-1'), 'HEALTH_STARTING');
    assert.deepEqual((await orders.call('example.Discovery', 'ListServices'))['services'], []);
    await stream.send({ health: 'HEALTH_HEALTHY', health_reason: 'checks pass' });
    assert.deepEqual((await orders.call('example.Discovery', 'ListServices'))['services'], [{ name: 'orders', ip: '127.0.0.1' }]);
    const { service: found, revision } = await orders.call(DISCOVERY, 'GetService', { name: 'orders' });
    assert.ok(revision >= answer['revision']);
    assert.deepEqual([found['port'], found['protocol'], found['instances'].length], [8080, 'http', 1]);
    assert.deepEqual(found['instances'][0], {
      ...instanceMessage('orders', 1),
      weight: 1,
      health: 'HEALTH_HEALTHY',
      health_reason: 'checks pass',
      revision: found['instances'][0]['revision'],
    });
    const { services } = await orders.call(DISCOVERY, 'ListServices', { namespace: 'default' });
    assert.deepEqual(
      (services as { name: string }[]).map(({ name }) => name),
      ['cache', 'orders', 'web'],
    );
    assert.deepEqual((await orders.call(DISCOVERY, 'ListServices', { namespace: 'other' }))['services'], []);
    await assert.rejects(orders.call(DISCOVERY, 'GetService', { name: 'nothing' }), ends(status.NOT_FOUND));
    await stream.end();
    assert.equal(await healthOf('orders-1'), 'HEALTH_HEALTHY');
    assert.deepEqual(await orders.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' }), { existed: true });
    assert.deepEqual(await orders.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-1' }), { existed: false });
  });

  test('a workload acts for its own service only', async () => {
    await assert.rejects(
      orders.register().send({ instance: instanceMessage('web', 1) }),
      ends(status.PERMISSION_DENIED, /svc\/orders may not register instances of default\/web/),
    );
    await assert.rejects(orders.call(DISCOVERY, 'Deregister', { service: 'web', instance: 'web-1' }), ends(status.PERMISSION_DENIED));
    await assert.rejects(
      orders.call(DISCOVERY, 'ReportHealth', { service: 'web', instance: 'web-1', health: 'HEALTH_HEALTHY' }),
      ends(status.PERMISSION_DENIED),
    );
    await assert.rejects(admin.register().send({ instance: instanceMessage('ordres', 1) }), ends(status.NOT_FOUND, /not declared/));
    await assert.rejects(orders.register().send({}), ends(status.INVALID_ARGUMENT, /instance: is required/));
    await assert.rejects(
      orders.register().send({ instance: instanceMessage('orders', 1, { inbound: { address: '0.0.0.0', port: 1 } }) }),
      ends(status.INVALID_ARGUMENT, /inbound\.address/),
    );
  });

  test('when heartbeats stop, the instance goes with its lease; a broken stream alone does not remove it', async () => {
    const stream = orders.register();
    const { lease_ttl_ms: ttlMs } = await stream.send({
      instance: instanceMessage('orders', 2),
      lease_ttl_ms: 1_000,
      health: 'HEALTH_HEALTHY',
    });
    assert.equal(ttlMs, 1_000);
    stream.break();
    assert.equal(await healthOf('orders-2'), 'HEALTH_HEALTHY');
    const again = orders.register();
    await again.send({ instance: instanceMessage('orders', 2), lease_ttl_ms: 1_000, health: 'HEALTH_HEALTHY' });
    assert.equal(await healthOf('orders-2'), 'HEALTH_HEALTHY');
    await until('the end of the lease', async () => (await healthOf('orders-2')) === undefined);
    await assert.rejects(again.send({}), (error) => {
      assert.deepEqual((error as ServiceError).metadata.get('heddle-reason'), ['lease-ended']);
      return ends(status.NOT_FOUND, /register again/)(error);
    });
  });

  test('of two streams for one instance the younger holds it', async () => {
    const old = orders.register();
    await old.send({ instance: instanceMessage('orders', 3) });
    const young = orders.register();
    await young.send({ instance: instanceMessage('orders', 3) });
    await assert.rejects(old.send({ health: 'HEALTH_UNHEALTHY' }), ends(status.ABORTED, /another registration/));
    await young.send({ health: 'HEALTH_HEALTHY' });
    await admin.call(DISCOVERY, 'ReportHealth', {
      service: 'orders',
      instance: 'orders-3',
      health: 'HEALTH_UNHEALTHY',
      reason: 'seen from outside',
    });
    assert.equal(await healthOf('orders-3'), 'HEALTH_UNHEALTHY');
    await admin.call(DISCOVERY, 'ReportHealth', { service: 'orders', instance: 'orders-3', health: 'HEALTH_HEALTHY' });
    assert.equal(await healthOf('orders-3'), 'HEALTH_HEALTHY');
    await assert.rejects(
      admin.call(DISCOVERY, 'ReportHealth', { service: 'orders', instance: 'orders-3', health: 'HEALTH_STARTING' }),
      ends(status.INVALID_ARGUMENT),
    );
    await admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-3' });
  });

  test('a watcher gets everything first, then what changed and what went', async () => {
    const seen: { changed: { name: string; instances: object[] }[]; removed: string[] }[] = [];
    const watch = orders.watch(DISCOVERY, 'Watch', {});
    watch.on('data', (message) => seen.push(message)).on('error', () => {});
    await until('the first message', () => seen.length === 1);
    assert.deepEqual(
      seen[0]?.changed.map(({ name }) => name),
      ['cache', 'orders', 'web'],
    );
    const stream = orders.register();
    await stream.send({ instance: instanceMessage('orders', 4) });
    await until('the change', () => seen.length === 2);
    assert.deepEqual(
      seen[1]?.changed.map(({ name, instances }) => [name, instances.length]),
      [['orders', 1]],
    );
    await control.setMesh(mesh([...SERVICES, service('late')]));
    await control.setMesh(mesh());
    await until('the removal', () => seen.some(({ removed }) => removed.includes('default/late')));
    await orders.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-4' });
    await until('the deregistration', () =>
      seen.at(-1)?.changed.some(({ name, instances }) => name === 'orders' && instances.length === 0),
    );
    watch.cancel();
  });

  test('a watcher that reads slowly skips what is history, and the control plane keeps nothing for it', async () => {
    const seen: { revision: number; changed: { name: string; instances: { health: string }[] }[] }[] = [];
    const watch = orders.watch(DISCOVERY, 'Watch', {});
    watch.on('data', (message) => seen.push(message)).on('error', () => {});
    await until('the first message', () => seen.length === 1);
    watch.pause();
    // Far more than the flow-control window of HTTP/2 (64 KiB) in all.
    const labels = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`label-${index}`, 'x'.repeat(250)]));
    const stream = orders.register();
    await stream.send({ instance: instanceMessage('orders', 6, { labels }) });
    for (let index = 0; index < 100; index += 1) await stream.send({ health: index % 2 === 0 ? 'HEALTH_UNHEALTHY' : 'HEALTH_HEALTHY' });
    const last = await stream.send({ health: 'HEALTH_DRAINING' });
    watch.resume();
    await until('the last state', () => (seen.at(-1)?.revision ?? 0) >= last['revision']);
    assert.equal(seen.at(-1)?.changed[0]?.instances[0]?.health, 'HEALTH_DRAINING');
    assert.ok(seen.length < 60, `${seen.length} messages for 102 changes`);
    watch.cancel();
    await orders.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-6' });
  });

  test('changes are told to the operator, the present state first', async () => {
    const seen: object[] = [];
    const changes = admin.watch(ADMIN, 'Changes');
    changes.on('data', (message) => seen.push(message)).on('error', () => {});
    await until('the first message', () => seen.length === 1);
    await orders.register().send({ instance: instanceMessage('orders', 5) });
    await until('the change', () => seen.length >= 2);
    changes.cancel();
    await orders.call(DISCOVERY, 'Deregister', { service: 'orders', instance: 'orders-5' });
  });

  test('a mesh that changes its name or trust domain is not taken in', async () => {
    await assert.rejects(control.setMesh({ ...mesh(), name: 'other' }), /cannot change/);
  });
});

describe('starting and stopping', () => {
  test('a second control plane on the same state directory is refused, also with its registry in memory', async () => {
    const stateDir = await stateDirectory();
    const control = await startControl(options(stateDir));
    for (const store of [undefined, 'memory']) {
      await assert.rejects(
        startControl(options(stateDir, { store })),
        (error) => error instanceof StoreError && /in use by another process; stop the other control plane/.test(error.message),
      );
    }
    await control.close();
    await (await startControl(options(stateDir))).close();
    await assert.rejects(stat(joinPath(stateDir, 'control.json')), /ENOENT/);
  });

  test('a port in use is named, with what to do, and nothing stays open', async () => {
    const stateDir = await stateDirectory();
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const listen = { address: '127.0.0.1', port };
    await assert.rejects(
      startControl(options(stateDir, { listen })),
      (error) => error instanceof ListenError && error.message.includes(`127.0.0.1:${port}`) && /in use.*--listen/.test(error.message),
    );
    holder.close();
    await once(holder, 'close');
    await (await startControl(options(stateDir, { listen }))).close();
  });

  test('closing ends open streams with UNAVAILABLE and does not wait for them', async () => {
    const control = await startControl(options(await stateDirectory()));
    const client = operator(control);
    const watch = client.watch(DISCOVERY, 'Watch');
    watch.resume();
    const failed = once(watch, 'error').catch((error: unknown) => [error]);
    const stream = client.register();
    await stream.send({ instance: instanceMessage('orders', 1) });
    await control.close();
    await control.close();
    const ended = (await Promise.race([failed, new Promise((resolve) => watch.on('error', (error) => resolve([error])))])) as [
      ServiceError,
    ];
    assert.equal(ended[0].code, status.UNAVAILABLE);
    assert.match(ended[0].details, /stopping/);
    client.close();
  });
});

describe('a control plane that is killed', () => {
  const script = fileURLToPath(new URL('./testing/control-process.ts', import.meta.url));
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill('SIGKILL');
  });

  async function launch(stateDir: string): Promise<{ child: ChildProcess; control: RunningControl }> {
    const child = spawn(process.execPath, ['--conditions=heddle-source', script, stateDir], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, control: JSON.parse(line.toString()) as RunningControl };
  }

  test('has everything it acknowledged after its restart: registrations, health, tokens, identities', { timeout: 60_000 }, async () => {
    const stateDir = await stateDirectory();
    const { child, control } = await launch(stateDir);
    const client = operator(control);
    const identity = await join(control, 'orders');
    const { token } = await client.call(ADMIN, 'CreateToken', { service: 'web' });
    const acknowledged = new Map<string, string>();
    const load = Array.from({ length: 8 }, async (_, lane) => {
      for (let index = 0; ; index += 1) {
        const id = `orders-${lane}-${index}`;
        const stream = client.register();
        await stream.send({ instance: instanceMessage('orders', 1, { id }), lease_ttl_ms: 300_000 });
        acknowledged.set(id, 'HEALTH_STARTING');
        await stream.send({ health: 'HEALTH_HEALTHY', health_reason: `lane ${lane}` });
        acknowledged.set(id, 'HEALTH_HEALTHY');
        if (acknowledged.size >= 120) child.kill('SIGKILL');
      }
    });
    const exit = once(child, 'exit');
    await Promise.allSettled(load);
    await exit;
    client.close();
    assert.ok(acknowledged.size >= 120);

    const { child: next, control: restarted } = await launch(stateDir);
    assert.equal(restarted.operatorToken, control.operatorToken);
    assert.equal(restarted.rootsPem, control.rootsPem);
    const again = operator(restarted);
    const { instances } = await again.call(ADMIN, 'ListInstances');
    const found = new Map((instances as { id: string; health: string }[]).map(({ id, health }) => [id, health]));
    for (const [id, health] of acknowledged) {
      // The last report may have been stored without its acknowledgement having arrived.
      if (health === 'HEALTH_STARTING') assert.ok(found.has(id), id);
      else assert.equal(found.get(id), health, id);
    }
    const workload = new TestClient(restarted, identity);
    assert.equal((await workload.call(DISCOVERY, 'GetService', { name: 'orders' }))['service']['name'], 'orders');
    const key = generateKeyPair();
    const signed = await workload.call(IDENTITY, 'Sign', { csr_der: createCsr(key), join_token: token });
    assert.equal(signed['spiffe_id'], 'spiffe://shop.test/ns/default/svc/web');
    await assert.rejects(
      workload.call(IDENTITY, 'Sign', { csr_der: createCsr(generateKeyPair()), join_token: identity.token }),
      ends(status.UNAUTHENTICATED, /used/),
    );
    workload.close();
    again.close();
    next.kill('SIGTERM');
    assert.deepEqual(await once(next, 'exit'), [0, null]);
  });
});
