// `heddle get routes`: which requests go where, in the order in which that is decided.
import type { admin } from '@heddle/api';
import { DEFAULT_NAMESPACE, EGRESS_NAMESPACE } from '@heddle/core';
import type { Column } from '../output/format.ts';

/** Namespaces that need not be told: hosts outside the mesh have a port in their names. */
const PLAIN: ReadonlySet<string> = new Set([DEFAULT_NAMESPACE, EGRESS_NAMESPACE]);

export function routeRow({ namespace, service, name, match, action, timeoutMs, retries }: admin.RouteMessage) {
  return { namespace, service, rule: name, match, destination: action, timeoutMs, retries };
}
export type RouteRow = ReturnType<typeof routeRow>;

export const ROUTE_COLUMNS: readonly Column<RouteRow>[] = [
  { title: 'SERVICE', cell: ({ namespace, service }) => (PLAIN.has(namespace) ? service : `${namespace}/${service}`) },
  { title: 'RULE', cell: ({ rule }) => rule },
  { title: 'MATCH', cell: ({ match }) => (match === '' ? 'all' : match) },
  { title: 'DESTINATION', cell: ({ destination }) => destination },
  {
    title: 'TIMEOUT',
    cell: ({ timeoutMs }) => (timeoutMs === 0 ? '-' : timeoutMs % 1_000 === 0 ? `${timeoutMs / 1_000} s` : `${timeoutMs} ms`),
  },
  { title: 'RETRIES', cell: ({ retries }) => String(retries) },
];
