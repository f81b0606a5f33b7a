// A socket to another process, in place of a connection within this one: bytes, ends, back-pressure and breaks go through as they are.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, describe, it } from 'node:test';
import type { MemoryStream } from '@heddle/runtime/inside';
import { bridged } from './bridge.ts';

const LOOPBACK = '127.0.0.1';
const CHUNK = Buffer.alloc(65_536, 1);
const FLOOD_BYTES = 640 * CHUNK.length;
const others: Socket[] = [];
const server = net.createServer({ allowHalfOpen: true }, (socket) => void others.push(socket.on('error', () => {})));
await new Promise<void>((resolve) => void server.listen(0, LOOPBACK, resolve));
const { port } = server.address() as AddressInfo;
after(() => {
  for (const socket of others) socket.destroy();
  server.close();
});

/** The stream is there before its socket is connected. */
function begin(): { readonly stream: MemoryStream; readonly other: Promise<Socket> } {
  const accepted = once(server, 'connection') as Promise<Socket[]>;
  return { stream: bridged(net.connect({ port, host: LOOPBACK, allowHalfOpen: true })), other: accepted.then(([socket]) => socket!) };
}

/** All that comes until the end of this direction; reading by `stream/consumers` would take the other one away with it. */
async function received(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

/** Also by an error. */
async function gone(stream: Duplex): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
}

/** Writes so many bytes, whenever there is room; tells how many it has written. */
function flood(stream: Duplex, bytes: number): () => number {
  let written = 0;
  const send = (): void => {
    while (written < bytes && !stream.writableNeedDrain) {
      stream.write(CHUNK);
      written += CHUNK.length;
    }
    if (written >= bytes) stream.end();
  };
  stream.on('drain', send);
  send();
  return () => written;
}

/** What it is once it has not moved for many turns of the event loop. */
async function settled(count: () => number): Promise<number> {
  let last = -1;
  for (let still = 0; still < 200; still++) {
    await new Promise(setImmediate);
    if (count() === last) continue;
    last = count();
    still = 0;
  }
  return last;
}

describe('a bridged connection', { timeout: 30_000 }, () => {
  it('carries bytes of any number in both directions at once, and an end of one of them', async () => {
    const { stream, other } = begin();
    const [there, back] = [randomBytes(3_000_000), randomBytes(3_000_000)];
    stream.write(there.subarray(0, 10));
    stream.end(there.subarray(10));
    const socket = await other;
    socket.write(back.subarray(0, 1_500_000));
    assert.ok((await received(socket)).equals(there));
    // What it called with has ended; the answer has not.
    socket.end(back.subarray(1_500_000));
    assert.ok((await received(stream)).equals(back));
    await gone(stream);
    assert.equal(stream.errored, null);
  });

  it('goes on in one direction when the other end has nothing more to say', async () => {
    const { stream, other } = begin();
    const socket = await other;
    socket.end('all');
    assert.equal((await received(stream)).toString(), 'all');
    stream.end('more');
    assert.equal((await received(socket)).toString(), 'more');
  });

  it('takes what it is given as a copy', async () => {
    const { stream, other } = begin();
    const bytes = Buffer.from('as it was');
    stream.write(bytes);
    bytes.fill('x');
    stream.end();
    assert.equal((await received(await other)).toString(), 'as it was');
  });

  it('stops whoever sends more than is read at its other end', async () => {
    const { stream, other } = begin();
    const socket = await other;
    for (const [from, to] of [
      [stream, socket],
      [socket, stream],
    ] as const) {
      const written = flood(from, FLOOD_BYTES);
      // The system takes some of it.
      assert.ok((await settled(written)) < FLOOD_BYTES / 2, `${written()} bytes were taken, and nobody reads`);
      assert.equal((await received(to)).length, FLOOD_BYTES);
    }
  });

  it('breaks where its other end breaks', async () => {
    const { stream, other } = begin();
    const errors: NodeJS.ErrnoException[] = [];
    stream.on('error', (error: NodeJS.ErrnoException) => errors.push(error)).resume();
    stream.write('a');
    (await other).resetAndDestroy();
    await gone(stream);
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['ECONNRESET'],
    );

    const second = begin();
    const socket = await second.other;
    second.stream.destroy();
    assert.equal((await received(socket)).length, 0);

    const nobody = bridged(net.connect(1, LOOPBACK));
    nobody.on('error', (error: NodeJS.ErrnoException) => errors.push(error)).resume();
    await gone(nobody);
    assert.equal(errors.length, 2);
  });
});
