// Which services and instances changed at which revision, for all watches together: each change of the registry is looked through once.
// The last ones are kept, so that a watch that broke off can go on.
import type { Instance } from '@heddle/core';
import type { Registry } from '../../registry/registry.ts';
import type { RegistryChange, ServiceView } from '../../registry/view.ts';

export interface ItemChange {
  readonly revision: number;
  /** `<namespace>/<service>` */
  readonly services: ReadonlySet<string>;
  /** `<namespace>/<service>/<instance>` */
  readonly instances: ReadonlySet<string>;
}

/** Names kept, of some 60 bytes each. At 100 changes a second they reach back a minute and a half. */
const NAMES_MAX = 20_000;
/** One more than the rest of a change that named nothing. */
const CHANGE_COST = 1;

export class RegistryChanges {
  readonly #registry: Registry;
  readonly #listeners = new Set<(change: ItemChange) => void>();
  readonly #subscription: { close(): void };
  readonly #views = new Map<string, ServiceView>();
  #log: ItemChange[] = [];
  #names = 0;
  /** Everything after this revision is in the log. */
  #floor: number;

  constructor(registry: Registry) {
    this.#registry = registry;
    for (const [key, view] of registry.snapshot().services) this.#views.set(key, view);
    this.#floor = registry.revision;
    this.#subscription = registry.onChange((change) => this.#take(change));
  }

  subscribe(listener: (change: ItemChange) => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  /** What changed since the revision; undefined when the log does not tell, because it lies too far back or never was. */
  since(revision: number): ItemChange | undefined {
    if (revision < this.#floor || revision > this.#registry.revision) return undefined;
    const services = new Set<string>();
    const instances = new Set<string>();
    // That revision too: something may have changed at it after it was told. To hear of it twice does no harm.
    for (const change of this.#log) {
      if (change.revision < revision) continue;
      for (const name of change.services) services.add(name);
      for (const name of change.instances) instances.add(name);
    }
    return { revision: this.#registry.revision, services, instances };
  }

  close(): void {
    this.#subscription.close();
    this.#listeners.clear();
  }

  #take({ revision, services }: RegistryChange): void {
    const instances = new Set<string>();
    for (const key of services) {
      const view = this.#registry.service(key);
      addDifferences(key, this.#views.get(key)?.instances ?? [], view?.instances ?? [], instances);
      if (view === undefined) this.#views.delete(key);
      else this.#views.set(key, view);
    }
    const change = { revision, services, instances };
    this.#log.push(change);
    this.#names += cost(change);
    while (this.#names > NAMES_MAX) {
      const oldest = this.#log.shift();
      if (oldest === undefined) break;
      this.#names -= cost(oldest);
      this.#floor = oldest.revision + 1;
    }
    for (const listener of [...this.#listeners]) listener(change);
  }
}

function cost({ services, instances }: ItemChange): number {
  return services.size + instances.size + CHANGE_COST;
}

/** Both are sorted by id, and what did not change is the same object. */
function addDifferences(service: string, before: readonly Instance[], after: readonly Instance[], names: Set<string>): void {
  let [left, right] = [0, 0];
  for (;;) {
    const [old, now] = [before[left], after[right]];
    if (old === undefined && now === undefined) return;
    if (old !== undefined && (now === undefined || old.id < now.id)) {
      names.add(`${service}/${old.id}`);
      left += 1;
    } else if (now !== undefined && (old === undefined || now.id < old.id)) {
      names.add(`${service}/${now.id}`);
      right += 1;
    } else {
      if (old !== now) names.add(`${service}/${now?.id ?? ''}`);
      left += 1;
      right += 1;
    }
  }
}
