// A data plane's own admin API: readiness, metrics, configuration, workloads, drain. Loopback by default; what changes or
// reveals anything needs the admin token.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { SocketAddress } from '@heddle/core';
import { type Clock, type ListeningSocket, type Logger, type MetricsFormat, NetworkError } from '@heddle/runtime';
import { type BoundSocket, bindSockets, listenOn, METRICS_CONTENT_TYPE, metricsFormatFor } from '@heddle/runtime/node';
import type { Agent } from '../agent/index.ts';
import { HostingError } from '../agent/hosting-error.ts';
import { parseLeaveWish } from '../agent/leave-wish.ts';
import { parseWorkloadSpec, workloadName, WorkloadSpecError } from '../agent/workload-spec.ts';
import type { DataPlane } from '../data-plane.ts';
import { explain, QuestionError, readQuestion } from '../explain/index.ts';
import { AdminConnection, type AdminRequest, type AdminService, BODY_BYTES_MAX, type Reply } from './connection.ts';

/** Whoever looks in keeps one or two open. */
const CONNECTIONS_MAX = 256;

type HostedByAgent = Pick<Agent, 'leave' | 'list' | 'put' | 'remove' | 'return'>;

export interface AdminServerOptions {
  /** A socket of the process that this one replaces, or where to bind one. */
  readonly listen: SocketAddress | BoundSocket;
  /** The process may end while the API is open. Default: false. */
  readonly isBackground?: boolean;
  readonly token: string;
  /** What is missing until every listener serves; empty when ready. */
  readonly missing: () => readonly string[];
  /** Absent where there is no control plane: then there are no pages for workloads. */
  readonly workloads?: HostedByAgent;
  /** What is applied of a control plane's configuration. Absent where there is none. */
  readonly sync?: () => object;
  readonly dataPlane: Pick<DataPlane, 'configDump' | 'status'>;
  readonly metrics: { expose(format?: MetricsFormat): string };
  /** Called before anything of data plane or metrics is shown. Absent: they are always up to date. */
  readonly refresh?: (withConfig: boolean) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called once on `POST /drain`, after the answer was sent. */
  readonly onDrain: () => void;
}

export interface AdminServer {
  readonly address: SocketAddress;
  readonly socket: BoundSocket;
  close(): Promise<void>;
}

/** More than may be held. */
class BodyTooLargeError extends Error {}

type Handler = (segments: readonly string[], body: Buffer | undefined, request: AdminRequest) => Reply | Promise<Reply>;

interface AdminRoute {
  readonly method: string;
  /** `*` stands for any one segment. */
  readonly path: readonly string[];
  readonly open: boolean;
  readonly handle: Handler;
}

/** Throws NetworkError `address-in-use`, `not-permitted` or `other`. */
export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { clock, logger } = options;
  const service = new Service(adminRoutes(options), sha256(options.token), logger);
  const { socket, listening } = await listen(options.listen, options.isBackground === true);
  const connections = new Set<AdminConnection>();
  listening.accept((connection) => {
    if (connections.size >= CONNECTIONS_MAX) return connection.destroy();
    const accepted = new AdminConnection(connection, service, clock, (gone) => connections.delete(gone));
    connections.add(accepted);
    connection.handler = accepted;
  });
  return {
    address: { address: socket.address, port: socket.port },
    socket,
    close: async () => {
      await listening.close();
      for (const connection of connections) connection.destroy();
    },
  };
}

