// What a net.Socket has below it, made of a stream into the mesh instead of a socket of the system. Node has a class for that: with it TLS and HTTP/2 run
// over streams of any kind. It is not public; what of it is reached here is looked at before anything is patched.
import { AsyncResource } from 'node:async_hooks';
import net from 'node:net';
import { PassThrough } from 'node:stream';
import tls from 'node:tls';
import { getSystemErrorMap } from 'node:util';
import type { MemoryStream } from '@heddle/runtime/inside';
import type { Mesh } from '../plane/mesh.ts';
import { type ConnectError, notReadyError } from './mesh-errors.ts';
import { openTunnel } from './tunnel.ts';

/** Node's own: a handle whose other side is code. */
interface CodeHandle {
  onwrite: (request: object, chunks: Buffer[]) => number;
  onshutdown: (request: object) => number;
  onreadstart: () => number;
  onreadstop: () => number;
  isClosing: () => boolean;
  close: (done: () => void) => void;
  readBuffer(chunk: Buffer): void;
  emitEOF(): void;
  finishWrite(request: object, status: number): void;
  finishShutdown(request: object, status: number): void;
  useUserBuffer(buffer: Uint8Array): void;
  reading?: boolean;
}

type HandleClass = new () => CodeHandle;

/** Made by `net.Socket.prototype.connect`, which waits for it. */
interface ConnectWrap {
  oncomplete(status: number, handle: object, request: ConnectWrap, readable: boolean, writable: boolean): void;
}

interface Owned {
  [symbol: symbol]: unknown;
}

export interface StreamHandles {
  /** Puts a handle below the socket that has none; its `connect` opens the tunnel. */
  putBelow(socket: net.Socket, mesh: Mesh, host: string, port: number): void;
}

const ERRNO = new Map([...getSystemErrorMap()].map(([number, [name]]) => [name, number]));
const CANCELED = ERRNO.get('ECANCELED') ?? -1;
const BROKEN_PIPE = ERRNO.get('EPIPE') ?? -1;

/** Undefined: this Node has no such class, or it looks different. */
export function findStreamHandles(): StreamHandles | undefined {
  const handleClass = findClass();
  if (handleClass === undefined) return undefined;
  try {
    const trial = own(new handleClass(), new net.Socket());
    if (!trial) return undefined;
  } catch {
    return undefined;
  }
  return {
    putBelow(socket, mesh, host, port) {
      const handle = new handleClass();
      const link = new HandleLink(handle, socket, mesh, host, port);
      Object.assign(handle, link.methods());
      own(handle, socket);
    },
  };
}

function findClass(): HandleClass | undefined {
  const probe = new tls.TLSSocket(new PassThrough() as unknown as net.Socket);
  probe.on('error', () => {});
  const { _handle } = probe as unknown as { _handle?: { _parentWrap?: { _handle?: { constructor?: unknown } } } };
  const found = _handle?._parentWrap?._handle?.constructor;
  probe.destroy();
  if (typeof found !== 'function') return undefined;
  const { readBuffer, emitEOF, finishWrite, finishShutdown } = found.prototype as Partial<CodeHandle>;
  const isIt = [readBuffer, emitEOF, finishWrite, finishShutdown].every((method) => typeof method === 'function');
  return isIt ? (found as HandleClass) : undefined;
}

/** As the constructor of net.Socket does for a handle that it is given: only that can name the symbols. */
function own(handle: CodeHandle, socket: net.Socket): boolean {
  const before = new net.Socket({ handle, manualStart: true } as unknown as net.SocketConstructorOpts);
  const owned = handle as unknown as Owned;
  const ownerSymbol = Object.getOwnPropertySymbols(handle).find((symbol) => owned[symbol] === before);
  if (ownerSymbol === undefined) return false;
  (before as unknown as { _handle: unknown })._handle = null;
  owned[ownerSymbol] = socket;
  (socket as unknown as { _handle: unknown })._handle = handle;
  for (const symbol of Object.getOwnPropertySymbols(before)) {
    if (symbol.description === 'async_id_symbol') (socket as unknown as Owned)[symbol] = (before as unknown as Owned)[symbol];
  }
  useOwnBuffer(handle, socket as unknown as Owned);
  return true;
}

/** Of a socket that was made with the option `onread`. */
function useOwnBuffer(handle: CodeHandle, socket: Owned): void {
  const symbols = Object.getOwnPropertySymbols(socket);
  const named = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const [bufferSymbol, makerSymbol] = [named('kBuffer'), named('kBufferGen')];
  if (bufferSymbol === undefined || makerSymbol === undefined) return;
  const maker = socket[makerSymbol] as (() => Uint8Array) | null;
  const buffer = maker === null ? socket[bufferSymbol] : maker();
  if (!(buffer instanceof Uint8Array)) return;
  socket[bufferSymbol] = buffer;
  handle.useUserBuffer(buffer);
}

