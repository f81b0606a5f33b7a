// Which route a request takes, as core finds it, among the virtual hosts that the authority could belong to: to compile all routes of a large
// mesh for one question would hold up requests.
import { explainRoute, PlainRequest } from '@heddle/core';
import type { Route, RouteConfig, RouteExplanation } from '@heddle/core';
import type { Question, TakenRoute } from './types.ts';

/** Of the routes passed over that are listed. */
const PASSED_OVER_MAX = 100;

export interface Routed {
  readonly taken: TakenRoute;
  /** Undefined: there is none. */
  readonly route: Route | undefined;
}

/** @param identity SPIFFE id of the caller, as the called side sees it; empty on the caller's own side. */
export function plainRequest({ method, path, authority, headers }: Question, identity = ''): PlainRequest {
  return new PlainRequest({ method, path, authority, headers, sourceIdentity: identity });
}

export function findRoute(config: RouteConfig, request: PlainRequest): Routed {
  const { virtualHost, domain, route, passedOver, reason }: RouteExplanation = explainRoute(narrowed(config, request.authority), request);
  const routes = virtualHost?.routes ?? [];
  const taken = {
    config: config.name,
    virtualHost: virtualHost?.name ?? '',
    domain,
    name: route?.name ?? '',
    position: route === undefined ? 0 : routes.indexOf(route) + 1,
    routes: routes.length,
    match: route?.match ?? null,
    reason,
    passedOver: passedOver.slice(0, PASSED_OVER_MAX),
    passedOverCount: passedOver.length,
  };
  return { taken, route };
}

/** Whether the configuration has a virtual host for the authority. */
export function hasHost(config: RouteConfig, authority: string, isConnect: boolean): boolean {
  const request = new PlainRequest({ method: isConnect ? 'CONNECT' : 'GET', authority });
  return explainRoute(narrowed(config, authority), request).virtualHost !== undefined;
}

/** Whether requests to the authority have routes: a CONNECT that has none is then a tunnel for requests. */
export function takesRequests(config: RouteConfig, authority: string): boolean {
  const { virtualHost } = explainRoute(narrowed(config, authority), new PlainRequest({ authority }));
  return virtualHost?.routes.some(({ match }) => match.kind === 'request') === true;
}

/** With at least those virtual hosts that could be the authority's. */
function narrowed(config: RouteConfig, authority: string): RouteConfig {
  const asked = canonical(authority);
  const mayBe = (domain: string): boolean => {
    const known = canonical(domain);
    return known === '*' || known === asked || (known.startsWith('*.') && asked.endsWith(known.slice(1)));
  };
  return { name: config.name, virtualHosts: config.virtualHosts.filter(({ domains }) => domains.some(mayBe)) };
}

/** `host` and `host:80` are the same authority. */
function canonical(text: string): string {
  return text.toLowerCase().replace(/:80$/, '');
}

/** Authorities that have routes. */
export function domainsOf(config: RouteConfig): string[] {
  return config.virtualHosts.flatMap(({ domains }) => domains.filter((domain) => !domain.includes('*')));
}
