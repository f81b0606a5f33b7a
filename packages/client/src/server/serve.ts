// `serve`: the application is reached through the mesh alone. It needs no port: the data plane's mTLS listener is the only way in, and authorization,
// tokens, limits, load and draining are done there, before the first line of the application.
import { MeshError } from '../errors.ts';
import { currentMesh } from '../plane/current.ts';
import type { Mesh, RunningMesh } from '../plane/mesh.ts';
import type { MeshOptions } from '../plane/options.ts';
import { type Application, takeApplication } from './application.ts';
import { answerLiveness, type LivenessOptions } from './liveness.ts';

export interface ServeOptions extends MeshOptions {
  /**
   * Answers whether this process is able to work: a path (`/.heddle/live` is usual), or more about it. For `health` of the mesh file, or probes of an
   * orchestrator that come through the mesh. Default: off.
   */
  readonly liveness?: string | LivenessOptions;
  /** Of a Server of grpc-js: `grpc.ServerCredentials.createInsecure()`. */
  readonly credentials?: unknown;
  /** A mesh of this process that was created with this `port`; `close` leaves it running. Default: the one of `@heddle/client/register`, else a new one. */
  readonly mesh?: Mesh;
}

export interface Serving {
  readonly mesh: Mesh;
  /**
   * Takes the instance out of rotation, waits for requests under way (at most `drainMs`), and ends. A server that was given is not closed. Again: the same
   * promise. Never rejects.
   */
  close(): Promise<void>;
}

/** Nothing listens there: it is only how the data plane calls the application. */
const NO_PORT = 1;

/**
 * Makes the application an instance of its service, and resolves when it can be called. The process goes on until `close`.
 * Rejects with MeshError: `BAD_OPTIONS`; `NOT_READY` when it could not join in time, and then everything is closed again.
 */
export async function serve(application: Application, options: ServeOptions = {}): Promise<Serving> {
  const { liveness, credentials, mesh: given, ...meshOptions } = options;
  const present = given === undefined && Object.keys(meshOptions).length === 0 ? currentMesh() : undefined;
  const port = options.port ?? (present === undefined ? NO_PORT : present.port);
  if (port === undefined)
    throw new MeshError(
      'BAD_OPTIONS',
      'this process was started as one that nobody calls: set HEDDLE_PORT, or start it with `heddle run --port`',
    );
  const taken = await takeApplication(application, credentials);
  const { server } = taken;
  const own = given === undefined && present === undefined ? await create({ ...meshOptions, port }) : undefined;
  const unanswer =
    liveness === undefined ? undefined : answerLiveness(server, typeof liveness === 'string' ? { path: liveness } : liveness);
  const mesh = given ?? present ?? own!;
  mesh.servers.add(port, server);
  mesh.hold();
  let closing: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    await own?.stop();
    mesh.servers.remove(port, server);
    unanswer?.();
    taken.close();
    mesh.release();
  };
  const close = (): Promise<void> => (closing ??= end());
  try {
    await mesh.ready();
  } catch (error) {
    await close();
    throw error;
  }
  return { mesh, close };
}

/** The data plane is loaded only where it is needed. */
async function create(options: MeshOptions): Promise<RunningMesh> {
  const { createMesh } = await import('../plane/create.ts');
  return createMesh(options);
}
