// The socket for gRPC libraries: bytes both ways with the certificate of the service, and nothing without one.
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startControl, type RunningControl } from '@heddle/control';
import { parseMeshFile } from '@heddle/core/config';
import { ControlClient } from '../control-client.ts';
import { type HeldIdentity, IdentityKeeper } from '@heddle/dataplane/identity';
import { createLogger, createMetrics, nodeClock, nodeGrpc, nodeRandom } from '@heddle/runtime/node';
import { XdsSocket } from './identity-xds-socket.ts';

const logger = createLogger({ level: 'silent', name: 'test' });
/** RFC 9113 §3.4, and an empty SETTINGS frame. */
const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]);
const SETTINGS = 4;

let directory: string;
let plane: RunningControl;
let identity: HeldIdentity;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-xds-socket-'));
  const { mesh } = parseMeshFile('mesh: test\nservices:\n  shop: { port: 80 }\n', { path: 'test.yaml', directory: '/' });
  assert.ok(mesh !== undefined);
  const listen = { address: '127.0.0.1', port: 0 };
  plane = await startControl({
    mesh,
    stateDir: join(directory, 'state'),
    listen,
    logger,
    clock: nodeClock,
    random: nodeRandom,
    store: 'memory',
  });
  identity = await joined();
});
after(async () => {
  await plane.close();
  await rm(directory, { recursive: true, force: true });
});

async function joined(): Promise<HeldIdentity> {
  const operator = new ControlClient(plane, plane.rootsPem, plane.operatorToken);
  const { promise, resolve } = Promise.withResolvers<HeldIdentity>();
  const keeper = new IdentityKeeper({
    workload: { namespace: 'default', service: 'shop', instance: 'test' },
    control: plane,
    grpc: nodeGrpc,
    store: { load: async () => undefined, save: async () => {} },
    clock: nodeClock,
    random: nodeRandom,
    logger,
    metrics: createMetrics(),
    onIdentity: resolve,
  });
  keeper.offerToken((await operator.createToken('default', 'shop')).token);
  await keeper.start();
  const held = await promise;
  keeper.close();
  operator.close();
  return held;
}

async function open(name: string): Promise<XdsSocket> {
  return XdsSocket.open(join(directory, name), { host: plane.address, port: plane.port }, logger);
}

function connected(name: string): Socket {
  return connect(join(directory, name)).on('error', () => {});
}

describe('the socket for xDS', () => {
  test('leads to the control plane, which answers in HTTP/2', async () => {
    const socket = await open('good.sock');
    socket.setIdentity(identity);
    const client = connected('good.sock');
    client.write(PREFACE);
    const [bytes] = (await once(client, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    assert.equal(bytes[3], SETTINGS);
    const closed = once(client, 'close');
    await socket.close();
    await closed;
    await assert.rejects(stat(join(directory, 'good.sock')), { code: 'ENOENT' });
  });

  test('is for its owner alone', async () => {
    const socket = await open('own.sock');
    assert.equal((await stat(join(directory, 'own.sock'))).mode & 0o777, 0o600);
    await socket.close();
  });

  test('takes no connection before there is a certificate, nor when somebody else answers for the control plane', async () => {
    const socket = await open('early.sock');
    const early = connected('early.sock');
    await once(early, 'close');
    const stranger = createServer((peer) => peer.destroy()).listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    const { port } = stranger.address() as { port: number };
    const astray = await XdsSocket.open(join(directory, 'astray.sock'), { host: '127.0.0.1', port }, logger);
    astray.setIdentity(identity);
    const client = connected('astray.sock');
    client.write(PREFACE);
    await once(client, 'close');
    assert.equal(client.bytesRead, 0);
    await astray.close();
    await socket.close();
    stranger.close();
  });

  test('takes the place of one that was left behind, and of nothing else', async () => {
    const other = createServer();
    other.listen(join(directory, 'busy.sock'));
    await once(other, 'listening');
    await assert.rejects(open('busy.sock'), /busy\.sock cannot be made: another process serves it/);
    // As when its process is killed: the file stays, and nobody listens.
    await rename(join(directory, 'busy.sock'), join(directory, 'left.sock'));
    await new Promise((resolve) => other.close(resolve));
    const socket = await open('left.sock');
    await socket.close();
    await writeFile(join(directory, 'file.sock'), '');
    await assert.rejects(open('file.sock'), /there is a file by this name/);
    await assert.rejects(open('x'.repeat(200)), /longer than 107 bytes/);
  });
});
