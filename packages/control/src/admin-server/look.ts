// What `heddle describe instance` and `heddle get routes` ask for: one instance with its evidence, and how requests are routed.
import { status } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { admin } from '@heddle/api';
import { routeRows } from '../admin/routes.ts';
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
  const wanted = { ...(namespace === '' ? {} : { namespace }), ...(service === '' ? {} : { service }) };
  return { routes: routeRows(wanted, registry) };
}
