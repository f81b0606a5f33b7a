// The mesh, as the parts that join fetch, node:http, grpc-js and servers to it see it.
import type { DirectCalls } from '@heddle/dataplane/direct';
import type { InsideServers, MemoryStream } from '@heddle/runtime/inside';

export interface Mesh {
  /** `<namespace>/<service>/<instance>`: who this process is. */
  readonly workload: string;
  /**
   * Whether calls to this host (with or without port) go through the mesh: names below `mesh.internal` always, others when the applied routes have them,
   * which is known once the mesh is ready.
   */
  serves(authority: string): boolean;
  readonly isReady: boolean;
  /**
   * Starts the data plane if nothing has yet, and resolves when calls can be made. Rejects with MeshError: `NOT_READY` when that takes longer than
   * `readyTimeoutMs`, with the reason (a later call waits anew), `STOPPED` after `stop`.
   */
  ready(): Promise<void>;
  /** Only once it is ready. */
  readonly calls: DirectCalls;
  /** A connection into the mesh that takes what an HTTP proxy takes: HTTP/1.1 or HTTP/2, CONNECT, upgrades. Only once it is ready. */
  connect(): MemoryStream;
  /** Servers of this process by port: calls from the mesh to these use no socket. */
  readonly servers: InsideServers;
  /** As long as more calls are held than released, the process does not end for want of work. */
  hold(): void;
  release(): void;
}

/** A mesh that can be ended. */
export interface RunningMesh extends Mesh {
  /** What is missing until everything serves, in words; empty when nothing is. */
  missing(): string[];
  /**
   * Opens a port of this machine where processes that this one starts reach the mesh with its identity: the URL of an HTTP proxy, with its credential.
   * Again: the same. Rejects with NetworkError.
   */
  openDoor(): Promise<string>;
  /** What `openDoor` gave; undefined before. */
  readonly proxyUrl: string | undefined;
  /**
   * Takes the instance out of rotation: resolves when no data plane chooses it any more and requests under way have ended. Calls that this process makes
   * go on. Again: the same promise. Never rejects.
   */
  leave(): Promise<void>;
  /**
   * Takes the instance out of rotation, waits until every data plane has acknowledged that and requests under way have ended, and closes. Again: the
   * same promise. Never rejects.
   */
  stop(): Promise<void>;
}
