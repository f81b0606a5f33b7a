// Routes and requests for the tests of this folder.
import { forwardTo } from '../model/defaults.ts';
import type { RouteConfig } from '../model/dataplane.ts';
import type { PathMatch, RequestMatch, Route } from '../model/route.ts';
import { PlainRequest } from './request.ts';
import type { PlainRequestParts } from './request.ts';

export function request(parts: Partial<PlainRequestParts> = {}): PlainRequest {
  return new PlainRequest({ authority: 'h', ...parts });
}

export function matching(path: PathMatch | string, more: Partial<RequestMatch> = {}): RequestMatch {
  return { kind: 'request', path: typeof path === 'string' ? { kind: 'prefix', value: path } : path, ...more };
}

/** Forwards to a cluster, which is also the name. */
export function route(match: RequestMatch | string, cluster: string, more: Partial<Route> = {}): Route {
  return { name: cluster, match: typeof match === 'string' ? matching(match) : match, action: forwardTo(cluster), ...more };
}

export function tunnel(cluster: string, how: 'forward' | 'terminate' = 'forward'): Route {
  return { name: cluster, match: { kind: 'connect' }, action: { kind: 'tunnel', how, cluster } };
}

export function config(...hosts: readonly (readonly [name: string, domains: readonly string[], routes?: readonly Route[]])[]): RouteConfig {
  const virtualHosts = hosts.map(([name, domains, routes]) => ({ name, domains, routes: routes ?? [route('/', name)] }));
  return { name: 'outbound/mesh', virtualHosts };
}
