// Two data planes back to back on real sockets, with real certificates: `web` calls `orders` (http) and `store` (tcp). Tests only.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { ANY_REQUEST, forwardTo, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, Endpoint, ForwardAction, Limits, Listener, MtlsMode, RetryPolicy, Route, RouteConfig } from '@heddle/core';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import type { Metrics } from '@heddle/runtime';
import { createDataPlane } from '../data-plane.ts';
import type { DataPlane } from '../data-plane.ts';
import { TestAuthority } from './certificates.ts';

export const TRUST_DOMAIN = 'shop.test';
const RETRY_ALL: RetryPolicy = { ...NO_RETRY, attempts: 2, on: ['connect-failure', 'refused', 'reset'] };
/** No test is about it but those that say so. */
const AMPLE_BUDGET = { percent: 0, minPerSecond: 1_000 };

/** What a test says about the one route: parts of its action, and of the route around it. */
export interface RouteOptions extends Partial<Omit<ForwardAction, 'kind' | 'retry'>>, Partial<Omit<Route, 'action'>> {
  readonly retry?: Partial<RetryPolicy>;
  /** In place of forwarding: a route for CONNECT. */
  readonly connect?: 'forward' | 'terminate';
}

export interface Plane {
  readonly plane: DataPlane;
  readonly metrics: Metrics;
  /** What went wrong inside, as logged. */
  readonly faults: string[];
  /** All lines of the log from `info` on. */
  readonly lines: Readonly<Record<string, unknown>>[];
}

/** Of a line at level `error`. */
const ERROR_LEVEL = 50;

export function createPlane(node: string, limits?: Partial<Limits>): Plane {
  const metrics = createMetrics();
  const faults: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const write = (text: string): void => {
    const line = JSON.parse(text) as Record<string, unknown>;
    lines.push(line);
    if ((line['level'] as number) >= ERROR_LEVEL) faults.push(text);
  };
  const logger = createLogger({ level: 'info', format: 'json', destination: { write } });
  return {
    lines,
    plane: createDataPlane({ network: nodeNetwork, clock: nodeClock, random: nodeRandom, logger, metrics, node, limits }),
    metrics,
    faults,
  };
}

export function endpoint(port: number, instance: string, health: Endpoint['health'] = 'healthy'): Endpoint {
  return { address: '127.0.0.1', port, health, weight: 1, instance };
}

export function meshCluster(service: string, extra: Partial<Cluster> = {}): Cluster {
  return {
    name: `outbound/default/${service}`,
    service: { namespace: 'default', name: service },
    endpoints: { kind: 'eds' },
    balance: SINGLE_BALANCE,
    connectTimeoutMs: 1_000,
    breaker: NO_BREAKER,
    retryBudget: AMPLE_BUDGET,
    http: 'http2',
    tls: {
      certificateName: 'workload',
      trustBundleName: 'trust-bundle',
      peerIds: [`spiffe://${TRUST_DOMAIN}/ns/default/svc/${service}`],
      alpn: ['h2'],
    },
    ...extra,
  };
}

export function localCluster(service: string, instance: string, port: number): Cluster {
  return {
    name: `local/default/${service}/${instance}`,
    service: { namespace: 'default', name: service },
    balance: SINGLE_BALANCE,
    connectTimeoutMs: 1_000,
    breaker: NO_BREAKER,
    retryBudget: AMPLE_BUDGET,
    http: 'http1',
    endpoints: { kind: 'static', endpoints: [endpoint(port, instance)] },
    health: { kind: 'tcp', intervalMs: 1_000, timeoutMs: 500, unhealthyAfter: 2, healthyAfter: 1 },
  };
}

export function routeConfig(name: string, cluster: string, domains: readonly string[] = ['*'], options?: RouteOptions): RouteConfig {
  return { name, virtualHosts: [{ name: 'all', domains, routes: [routeOf(cluster, options)] }] };
}

/** Every request goes to the cluster, with retries, within 5 s. */
export function routeOf(cluster: string, options: RouteOptions = {}): Route {
  const { name = 'all', match, connect, requestHeaders, responseHeaders, fault, rateLimits, retry, ...action } = options;
  const around = {
    ...(requestHeaders && { requestHeaders }),
    ...(responseHeaders && { responseHeaders }),
    ...(fault && { fault }),
    ...(rateLimits && { rateLimits }),
  };
  if (connect !== undefined) return { name, match: { kind: 'connect' }, action: { kind: 'tunnel', how: connect, cluster }, ...around };
  const forward: ForwardAction = { ...forwardTo(cluster), timeoutMs: 5_000, ...action, retry: { ...RETRY_ALL, ...retry } };
  return { name, match: match ?? ANY_REQUEST, action: forward, ...around };
}

