// By which listener the request comes in. A client that connects to an address of this proxy has chosen it; any other URL is asked of the shared
// HTTP proxy, and where there is none, of the caller's own ports and of those that have routes for it.
import { ipBytes, serviceHostnames, serviceKey } from '@heddle/core';
import type { HttpFilter, RouteConfig, TcpFilter } from '@heddle/core';
import type { Applied, AppliedListener } from './dump.ts';
import { hasHost } from './routes.ts';
import type { Question } from './types.ts';

export interface Way {
  readonly listener: AppliedListener;
  readonly filter: HttpFilter | TcpFilter;
  /** Why this listener, as the end of `because …`. */
  readonly why: string;
  /** On whose behalf calls by it are made. */
  readonly workload: string;
  /** As the listener sees it: a client asks a proxy for CONNECT where it wants to speak TLS with a host. */
  readonly question: Question;
  /** What becomes of the question on its way to the listener, as a sentence without its end. */
  readonly notes: readonly string[];
}

interface Target {
  /** In lower case, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Undefined: no listener takes it. */
export function findWay(applied: Applied, question: Question, workload: string): Way | undefined {
  const listeners = applied.listeners.filter(({ direction }) => direction === 'outbound');
  const target = targetOf(question);
  const direct = directListener(listeners, target, workload);
  if (direct !== undefined) return directWay(direct, question, workload);
  const shared = listeners.filter((listener) => listener.workload === undefined && listener.filter.kind === 'http');
  const asked = asProxyClient(question, target);
  const way = (listener: AppliedListener, why: string): Way => ({
    listener,
    filter: listener.filter,
    why,
    workload: listener.workload ?? workload,
    ...(listener.workload === undefined ? asked : { question, notes: [] }),
  });
  const known = shared.find((listener) => hasRoutes(applied, listener, asked.question));
  if (known !== undefined) return way(known, 'it is the shared HTTP proxy, which has routes for this host');
  if (shared[0] !== undefined) return way(shared[0], 'it is the shared HTTP proxy');
  const own = ownPort(applied, workload, target);
  if (own !== undefined) return way(own, `it is the local port of ${workload} for this service`);
  const samePort = listeners.find((listener) => listener.port === target.port && hasRoutes(applied, listener, question));
  if (samePort !== undefined) return way(samePort, `it listens on port ${target.port}, that of the URL`);
  const [only, another] = listeners.filter((listener) => hasRoutes(applied, listener, question));
  return only === undefined || another !== undefined ? undefined : way(only, 'it is the only one with routes for this host');
}

/** Local port of the workload that leads to the service with this name. */
function ownPort(applied: Applied, workload: string, { host }: Target): AppliedListener | undefined {
  const own = applied.listeners.filter((listener) => listener.direction === 'outbound' && listener.workload === workload);
  return own.find((listener) => servicesOf(applied, listener).some(({ hostnames }) => hostnames.includes(host)));
}

/** Names of the workload's own ports that lead to the service. */
export function portsTo(applied: Applied, workload: string, service: string): string[] {
  return applied.listeners
    .filter((listener) => listener.direction === 'outbound' && listener.workload === workload)
    .filter((listener) => servicesOf(applied, listener).some(({ key }) => key === service))
    .map(({ name }) => name);
}

function servicesOf({ clusters, routes }: Applied, { filter }: AppliedListener): { readonly key: string; readonly hostnames: string[] }[] {
  const names = filter.kind === 'tcp' ? [filter.cluster] : clustersOf(routes.get(filter.routeConfigName));
  return names.flatMap((name) => {
    const service = clusters.get(name)?.config.service;
    return service === undefined
      ? []
      : [{ key: serviceKey(service), hostnames: serviceHostnames(service).map((host) => host.toLowerCase()) }];
  });
}

/** Where the routes of a port that leads to one service end; those of a shared one lead everywhere and say nothing. */
function clustersOf(config: RouteConfig | undefined): string[] {
  const [host, another] = config?.virtualHosts ?? [];
  if (host === undefined || another !== undefined) return [];
  return host.routes.flatMap(({ action }) => (action.kind === 'forward' ? action.clusters.map(({ cluster }) => cluster) : []));
}

function hasRoutes({ routes }: Applied, { filter }: AppliedListener, { method, authority }: Question): boolean {
  const config = filter.kind === 'http' ? routes.get(filter.routeConfigName) : undefined;
  return config !== undefined && hasHost(config, authority, method === 'CONNECT');
}

/** Where the client connects to, if it uses no proxy. */
export function targetOf({ authority, scheme }: Question): Target {
  const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
  const host = name.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  return { host, port: port === undefined ? (scheme === 'https' ? 443 : 80) : Number(port) };
}

const LOOPBACKS: readonly string[] = ['127.0.0.1', '::1'];
const ANY: readonly string[] = ['0.0.0.0', '::'];

function directListener(listeners: readonly AppliedListener[], { host, port }: Target, workload: string): AppliedListener | undefined {
  const addresses = host === 'localhost' ? LOOPBACKS : ipBytes(host) === undefined ? [] : [host];
  const there = listeners.filter(
    (listener) => listener.port === port && addresses.length > 0 && [...addresses, ...ANY].includes(listener.address),
  );
  return there.find((listener) => listener.workload === workload) ?? there[0];
}

function directWay(listener: AppliedListener, question: Question, workload: string): Way {
  const speaksFor = listener.workload ?? workload;
  const notes = speaksFor === workload ? [] : [`this port speaks for ${speaksFor}, whoever connects to it`];
  const { filter, tls } = listener;
  // What is no plain HTTP goes the way of all other bytes, if there is one.
  const isOpaque = question.method === 'CONNECT' || (question.scheme === 'https' && tls === undefined);
  const taken = isOpaque && filter.kind === 'http' && filter.otherwise !== undefined ? filter.otherwise : filter;
  return { listener, filter: taken, why: 'the client connects to its address', workload: speaksFor, question, notes };
}

function asProxyClient(question: Question, { port }: Target): Pick<Way, 'question' | 'notes'> {
  if (question.scheme !== 'https' || question.method === 'CONNECT') return { question, notes: [] };
  const authority = /:\d+$/.test(question.authority) ? question.authority : `${question.authority}:${port}`;
  const note = `for https the client asks the proxy for CONNECT ${authority}, and what it says in its TLS connection the mesh does not see`;
  return { question: { ...question, method: 'CONNECT', scheme: 'http', authority, path: '' }, notes: [note] };
}
