// nghttp2 (in node:http2) as an independent party on real connections: we decode the header blocks that it sends, and it decodes ours. The
// few frames around them are made by hand here.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { decodeBlock, encodeBlock, type Triple } from './test-support.ts';

const DEADLINE_MS = 10_000;
const TYPE = { headers: 1, settings: 4, continuation: 9 } as const;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS_HEADER_TABLE_SIZE = 1;
const ROUNDS = 12;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function settings(tableBytes?: number): Buffer {
  const payload = Buffer.alloc(tableBytes === undefined ? 0 : 6);
  if (tableBytes !== undefined) {
    payload.writeUInt16BE(SETTINGS_HEADER_TABLE_SIZE, 0);
    payload.writeUInt32BE(tableBytes, 2);
  }
  return frame(TYPE.settings, 0, 0, payload);
}

/** Cuts a connection's bytes into frames. */
class FrameReader {
  private rest: Buffer = Buffer.alloc(0);
  private skip: number;
  constructor(skip: number) {
    this.skip = skip;
  }
  *push(bytes: Buffer): Generator<{ type: number; flags: number; stream: number; payload: Buffer }> {
    this.rest = Buffer.concat([this.rest, bytes]);
    if (this.rest.length < this.skip) return;
    this.rest = this.rest.subarray(this.skip);
    this.skip = 0;
    while (this.rest.length >= 9) {
      const end = 9 + this.rest.readUIntBE(0, 3);
      if (this.rest.length < end) return;
      const payload = this.rest.subarray(9, end);
      const { 3: type, 4: flags } = this.rest;
      const stream = this.rest.readUInt32BE(5);
      this.rest = this.rest.subarray(end);
      yield { type: type!, flags: flags!, stream, payload };
    }
  }
}

function withoutPriority(flags: number, payload: Buffer): Buffer {
  return (flags & 0x20) !== 0 ? payload.subarray(5) : payload;
}

function within<T>(promise: Promise<T>): Promise<T> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`nothing happened within ${DEADLINE_MS} ms`)), DEADLINE_MS).unref();
  });
  return Promise.race([promise, late]);
}

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** What is sent in a round: steady, varying, secret, long and empty values. */
function fieldsOf(round: number): Record<string, string> {
  return {
    'user-agent': 'interop/1.0 (test)',
    'x-request-id': `id-${round * 7_919}-${'\xe9'}`,
    'x-long': 'v'.repeat(round * 40),
    'x-empty': '',
    'x-turn': String(round % 3),
    'x-bytes': String.fromCharCode(...Array.from({ length: 94 }, (_, at) => 0x21 + at), 0xa1, 0xff),
    'x-secret': 'hidden',
  };
}

