// HTTP/2 frames written and read by hand, so that a peer can do what no codec would. Tests only.
import net from 'node:net';
import tls from 'node:tls';
import { CLIENT_PREFACE, FieldList, HpackDecoder } from '@heddle/wire';
import { FLAG, FRAME } from '../../../wire/src/http2/frame.ts';
import { settings, SETTINGS_ACK } from '../../../wire/src/http2/testing/frames.ts';
import type { Fields } from '../../../wire/src/http2/testing/frames.ts';
import { until } from './raw-http.ts';

export { FLAG, FRAME, SETTING } from '../../../wire/src/http2/frame.ts';
export * from '../../../wire/src/http2/testing/frames.ts';

export function get(path = '/', more: Fields = []): Fields {
  return [[':method', 'GET'], [':scheme', 'http'], [':authority', 'orders.mesh.internal'], [':path', path], ...more];
}

export function post(path = '/', more: Fields = []): Fields {
  return [[':method', 'POST'], ...get(path, more).slice(1)];
}

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
  /** Of HEADERS that are complete. */
  readonly fields: Readonly<Record<string, string>>;
}

/** One side of an HTTP/2 connection without a codec of ours: says what the test says, and remembers the frames that came. */
export class FramePeer {
  readonly socket: net.Socket;
  readonly frames: SeenFrame[] = [];
  closed = false;
  ended = false;
  receivedBytes = 0;
  /** Called with each frame, after it was remembered. */
  onFrame: (seen: SeenFrame) => void = () => {};
  private readonly decoder = new HpackDecoder();
  private readonly list = new FieldList();
  private rest: Buffer;
  private prefaceLeft: number;

  /** `role`: which one this side plays. */
  constructor(socket: net.Socket, role: 'client' | 'server') {
    this.socket = socket;
    this.rest = Buffer.alloc(0);
    this.prefaceLeft = role === 'server' ? CLIENT_PREFACE.length : 0;
    socket.on('data', (bytes: Buffer) => this.take(bytes));
    socket.on('error', () => {});
    socket.on('end', () => void (this.ended = true));
    socket.on('close', () => void (this.closed = true));
  }

  send(...frames: readonly Buffer[]): this {
    if (!this.socket.destroyed) this.socket.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
    return this;
  }

  /** Acknowledges settings by itself from now on. */
  polite(): this {
    const before = this.onFrame;
    this.onFrame = (seen) => {
      if (seen.type === FRAME.settings && (seen.flags & FLAG.ack) === 0) this.send(SETTINGS_ACK);
      before(seen);
    };
    return this;
  }

  of(type: number, streamId?: number): SeenFrame[] {
    return this.frames.filter((seen) => seen.type === type && (streamId === undefined || seen.streamId === streamId));
  }

  /** Waits for a frame. */
  async expect(type: number, streamId?: number): Promise<SeenFrame> {
    try {
      await until(() => this.of(type, streamId).length > 0 || this.closed, 'frame');
    } catch {
      // Said below.
    }
    const found = this.of(type, streamId)[0];
    if (found === undefined) {
      const seen = this.frames.map((each) => `${each.type}/${each.streamId}`).join(' ');
      throw new Error(
        `${this.closed ? 'the connection was closed' : 'waited in vain'}: no frame ${type} on ${streamId ?? 'any stream'} in ${seen}`,
      );
    }
    return found;
  }

  /** Waits until the other side ends the connection; its GOAWAY's error code, or -1. */
  async gone(): Promise<number> {
    await until(() => this.closed || this.ended, 'the end of the connection');
    return this.of(FRAME.goaway).at(-1)?.payload.readUInt32BE(4) ?? -1;
  }

  body(streamId: number): string {
    return Buffer.concat(this.of(FRAME.data, streamId).map(({ payload }) => payload)).toString('latin1');
  }

  /** The stream has ended from the other side, properly or by a reset. */
  isOver(streamId: number): boolean {
    return this.frames.some(
      ({ type, flags, streamId: id }) =>
        id === streamId &&
        (type === FRAME.rstStream || ((type === FRAME.data || type === FRAME.headers) && (flags & FLAG.endStream) !== 0)),
    );
  }

  private take(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    if (this.prefaceLeft > 0) {
      if (this.rest.length < this.prefaceLeft) return;
      this.rest = this.rest.subarray(this.prefaceLeft);
      this.prefaceLeft = 0;
    }
    while (this.rest.length >= 9) {
      const length = this.rest.readUIntBE(0, 3);
      if (this.rest.length < 9 + length) return;
      const { rest } = this;
      this.rest = rest.subarray(9 + length);
      this.see(rest[3]!, rest[4]!, rest.readUInt32BE(5), rest.subarray(9, 9 + length));
    }
  }

  private see(type: number, flags: number, streamId: number, payload: Buffer): void {
    const fields: Record<string, string> = {};
    if (type === FRAME.headers && (flags & FLAG.endHeaders) !== 0) {
      this.list.reset();
      this.decoder.decode(payload, 0, payload.length, this.list);
      for (let at = 0; at < this.list.count; at++) {
        const { name, value } = this.list.fields[at]!;
        fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
      }
    }
    const seen = { type, flags, streamId, payload, fields };
    this.frames.push(seen);
    this.onFrame(seen);
  }
}

/** Greets and acknowledges; `silent`: says nothing at all. */
export function connectFrames(port: number, options: { silent?: boolean; settings?: Buffer; tls?: tls.ConnectionOptions } = {}): FramePeer {
  const target = { host: '127.0.0.1', port, noDelay: true };
  const socket = options.tls === undefined ? net.connect(target) : tls.connect({ ...target, ...options.tls });
  const peer = new FramePeer(socket, 'client');
  if (options.silent !== true) peer.polite().send(CLIENT_PREFACE, options.settings ?? settings());
  return peer;
}

/** A server whose HTTP/2 connections the test drives by hand. Closed by `close`. */
export class FrameServer {
  readonly peers: FramePeer[] = [];
  /** Called with each connection, before anything has come on it. */
  onPeer: (peer: FramePeer) => void = () => {};
  private readonly server: net.Server;

  private constructor(server: net.Server, greeting: Buffer) {
    this.server = server;
    server.on('connection', (socket) => {
      const peer = new FramePeer(socket, 'server');
      this.peers.push(peer);
      this.onPeer(peer);
      peer.polite().send(greeting);
    });
  }

  static async listen(greeting: Buffer = settings()): Promise<FrameServer> {
    const server = net.createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FrameServer(server, greeting);
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
