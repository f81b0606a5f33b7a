// The port over real sockets: who is waited for, and for how long; TLS where it is not loopback.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { openAuthority } from '../ca/index.ts';
import type { Authority } from '../ca/index.ts';
import { ListenError } from '../server/listening.ts';
import type { ServerIdentity } from '../server/tls-door.ts';
import { silent } from '../testing/mesh.ts';
import { REST_DOOR_LIMITS, openRestDoor } from './door.ts';
import type { RestDoor, RestDoorOptions } from './door.ts';

describe('the door of the REST API', () => {
  let stateDir: string;
  let authority: Authority;
  const doors: RestDoor[] = [];
  const sockets: Socket[] = [];

  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'heddle-rest-door-'));
    authority = await openAuthority({ stateDir, trustDomain: 'shop.test', clock: nodeClock, random: nodeRandom, logger: silent });
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(doors.map((door) => door.close(0)));
    await rm(stateDir, { recursive: true, force: true });
  });

  async function identity(): Promise<ServerIdentity> {
    const { chainPem, key } = await authority.issueControlCertificate({ dns: ['localhost'], ips: ['127.0.0.1'] });
    return { chainPem, keyPem: key.keyPem };
  }
  async function open(over: Partial<RestDoorOptions> = {}): Promise<RestDoor> {
    const door = await openRestDoor({
      ...{ address: '127.0.0.1', port: 0, identity: await identity(), clock: nodeClock, logger: silent },
      onRequest: (_, response) => response.end('served'),
      ...over,
    });
    doors.push(door);
    return door;
  }
  function enter({ port }: RestDoor): Socket {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    return socket;
  }
  /** What comes until the other end closes. */
  async function rest(socket: Socket): Promise<string> {
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    await once(socket, 'close');
    return text;
  }
  const quick = { ...REST_DOOR_LIMITS, headTimeoutMs: 200, requestTimeoutMs: 400, stalledMs: 300 };

  test('a client that does not come to the end of its head or its body is not waited for', async () => {
    const door = await open({ limits: quick, onRequest: (request, response) => request.resume().on('end', () => response.end('served')) });
    const [head, body, silence] = [enter(door), enter(door), enter(door)];
    head.write('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ');
    body.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab');
    assert.match(await rest(head), /^HTTP\/1\.1 408 /);
    assert.match(await rest(body), /^(HTTP\/1\.1 408 |$)/);
    assert.doesNotMatch(await rest(silence), /served/);
  });

  test('heads that are too large or no HTTP are refused', async () => {
    const door = await open();
    const [large, nonsense, nameless] = [enter(door), enter(door), enter(door)];
    large.write(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    nonsense.write('hello\r\n\r\n');
    nameless.write('GET / HTTP/1.1\r\nConnection: close\r\n\r\n');
    assert.match(await rest(large), /^HTTP\/1\.1 431 /);
    assert.match(await rest(nonsense), /^HTTP\/1\.1 400 /);
    assert.match(await rest(nameless), /^HTTP\/1\.1 400 /);
  });

  test('a reader that does not read is disconnected', async () => {
    const ended: Promise<unknown>[] = [];
    const door = await open({
      limits: quick,
      onRequest: (_, response) => {
        ended.push(once(response, 'close'));
        const fill = (): void => {
          while (response.write('x'.repeat(65_536)));
          response.once('drain', fill);
        };
        fill();
      },
    });
    const socket = enter(door);
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    while (ended.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await ended[0];
  });

  test('there are only so many connections', async () => {
    const door = await open({ limits: { ...REST_DOOR_LIMITS, connectionsMax: 1 } });
    const first = enter(door);
    await once(first, 'connect');
    const second = enter(door);
    await once(second, 'close');
    first.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(await rest(first), /served/);
  });

  test('on any address but loopback it speaks TLS 1.3 with the certificate of the control plane, which can be exchanged', async () => {
    const door = await open({ address: '0.0.0.0' });
    assert.equal(door.tls, true);
    const greet = async (over: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> => {
      const socket = tls.connect({ host: '127.0.0.1', port: door.port, ca: authority.rootsPem, ...over });
      sockets.push(socket);
      socket.on('error', () => {});
      await once(socket, 'secureConnect');
      return socket;
    };
    const first = await greet();
    assert.equal(first.authorized, true);
    assert.equal(first.getProtocol(), 'TLSv1.3');
    door.setIdentity(await identity());
    const second = await greet();
    assert.notEqual(second.getPeerCertificate().serialNumber, first.getPeerCertificate().serialNumber);
    await assert.rejects(greet({ maxVersion: 'TLSv1.2' }));
    second.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(await rest(second), /served/);
    const plain = enter(door);
    plain.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.doesNotMatch(await rest(plain), /served/);
  });

  test('a port that is taken is told with the mend', async () => {
    const { port } = await open();
    await assert.rejects(
      open({ port }),
      (error: unknown) => error instanceof ListenError && error.message.includes(String(port)) && error.message.includes('--rest-listen'),
    );
  });
});
