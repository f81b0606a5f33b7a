// A data plane's own admin API: readiness, metrics, configuration, workloads, drain. Loopback by default; what changes or
// reveals anything needs the admin token. Not the data path, so node:http serves it.
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { SocketAddress } from '@heddle/core';
import { NetworkError, type Logger } from '@heddle/runtime';
import { type BoundSocket, bindSockets } from '@heddle/runtime/node';
import type { Agent } from '../agent/agent.ts';
import { HostingError } from '../agent/hosting-error.ts';
import { parseWorkloadSpec, workloadName, WorkloadSpecError } from '../agent/workload-spec.ts';
import type { DataPlane } from '../data-plane.ts';

/** A workload's description is a few kB; more is a mistake. */
const BODY_BYTES_MAX = 256 * 1024;

export interface AdminServerOptions {
  /** A socket of the process that this one replaces, or where to bind one. */
  readonly listen: SocketAddress | BoundSocket;
  readonly token: string;
  /** What is missing until every listener serves; empty when ready. */
  readonly missing: () => readonly string[];
  /** Absent where there is no control plane: then there are no pages for workloads. */
  readonly workloads?: Pick<Agent, 'list' | 'put' | 'remove'>;
  readonly dataPlane: Pick<DataPlane, 'configDump' | 'status'>;
  readonly metrics: { expose(): string };
  /** Called before anything of data plane or metrics is shown. Absent: they are always up to date. */
  readonly refresh?: (withConfig: boolean) => Promise<void>;
  readonly logger: Logger;
  /** Called once on `POST /drain`, after the answer was sent. */
  readonly onDrain: () => void;
}

