// Upgrades of both versions behind one interface: `Upgrade` and 101 in HTTP/1.1, extended CONNECT in HTTP/2 (RFC 8441). Tests only.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type http from 'node:http';
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Version } from './clients.ts';
import type { TestMesh } from './mesh.ts';
import { startApplication } from './paths.ts';
import type { Application } from './paths.ts';
import { connectRaw, until } from './raw-http.ts';
import type { RawPeer } from './raw-http.ts';

const WEBSOCKET_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + WEBSOCKET_SUFFIX)
    .digest('base64');
}

export interface Asked {
  readonly path: string;
  readonly protocol: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Agrees, and returns the bytes' way. `first`: sent along with the agreement. */
  agree(first?: string): Duplex;
  /** Answers with a status and a body. */
  refuse(status: number, body: string): void;
}

/** An application that takes upgrades and nothing else. */
export async function upgradingApplication(mesh: TestMesh, version: Version, onAsked: (asked: Asked) => void): Promise<Application> {
  const application = await startApplication(mesh, version, undefined, { settings: { enableConnectProtocol: true } });
  if (version === 'http1') {
    (application.server as http.Server).on('upgrade', (request: http.IncomingMessage, socket: Duplex) => {
      socket.on('error', () => {});
      const key = request.headers['sec-websocket-key'];
      onAsked({
        path: request.url ?? '',
        protocol: request.headers.upgrade ?? '',
        headers: request.headers as Asked['headers'],
        agree: (first = '') => {
          const accept = key === undefined ? '' : `Sec-WebSocket-Accept: ${acceptOf(key)}\r\n`;
          socket.write(
            `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n${accept}X-App: yes\r\n\r\n${first}`,
          );
          return socket;
        },
        refuse: (status, body) => {
          socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
        },
      });
    });
  } else {
    (application.server as http2.Http2Server).on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      if (headers[':method'] !== 'CONNECT') return;
      stream.on('error', () => {});
      onAsked({
        path: headers[':path'] ?? '',
        protocol: String(headers[':protocol'] ?? ''),
        headers: headers as Asked['headers'],
        agree: (first = '') => {
          stream.respond({ ':status': 200, 'x-app': 'yes' });
          if (first !== '') stream.write(first);
          return stream;
        },
        refuse: (status, body) => {
          stream.respond({ ':status': status });
          stream.end(body);
        },
      });
    });
  }
  return application;
}

/** The client's end after it has asked. */
export interface Upgraded {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Everything behind the head. */
  readonly text: string;
  readonly ended: boolean;
  /** Ended by an error: a reset. */
  readonly failed: boolean;
  readonly receivedBytes: number;
  write(text: string | Buffer): boolean;
  end(): void;
  reset(): void;
  pause(): void;
  resume(): void;
  readonly buffered: number;
}

export interface AskOptions {
  /** Asks for a tunnel to this `host:port` instead of an upgrade (RFC 9110 §9.3.6). */
  readonly connect?: string;
  readonly protocol?: string;
  readonly path?: string;
  /** Sent without waiting for the agreement. */
  readonly first?: string;
  readonly key?: string;
  readonly headers?: Record<string, string>;
}

export function ask(mesh: TestMesh, version: Version, port: number, options: AskOptions = {}): Upgraded {
  return version === 'http1' ? askHttp1(mesh, port, options) : askHttp2(mesh, port, options);
}

