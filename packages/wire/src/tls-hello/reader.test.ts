// ClientHellos of real clients, caught on real sockets, and hand-made ones for what real clients do not send.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { needs } from '../http2/testing/programs.ts';
import { TLS_HELLO_VIOLATIONS, readTlsHello, type TlsHelloLimits, type TlsHelloResult } from './reader.ts';

const DEADLINE_MS = 10_000;

/** The first bytes that a client sends to a port, once they hold a whole ClientHello or anything but the beginning of one. */
async function catchHello(connect: (port: number) => () => void): Promise<Buffer> {
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  let disconnect = (): void => {};
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no ClientHello within ${DEADLINE_MS} ms`)), DEADLINE_MS);
      server.on('connection', (socket) => {
        let bytes: Buffer = Buffer.alloc(0);
        socket
          .on('error', () => {})
          .on('data', (piece: Buffer) => {
            bytes = Buffer.concat([bytes, piece]);
            if (readTlsHello(bytes).kind === 'need-more') return;
            socket.destroy();
            resolve(bytes);
          });
      });
      disconnect = connect((server.address() as AddressInfo).port);
    });
  } finally {
    clearTimeout(timer);
    disconnect();
    await new Promise((resolve) => server.close(resolve));
  }
}

function nodeHello(options: tls.ConnectionOptions): Promise<Buffer> {
  return catchHello((port) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    socket.on('error', () => {});
    return () => socket.destroy();
  });
}

function commandHello(command: string, args: (port: number) => string[]): Promise<Buffer> {
  return catchHello((port) => {
    const child = spawn(command, args(port), { stdio: ['pipe', 'ignore', 'ignore'] });
    return () => child.kill();
  });
}

/** The same message in records of at most so many bytes. */
function inRecordsOf(bytes: Buffer, fragmentBytes: number): Buffer {
  const message = Buffer.concat(recordsOf(bytes));
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += fragmentBytes) records.push(record(message.subarray(at, at + fragmentBytes)));
  return Buffer.concat(records);
}

function recordsOf(bytes: Buffer): Buffer[] {
  const contents: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const to = at + 5 + bytes.readUInt16BE(at + 3);
    contents.push(bytes.subarray(at + 5, to));
    at = to;
  }
  return contents;
}

function record(content: Buffer, type: number = 22): Buffer {
  return Buffer.concat([Buffer.of(type, 3, 1, content.length >> 8, content.length & 0xff), content]);
}

/** What follows from every byte that arrives: more is needed until the hello is complete, and then it is the same for good. */
function readByteByByte(bytes: Buffer, limits?: TlsHelloLimits): TlsHelloResult {
  let first: TlsHelloResult | undefined;
  for (let end = 0; end <= bytes.length; end++) {
    const result = readTlsHello(bytes, 0, end, limits);
    if (first === undefined && result.kind !== 'need-more') first = result;
    if (first !== undefined) assert.deepEqual(result, first);
  }
  return first ?? { kind: 'need-more' };
}

function assertHello(bytes: Buffer, expected: { serverName: string | undefined; alpn: string[]; versions: number[] }): void {
  const result: TlsHelloResult = { kind: 'hello', hello: expected };
  assert.deepEqual(readTlsHello(bytes), result);
  assert.deepEqual(readByteByByte(bytes), result);
  const framed = Buffer.concat([Buffer.alloc(7, 22), bytes, Buffer.alloc(7)]);
  assert.deepEqual(readTlsHello(framed, 7, 7 + bytes.length), result);
  const many = { helloBytesMax: 16_384, recordsMax: 100_000 };
  for (const fragmentBytes of [1, 3, 4, 5, 100]) {
    const fragmented = inRecordsOf(bytes, fragmentBytes);
    assert.deepEqual(readByteByByte(fragmented, fragmentBytes < 100 ? many : undefined), result);
  }
}

test('reads what node sends', async () => {
  const hello = await nodeHello({ servername: 'Orders.Mesh.Internal', ALPNProtocols: ['h2', 'http/1.1'] });
  assertHello(hello, { serverName: 'orders.mesh.internal', alpn: ['h2', 'http/1.1'], versions: [0x0304, 0x0303] });
});

test('reads what node sends without name and protocols, and for one version', async () => {
  const newest = await nodeHello({ minVersion: 'TLSv1.3' });
  assertHello(newest, { serverName: undefined, alpn: [], versions: [0x0304] });
  const older = await nodeHello({ servername: 'a', maxVersion: 'TLSv1.2' });
  assertHello(older, { serverName: 'a', alpn: [], versions: [0x0303] });
});

test('reads what openssl sends', { skip: needs('openssl', ['version'], 'install the package openssl') }, async () => {
  const base = (port: number): string[] => ['s_client', '-connect', `127.0.0.1:${port}`];
  const full = await commandHello('openssl', (port) => [...base(port), '-servername', 'x.test', '-alpn', 'heddle-tcp,h2', '-tls1_3']);
  assertHello(full, { serverName: 'x.test', alpn: ['heddle-tcp', 'h2'], versions: [0x0304] });
  const bare = await commandHello('openssl', (port) => [...base(port), '-noservername', '-tls1_2']);
  assertHello(bare, { serverName: undefined, alpn: [], versions: [0x0303] });
});

test('reads what curl sends', { skip: needs('curl', ['--version'], 'install the package curl') }, async () => {
  const args = (port: number): string[] => [
    '-sk',
    '--http1.1',
    '--noproxy',
    '*',
    '--connect-to',
    `::127.0.0.1:${port}`,
    'https://curl.test/',
  ];
  const { kind, hello } = readTlsHello(await commandHello('curl', args)) as TlsHelloResult & { kind: 'hello' };
  assert.deepEqual([kind, hello.serverName, hello.alpn], ['hello', 'curl.test', ['http/1.1']]);
  assert.ok(hello.versions.includes(0x0303));
});

interface Parts {
  version?: number;
  session?: Buffer;
  suites?: Buffer;
  compression?: Buffer;
  /** Undefined: the message ends before them. */
  extensions?: Buffer | undefined;
  after?: Buffer;
}

function vector(lengthBytes: 1 | 2, content: Buffer): Buffer {
  const length = lengthBytes === 1 ? Buffer.of(content.length) : Buffer.of(content.length >> 8, content.length & 0xff);
  return Buffer.concat([length, content]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type >> 8, type & 0xff), vector(2, content)]);
}

function serverName(name: string | Buffer, kind: number = 0): Buffer {
  return extension(0, vector(2, Buffer.concat([Buffer.of(kind), vector(2, Buffer.from(name))])));
}

function alpn(...names: string[]): Buffer {
  return extension(16, vector(2, Buffer.concat(names.map((name) => vector(1, Buffer.from(name, 'latin1'))))));
}

function versions(...list: number[]): Buffer {
  return extension(43, vector(1, Buffer.from(list.flatMap((version) => [version >> 8, version & 0xff]))));
}

function message(content: Buffer, type: number = 1): Buffer {
  return Buffer.concat([Buffer.of(type, content.length >> 16, (content.length >> 8) & 0xff, content.length & 0xff), content]);
}

function helloOf(parts: Parts): Buffer {
  const { version = 0x0303, session = Buffer.alloc(0), suites = Buffer.of(0x13, 1), compression = Buffer.of(0) } = parts;
  const head = [Buffer.of(version >> 8, version & 0xff), Buffer.alloc(32), vector(1, session), vector(2, suites), vector(1, compression)];
  const extensions = parts.extensions === undefined ? [] : [vector(2, parts.extensions)];
  return record(message(Buffer.concat([...head, ...extensions, parts.after ?? Buffer.alloc(0)])));
}

test('reads hand-made hellos', () => {
  const none = { serverName: undefined, alpn: [], versions: [0x0303] };
  assertHello(helloOf({}), none);
  assertHello(helloOf({ version: 0x0301 }), { ...none, versions: [0x0301] });
  assertHello(helloOf({ version: 0x0304 }), none);
  assertHello(helloOf({ extensions: Buffer.alloc(0) }), none);
  assertHello(helloOf({ session: Buffer.alloc(32), extensions: serverName('a_b-c.D.test.') }), { ...none, serverName: 'a_b-c.d.test' });
});

test('leaves GREASE out', () => {
  const extensions = Buffer.concat([
    extension(0x0a0a, Buffer.alloc(0)),
    versions(0x7a7a, 0x0304, 0x0303),
    alpn('\x1a\x1a', 'h2', '\x1a\x2a'),
    extension(0xfafa, Buffer.of(0)),
  ]);
  assertHello(helloOf({ extensions }), { serverName: undefined, alpn: ['h2', '\x1a\x2a'], versions: [0x0304, 0x0303] });
});

const long = Buffer.alloc(16_380);
const faulty: [what: string, bytes: Buffer, code: keyof typeof TLS_HELLO_VIOLATIONS][] = [
  ['an empty record', record(Buffer.alloc(0)), 'BAD_RECORD'],
  ['a record that is too long', Buffer.of(22, 3, 1, 0x40, 0x01), 'BAD_RECORD'],
  ['another record in between', Buffer.concat([record(helloOf({}).subarray(5, 20)), record(Buffer.of(1, 0), 21)]), 'BAD_RECORD'],
  ['another version of the record layer in between', Buffer.concat([record(Buffer.of(1)), Buffer.of(22, 2)]), 'BAD_RECORD'],
  ['another message', record(message(Buffer.alloc(4), 2)), 'NOT_CLIENT_HELLO'],
  ['a hello above the limit', record(Buffer.of(1, 0, 0x3f, 0xfd)), 'HELLO_TOO_LARGE'],
  ['too many records', inRecordsOf(helloOf({}), 1), 'TOO_MANY_RECORDS'],
  ['version 2', helloOf({ version: 0x0200 }), 'BAD_HELLO'],
  ['a long session id', helloOf({ session: Buffer.alloc(33) }), 'BAD_HELLO'],
  ['no cipher suites', helloOf({ suites: Buffer.alloc(0) }), 'BAD_HELLO'],
  ['half a cipher suite', helloOf({ suites: Buffer.alloc(3) }), 'BAD_HELLO'],
  ['no compression', helloOf({ compression: Buffer.alloc(0) }), 'BAD_HELLO'],
  ['a message that ends early', record(message(Buffer.alloc(34, 3))), 'BAD_HELLO'],
  ['bytes after the extensions', helloOf({ extensions: Buffer.alloc(0), after: Buffer.of(0) }), 'BAD_HELLO'],
  ['extensions that are too short', helloOf({ after: Buffer.of(0, 4, 0) }), 'BAD_HELLO'],
  ['an extension that leads outside', helloOf({ extensions: Buffer.of(0, 16, 0, 9, 0) }), 'BAD_HELLO'],
  ['an extension twice', helloOf({ extensions: Buffer.concat([alpn('h2'), alpn('h2')]) }), 'REPEATED_EXTENSION'],
  ['an empty list of names', helloOf({ extensions: extension(0, Buffer.alloc(2)) }), 'BAD_SERVER_NAME'],
  ['no list of names', helloOf({ extensions: extension(0, Buffer.alloc(0)) }), 'BAD_SERVER_NAME'],
  ['an empty name', helloOf({ extensions: serverName('') }), 'BAD_SERVER_NAME'],
  ['only a dot', helloOf({ extensions: serverName('.') }), 'BAD_SERVER_NAME'],
  ['another kind of name', helloOf({ extensions: serverName('a', 1) }), 'BAD_SERVER_NAME'],
  ['NUL in a name', helloOf({ extensions: serverName('a\0b') }), 'BAD_SERVER_NAME'],
  ['a name that is too long', helloOf({ extensions: serverName('a'.repeat(256)) }), 'BAD_SERVER_NAME'],
  ['no protocols', helloOf({ extensions: alpn() }), 'BAD_ALPN'],
  ['an empty protocol', helloOf({ extensions: alpn('h2', '') }), 'BAD_ALPN'],
  ['a protocol that leads outside', helloOf({ extensions: extension(16, Buffer.of(0, 2, 9, 0x68)) }), 'BAD_ALPN'],
  ['no versions', helloOf({ extensions: versions() }), 'BAD_VERSIONS'],
  ['half a version', helloOf({ extensions: extension(43, Buffer.of(1, 3)) }), 'BAD_VERSIONS'],
];

for (const [what, bytes, code] of faulty) {
  test(`refuses ${what}`, () => {
    assert.deepEqual(readByteByByte(bytes), { kind: 'error', code });
    assert.match(TLS_HELLO_VIOLATIONS[code].section, /RFC/);
  });
}

test('takes the largest hello there may be', () => {
  const base = helloOf({ extensions: extension(21, Buffer.alloc(0)) }).length - 5;
  const largest = helloOf({ extensions: extension(21, long.subarray(0, 16_384 - base)) });
  assert.equal(largest.length, 5 + 16_384);
  assert.equal(readTlsHello(largest).kind, 'hello');
});

test('tells other protocols by their first byte or two', () => {
  for (const text of ['GET / HTTP/1.1\r\n', 'PRI * HTTP/2.0', 'SSH-2.0-x', '\0', '\x80\x2e\x01\x03\x01', '\x16\x02', '\x16\x16']) {
    assert.deepEqual(readByteByByte(Buffer.from(text, 'latin1')), { kind: 'not-tls' });
  }
  assert.deepEqual(readTlsHello(Buffer.alloc(0)), { kind: 'need-more' });
  assert.deepEqual(readTlsHello(Buffer.of(22)), { kind: 'need-more' });
});

test('answers to any bytes, and a damaged hello does no harm', () => {
  const whole = helloOf({ extensions: Buffer.concat([serverName('a.test'), alpn('h2', 'http/1.1'), versions(0x0304)]) });
  const kinds = ['need-more', 'not-tls', 'hello', 'error'];
  const damaged = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((changes) => {
    const bytes = Buffer.from(whole);
    for (const [at, byte] of changes) bytes[at] = byte;
    return bytes;
  });
  const garbage = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.concat([Buffer.of(22, 3), bytes]));
  fc.assert(
    fc.property(fc.oneof(damaged, garbage), (bytes) => {
      const result = readByteByByte(bytes);
      assert.ok(kinds.includes(result.kind));
      if (result.kind === 'hello') assert.match(result.hello.serverName ?? 'x', /^[a-z0-9._-]+$/);
    }),
    { numRuns: 2_000 },
  );
});
