// What `heddle describe instance` and `heddle get routes` ask for: one instance with its evidence, and how requests are routed.
import { status } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { admin } from '@heddle/api';
import { EGRESS_NAMESPACE, serviceKey } from '@heddle/core';
import type { Route, ServiceRef } from '@heddle/core';
import { actionText, matchText } from '../admin/route-text.ts';
import { compileEgressHosts } from '../compiler/egress-resources.ts';
import { carriesHttp } from '../compiler/protocols.ts';
import { compileRequestRoutes } from '../compiler/request-routes.ts';
import { instanceName } from '../registry/keys.ts';
import type { Registry } from '../registry/registry.ts';
import { CallError } from '../server/status.ts';

export function getInstance(request: admin.GetInstanceRequest, registry: Registry): admin.GetInstanceResponse {
  const service = {
    namespace: discovery.namespaceOrDefault(request.namespace),
    name: discovery.nameFromMessage(request.service, 'service'),
  };
  const ref = { service, id: discovery.nameFromMessage(request.instance, 'instance') };
  const instance = registry.instance(ref);
  if (instance === undefined) throw new CallError(status.NOT_FOUND, `there is no instance ${instanceName(ref)}`);
  const reasons = (registry.reasons(ref) ?? []).map(({ source, detector = '', health, text }) => ({ source, detector, health, text }));
  return { instance: discovery.instanceToMessage(instance), reasons };
}

export function listRoutes({ namespace, service }: admin.ListRoutesRequest, registry: Registry): admin.ListRoutesResponse {
  if (namespace !== '') discovery.nameFromMessage(namespace, 'namespace');
  if (service !== '') discovery.nameFromMessage(service, 'service');
  const find = (ref: ServiceRef) => registry.service(serviceKey(ref))?.service;
  const routes: admin.RouteMessage[] = [];
  for (const { service: declared } of registry.snapshot().services.values()) {
    const isWanted = (namespace === '' || namespace === declared.namespace) && (service === '' || service === declared.name);
    if (!isWanted || !carriesHttp(declared)) continue;
    for (const route of compileRequestRoutes(declared, find)) routes.push(rowOf(declared, route));
  }
  if (service !== '' || namespace !== '') return { routes };
  for (const { name, routes: outside } of compileEgressHosts(registry.egress, new Set())) {
    const host = { namespace: EGRESS_NAMESPACE, name: name.slice(name.indexOf('/') + 1) };
    for (const route of outside) routes.push(rowOf(host, route));
  }
  return { routes };
}

function rowOf({ namespace, name: service }: ServiceRef, route: Route): admin.RouteMessage {
  const { name, match, action } = route;
  const [timeoutMs, retries] = action.kind === 'forward' ? [action.timeoutMs, action.retry.attempts] : [0, 0];
  return { namespace, service, name, match: matchText(match), action: actionText(route), timeoutMs, retries };
}
