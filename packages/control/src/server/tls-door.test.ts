// The port over real sockets: who gets in, and for how long.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import tls from 'node:tls';
import { createCsr, generateKeyPair, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { openAuthority } from '../ca/index.ts';
import type { Authority } from '../ca/index.ts';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';
import { openDoor } from './tls-door.ts';
import type { Door } from './tls-door.ts';

describe('the TLS door', () => {
  let stateDir: string;
  let authority: Authority;
  let clock: ManualClock;
  let door: Door;
  let admitted: tls.TLSSocket[];

  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'heddle-door-'));
    authority = await openAuthority({ stateDir, trustDomain: 'shop.test', clock: nodeClock, random: nodeRandom, logger: silent });
    clock = new ManualClock();
    admitted = [];
    // Certificates are judged by the real time of day; only the timers stand still.
    const doorClock = {
      wallMs: () => Date.now(),
      nowMs: () => clock.nowMs(),
      after: (delayMs: number, run: () => void) => clock.after(delayMs, run),
    };
    door = await openDoor({
      address: '127.0.0.1',
      port: 0,
      identity: await serverIdentity(),
      rootsPem: authority.rootsPem,
      trustDomain: 'shop.test',
      clock: doorClock,
      logger: silent,
      onConnection: (socket) => {
        admitted.push(socket);
        socket.resume();
      },
    });
  });
  afterEach(async () => {
    const closed = door.close();
    door.dropConnections();
    await closed;
    await rm(stateDir, { recursive: true, force: true });
  });

  async function serverIdentity(): Promise<{ chainPem: string; keyPem: string }> {
    const { chainPem, key } = await authority.issueControlCertificate({ dns: ['localhost'], ips: ['127.0.0.1'] });
    return { chainPem, keyPem: key.keyPem };
  }
  function enter(over: tls.ConnectionOptions = {}): tls.TLSSocket {
    const socket = tls.connect({ host: '127.0.0.1', port: door.port, ca: authority.rootsPem, ALPNProtocols: ['h2'], ...over });
    socket.on('error', () => {});
    socket.resume();
    return socket;
  }
  async function workload(trustDomain = 'shop.test', from = authority): Promise<{ cert: string; key: string }> {
    const key = generateKeyPair();
    const { certificatePem } = await from.sign({ csrDer: createCsr(key), identity: { trustDomain, namespace: 'default', name: 'orders' } });
    return { cert: certificatePem, key: key.keyPem };
  }

  test('a connection ends when the certificate it was made with ends', async () => {
    const socket = enter(await workload());
    await until('admission', () => admitted.length === 1);
    clock.advance(3_590_000);
    assert.equal(admitted[0]?.destroyed, false);
    const closed = once(socket, 'close');
    clock.advance(20_000);
    await closed;
  });

  test('a connection without a certificate is let in, one with a foreign certificate is not', async () => {
    enter();
    await until('admission', () => admitted.length === 1);
    const elsewhere = await mkdtemp(join(tmpdir(), 'heddle-door-'));
    const foreign = await openAuthority({
      stateDir: elsewhere,
      trustDomain: 'shop.test',
      clock: nodeClock,
      random: nodeRandom,
      logger: silent,
    });
    await assert.rejects(once(enter(await workload('shop.test', foreign)), 'close'), /alert unknown ca/);
    assert.equal(admitted.length, 1);
    await rm(elsewhere, { recursive: true, force: true });
  });

  test('a new server certificate is shown to new connections; old ones go on', async () => {
    const first = enter();
    await until('admission', () => admitted.length === 1);
    const serial = first.getPeerCertificate().serialNumber;
    door.setIdentity(await serverIdentity());
    const second = enter();
    await until('admission', () => admitted.length === 2);
    assert.notEqual(second.getPeerCertificate().serialNumber, serial);
    assert.equal(second.authorized, true);
    assert.equal(first.destroyed, false);
    // The roots still count after the exchange.
    enter(await workload());
    await until('admission', () => admitted.length === 3);
    assert.equal(admitted[2]?.authorized, true);
  });

  test('bytes that are no handshake close the connection and disturb nobody', async () => {
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\x16\x03\x01\xff\xff', '\0'.repeat(2_000)]) {
      const socket = connect(door.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      socket.end(bytes, 'latin1');
      await once(socket, 'close');
    }
    assert.equal(admitted.length, 0);
    enter();
    await until('admission', () => admitted.length === 1);
  });
});
