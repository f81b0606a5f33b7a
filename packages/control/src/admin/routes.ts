// How requests are routed, row by row, for people: by gRPC and by REST.
import { EGRESS_NAMESPACE, serviceKey } from '@heddle/core';
import type { Route, ServiceRef } from '@heddle/core';
import { compileEgressHosts } from '../compiler/egress-resources.ts';
import { carriesHttp } from '../compiler/protocols.ts';
import { compileRequestRoutes } from '../compiler/request-routes.ts';
import type { Registry } from '../registry/registry.ts';
import { actionText, matchText } from './route-text.ts';

export interface RouteRow {
  /** Of the service, or of the host outside the mesh: then `heddle-egress`, and the service is `<host>:<port>`. */
  readonly namespace: string;
  readonly service: string;
  /** Of the rule; `default` for what no rule takes. */
  readonly name: string;
  /** Empty: every request. */
  readonly match: string;
  readonly action: string;
  /** Of a whole request. 0: no limit. */
  readonly timeoutMs: number;
  /** Tries after the first one. */
  readonly retries: number;
}

/** In the order in which they are tried. With neither: all, and hosts outside the mesh after them. */
export function routeRows(
  { namespace, service }: { readonly namespace?: string; readonly service?: string },
  registry: Pick<Registry, 'service' | 'snapshot' | 'egress'>,
): RouteRow[] {
  const find = (ref: ServiceRef) => registry.service(serviceKey(ref))?.service;
  const rows: RouteRow[] = [];
  for (const { service: declared } of registry.snapshot().services.values()) {
    const isWanted = (namespace === undefined || namespace === declared.namespace) && (service === undefined || service === declared.name);
    if (!isWanted || !carriesHttp(declared)) continue;
    for (const route of compileRequestRoutes(declared, find)) rows.push(rowOf(declared, route));
  }
  if (service !== undefined || namespace !== undefined) return rows;
  for (const { name, routes: outside } of compileEgressHosts(registry.egress, new Set())) {
    const host = { namespace: EGRESS_NAMESPACE, name: name.slice(name.indexOf('/') + 1) };
    for (const route of outside) rows.push(rowOf(host, route));
  }
  return rows;
}

function rowOf({ namespace, name: service }: ServiceRef, route: Route): RouteRow {
  const { name, match, action } = route;
  const [timeoutMs, retries] = action.kind === 'forward' ? [action.timeoutMs, action.retry.attempts] : [0, 0];
  return { namespace, service, name, match: matchText(match), action: actionText(route), timeoutMs, retries };
}
