// Which instances a set of labels means, and which sets are meant by the rules of the mesh.
import { serviceKey, subsetName } from '@heddle/core';
import type { Instance, Service, ServiceRef } from '@heddle/core';

export type Labels = Readonly<Record<string, string>>;

/** Whether the instance has all of them. `version` is a label that every instance with a version has. */
export function hasLabels(instance: Pick<Instance, 'labels' | 'version'>, wanted: Labels): boolean {
  for (const [name, value] of Object.entries(wanted)) {
    const own = name === 'version' && instance.version !== '' ? instance.version : instance.labels[name];
    if (own !== value) return false;
  }
  return true;
}

/** What the rules of a service lead to: destinations and mirrors. */
export function* targetsOf({ rules }: Service): Iterable<{ readonly service: ServiceRef; readonly labels: Labels }> {
  for (const { action } of rules) {
    if (action.kind !== 'forward') continue;
    yield* action.to;
    yield* action.mirrors ?? [];
  }
}

/** Sets of labels by their names, by the key of the service whose instances they part. Whole services are not among them. */
export type Subsets = ReadonlyMap<string, ReadonlyMap<string, Labels>>;

/** Those that some rule names. */
export function subsetsOf(services: Iterable<Service>): Subsets {
  const subsets = new Map<string, Map<string, Labels>>();
  for (const service of services) {
    for (const target of targetsOf(service)) {
      const name = subsetName(target.labels);
      if (name === '') continue;
      const key = serviceKey(target.service);
      const named = subsets.get(key);
      if (named === undefined) subsets.set(key, new Map([[name, target.labels]]));
      else named.set(name, target.labels);
    }
  }
  return subsets;
}