for (const tableBytes of [undefined, 0, 200, 65_536]) {
  test(`node's client and we understand each other's blocks, with a table of ${tableBytes ?? 'the usual'} bytes`, async () => {
    const decoder = new HpackDecoder();
    const encoder = new HpackEncoder();
    const received: Triple[][] = [];
    const server = net.createServer((socket) => {
      const reader = new FrameReader(PREFACE.length);
      socket.write(settings(tableBytes));
      socket
        .on('error', () => {})
        .on('data', (bytes: Buffer) => {
          for (const { type, flags, stream, payload } of reader.push(bytes)) {
            if (type === TYPE.settings && (flags & ACK) === 0) socket.write(frame(TYPE.settings, ACK, 0, Buffer.alloc(0)));
            if (type === TYPE.settings && (flags & ACK) !== 0 && tableBytes !== undefined) decoder.setTableLimit(tableBytes);
            if (type !== TYPE.headers) continue;
            assert.ok((flags & END_HEADERS) !== 0);
            const { fields, fault } = decodeBlock(decoder, withoutPriority(flags, payload));
            assert.equal(fault, undefined);
            received.push(fields);
            const answer = encodeBlock(encoder, [[':status', '200'], ...Object.entries(fieldsOf(received.length - 1))]);
            socket.write(frame(TYPE.headers, END_HEADERS | END_STREAM, stream, answer));
          }
        });
    });
    const port = await listen(server);
    const client = http2.connect(`http://127.0.0.1:${port}`);
    try {
      await within(new Promise((resolve, reject) => client.once('remoteSettings', resolve).once('error', reject)));
      for (let round = 0; round < ROUNDS; round++) {
        const stream = client.request({ ':path': `/round/${round % 2}`, ...fieldsOf(round), [http2.sensitiveHeaders]: ['x-secret'] });
        const answer = await within(
          new Promise<http2.IncomingHttpHeaders>((resolve, reject) => stream.once('response', resolve).once('error', reject).resume()),
        );
        for (const [name, value] of Object.entries(fieldsOf(round))) assert.equal(answer[name], value, name);
        const sent = received[round]!.filter(([name]) => !name.startsWith(':'));
        assert.deepEqual(
          sent,
          Object.entries(fieldsOf(round)).map(([name, value]) => [name, value, name === 'x-secret']),
        );
        assert.ok(received[round]!.some(([name, value]) => name === ':path' && value === `/round/${round % 2}`));
      }
    } finally {
      client.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test(`node's server and we understand each other's blocks, with a table of ${tableBytes ?? 'the usual'} bytes`, async () => {
    const seen: http2.IncomingHttpHeaders[] = [];
    const server = http2.createServer({ settings: tableBytes === undefined ? {} : { headerTableSize: tableBytes } });
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      seen.push(headers);
      stream.respond({ ':status': 200, ...fieldsOf(seen.length - 1) }, {
        endStream: true,
        sendDate: false,
      } as http2.ServerStreamResponseOptions);
    });
    const port = await listen(server);
    const socket = net.connect(port, '127.0.0.1');
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    try {
      await within(
        new Promise<void>((resolve, reject) => {
          const reader = new FrameReader(0);
          let round = 0;
          const request = (): void => {
            const pseudo: [string, string][] = [
              [':method', 'GET'],
              [':scheme', 'http'],
              [':authority', 'a'],
              [':path', `/${round}`],
            ];
            const block = encodeBlock(encoder, [...pseudo, ...Object.entries(fieldsOf(round))]);
            // In two frames, cut anywhere.
            const at = (round * 5) % block.length;
            const first = frame(TYPE.headers, END_STREAM, round * 2 + 1, block.subarray(0, at));
            socket.write(Buffer.concat([first, frame(TYPE.continuation, END_HEADERS, round * 2 + 1, block.subarray(at))]));
          };
          socket.write(PREFACE);
          socket.write(settings());
          socket.on('error', reject).on('close', () => reject(new Error(`closed in round ${round}`)));
          socket.on('data', (bytes: Buffer) => {
            for (const { type, flags, payload } of reader.push(bytes)) {
              if (type === TYPE.settings && (flags & ACK) === 0) {
                for (let at = 0; at < payload.length; at += 6) {
                  if (payload.readUInt16BE(at) === SETTINGS_HEADER_TABLE_SIZE) encoder.setTableLimit(payload.readUInt32BE(at + 2));
                }
                socket.write(frame(TYPE.settings, ACK, 0, Buffer.alloc(0)));
                request();
              }
              if (type !== TYPE.headers) continue;
              const { fields, fault } = decodeBlock(decoder, withoutPriority(flags, payload));
              assert.equal(fault, undefined);
              const answered = fields.filter(([name]) => name !== ':status').map(([name, value]) => [name, value]);
              assert.deepEqual(answered, Object.entries(fieldsOf(round)));
              for (const [name, value] of Object.entries(fieldsOf(round))) assert.equal(seen[round]![name], value, name);
              assert.equal(seen[round]![':path'], `/${round}`);
              if (++round === ROUNDS) resolve();
              else request();
            }
          });
        }),
      );
      assert.equal(seen.length, ROUNDS);
    } finally {
      socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

test("nghttp2 takes changes of our table's size within a connection", async () => {
  const decoder = new HpackDecoder();
  const encoder = new HpackEncoder({ indexing: 'always', tableBytesMax: 300 });
  const paths: string[] = [];
  const server = http2.createServer();
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    paths.push(`${headers[':path']} ${String(headers['x-kept'])}`);
    stream.respond({ ':status': 204 }, { endStream: true });
  });
  const port = await listen(server);
  const socket = net.connect(port, '127.0.0.1');
  const sizes = [4_096, 0, 300, 50, 4_096];
  try {
    await within(
      new Promise<void>((resolve, reject) => {
        const reader = new FrameReader(0);
        let answers = 0;
        socket.write(PREFACE);
        socket.write(settings());
        for (const [round, size] of sizes.entries()) {
          encoder.setTableLimit(size);
          const fields: [string, string][] = [
            [':method', 'GET'],
            [':scheme', 'http'],
            [':authority', 'a'],
            [':path', `/${round}`],
            ['x-kept', 'y'],
          ];
          socket.write(frame(TYPE.headers, END_STREAM | END_HEADERS, round * 2 + 1, encodeBlock(encoder, fields)));
        }
        socket.on('error', reject).on('close', () => reject(new Error('closed')));
        socket.on('data', (bytes: Buffer) => {
          for (const { type, flags, payload } of reader.push(bytes)) {
            if (type === TYPE.headers) assert.equal(decodeBlock(decoder, withoutPriority(flags, payload)).fields[0]![1], '204');
            if (type === TYPE.headers && ++answers === sizes.length) resolve();
          }
        });
      }),
    );
    assert.deepEqual(paths, ['/0 y', '/1 y', '/2 y', '/3 y', '/4 y']);
  } finally {
    socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
});
