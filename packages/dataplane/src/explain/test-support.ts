// A data plane's config dump as it is in a mesh of `web`, `orders` (http) and `cache` (bytes): one process hosts two of web and one of orders.
import { ANY_REQUEST, DEFAULT_BALANCE, DEFAULT_RETRY_BUDGET, forwardTo, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, Endpoint, ForwardAction, Listener, Route, RouteConfig, VirtualHost } from '@heddle/core';
import { explain } from './explain.ts';
import { readQuestion } from './question.ts';
import type { SeenCluster, SeenHost } from './dump.ts';
import type { Explanation } from './types.ts';

export const WEB = 'default/web/web-1';
const ORDERS = 'outbound/default/orders';
const ORDERS_DOMAINS = ['orders.default.mesh.internal', 'orders.mesh.internal', 'orders'].flatMap((host) => [host, `${host}:8081`]);

export function host(instance: string, over: Partial<SeenHost> = {}): SeenHost {
  const port = 20_000 + Number(instance.split('-').at(-1) ?? 0);
  const connections = { open: 0, idle: 0, pending: 0 };
  return { instance, address: '127.0.0.1', port, health: 'healthy', weight: 1, connections, balancers: {}, ...over };
}

export function cluster(name: string, hosts: readonly SeenHost[], over: Partial<SeenCluster> = {}): SeenCluster {
  const [, service = ''] = /^outbound\/default\/([^{]*)/.exec(name) ?? [];
  return {
    name,
    service: { namespace: 'default', name: service },
    endpoints: { kind: 'eds' },
    balance: DEFAULT_BALANCE,
    connectTimeoutMs: 1_000,
    breaker: NO_BREAKER,
    retryBudget: DEFAULT_RETRY_BUDGET,
    http: 'http2',
    tls: {
      certificateName: 'workload',
      trustBundleName: 'trust-bundle',
      peerIds: [`spiffe://shop.test/ns/default/svc/${service}`],
      alpn: ['h2'],
    },
    underWay: 0,
    pending: 0,
    hosts,
    ...over,
  };
}

type SomeListener = Pick<Listener, 'name' | 'port' | 'filter'> & Partial<Listener>;

export function listener(some: SomeListener, state = 'accepting', reason = ''): object {
  const whole = { direction: 'outbound', address: '127.0.0.1', ...some };
  const counts = { openConnections: 0, activeRequests: 0, refusedHandshakes: 0 };
  return { ...whole, status: { name: whole.name, address: whole.address, port: whole.port, state, reason, ...counts } };
}

export interface Mesh {
  /** Of orders. */
  readonly routes?: readonly Route[];
  readonly clusters?: readonly SeenCluster[];
  readonly endpoints?: readonly { readonly cluster: string; readonly endpoints: readonly Endpoint[] }[];
  readonly orders?: Partial<SeenCluster>;
  readonly hosts?: readonly SeenHost[];
  /** What the virtual host of orders says to callers, and what that of its instance asks. */
  readonly callers?: VirtualHost['callers'];
  readonly inbound?: Pick<VirtualHost, 'access' | 'tokens'>;
  readonly over?: object;
}

export function route(over: Partial<Omit<Route, 'action'>> & { readonly action?: Route['action'] | Partial<ForwardAction> } = {}): Route {
  const { action = {} } = over;
  const whole = action.kind === undefined || action.kind === 'forward' ? { ...forwardTo(ORDERS), ...action } : action;
  return { name: 'default', match: ANY_REQUEST, ...over, action: whole as Route['action'] };
}

export function dump({
  routes = [route()],
  clusters = [],
  endpoints = [],
  orders = {},
  hosts,
  callers,
  inbound,
  over = {},
}: Mesh = {}): object {
  const tunnel = (name: string): Route => ({
    name: 'connect',
    match: { kind: 'connect' },
    action: { kind: 'tunnel', how: 'forward', cluster: name },
  });
  const configs: RouteConfig[] = [
    {
      name: 'outbound/mesh',
      virtualHosts: [
        { name: ORDERS, domains: ORDERS_DOMAINS, routes, ...(callers && { callers }) },
        { name: 'outbound/default/cache', domains: ['cache:6379', 'cache.mesh.internal:6379'], routes: [tunnel('outbound/default/cache')] },
      ],
    },
    { name: ORDERS, virtualHosts: [{ name: ORDERS, domains: ['*'], routes }] },
    {
      name: 'inbound/default/orders/orders-1',
      virtualHosts: [
        {
          name: 'inbound/default/orders/orders-1',
          domains: ['*'],
          ...inbound,
          routes: [
            {
              name: 'default',
              match: ANY_REQUEST,
              action: forwardTo('local/default/orders/orders-1'),
              rateLimits: [{ requests: 100, perMs: 1_000, burst: 200, by: { kind: 'identity' } }],
            },
          ],
        },
      ],
    },
  ];
  const local: Partial<Cluster> = {
    balance: SINGLE_BALANCE,
    tls: undefined,
    http: 'http1',
    service: { namespace: 'default', name: 'orders' },
  };
  return {
    node: 'node-1',
    listeners: [
      listener({ name: 'outbound/proxy', port: 15_001, filter: { kind: 'http', routeConfigName: 'outbound/mesh' } }),
      listener({ name: `outbound/${WEB}/default/orders`, port: 20_101, workload: WEB, filter: { kind: 'http', routeConfigName: ORDERS } }),
      listener({
        name: `outbound/${WEB}/default/cache`,
        port: 20_102,
        workload: WEB,
        filter: { kind: 'tcp', cluster: 'outbound/default/cache', tunnel: 'cache.default.mesh.internal:6379' },
      }),
      listener({
        name: 'inbound/default/orders/orders-1',
        port: 20_001,
        direction: 'inbound',
        workload: 'default/orders/orders-1',
        tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.test' },
        filter: { kind: 'http', routeConfigName: 'inbound/default/orders/orders-1' },
      }),
    ],
    routes: configs,
    clusters: [
      cluster(ORDERS, hosts ?? [host('orders-1'), host('orders-2')], orders),
      cluster('outbound/default/cache', [host('cache-3')]),
      cluster('local/default/orders/orders-1', [host('orders-1', { port: 9_001 })], local),
      ...clusters,
    ],
    endpoints,
    identities: ['default/orders/orders-1', WEB, 'default/web/web-2', 'heddle-system/operator/node-1'],
    anonymousWorkload: 'heddle-system/operator/node-1',
    ...over,
  };
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly from?: string;
}

export function ask(of: object, url: string, { method = 'GET', headers = {}, from = 'web' }: Asked = {}): Explanation {
  return explain(of, readQuestion({ method, url, headers: Object.entries(headers), from }));
}

export { NO_RETRY, ORDERS };
