// A connection within the process: its one end is a `Connection` of the data plane, its other end a stream as Node's own HTTP takes it in
// place of a socket. Bytes for the application are handed over in the next tick, so that no code of it ever runs inside the data plane's;
// bytes of the application are taken at once.
import type { Server } from 'node:net';
import type { AsyncResource } from 'node:async_hooks';
import { nextTick } from 'node:process';
import { Duplex } from 'node:stream';
import { DEFAULT_LIMITS } from '@heddle/core';
import { type Connection, type ConnectionHandler, NOBODY } from '../../ports/network.ts';

/** More than this is not taken before the application has read some. */
const BUFFER_BYTES = DEFAULT_LIMITS.connectionBufferBytesMax;

export interface MemoryLinkOptions {
  /** Of whom the application sees at the other end. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Whether a time limit that the application sets on an idle connection has an effect, asked when it is set. Absent: it has. */
  readonly timesOut?: () => boolean;
  /** The server of the application that takes it: it counts as one of that server's connections. */
  readonly server?: Server;
  /** See ConnectOptions. */
  readonly isOwnHttp?: true;
}

/** On streams of which a server may believe the headers that only a data plane may say. A symbol of the process: there may be several copies of this. */
const OWN_HTTP = Symbol.for('heddle.own-http');

/** Whether the data plane of this process itself speaks HTTP on it: as `socket` of a request, of either version. */
export function isOwnHttp(socket: unknown): boolean {
  if (typeof socket !== 'object' || socket === null) return false;
  // What HTTP/2 has in place of a socket holds the stream that it wraps.
  const { [OWN_HTTP]: own, stream } = socket as { readonly [OWN_HTTP]?: unknown; readonly stream?: { readonly [OWN_HTTP]?: unknown } };
  return own === true || stream?.[OWN_HTTP] === true;
}

/** What a `net.Server` has to keep count of its connections, as its sockets use it. */
interface CountingServer extends Server {
  _connections?: number;
  _emitCloseIfDrained?(): void;
}

/** What an application has in place of a `net.Socket`: of that class's members those that Node's HTTP and its usual users look at. */
export class MemoryStream extends Duplex {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly remoteFamily: string;
  readonly localAddress: string;
  readonly localPort: number;
  readonly connecting = false;
  readonly encrypted = false;
  bytesRead = 0;
  bytesWritten = 0;
  timeout = 0;
  /** In whose context events come that the data plane causes. Absent: in the data plane's own. */
  context: AsyncResource | undefined;
  readonly connection: MemoryConnection;
  readonly [OWN_HTTP]: boolean;
  private readonly timesOut: (() => boolean) | undefined;
  private readonly countedBy: CountingServer | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** A write that waits until the data plane reads on. */
  private held: { readonly chunk: Buffer; readonly done: (error?: Error | null) => void } | undefined;
  private endHeld: ((error?: Error | null) => void) | undefined;

  constructor(options: MemoryLinkOptions) {
    const { server } = options;
    const allowHalfOpen = server === undefined || (server as { readonly allowHalfOpen?: boolean }).allowHalfOpen === true;
    super({ allowHalfOpen, highWaterMark: BUFFER_BYTES, decodeStrings: true });
    this.remoteAddress = options.remoteAddress;
    this.remotePort = options.remotePort;
    this.remoteFamily = options.remoteAddress.includes(':') ? 'IPv6' : 'IPv4';
    this.localAddress = options.localAddress;
    this.localPort = options.localPort;
    this.timesOut = options.timesOut;
    this[OWN_HTTP] = options.isOwnHttp === true;
    this.countedBy = server;
    if (this.countedBy?._connections !== undefined) this.countedBy._connections += 1;
    this.connection = new MemoryConnection(this, options);
  }

