// Servers of the application that listen on the instance's port are part of the mesh by that alone. Node tells of each server that has begun to
// listen (`diagnostics_channel`, `tracing:net.server.listen:asyncEnd`), whatever form of `listen` was used, so that nothing has to be patched.
import { channel } from 'node:diagnostics_channel';
import { Server as NetServer } from 'node:net';
import type { Logger } from '@heddle/runtime';
import { stderrLogger } from '../plane/logger.ts';
import type { Mesh } from '../plane/mesh.ts';
import { outside } from '../plane/outside.ts';
import type { Undo } from '../undo.ts';

export interface JoinServersOptions {
  /** Port on which calls for this instance are to be answered. */
  readonly port: number;
  /** Takes what has to be said. Default: that of the mesh, else lines on standard error, from `warn` on. */
  readonly logger?: Logger;
}

/** What of a mesh is needed for servers. */
export type ServingMesh = Pick<Mesh, 'servers' | 'ready'> & { readonly logger?: Logger };

const LISTENS = channel('tracing:net.server.listen:asyncEnd');
const joined = new WeakMap<ServingMesh['servers'], Map<number, Undo>>();

/**
 * From now on calls that the mesh has for `port` reach the server that listens there within the process, and that it listens starts the data plane.
 * The server stays as it is: it listens where the application wants it, and answers there too. A server that speaks TLS is reached by its
 * socket. Again for the same mesh and port: the same. Undone, calls go through the socket.
 */
export function joinServers(mesh: ServingMesh, options: JoinServersOptions): Undo {
  const { port, logger = mesh.logger ?? stderrLogger('warn') } = options;
  const ports = joined.get(mesh.servers) ?? new Map<number, Undo>();
  joined.set(mesh.servers, ports);
  const present = ports.get(port);
  if (present !== undefined) return present;
  const join = new ServersOfPort(mesh, port, logger);
  const undo = (): void => {
    ports.delete(port);
    join.undo();
  };
  ports.set(port, undo);
  return undo;
}

class ServersOfPort {
  private readonly mesh: ServingMesh;
  private readonly port: number;
  private readonly logger: Logger;
  /** In the order in which they began to listen. An application may have one for each address of the machine. */
  private readonly servers = new Set<NetServer>();
  private current: NetServer | undefined;
  private isUndone = false;
  private readonly said = new Set<string>();

  constructor(mesh: ServingMesh, port: number, logger: Logger) {
    this.mesh = mesh;
    this.port = port;
    this.logger = logger;
    LISTENS.subscribe(this.onListens);
  }

  undo(): void {
    this.isUndone = true;
    LISTENS.unsubscribe(this.onListens);
    this.servers.clear();
    this.choose();
  }

  private readonly onListens = (message: unknown): void => {
    const { server } = message as { readonly server?: unknown };
    if (!(server instanceof NetServer) || this.servers.has(server)) return;
    const place = server.address();
    if (place === null || typeof place === 'string' || place.port !== this.port) return;
    this.begin();
    if (speaksTls(server)) {
      this.sayOnce(
        'info',
        'a server of this process that speaks TLS is reached through its socket: the data plane does not see into its connections',
      );
      return;
    }
    if (!isLoopback(place.address))
      this.sayOnce(
        'info',
        `the application listens on ${place.address}:${place.port}, where it can be called past the mesh, without mutual TLS and rules of access; ` +
          'let it listen on 127.0.0.1, or close the port to others',
      );
    this.servers.add(server);
    server.once('close', () => {
      this.servers.delete(server);
      this.choose();
    });
    this.choose();
  };

  /** The first one that listens; one that has closed its port and waits for its last connections gives way. */
  private choose(): void {
    const { mesh, port, servers } = this;
    let first: NetServer | undefined;
    for (const server of servers) {
      if (!server.listening) continue;
      first = server;
      break;
    }
    if (first === this.current) return;
    if (this.current !== undefined) mesh.servers.remove(port, this.current);
    this.current = first;
    if (first !== undefined) mesh.servers.add(port, first, 'while-listening');
  }

  /** In the background: the application goes on whatever becomes of it. */
  private begin(): void {
    void outside(() => this.mesh.ready()).catch((error: unknown) => {
      if (this.isUndone) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.sayOnce('error', `the application listens, and nobody of the mesh can call it yet: ${reason}`);
    });
  }

  private sayOnce(level: 'info' | 'warn' | 'error', message: string): void {
    if (this.said.has(message)) return;
    this.said.add(message);
    this.logger[level]({ port: this.port }, message);
  }
}

/** Of node:tls, node:https and node:http2's secure one, without loading any of them. */
function speaksTls(server: NetServer): boolean {
  return typeof (server as { readonly setSecureContext?: unknown }).setSecureContext === 'function';
}

function isLoopback(address: string): boolean {
  return /^(::ffff:)?127\.|^::1$/.test(address);
}
