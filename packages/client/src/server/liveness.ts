// An endpoint that says whether this process is able to work: 200, or 503 when its event loop has been held up too much lately. What answers
// nothing at all is known without it.
import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Server as NetServer } from 'node:net';
import { MeshError } from '../errors.ts';
import { type LoopSignals, watchLoop } from '@heddle/runtime/process';
import type { Undo } from '../undo.ts';

export const LIVENESS_PATH = '/.heddle/live';

export interface LivenessOptions {
  /** Default `/.heddle/live`. Begins with `/`; queries are not looked at. */
  readonly path?: string;
  /** A request that comes now waits so long for the event loop, by the last second: longer is 503. Default 1,000. */
  readonly delayMsMax?: number;
}

const DELAY_MS_MAX = 1_000;

/**
 * Requests for the path are answered here from now on and do not reach the application; all others do as before. Only of node:http, and of node:http2 with
 * its compatible API.
 * @throws MeshError `BAD_OPTIONS`
 */
export function answerLiveness(server: NetServer, options: LivenessOptions = {}): Undo {
  const { path = LIVENESS_PATH, delayMsMax = DELAY_MS_MAX } = options;
  if (!path.startsWith('/')) throw new MeshError('BAD_OPTIONS', `liveness is at ${JSON.stringify(path)}; a path begins with "/"`);
  if (!(server instanceof HttpServer) && server.listenerCount('request') === 0)
    throw new MeshError(
      'BAD_OPTIONS',
      'liveness can be asked of HTTP servers only; gRPC has its health service, and TCP services are checked by connecting',
    );
  const loop = watchLoop();
  const { emit } = server as unknown as { readonly emit: (this: NetServer, event: string | symbol, ...rest: unknown[]) => boolean };
  const answering = function (this: NetServer, event: string | symbol, ...rest: unknown[]): boolean {
    if (event !== 'request' || !isFor(path, rest[0] as IncomingMessage)) return Reflect.apply(emit, this, [event, ...rest]);
    answer(rest[0] as IncomingMessage, rest[1] as ServerResponse, loop.signals(), delayMsMax);
    return true;
  };
  server.emit = answering as typeof server.emit;
  return () => {
    loop.close();
    // Somebody else may have done the same since.
    if (server.emit === (answering as typeof server.emit)) delete (server as Partial<NetServer>).emit;
  };
}

function isFor(path: string, { url = '' }: IncomingMessage): boolean {
  return url.startsWith(path) && (url.length === path.length || url.charCodeAt(path.length) === 0x3f);
}

function answer({ method }: IncomingMessage, response: ServerResponse, { delayMs, utilization }: LoopSignals, delayMsMax: number): void {
  const isAlive = delayMs <= delayMsMax;
  const body = JSON.stringify({
    status: isAlive ? 'live' : 'held-up',
    eventLoopDelayMs: Math.round(delayMs * 10) / 10,
    eventLoopUtilization: Math.round(utilization * 1_000) / 1_000,
  });
  response.writeHead(isAlive ? 200 : 503, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(method === 'HEAD' ? undefined : body);
}
