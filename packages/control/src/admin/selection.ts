// Services and instances out of the registry's view, one after the other: nothing is copied, and who needs only a page stops early.
import type { Instance } from '@heddle/core';
import type { RegistryView, ServiceView } from '../registry/view.ts';

/** @param after key of the service after which to begin. */
export function* selectServices(view: RegistryView, namespace?: string, after?: string): Iterable<ServiceView> {
  for (const [key, service] of view.services) {
    if (after !== undefined && key <= after) continue;
    if (namespace === undefined || service.service.namespace === namespace) yield service;
  }
}

export interface InstanceFilter {
  readonly namespace?: string | undefined;
  readonly service?: string | undefined;
  readonly node?: string | undefined;
  readonly health?: string | undefined;
  /** Names and values, all of which must hold. */
  readonly labels?: readonly (readonly [string, string])[];
}

/** @param after key of the service and id of the instance after which to begin; what they name need not exist any more. */
export function* selectInstances(
  view: RegistryView,
  filter: InstanceFilter = {},
  after?: { readonly service: string; readonly id: string },
): Iterable<Instance> {
  const { labels = [] } = filter;
  for (const [key, { service, instances }] of view.services) {
    if (after !== undefined && key < after.service) continue;
    if (filter.namespace !== undefined && service.namespace !== filter.namespace) continue;
    if (filter.service !== undefined && service.name !== filter.service) continue;
    for (const instance of instances) {
      if (key === after?.service && instance.id <= after.id) continue;
      if (filter.node !== undefined && instance.node !== filter.node) continue;
      if (filter.health !== undefined && instance.health !== filter.health) continue;
      if (labels.every(([label, value]) => Object.hasOwn(instance.labels, label) && instance.labels[label] === value)) yield instance;
    }
  }
}
