// TCP sockets that are bound apart from being listened on, and that can be handed to another process: connections that wait in such a
// socket live as long as any process holds it. What Node's cluster module does with `_createServerHandle` is done here by hand, since
// there is no public way to bind without accepting.
import { fstatSync } from 'node:fs';
import net from 'node:net';
import { getSystemErrorMap } from 'node:util';
import { NetworkError } from '../ports/network.ts';
import type { ListenOptions } from '../ports/network.ts';
import { isListenedOnByOthers } from './listening-inodes.ts';
import { listenError } from './network-errors.ts';

/** Node's own object around the socket, as far as it is used here. */
export interface SocketHandle {
  readonly fd: number;
  getsockname(out: { address?: string; port?: number }): number;
  close(): void;
}

type CreateServerHandle = (
  address: string,
  port: number,
  addressType: 4 | 6,
  fd: number | undefined,
  flags: number,
) => SocketHandle | number;

/** libuv's UV_TCP_REUSEPORT. */
const REUSE_PORT = 2;

export class BoundSocket {
  readonly address: string;
  readonly port: number;
  /** As `child_process` sends it and `net.Server.listen` takes it. */
  readonly handle: SocketHandle;

  /** Throws NetworkError when it is no socket that is bound to an address. */
  constructor(handle: SocketHandle) {
    const name: { address?: string; port?: number } = {};
    const code = handle.getsockname(name);
    if (code !== 0 || name.address === undefined || name.port === undefined)
      throw new NetworkError('other', `the socket has no address: ${systemError(code).message}`);
    this.address = name.address;
    this.port = name.port;
    this.handle = handle;
  }

  /** Gives it up in this process. */
  close(): void {
    this.handle.close();
  }
}

/**
 * Binds `count` sockets to the same port, each with its own queue (SO_REUSEPORT), unless anybody else has it. Only one where the system
 * does not share connections out among several (macOS). Nothing is listened on yet. Throws NetworkError.
 */
export function bindSockets(options: Omit<ListenOptions, 'shared'>, count: number): BoundSocket[] {
  // Without SO_REUSEPORT this fails while anybody listens there, which a shared socket would not.
  const probe = bind(options, 0);
  if (count === 1) return [probe];
  // A port that the system chose belongs to the probe: the sockets that follow may have it, others get another.
  const { address } = options;
  const { port } = probe;
  const bound: BoundSocket[] = [];
  try {
    while (bound.length < count) bound.push(bind({ address, port }, REUSE_PORT));
    probe.close();
    return bound;
  } catch (error) {
    if (((error as NetworkError).cause as NetworkError).message.startsWith('ENOTSUP')) return [probe];
    for (const socket of bound) socket.close();
    probe.close();
    throw error;
  }
}

/** Whether a socket of somebody else listens on the port as well: two that bind it at the same moment do not notice one another before. */
export function isPortShared(sockets: readonly BoundSocket[]): boolean {
  const own = new Set(sockets.map(({ handle }) => fstatSync(handle.fd).ino));
  return sockets.some((socket) => isListenedOnByOthers(socket, own));
}

function bind(options: Omit<ListenOptions, 'shared'>, flags: number): BoundSocket {
  const { address, port } = options;
  const type = net.isIP(address);
  if (type !== 4 && type !== 6) throw listenError(systemError('EINVAL'), options);
  const create = (net as unknown as { _createServerHandle: CreateServerHandle })._createServerHandle;
  const handle = create(address, port, type, undefined, flags);
  if (typeof handle === 'number') throw listenError(systemError(handle), options);
  // libuv keeps EADDRINUSE to itself until the socket is used.
  const code = handle.getsockname({});
  if (code === 0) return new BoundSocket(handle);
  handle.close();
  throw listenError(systemError(code), options);
}

function systemError(code: number | string): NodeJS.ErrnoException {
  const name = typeof code === 'string' ? code : (getSystemErrorMap().get(code)?.[0] ?? 'UNKNOWN');
  return Object.assign(new Error(name), { code: name });
}