  override _read(): void {
    this.connection.wantsMore();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.connection.isClosed) {
      done(brokenPipe());
      return;
    }
    if (this.connection.isPaused) {
      this.held = { chunk, done };
      return;
    }
    this.pass(chunk);
    done();
  }

  /** What was gathered between `cork` and `uncork`, as one piece: HTTP/2 writes a frame in several. */
  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: (error?: Error | null) => void): void {
    this._write(chunks.length === 1 ? chunks[0]!.chunk : Buffer.concat(chunks.map(({ chunk }) => chunk)), 'utf8', done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.connection.isPaused) {
      this.endHeld = done;
      return;
    }
    if (!this.connection.isClosed) this.connection.handler.onEnd();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.timer);
    this.held = undefined;
    this.endHeld = undefined;
    this.connection.applicationGone();
    done(error);
    const { countedBy } = this;
    if (countedBy?._connections === undefined) return;
    countedBy._connections -= 1;
    countedBy._emitCloseIfDrained?.();
  }

  /** @internal The data plane reads on. */
  released(): void {
    const { held, endHeld } = this;
    this.held = undefined;
    if (held !== undefined) {
      this.pass(held.chunk);
      held.done();
    }
    if (endHeld === undefined || this.connection.isPaused) return;
    this.endHeld = undefined;
    this.connection.handler.onEnd();
    endHeld();
  }

  /** @internal The data plane has closed the connection: what it has said before can still be read. */
  closedByPeer(): void {
    const { held, endHeld } = this;
    this.held = undefined;
    this.endHeld = undefined;
    held?.done(brokenPipe());
    endHeld?.();
    // Nobody takes anything that the application would still say.
    if (this.readableEnded) {
      this.destroy();
      return;
    }
    this.once('end', () => this.destroy());
    this.pushEnd();
  }

  /** @internal Heard of even where nobody reads, as with a socket: connections in a pool have to go. */
  pushEnd(): void {
    this.push(null);
    this.read(0);
  }

  /** @internal False: the application has enough for now. */
  receive(bytes: Buffer): boolean {
    this.bytesRead += bytes.length;
    this.touch();
    return this.push(bytes);
  }

  private pass(chunk: Buffer): void {
    this.bytesWritten += chunk.length;
    this.touch();
    this.connection.handler.onBytes(chunk);
  }

  // --- of net.Socket

  get readyState(): string {
    if (this.destroyed) return 'closed';
    return this.writable ? (this.readable ? 'open' : 'writeOnly') : 'readOnly';
  }

  get pending(): boolean {
    return false;
  }

  /** As of a socket: without a byte for so long `timeout` is emitted. 0: never. */
  setTimeout(timeoutMs: number, listener?: () => void): this {
    if (listener !== undefined) {
      if (timeoutMs === 0) this.removeListener('timeout', listener);
      else this.once('timeout', listener);
    }
    this.timeout = timeoutMs;
    clearTimeout(this.timer);
    this.timer = undefined;
    if (timeoutMs > 0 && this.timesOut?.() !== false) {
      this.timer = setTimeout(() => this.emit('timeout'), timeoutMs);
      this.timer.unref();
    }
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  address(): { address: string; family: string; port: number } {
    return { address: this.localAddress, family: this.remoteFamily, port: this.localPort };
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  private touch(): void {
    this.timer?.refresh();
  }
}

/** The data plane's end. */
export class MemoryConnection implements Connection {
  handler: ConnectionHandler = NOBODY;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly alpn = '';
  readonly peerId = '';
  readonly copiesWrites = true;
  readonly holdsBytes = false;
  isPaused = false;
  /** @internal Nothing passes any more. */
  isClosed = false;
  private readonly stream: MemoryStream;
  /** For the application, of what was written last. */
  private readonly queue: Buffer[] = [];
  private queuedBytes = 0;
  private isFull = false;
  private endsAfterQueue = false;
  private isScheduled = false;
  private readonly deliverLater = (): void => this.deliver();

  constructor(stream: MemoryStream, { localPort }: MemoryLinkOptions) {
    this.stream = stream;
    // Whoever is in this process is on this machine.
    this.remoteAddress = '127.0.0.1';
    this.remotePort = 0;
    this.localPort = localPort;
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed) return true;
    this.queue.push(Buffer.from(bytes));
    this.queuedBytes += bytes.length;
    this.schedule();
    if (this.queuedBytes + this.stream.readableLength >= BUFFER_BYTES) this.isFull = true;
    return !this.isFull;
  }

  cork(): void {}

  uncork(): void {}

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    // The data plane is in the middle of something.
    this.later(() => {
      if (!this.isPaused) this.stream.released();
    });
  }

  end(): void {
    this.endsAfterQueue = true;
    this.schedule();
  }

  destroy(): void {
    this.close(false);
  }

  reset(): void {
    this.close(true);
  }

  /** @internal The application reads. */
  wantsMore(): void {
    if (!this.isFull || this.queue.length > 0 || this.isClosed) return;
    this.isFull = false;
    process.nextTick(() => {
      if (!this.isClosed) this.handler.onDrained();
    });
  }

  /** @internal */
  applicationGone(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.queue.length = 0;
    process.nextTick(() => this.handler.onClose(undefined));
  }

  private close(isReset: boolean): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.later(() => {
      const { stream } = this;
      if (!stream.destroyed) {
        // What has arrived before is read before, as of a socket.
        this.deliverQueue();
        if (isReset) this.later(() => stream.destroy(connectionReset()));
        else stream.closedByPeer();
      }
      this.handler.onClose(undefined);
    });
  }

  private schedule(): void {
    if (this.isScheduled || this.isClosed) return;
    this.isScheduled = true;
    this.later(this.deliverLater);
  }

  /** What the application is to hear of in its own context. */
  private later(run: () => void): void {
    const { context } = this.stream;
    if (context === undefined) nextTick(run);
    else context.runInAsyncScope(nextTick, undefined, run);
  }

  private deliver(): void {
    this.isScheduled = false;
    const { stream } = this;
    if (this.isClosed || stream.destroyed) return;
    // Without room `_read` follows later.
    if (this.deliverQueue()) this.wantsMore();
    if (!this.endsAfterQueue || stream.readableEnded) return;
    this.endsAfterQueue = false;
    stream.pushEnd();
  }

  /** False: the application has enough for now. */
  private deliverQueue(): boolean {
    const { queue } = this;
    if (queue.length === 0) return true;
    const bytes = queue.length === 1 ? queue[0]! : Buffer.concat(queue, this.queuedBytes);
    queue.length = 0;
    this.queuedBytes = 0;
    return this.stream.receive(bytes);
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error('write EPIPE: the data plane has closed the connection'), { code: 'EPIPE' });
}

function connectionReset(): Error {
  return Object.assign(new Error('read ECONNRESET: the data plane has dropped the connection'), { code: 'ECONNRESET' });
}

/** Two ends of one connection. The handler of `connection` must be set before anything is written. */
export function memoryLink(options: MemoryLinkOptions): { readonly connection: MemoryConnection; readonly stream: MemoryStream } {
  const stream = new MemoryStream(options);
  return { stream, connection: stream.connection };
}