function askHttp1(mesh: TestMesh, port: number, options: AskOptions): Upgraded {
  const { protocol = 'websocket', path = '/chat', first = '', key, headers = {}, connect } = options;
  const peer = connectRaw(port);
  mesh.onClose(() => void peer.socket.destroy());
  if (connect !== undefined) {
    peer.send(`CONNECT ${connect} HTTP/1.1\r\nHost: ${connect}\r\n\r\n${first}`);
    return upgradedOf(peer);
  }
  const own = protocol === 'websocket' ? { 'Sec-WebSocket-Key': key ?? 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13' } : {};
  const lines = Object.entries({ ...own, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  peer.send(
    `GET ${path} HTTP/1.1\r\nHost: orders.mesh.internal\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${lines.join('')}\r\n${first}`,
  );
  return upgradedOf(peer);
}

/** `isBare`: there is no head in front of the bytes. */
export function upgradedOf(peer: RawPeer, isBare = false): Upgraded {
  const headEnd = () => (isBare ? -4 : peer.text.indexOf('\r\n\r\n'));
  return {
    get status() {
      return isBare ? 101 : headEnd() === -1 ? 0 : Number(peer.text.slice(9, 12));
    },
    get headers() {
      const head = peer.text.slice(0, Math.max(0, headEnd()));
      const pairs = head
        .split('\r\n')
        .slice(1)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]);
      return Object.fromEntries(pairs) as Record<string, string>;
    },
    get text() {
      return headEnd() === -1 ? '' : peer.text.slice(headEnd() + 4);
    },
    get ended() {
      return peer.ended;
    },
    get failed() {
      return peer.error !== undefined;
    },
    get receivedBytes() {
      return peer.receivedBytes;
    },
    write: (text) => peer.socket.write(text),
    end: () => void peer.socket.end(),
    reset: () => void peer.socket.resetAndDestroy(),
    pause: () => void peer.socket.pause(),
    resume: () => void peer.socket.resume(),
    get buffered() {
      return peer.socket.writableLength;
    },
  };
}

class Http2Ask implements Upgraded {
  status = 0;
  headers: Record<string, string | undefined> = {};
  ended = false;
  failed = false;
  receivedBytes = 0;
  #chunks: Buffer[] = [];
  #stream: http2.ClientHttp2Stream | undefined;
  #todo: (() => void)[] = [];

  constructor(session: http2.ClientHttp2Session, options: AskOptions) {
    const { protocol = 'websocket', path = '/chat', first = '', headers = {}, connect } = options;
    const extended = { ':protocol': protocol, ':scheme': 'http', ':path': path, ':authority': 'orders.mesh.internal', ...headers };
    // RFC 8441 §3: only once the server has said that it takes it.
    const begin = () => {
      const stream = session.request(
        { ':method': 'CONNECT', ...(connect === undefined ? extended : { ':authority': connect }) },
        { endStream: false },
      );
      this.#stream = stream;
      stream.on('response', (answered) => {
        this.status = answered[':status'] ?? 0;
        this.headers = answered as Record<string, string>;
      });
      stream.on('data', (chunk: Buffer) => {
        this.#chunks.push(chunk);
        this.receivedBytes += chunk.length;
      });
      stream.on('end', () => void (this.ended = true));
      stream.on('error', () => void (this.failed = true));
      stream.on('close', () => void (this.failed ||= !this.ended));
      if (first !== '') stream.write(first);
      for (const act of this.#todo) act();
    };
    session.once('remoteSettings', begin);
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('latin1');
  }

  get buffered(): number {
    return this.#stream?.writableLength ?? 0;
  }

  write(text: string | Buffer): boolean {
    return this.#with((stream) => stream.write(text)) ?? true;
  }

  end(): void {
    this.#with((stream) => stream.end());
  }

  reset(): void {
    // Not `close`, which ends the stream before it resets it.
    this.#with((stream) => void stream.destroy(new Error('on purpose')));
  }

  pause(): void {
    this.#with((stream) => stream.pause());
  }

  resume(): void {
    this.#with((stream) => stream.resume());
  }

  #with<T>(act: (stream: http2.ClientHttp2Stream) => T): T | undefined {
    if (this.#stream !== undefined) return act(this.#stream);
    this.#todo.push(() => act(this.#stream!));
    return undefined;
  }
}

function askHttp2(mesh: TestMesh, port: number, options: AskOptions): Upgraded {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  mesh.onClose(() => session.destroy());
  return new Http2Ask(session, options);
}

export async function untilAgreed(upgraded: Upgraded, version: Version): Promise<void> {
  await until(() => upgraded.status !== 0, 'an answer');
  const expected = version === 'http1' ? 101 : 200;
  if (upgraded.status !== expected) throw new Error(`not agreed: ${upgraded.status} ${upgraded.text}`);
}

/** A side that does not read stops the one that writes, both ways, and nothing is lost. `stream`: the far side's. */
export async function untilEachStopsTheOther(near: Upgraded, far: { readonly receivedBytes: number }, stream: Duplex): Promise<void> {
  const chunk = Buffer.alloc(1_000_000, 'x');
  stream.pause();
  let sent = 0;
  await until(() => {
    if (near.buffered < 2_000_000 && sent < 200) {
      near.write(chunk);
      sent += 1;
    }
    return near.buffered >= 2_000_000;
  }, 'the client to be stopped');
  assert.ok(sent < 60, `${sent} MB were taken`);
  stream.resume();
  await until(() => far.receivedBytes === sent * chunk.length, 'all bytes', 20_000);
  near.pause();
  sent = 0;
  await until(() => {
    if (stream.writableLength < 2_000_000 && sent < 200) {
      stream.write(chunk);
      sent += 1;
    }
    return stream.writableLength >= 2_000_000;
  }, 'the application to be stopped');
  assert.ok(sent < 60, `${sent} MB were taken`);
  near.resume();
  await until(() => near.receivedBytes >= sent * chunk.length, 'all bytes back', 20_000);
}