export interface InboundOptions {
  readonly tcp?: boolean;
  readonly identity?: string;
  readonly route?: RouteOptions;
  readonly local?: Partial<Cluster>;
  /** Default: strict. */
  readonly mtls?: MtlsMode;
  /** Other bytes than HTTP go to the application as well. */
  readonly otherwise?: boolean;
  readonly minVersion?: '1.2';
}

export async function mustApply(plane: DataPlane, update: Parameters<DataPlane['apply']>[0]): Promise<void> {
  const reason = await plane.apply(update);
  if (reason !== undefined) throw new Error(`rejected: ${reason}`);
}

/** Everything that a test opens, closed in one go. */
export class TestMesh {
  readonly authority = new TestAuthority();
  private readonly planes: DataPlane[] = [];
  private readonly closers: (() => Promise<void> | void)[] = [];

  onClose(close: () => Promise<void> | void): void {
    this.closers.push(close);
  }

  plane(node: string, limits?: Partial<Limits>): Plane {
    const made = createPlane(node, limits);
    this.planes.push(made.plane);
    return made;
  }

  /** An application on node:http, kept apart from the codec under test. */
  async application(handler: http.RequestListener): Promise<{ port: number; server: http.Server }> {
    const server = http.createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.onClose(
      () =>
        new Promise<void>((resolve) => {
          server.closeAllConnections();
          server.close(() => resolve());
        }),
    );
    return { port: (server.address() as AddressInfo).port, server };
  }

  async trust(plane: DataPlane): Promise<void> {
    await mustApply(plane, { kind: 'secret', upserts: [{ name: 'trust-bundle', rootsPem: this.authority.rootsPem }], removed: [] });
  }

  /** The called side: an inbound listener in front of an application. Returns its mTLS port. */
  async inbound(
    plane: DataPlane,
    service: string,
    instance: string,
    applicationPort: number,
    options: InboundOptions = {},
  ): Promise<number> {
    const { tcp = false, identity = service, route, local, mtls = 'strict', otherwise = false, minVersion } = options;
    const workload = `default/${service}/${instance}`;
    const bind = await plane.reserve({ address: '127.0.0.1', port: 0 });
    plane.setIdentity(workload, this.authority.service(identity));
    await this.trust(plane);
    const name = `inbound/${workload}`;
    await mustApply(plane, { kind: 'cluster', upserts: [{ ...localCluster(service, instance, applicationPort), ...local }], removed: [] });
    await mustApply(plane, {
      kind: 'route',
      upserts: [
        routeConfig(name, `local/${workload}`, ['*'], {
          retry: NO_RETRY,
          timeoutMs: 0,
          ...(tcp && { connect: 'terminate' }),
          ...route,
        }),
      ],
      removed: [],
    });
    const listener: Listener = {
      name,
      direction: 'inbound',
      ...bind,
      workload,
      ...(mtls !== 'off' && {
        tls: {
          certificateName: 'workload',
          trustBundleName: 'trust-bundle',
          trustDomain: TRUST_DOMAIN,
          ...(mtls === 'permissive' && { plaintext: true }),
          ...(minVersion && { minVersion }),
        },
      }),
      filter: {
        kind: 'http',
        routeConfigName: name,
        useRemoteAddress: true,
        ...(otherwise && { otherwise: { kind: 'tcp', cluster: `local/${workload}` } }),
      },
    };
    await mustApply(plane, { kind: 'listener', upserts: [listener], removed: [] });
    return bind.port;
  }

  /** The calling side: one local port for the service. Returns it. */
  async outbound(
    plane: DataPlane,
    service: string,
    endpoints: readonly Endpoint[],
    options: { tcp?: boolean; route?: RouteOptions; cluster?: Partial<Cluster>; workload?: string } = {},
  ): Promise<number> {
    const { tcp = false, route, cluster, workload = 'default/web/web-1' } = options;
    const bind = await plane.reserve({ address: '127.0.0.1', port: 0 });
    plane.setIdentity(workload, this.authority.service(workload.split('/')[1]!));
    await this.trust(plane);
    const name = `outbound/default/${service}`;
    await mustApply(plane, { kind: 'cluster', upserts: [meshCluster(service, cluster)], removed: [] });
    await mustApply(plane, { kind: 'endpoints', upserts: [{ cluster: name, endpoints }], removed: [] });
    await mustApply(plane, { kind: 'route', upserts: [routeConfig(name, name, ['*'], route)], removed: [] });
    const listener: Listener = {
      name: `outbound/${workload}/default/${service}`,
      direction: 'outbound',
      ...bind,
      workload,
      filter: tcp
        ? { kind: 'tcp', cluster: name, tunnel: `${service}.default.mesh.internal:5432` }
        : { kind: 'http', routeConfigName: name },
    };
    await mustApply(plane, { kind: 'listener', upserts: [listener], removed: [] });
    return bind.port;
  }

  async close(): Promise<void> {
    await Promise.all(this.planes.map((plane) => plane.close()));
    for (const close of this.closers.reverse()) await close();
  }
}
