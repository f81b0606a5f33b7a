// A Unix socket in front of the control plane, for gRPC libraries that cannot show it a certificate themselves: what a program sends there goes
// on over TLS, with the certificate that `heddle identity watch` holds. Bytes only: both sides speak HTTP/2.
import { lstatSync, rmSync } from 'node:fs';
import { createServer, connect as connectSocket, type Server, type Socket } from 'node:net';
import { resolve } from 'node:path';
import { ALPN_HTTP2, controlPlaneId, formatSpiffeId } from '@heddle/core';
import type { HeldIdentity } from '@heddle/dataplane/identity';
import type { Connection, ConnectionHandler, Logger, TlsContext } from '@heddle/runtime';
import { nodeNetwork } from '@heddle/runtime/node';
import { CliError } from '../errors.ts';
import type { HostPort } from '../options.ts';

/** A program needs one; each costs a TLS connection. */
const CONNECTIONS_MAX = 64;
const CONNECT_TIMEOUT_MS = 10_000;
/** Of Linux (unix(7)): `sun_path` without the zero at its end. */
const PATH_BYTES_MAX = 107;

export class XdsSocket {
  readonly #control: HostPort;
  readonly #logger: Logger;
  readonly #server: Server;
  readonly #path: string;
  readonly #open = new Set<Socket>();
  #tls: TlsContext | undefined;

  private constructor(path: string, control: HostPort, logger: Logger) {
    this.#path = path;
    this.#control = control;
    this.#logger = logger;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Takes the place of a socket that nobody listens on any more. Rejects with CliError. */
  static async open(path: string, control: HostPort, logger: Logger): Promise<XdsSocket> {
    const whole = resolve(path);
    const socket = new XdsSocket(whole, control, logger);
    try {
      if (Buffer.byteLength(whole) > PATH_BYTES_MAX) throw new Error(`its path is longer than ${PATH_BYTES_MAX} bytes`);
      await removeAbandoned(whole);
      await socket.#listen();
    } catch (error) {
      throw new CliError(`the socket ${whole} cannot be made: ${(error as Error).message}`, 'name another one with --xds-socket', {
        cause: error,
      });
    }
    return socket;
  }

  /** For new connections; the control plane ends the others in time. */
  setIdentity({ id, certificatePem, keyPem, rootsPem }: HeldIdentity): void {
    this.#tls = nodeNetwork.clientTls({
      identity: { certificatePem, keyPem },
      rootsPem,
      peerIds: [formatSpiffeId(controlPlaneId(id.trustDomain))],
      alpn: [ALPN_HTTP2],
    });
  }

  /** Ends all connections; the file is gone then. */
  async close(): Promise<void> {
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  #listen(): Promise<void> {
    return new Promise((done, fail) => {
      this.#server.once('error', fail);
      // Whoever may connect acts as the service. The file is made at once, so that it is never open to others.
      const umask = process.umask(0o177);
      this.#server.listen(this.#path, () => {
        this.#server.off('error', fail);
        this.#server.on('error', (error) => this.#logger.error({ error: error.message }, 'the socket for xDS failed'));
        this.#logger.info({ path: this.#path }, 'socket for xDS is open');
        done();
      });
      process.umask(umask);
    });
  }

  #accept(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#open.delete(socket));
    // Libraries try again by themselves.
    if (this.#tls === undefined) {
      socket.destroy();
      return;
    }
    const { host, port } = this.#control;
    join(
      socket,
      (handler) => nodeNetwork.connect({ address: host, port, tls: this.#tls!, timeoutMs: CONNECT_TIMEOUT_MS }, handler),
      this.#logger,
    );
  }
}

/** Passes bytes both ways until either side is gone; a side that is slow stops the other. */
function join(socket: Socket, connect: (handler: ConnectionHandler) => Connection, logger: Logger): void {
  socket.pause();
  const remote = connect({
    onConnected: () => void socket.resume(),
    onBytes: (bytes) => {
      // The bytes are lent; the socket may keep what it cannot send at once.
      if (!socket.write(Buffer.from(bytes))) remote.pause();
    },
    onDrained: () => void socket.resume(),
    onEnd: () => void socket.end(),
    onClose: (error) => {
      if (error !== undefined) logger.warn({ error: error.message }, 'connection to the control plane failed');
      // What has come is passed on first.
      socket.destroySoon();
    },
  });
  socket.on('data', (bytes: Buffer) => {
    if (!remote.write(bytes)) socket.pause();
  });
  socket.on('drain', () => remote.resume());
  socket.on('end', () => remote.end());
  socket.once('close', () => remote.destroy());
}

/** What a process that was killed has left. Throws when something else is there. */
async function removeAbandoned(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error('there is a file by this name');
  const isServed = await new Promise<boolean>((done) => {
    const probe = connectSocket(path, () => {
      probe.destroy();
      done(true);
    });
    probe.on('error', () => done(false));
  });
  if (isServed) throw new Error('another process serves it');
  rmSync(path);
}
