// Connections of node:http into the mesh, pooled as any http.Agent pools its own.
import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Mesh } from '../plane/mesh.ts';
import { heldStream } from './held-stream.ts';
import { notReadyError } from './mesh-errors.ts';

type OnConnection = (error: Error | null, stream?: Duplex) => void;

/** As an agent gives them to `createConnection`. */
export interface AgentConnectOptions {
  readonly host?: string | null;
  readonly port?: number | string | null;
  readonly timeout?: number;
}

/** A stream at once, or later by `done` when the mesh is not ready yet. `request`: may be given up before. */
export function connectToMesh(
  mesh: Mesh,
  options: AgentConnectOptions,
  done: OnConnection,
  request?: http.ClientRequest,
): Duplex | undefined {
  if (mesh.isReady) return withTimeout(mesh, options);
  let isGivenUp = false;
  if (request !== undefined)
    whenDestroyed(request, (error) => {
      isGivenUp = true;
      done(error);
    });
  mesh.ready().then(
    () => {
      if (!isGivenUp) done(null, withTimeout(mesh, options));
    },
    (reason: unknown) => {
      if (!isGivenUp) done(notReadyError(options.host ?? '', Number(options.port ?? 80), reason));
    },
  );
  return undefined;
}

/** A request that has no socket yet would only say so when it gets one. */
function whenDestroyed(request: http.ClientRequest, tell: (error: Error) => void): void {
  const destroy = request.destroy.bind(request);
  const restore = (): void => {
    delete (request as { destroy?: unknown }).destroy;
  };
  request.destroy = (error?: Error) => {
    restore();
    destroy(error);
    tell(error ?? Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }));
    return request;
  };
  request.once('socket', restore);
}

function withTimeout(mesh: Mesh, { timeout }: AgentConnectOptions): Duplex {
  const stream = heldStream(mesh);
  if (timeout !== undefined && timeout > 0) stream.setTimeout(timeout);
  return stream;
}

/** An agent all of whose connections lead into the mesh. Options as of http.Agent; `keepAlive` is the default here. */
export class MeshAgent extends http.Agent {
  private readonly mesh: Mesh;

  constructor(mesh: Mesh, options: http.AgentOptions = {}) {
    super({ keepAlive: true, ...options });
    this.mesh = mesh;
  }

  override createConnection(options: http.ClientRequestArgs, done?: (error: Error | null, stream: Duplex) => void): Duplex | undefined {
    return connectToMesh(this.mesh, options as AgentConnectOptions, (done ?? (() => {})) as OnConnection);
  }
}
