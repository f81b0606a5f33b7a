// The routes of requests to a service: one for each match of its rules, then one to all instances. What a rule leaves out is as the service
// has it. The same for the local port of the service and for the shared proxy.
import { ANY_REQUEST, serviceKey } from '@heddle/core';
import type {
  Destination,
  ForwardAction,
  HashSource,
  RequestMatch,
  RespondAction,
  Route,
  RuleForward,
  RuleMirror,
  Service,
  ServiceRef,
  SessionPolicy,
  TrafficRule,
  WeightedCluster,
} from '@heddle/core';
import { DEFAULT_ROUTE, TUNNEL_ROUTE, outboundName } from './names.ts';
import { carriesHttp } from './protocols.ts';

/** Gives a declared service. */
export type FindService = (ref: ServiceRef) => Service | undefined;

export function compileRequestRoutes(service: Service, find: FindService): Route[] {
  const routes: Route[] = [];
  const names = new Set([TUNNEL_ROUTE]);
  for (const rule of service.rules) {
    const { name, matches, action, ...rest } = rule;
    const compiled = action.kind === 'forward' ? forward(service, rule, action, find) : action;
    for (const match of matches) routes.push({ name: uniqueName(name, names), match, action: compiled, ...withoutKind(rest) });
  }
  // A route that no request could take is refused by data planes.
  if (service.rules.some(({ matches }) => matches.some(takesAll))) return routes;
  return [...routes, { name: uniqueName(DEFAULT_ROUTE, names), match: ANY_REQUEST, action: toAll(service) }];
}

function withoutKind({ requestHeaders, responseHeaders, fault, rateLimits }: Omit<TrafficRule, 'name' | 'matches' | 'action'>) {
  return {
    ...(requestHeaders === undefined ? {} : { requestHeaders }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(fault === undefined ? {} : { fault }),
    ...(rateLimits === undefined ? {} : { rateLimits }),
  };
}

/** To all instances, as the service has it. */
function toAll(service: Service): ForwardAction {
  const { hash, timeoutMs, idleTimeoutMs, retry, hedge, session } = service;
  const clusters = [{ cluster: outboundName(service), weight: 1 }];
  return {
    ...{ kind: 'forward', clusters, hash, timeoutMs, idleTimeoutMs, retry },
    ...(hedge === undefined ? {} : { hedge }),
    ...(session === undefined ? {} : { session }),
  };
}

/** Services that are gone get no share; when all are, callers are told so. Declarations that name them are refused: it is a matter of moments. */
function forward(service: Service, { name }: TrafficRule, action: RuleForward, find: FindService): ForwardAction | RespondAction {
  const present = action.to.filter((target) => isCallable(target, find));
  if (present.length === 0) return gone(service, name, action);
  const { splitByHash, rewrite } = action;
  const hedge = action.hedge ?? service.hedge;
  const mirrors = (action.mirrors ?? []).filter((target) => isCallable(target, find));
  const session = sessionOf(present, find);
  return {
    kind: 'forward',
    clusters: present.map(clusterOf),
    hash: hashOf(service, present, find),
    ...(splitByHash === undefined ? {} : { splitByHash }),
    timeoutMs: action.timeoutMs ?? service.timeoutMs,
    idleTimeoutMs: action.idleTimeoutMs ?? service.idleTimeoutMs,
    retry: action.retry ?? service.retry,
    ...(hedge === undefined || hedge === false ? {} : { hedge }),
    ...(rewrite === undefined ? {} : { rewrite }),
    ...(mirrors.length === 0 ? {} : { mirrors: mirrors.map((mirror) => ({ cluster: targetName(mirror), percent: mirror.percent })) }),
    ...(session === undefined ? {} : { session }),
  };
}

function isCallable({ service }: Destination | RuleMirror, find: FindService): boolean {
  const target = find(service);
  return target !== undefined && carriesHttp(target);
}

function targetName({ service, labels }: Destination | RuleMirror): string {
  return outboundName(service, labels);
}

function clusterOf(target: Destination): WeightedCluster {
  const { weight, requestHeaders, responseHeaders } = target;
  return {
    cluster: targetName(target),
    weight,
    ...(requestHeaders === undefined ? {} : { requestHeaders }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
  };
}

/** The service's own; where it has none, what the first of its destinations that is balanced by hash looks at. */
function hashOf(service: Service, targets: readonly Destination[], find: FindService): readonly HashSource[] {
  if (service.hash.length > 0) return service.hash;
  for (const target of targets) {
    const hash = find(target.service)?.hash ?? [];
    if (hash.length > 0) return hash;
  }
  return service.hash;
}

/** Of the first destination whose clusters have one: a route can have one only. */
function sessionOf(targets: readonly Destination[], find: FindService): SessionPolicy | undefined {
  for (const target of targets) {
    const session = find(target.service)?.session;
    if (session !== undefined) return session;
  }
  return undefined;
}

function gone(service: Service, rule: string, { to }: RuleForward): RespondAction {
  const names = [...new Set(to.map((target) => serviceKey(target.service)))].join(', ');
  return {
    kind: 'respond',
    status: 503,
    body: `rule ${JSON.stringify(rule)} of ${serviceKey(service)} leads to ${names}, which the mesh does not have\n`,
    contentType: 'text/plain; charset=utf-8',
  };
}

function takesAll({ path, methods, headers, query, authority }: RequestMatch): boolean {
  const takesAllPaths = (path.kind === 'prefix' || path.kind === 'segments') && path.value === '/';
  return takesAllPaths && methods === undefined && authority === undefined && !headers?.length && !query?.length;
}

/** `beta`, then `beta (2)` and so on. */
function uniqueName(name: string, taken: Set<string>): string {
  let unique = name;
  for (let count = 2; taken.has(unique); count += 1) unique = `${name} (${count})`;
  taken.add(unique);
  return unique;
}
