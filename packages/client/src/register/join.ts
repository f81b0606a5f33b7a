// Everything of the application that can be part of the mesh is joined to it here, before the application's first line, and in a few milliseconds: what
// is heavy is loaded when something is needed of it.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import type { Server } from 'node:net';
import { hostname } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { joinFetch } from '../fetch/index.ts';
import type * as GrpcDoor from '../grpc/index.ts';
import { joinHttp } from '../http/index.ts';
import { given } from '../plane/environment.ts';
import { setCurrentMesh } from '../plane/current.ts';
import { stderrLogger } from '../plane/logger.ts';
import { applicationPort, logLevelOf, readyTimeoutMs } from '../plane/variables.ts';
import { joinServers } from '../server/join-servers.ts';
import { isWorker, tellMainThread, watchFamily } from './family.ts';
import { hookGrpc } from './grpc-hook.ts';
import { meetingPlace } from './place.ts';
import { SharedMesh } from './shared-mesh.ts';
import { holdTermination, watchSignals } from './termination.ts';

const LISTENS = 'tracing:net.server.listen:asyncEnd';
/** Of a program that has not asked for it: nothing that comes again and again while a control plane is away. */
const LOG_LEVEL = 'error';

/** @throws MeshError `BAD_OPTIONS`, before anything is joined */
export function join(): void {
  const { env } = process;
  const service = given(env['HEDDLE_SERVICE'])!;
  // Processes that this one starts are the same instance.
  env['HEDDLE_INSTANCE'] = given(env['HEDDLE_INSTANCE']) ?? `${service}-${hostname()}-${process.pid}`;
  const port = applicationPort(env);
  const worker = isWorker();
  const mesh = new SharedMesh({
    workload: `${given(env['HEDDLE_NAMESPACE']) ?? 'default'}/${service}/${env['HEDDLE_INSTANCE']}`,
    port,
    logger: stderrLogger(logLevelOf(env) ?? LOG_LEVEL),
    place: meetingPlace(env),
    mayOwn: !worker,
    readyTimeoutMs: readyTimeoutMs(env),
    askForOwner: () => tellMainThread('needs'),
  });
  setCurrentMesh(mesh);
  joinFetch(mesh);
  joinHttp(mesh);
  if (port !== undefined) joinServers(mesh, { port });
  const load = createRequire(import.meta.url);
  hookGrpc((exported) => {
    const door = load(import.meta.url.endsWith('.ts') ? '../grpc/index.ts' : '../grpc/index.js') as typeof GrpcDoor;
    door.joinGrpc(mesh, exported as Parameters<typeof door.joinGrpc>[1]);
  });
  const start = (): void => void mesh.ready().catch((error: unknown) => sayOnce(mesh, error));
  // Signals come to the thread that began the process.
  const serve = (): void => (isMainThread ? void holdTermination(mesh) : tellMainThread('serves'));
  if (port !== undefined) {
    if (isMainThread) watchSignals();
    onListen(port, serve);
  }
  if (worker) return;
  const onFork = (): void => {
    start();
    if (port !== undefined) serve();
  };
  watchFamily({ onFork, onNeed: start, onServe: serve });
}

function onListen(port: number, serve: () => void): void {
  const watch = (message: unknown): void => {
    const place = (message as { readonly server: Server }).server.address();
    if (place === null || typeof place === 'string' || place.port !== port) return;
    unsubscribe(LISTENS, watch);
    serve();
  };
  subscribe(LISTENS, watch);
}

let hasSaid = false;

/** Whoever calls hears of it as well, each time. */
function sayOnce({ logger }: SharedMesh, error: unknown): void {
  if (hasSaid) return;
  hasSaid = true;
  logger.error({ reason: (error as Error).message }, 'the workers of this process have no way into the mesh yet; see `heddle check`');
}