function adminRoutes({ missing, workloads, sync, dataPlane, metrics, refresh, onDrain, clock }: AdminServerOptions): AdminRoute[] {
  const fresh = async (body: () => unknown, withConfig = false): Promise<Reply> => {
    await refresh?.(withConfig);
    return { status: 200, body: await body() };
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
      handle: async (_segments, _body, { accept }) => {
        const format = metricsFormatFor(accept);
        return { ...(await fresh(() => metrics.expose(format))), contentType: METRICS_CONTENT_TYPE[format] };
      },
    },
    { method: 'GET', path: ['config_dump'], open: false, handle: () => fresh(() => dataPlane.configDump(), true) },
    {
      method: 'POST',
      path: ['explain'],
      open: false,
      handle: (_, body) => {
        const question = readQuestion(readJson(body));
        return fresh(() => explain(dataPlane.configDump(), question, clock.wallMs()), true);
      },
    },
    { method: 'GET', path: ['status'], open: false, handle: () => fresh(() => dataPlane.status()) },
    ...(sync === undefined ? [] : [{ method: 'GET', path: ['sync'], open: false, handle: () => ({ status: 200, body: sync() }) }]),
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

function workloadRoutes(workloads: HostedByAgent): AdminRoute[] {
  const path = ['workloads', '*', '*', '*'];
  const drain = [...path, 'drain'];
  const nameOf = ([, namespace = '', name = '', instance = '']: readonly string[]): string => workloadName({ namespace, name }, instance);
  const notHosted = problem(404, 'this data plane hosts no such workload');
  return [
    { method: 'GET', path: ['workloads'], open: false, handle: () => ({ status: 200, body: { workloads: workloads.list() } }) },
    {
      method: 'PUT',
      path,
      open: false,
      handle: async (segments, body) => {
        const spec = parseWorkloadSpec(segments.slice(1), readJson(body));
        return { status: 200, body: await workloads.put(spec) };
      },
    },
    {
      method: 'DELETE',
      path,
      open: false,
      handle: async (segments) => {
        const existed = await workloads.remove(nameOf(segments));
        return existed ? { status: 200, body: { removed: true } } : notHosted;
      },
    },
    {
      method: 'POST',
      path: drain,
      open: false,
      handle: async (segments, body) => {
        const status = await workloads.leave(nameOf(segments), parseLeaveWish(body === undefined || body.length > 0 ? readJson(body) : {}));
        return status === undefined ? notHosted : { status: 200, body: status };
      },
    },
    {
      method: 'DELETE',
      path: drain,
      open: false,
      handle: (segments) => (workloads.return(nameOf(segments)) ? { status: 200, body: { returned: true } } : notHosted),
    },
  ];
}

class Service implements AdminService {
  private readonly routes: readonly AdminRoute[];
  private readonly tokenHash: Buffer;
  private readonly logger: Logger;

  constructor(routes: readonly AdminRoute[], tokenHash: Buffer, logger: Logger) {
    this.routes = routes;
    this.tokenHash = tokenHash;
    this.logger = logger;
  }

  refusal(request: AdminRequest): Reply | undefined {
    const found = this.find(request);
    return 'handle' in found ? undefined : found;
  }

  async answer(request: AdminRequest, body: Buffer | undefined): Promise<Reply> {
    const found = this.find(request);
    try {
      return 'handle' in found ? await found.handle(decodePath(request.path) ?? [], body, request) : found;
    } catch (error) {
      return failure(error, this.logger);
    }
  }

  private find(request: AdminRequest): AdminRoute | Reply {
    const segments = decodePath(request.path);
    if (segments === undefined) return problem(400, 'the path is not valid percent-encoding');
    const { routes } = this;
    const here = routes.filter((route) => matches(route.path, segments));
    if (here.length === 0)
      return problem(404, `no such page; there are ${[...new Set(routes.map((route) => `/${route.path.join('/')}`))].join(', ')}`);
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const route = here.find((candidate) => candidate.method === method);
    if (route === undefined) {
      const allow = here.map((candidate) => candidate.method).join(', ');
      return { ...problem(405, `allowed here: ${allow}`), headers: { allow } };
    }
    if (route.open || isAuthorized(request, this.tokenHash)) return route;
    return {
      ...problem(401, 'needs the header "authorization: Bearer <admin token>"'),
      headers: { 'www-authenticate': 'Bearer realm="heddle proxy"' },
    };
  }
}

function failure(error: unknown, logger: Logger): Reply {
  if (error instanceof WorkloadSpecError || error instanceof QuestionError) return problem(400, error.message);
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

function isAuthorized({ authorization }: AdminRequest, tokenHash: Buffer): boolean {
  const given = /^Bearer (\S+)$/i.exec(authorization)?.[1];
  return given !== undefined && timingSafeEqual(sha256(given), tokenHash);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function readJson(body: Buffer | undefined): unknown {
  if (body === undefined) throw new BodyTooLargeError(`body may hold at most ${BODY_BYTES_MAX} bytes`);
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new WorkloadSpecError(`body must be JSON: ${(error as Error).message}`);
  }
}

async function listen(
  place: SocketAddress | BoundSocket,
  isBackground: boolean,
): Promise<{ socket: BoundSocket; listening: ListeningSocket }> {
  let socket: BoundSocket | undefined;
  try {
    [socket] = 'handle' in place ? [place] : bindSockets(place, 1);
    if (socket === undefined) throw new NetworkError('other', 'the system gave no socket');
    // What is wrong with the port shows by now at the latest.
    return { socket, listening: await listenOn(socket, isBackground) };
  } catch (error) {
    socket?.close();
    const { kind, message } = error as NetworkError;
    throw new NetworkError(kind, `the admin API cannot listen on ${place.address}:${place.port}: ${message}`, error);
  }
}
