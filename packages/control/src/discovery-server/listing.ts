// The registry as the discovery contracts tell it.
import { DEFAULT_NAMESPACE } from '@heddle/core';
import type { ServiceRef } from '@heddle/core';
import { discovery } from '@heddle/api';
import type { example } from '@heddle/api';
import type { RegistryView, ServiceView } from '../registry/view.ts';

/** The same for all who ask while nothing changes. */
const messages = new WeakMap<ServiceView, discovery.ServiceMessage>();

export function serviceMessage(view: ServiceView): discovery.ServiceMessage {
  const known = messages.get(view);
  if (known !== undefined) return known;
  const message = discovery.serviceToMessage(view.service, view.instances);
  messages.set(view, message);
  return message;
}

/** Services of the namespace, or of all when it is empty. */
export function listServices(view: RegistryView, namespace: string): discovery.ServiceMessage[] {
  return [...view.services.values()].filter(({ service }) => namespace === '' || service.namespace === namespace).map(serviceMessage);
}

/** One entry per (service, address) with a healthy instance, sorted by both. */
export function listAddresses(view: RegistryView): example.ServiceMessage[] {
  const entries: example.ServiceMessage[] = [];
  for (const { service, instances } of view.services.values()) {
    const addresses = new Set(instances.filter((instance) => instance.health === 'healthy').map((instance) => instance.inbound.address));
    for (const ip of addresses) entries.push({ name: shortName(service), ip });
  }
  return entries.sort((a, b) => compare(a.name, b.name) || compare(a.ip, b.ip));
}

/** As callers may write it: the namespace only where it is not the default one. */
function shortName(ref: ServiceRef): string {
  return ref.namespace === DEFAULT_NAMESPACE ? ref.name : `${ref.name}.${ref.namespace}`;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
