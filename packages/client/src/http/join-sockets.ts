// Sockets to hosts of the mesh: `net.connect` to them becomes a tunnel through the mesh, below the same net.Socket. Drivers of databases, HTTP/2, and
// HTTP clients with connections of their own come this way.
import { errorMonitor } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import tls from 'node:tls';
import type { Logger } from '@heddle/runtime';
import type { Mesh } from '../plane/mesh.ts';
import type { Undo } from '../undo.ts';
import { findStreamHandles, type StreamHandles } from './stream-handle.ts';

interface Target {
  readonly host: string;
  readonly port: number;
}

type Connect = (this: net.Socket, ...args: unknown[]) => net.Socket;
type TlsConnect = (...args: unknown[]) => tls.TLSSocket;
type LookupDone = (error: Error | null, address: unknown, family?: number) => void;

interface Joined {
  readonly undo: Undo;
  users: number;
}

const joined = new WeakMap<Mesh, Joined>();
/** What stands for the address of a service, which has none. */
const ADDRESS = { address: '127.0.0.1', family: 4 } as const;

/** Whether sockets to hosts of the mesh lead into it. */
export function hasJoinedSockets(mesh: Mesh): boolean {
  return joined.has(mesh);
}

/** Each caller gets its own undo; the last one takes it back. */
export function joinSockets(mesh: Mesh, logger: Logger): Undo {
  let entry = joined.get(mesh);
  if (entry === undefined) {
    entry = { undo: patch(mesh, logger), users: 0 };
    joined.set(mesh, entry);
  }
  const used = entry;
  used.users += 1;
  let isOn = true;
  return () => {
    if (!isOn) return;
    isOn = false;
    used.users -= 1;
    if (used.users > 0) return;
    joined.delete(mesh);
    used.undo();
  };
}

/** Found when the first socket needs it: it takes some milliseconds. Null: this Node does not let it. */
let handles: StreamHandles | null | undefined;

function handlesFor(logger: Logger): StreamHandles | null {
  if (handles !== undefined) return handles;
  handles = findStreamHandles() ?? null;
  if (handles === null)
    logger.info(
      { node: process.version },
      'sockets by net.connect cannot be joined to the mesh on this version of Node; HTTP and gRPC are',
    );
  return handles;
}

function patch(mesh: Mesh, logger: Logger): Undo {
  const prototype = net.Socket.prototype as unknown as { connect: Connect };
  const tlsModule = tls as unknown as { connect: TlsConnect };
  const { connect } = prototype;
  const { connect: connectTls } = tlsModule;
  let isOn = true;

  const meshConnect: Connect = function (this: net.Socket, ...args) {
    const target = isOn && !hasHandle(this) ? targetOf(mesh, args) : undefined;
    const found = target === undefined ? null : handlesFor(logger);
    if (target === undefined || found === null) return connect.apply(this, args);
    found.putBelow(this, mesh, target.host, target.port);
    const [first, ...rest] = Array.isArray(args[0]) ? args[0] : [args[0]];
    const options = typeof first === 'object' && first !== null ? first : target;
    const done = [...rest, ...args].findLast((arg) => typeof arg === 'function');
    const local = { localAddress: undefined, localPort: undefined };
    const toMesh = { ...options, ...target, ...local, family: 4, autoSelectFamily: false, lookup };
    return connect.apply(this, done === undefined ? [toMesh] : [toMesh, done]);
  };

  const meshConnectTls: TlsConnect = (...args) => {
    const { options, done } = tlsArguments(args);
    const target = isOn && !options['socket'] ? targetOf(mesh, [options]) : undefined;
    if (target === undefined) return connectTls(...args);
    const socket = net.connect({ ...target, ...(typeof options['timeout'] === 'number' && { timeout: options['timeout'] }) });
    const secure = connectTls({ ...options, socket }, ...(done === undefined ? [] : [done]));
    return secure.once(errorMonitor, (error: NodeJS.ErrnoException) => hint(error, target));
  };

  prototype.connect = meshConnect;
  tlsModule.connect = meshConnectTls;
  syncBuiltinESMExports();
  return () => {
    isOn = false;
    if (prototype.connect === meshConnect) prototype.connect = connect;
    if (tlsModule.connect === meshConnectTls) tlsModule.connect = connectTls;
    syncBuiltinESMExports();
  };
}

/** Services that speak HTTP are not called by TLS: what they answer to it is no TLS. */
function hint(error: NodeJS.ErrnoException & { meshCode?: string }, { host }: Target): void {
  const isNoTls = error.code === 'ERR_SSL_WRONG_VERSION_NUMBER' || error.code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG';
  if (isNoTls || error.meshCode === 'NO_SUCH_SERVICE') error.message += ` (the mesh encrypts by itself: call http://${host}, without TLS)`;
}

function hasHandle(socket: net.Socket): boolean {
  const { _handle } = socket as unknown as { _handle?: object | null };
  return _handle !== null && _handle !== undefined && !socket.destroyed;
}

/** Of the arguments of `connect`, in any of its forms. Undefined: not a host of the mesh. */
function targetOf(mesh: Mesh, args: readonly unknown[]): Target | undefined {
  const first = Array.isArray(args[0]) ? (args[0][0] as unknown) : args[0];
  let host: unknown;
  let port: unknown;
  if (typeof first === 'object' && first !== null) {
    const options = first as { host?: unknown; port?: unknown; path?: unknown };
    if (options.path) return undefined;
    ({ host, port } = options);
  } else [port, host] = [first, args[1]];
  if (typeof host !== 'string' || host === '' || net.isIP(host) !== 0) return undefined;
  const number = Number(port);
  if (!Number.isInteger(number) || number < 1 || number > 65_535) return undefined;
  return mesh.serves(`${host}:${number}`) ? { host, port: number } : undefined;
}

function tlsArguments(args: readonly unknown[]): { options: Record<string, unknown>; done: unknown } {
  const options: Record<string, unknown> = {};
  if (typeof args[0] === 'number' || typeof args[0] === 'string') options['port'] = args[0];
  if (typeof args[1] === 'string') options['host'] = args[1];
  for (const arg of args) if (typeof arg === 'object' && arg !== null) Object.assign(options, arg);
  return { options, done: args.find((arg) => typeof arg === 'function') };
}

function lookup(_host: string, options: { readonly all?: boolean }, done: LookupDone): void {
  process.nextTick(() => {
    if (options.all === true) done(null, [ADDRESS]);
    else done(null, ADDRESS.address, ADDRESS.family);
  });
}