export interface AdminServer {
  readonly address: SocketAddress;
  readonly socket: BoundSocket;
  close(): Promise<void>;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** More than may be held. */
class BodyTooLargeError extends Error {}

type Handler = (segments: readonly string[], request: IncomingMessage) => Reply | Promise<Reply>;

interface AdminRoute {
  readonly method: string;
  /** `*` stands for any one segment. */
  readonly path: readonly string[];
  readonly open: boolean;
  readonly handle: Handler;
}

/** Throws NetworkError `address-in-use`, `not-permitted` or `other`. */
export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const routes = adminRoutes(options);
  const tokenHash = sha256(options.token);
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    void answer(routes, tokenHash, request, response, options.logger);
  });
  server.maxConnections = 256;
  const socket = await listen(server, options.listen);
  return {
    address: { address: socket.address, port: socket.port },
    socket,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function adminRoutes({ missing, workloads, dataPlane, metrics, refresh, onDrain }: AdminServerOptions): AdminRoute[] {
  const fresh = async (body: () => unknown, withConfig = false): Promise<Reply> => {
    await refresh?.(withConfig);
    return { status: 200, body: body() };
  };
  return [
    { method: 'GET', path: ['healthz'], open: true, handle: () => ({ status: 200, body: { ok: true } }) },
    {
      method: 'GET',
      path: ['ready'],
      open: true,
      handle: () => {
        const lacking = missing();
        return { status: lacking.length === 0 ? 200 : 503, body: { ready: lacking.length === 0, missing: lacking } };
      },
    },
    {
      method: 'GET',
      path: ['metrics'],
      open: true,
      handle: async () => ({ ...(await fresh(() => metrics.expose())), contentType: 'text/plain; version=0.0.4; charset=utf-8' }),
    },
    { method: 'GET', path: ['config_dump'], open: false, handle: () => fresh(() => dataPlane.configDump(), true) },
    { method: 'GET', path: ['status'], open: false, handle: () => fresh(() => dataPlane.status()) },
    ...(workloads === undefined ? [] : workloadRoutes(workloads)),
    {
      method: 'POST',
      path: ['drain'],
      open: false,
      handle: () => {
        setImmediate(onDrain);
        return { status: 202, body: { draining: true } };
      },
    },
  ];
}

function workloadRoutes(workloads: Pick<Agent, 'list' | 'put' | 'remove'>): AdminRoute[] {
  const path = ['workloads', '*', '*', '*'];
  return [
    { method: 'GET', path: ['workloads'], open: false, handle: () => ({ status: 200, body: { workloads: workloads.list() } }) },
    {
      method: 'PUT',
      path,
      open: false,
      handle: async (segments, request) => {
        const spec = parseWorkloadSpec(segments.slice(1), await readJson(request));
        return { status: 200, body: await workloads.put(spec) };
      },
    },
    {
      method: 'DELETE',
      path,
      open: false,
      handle: async (segments) => {
        const [, namespace = '', name = '', instance = ''] = segments;
        const existed = await workloads.remove(workloadName({ namespace, name }, instance));
        return existed ? { status: 200, body: { removed: true } } : problem(404, 'this data plane hosts no such workload');
      },
    },
  ];
}

async function answer(
  routes: readonly AdminRoute[],
  tokenHash: Buffer,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  let reply: Reply;
  try {
    reply = await dispatch(routes, tokenHash, request);
  } catch (error) {
    // The client has gone in the middle of its body: nobody waits for an answer.
    if (request.destroyed && !request.complete) return;
    reply = failure(error, logger);
  }
  const text = typeof reply.body === 'string' ? reply.body : `${JSON.stringify(reply.body, null, 2)}\n`;
  const contentType = reply.contentType ?? 'application/json';
  response.writeHead(reply.status, {
    ...reply.headers,
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}

async function dispatch(routes: readonly AdminRoute[], tokenHash: Buffer, request: IncomingMessage): Promise<Reply> {
  const segments = decodePath(request.url ?? '/');
  if (segments === undefined) return problem(400, 'the path is not valid percent-encoding');
  const here = routes.filter((route) => matches(route.path, segments));
  if (here.length === 0)
    return problem(404, `no such page; there are ${[...new Set(routes.map((route) => `/${route.path.join('/')}`))].join(', ')}`);
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const route = here.find((candidate) => candidate.method === method);
  if (route === undefined) {
    const allow = here.map((candidate) => candidate.method).join(', ');
    return { ...problem(405, `allowed here: ${allow}`), headers: { allow } };
  }
  if (!route.open && !authorized(request, tokenHash)) {
    return {
      ...problem(401, 'needs the header "authorization: Bearer <admin token>"'),
      headers: { 'www-authenticate': 'Bearer realm="heddle proxy"' },
    };
  }
  return route.handle(segments, request);
}

function failure(error: unknown, logger: Logger): Reply {
  if (error instanceof WorkloadSpecError) return problem(400, error.message);
  if (error instanceof BodyTooLargeError) return problem(413, error.message);
  if (error instanceof HostingError) return problem(error.kind === 'draining' ? 503 : 409, error.message);
  if (error instanceof NetworkError) return problem(error.kind === 'address-in-use' ? 409 : 500, error.message);
  logger.error({ error }, 'the admin API failed');
  return problem(500, 'internal error; see the log of this process');
}

function problem(status: number, reason: string): Reply {
  return { status, body: { error: reason } };
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return pattern.length === segments.length && pattern.every((part, index) => part === '*' || part === segments[index]);
}

function decodePath(url: string): string[] | undefined {
  const path = url.split('?', 1)[0] ?? '/';
  try {
    return path
      .split('/')
      .filter((segment) => segment !== '')
      .map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function authorized(request: IncomingMessage, tokenHash: Buffer): boolean {
  const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  return given !== undefined && timingSafeEqual(sha256(given), tokenHash);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // The rest is read and dropped, else the client would see a reset instead of the reason; the request timeout bounds it.
    if (size <= BODY_BYTES_MAX) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (size > BODY_BYTES_MAX) throw new BodyTooLargeError(`body may hold at most ${BODY_BYTES_MAX} bytes`);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new WorkloadSpecError(`body must be JSON: ${(error as Error).message}`);
  }
}

function listen(server: Server, place: SocketAddress | BoundSocket): Promise<BoundSocket> {
  return new Promise((resolve, reject) => {
    const { address, port } = place;
    const fail = (error: Error, kind: NetworkError['kind'] = 'other'): void =>
      reject(new NetworkError(kind, `the admin API cannot listen on ${address}:${port}: ${error.message}`, error));
    try {
      const [bound] = 'handle' in place ? [place] : bindSockets(place, 1);
      if (bound === undefined) return;
      // What is wrong with the port shows by now at the latest.
      server.once('error', (error: NodeJS.ErrnoException) => {
        bound.close();
        fail(error, error.code === 'EADDRINUSE' ? 'address-in-use' : 'other');
      });
      server.listen(bound.handle, () => resolve(bound));
    } catch (error) {
      fail(error as Error, error instanceof NetworkError ? error.kind : 'other');
    }
  });
}
