// One socket, plain or TLS, as a Connection. The listeners are shared functions that find their connection on the socket, so that
// a connection costs one object and no closures.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { NetworkError } from '../ports/network.ts';
import type { Connection, ConnectionHandler, PeerGuard } from '../ports/network.ts';
import { toNetworkError } from './network-errors.ts';

const CONNECTION = Symbol('connection');

type OwnedSocket = Socket & { [CONNECTION]: NodeConnection };

export class NodeConnection implements Connection {
  handler: ConnectionHandler;
  remoteAddress: string;
  remotePort: number;
  localPort = 0;
  alpn = '';
  peerId = '';
  error: NetworkError | undefined;
  readonly copiesWrites = false;
  private readonly socket: Socket;
  private guard: PeerGuard | undefined;

  constructor(socket: Socket, handler: ConnectionHandler, remoteAddress: string, remotePort: number) {
    this.socket = socket;
    this.handler = handler;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    (socket as OwnedSocket)[CONNECTION] = this;
    socket.on('error', onError);
    socket.on('close', onClose);
  }

  /** Called once, when bytes may flow. */
  open(): void {
    const { socket } = this;
    this.localPort = socket.localPort ?? 0;
    // With `onread` there are no such events, but they make the socket read.
    socket.on('data', onData);
    socket.on('drain', onDrain);
    socket.on('end', onEnd);
  }

  /** Who the peer is has been proven; `guard` hears of the connection. */
  proven(peerId: string, guard: PeerGuard | undefined): void {
    this.peerId = peerId;
    if (peerId === '' || guard === undefined) return;
    this.guard = guard;
    guard.opened(this);
  }

  /** Gives the socket up, which stops reading. */
  release(): Socket {
    const { socket } = this;
    socket.off('error', onError).off('close', onClose).off('data', onData).off('drain', onDrain).off('end', onEnd);
    socket.pause();
    return socket;
  }

  /** @internal */
  closed(): void {
    this.guard?.closed(this);
    this.handler.onClose(this.error);
  }

  get holdsBytes(): boolean | undefined {
    // What TLS has taken over in the end cannot be seen from here.
    return (this.socket as TLSSocket).encrypted === true ? undefined : this.socket.writableLength > 0;
  }

  write(bytes: Uint8Array): boolean {
    return this.socket.write(bytes);
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  reset(): void {
    // TLS has no reset of its own; without close_notify the peer's library sees truncation.
    if ((this.socket as TLSSocket).encrypted) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }
}

function onData(this: Socket, bytes: Buffer): void {
  deliver(this, bytes);
}

/** For bytes that come another way than by events. */
export function deliver(socket: Socket, bytes: Buffer): void {
  (socket as OwnedSocket)[CONNECTION].handler.onBytes(bytes);
}

function onDrain(this: Socket): void {
  (this as OwnedSocket)[CONNECTION].handler.onDrained();
}

function onEnd(this: Socket): void {
  // What TLS writes by itself (session tickets) fails without an event, uses up the error of a reset, and all that is written later waits for
  // ever. Then a reset looks like an end; the kernel knows better.
  if ((this as TLSSocket).encrypted && !this.writableFinished && !hasPeer(this))
    this.destroy(new NetworkError('reset', 'the peer reset the connection'));
  else (this as OwnedSocket)[CONNECTION].handler.onEnd();
}

function hasPeer(socket: Socket): boolean {
  // Node keeps the address that was asked for first, so only its handle can be asked again.
  const { _handle: handle } = socket as unknown as { readonly _handle?: { getpeername?(into: object): number } | null };
  return handle?.getpeername === undefined || handle.getpeername({}) === 0;
}

function onError(this: Socket, error: Error): void {
  (this as OwnedSocket)[CONNECTION].error ??= toNetworkError(error);
}

function onClose(this: Socket): void {
  (this as OwnedSocket)[CONNECTION].closed();
}