class HandleLink {
  private readonly handle: CodeHandle;
  private readonly socket: net.Socket;
  private readonly mesh: Mesh;
  private readonly host: string;
  private readonly port: number;
  private readonly context = new AsyncResource('HEDDLE_SOCKET', { requireManualDestroy: true });
  private stream: MemoryStream | undefined;
  private writing: object | undefined;
  private ending: object | undefined;
  private isClosed = false;
  private isReferenced = true;
  private isHolding = false;

  constructor(handle: CodeHandle, socket: net.Socket, mesh: Mesh, host: string, port: number) {
    this.handle = handle;
    this.socket = socket;
    this.mesh = mesh;
    this.host = host;
    this.port = port;
  }

  /** What net.Socket calls of a handle. */
  methods(): Record<string, unknown> {
    const fine = (): number => 0;
    const address =
      (port: number) =>
      (out: Record<string, unknown>): number => {
        Object.assign(out, { address: '127.0.0.1', family: 'IPv4', port });
        return 0;
      };
    return {
      connect: (request: ConnectWrap) => this.connect(request),
      connect6: (request: ConnectWrap) => this.connect(request),
      onwrite: (request: object, chunks: Buffer[]) => this.write(request, chunks),
      onshutdown: (request: object) => this.shutdown(request),
      onreadstart: () => (this.stream?.resume(), 0),
      onreadstop: () => (this.stream?.pause(), 0),
      isClosing: () => this.isClosed,
      close: (done: () => void) => this.close(done),
      reset: (done: () => void) => (this.close(done), 0),
      getpeername: address(this.port),
      getsockname: address(0),
      ...{ bind: fine, bind6: fine, setNoDelay: fine, setKeepAlive: fine, setTypeOfService: fine, setBlocking: fine },
      ref: () => this.setReferenced(true),
      unref: () => this.setReferenced(false),
      hasRef: () => this.isReferenced,
    };
  }

  private connect(request: ConnectWrap): number {
    const { mesh } = this;
    this.setReferenced(this.isReferenced);
    const open = (): void => {
      if (this.isClosed) return;
      this.stream = openTunnel(mesh, this.host, this.port, {
        opened: () => this.opened(request),
        failed: (error) => this.failed(error),
      });
      this.stream.context = this.context;
    };
    if (mesh.isReady) process.nextTick(open);
    else mesh.ready().then(open, (reason: unknown) => this.failed(notReadyError(this.host, this.port, reason)));
    return 0;
  }

  private opened(request: ConnectWrap): void {
    const { handle, stream, socket } = this;
    if (stream === undefined || this.isClosed) return;
    stream.pause();
    stream
      .on('data', (chunk: Buffer) => {
        if (!this.isClosed) handle.readBuffer(chunk);
      })
      .on('end', () => {
        if (!this.isClosed) handle.emitEOF();
      })
      .on('error', (error) => socket.destroy(error))
      .on('close', () => {
        if (!this.isClosed && !stream.readableEnded) socket.destroy();
      });
    request.oncomplete(0, handle, request, true, true);
  }

  private failed(error: ConnectError): void {
    if (!this.isClosed) this.context.runInAsyncScope(() => this.socket.destroy(error));
  }

  private write(request: object, chunks: Buffer[]): number {
    const { stream } = this;
    this.writing = request;
    if (stream === undefined || this.isClosed) return 0;
    let left = chunks.length;
    const done = (error?: Error | null): void => {
      left -= 1;
      if (left > 0 && !error) return;
      left = 0;
      // Not before the write has returned.
      process.nextTick(() => this.wrote(request, error ? (ERRNO.get((error as NodeJS.ErrnoException).code ?? '') ?? BROKEN_PIPE) : 0));
    };
    stream.cork();
    for (const chunk of chunks) stream.write(chunk, done);
    stream.uncork();
    return 0;
  }

  private wrote(request: object, status: number): void {
    if (this.writing !== request) return;
    this.writing = undefined;
    this.handle.finishWrite(request, status);
    if (this.ending !== undefined && !this.isClosed) this.endStream(this.ending);
  }

  private shutdown(request: object): number {
    this.ending = request;
    // TLS says its last words and ends at once.
    if (this.writing === undefined) process.nextTick(() => this.endStream(request));
    return 0;
  }

  private endStream(request: object): void {
    if (this.isClosed) return;
    this.stream?.end(() => this.ended(request, 0));
  }

  private ended(request: object, status: number): void {
    if (this.ending !== request) return;
    this.ending = undefined;
    this.handle.finishShutdown(request, status);
  }

  private close(done: () => void): void {
    const { stream, writing, ending } = this;
    this.isClosed = true;
    this.hold(false);
    stream?.destroy();
    setImmediate(() => {
      if (writing !== undefined) this.wrote(writing, CANCELED);
      if (ending !== undefined) this.ended(ending, CANCELED);
      this.context.runInAsyncScope(done);
    });
  }

  private setReferenced(isReferenced: boolean): void {
    this.isReferenced = isReferenced;
    this.hold(isReferenced && !this.isClosed);
  }

  private hold(holds: boolean): void {
    if (holds === this.isHolding) return;
    this.isHolding = holds;
    if (holds) this.mesh.hold();
    else this.mesh.release();
  }
}
