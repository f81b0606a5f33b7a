// Services or instances of one watch.
import { serviceKey } from '@heddle/core';
import type { Instance } from '@heddle/core';
import { selectInstances, selectServices } from '../../admin/selection.ts';
import type { Registry } from '../../registry/registry.ts';
import type { ServiceView } from '../../registry/view.ts';

import { instanceText, serviceText } from '../present.ts';
import { SnapshotParts, changesMessage, resync } from './feed.ts';
import type { Feed, Message } from './feed.ts';
import type { ItemChange, RegistryChanges } from './registry-changes.ts';

/** Names that wait for a slow reader, some 60 bytes each; beyond it everything is sent anew, which is bounded by what there is. */
const DIRTY_MAX = 10_000;

export interface RegistryFeedOptions {
  readonly kind: 'services' | 'instances';
  readonly registry: Registry;
  readonly changes: RegistryChanges;
  readonly namespace: string | undefined;
  /** What changed since the reader's last message; undefined: it knows nothing. */
  readonly missed: ItemChange | undefined;
  /** There may be something to say. */
  readonly poke: () => void;
}

export class RegistryFeed implements Feed {
  readonly kind: 'services' | 'instances';
  readonly #options: RegistryFeedOptions;
  readonly #subscription: { close(): void };
  readonly #dirty = new Set<string>();
  #snapshot: SnapshotParts<Instance> | SnapshotParts<ServiceView> | undefined;
  #overrun = false;

  constructor(options: RegistryFeedOptions) {
    this.kind = options.kind;
    this.#options = options;
    if (options.missed === undefined) this.#snapshot = this.#everything();
    else this.#add(options.missed);
    this.#subscription = options.changes.subscribe((change) => {
      this.#add(change);
      options.poke();
    });
  }

  get settled(): boolean {
    return this.#snapshot === undefined && this.#dirty.size === 0 && !this.#overrun;
  }

  get urgent(): boolean {
    return this.#snapshot !== undefined;
  }

  next(): Message | undefined {
    if (this.#overrun) {
      this.#overrun = false;
      this.#dirty.clear();
      this.#snapshot = this.#everything();
      return resync([this.kind], 'more has changed than was read');
    }
    if (this.#snapshot === undefined)
      return changesMessage(this.kind, this.#options.registry.revision, this.#dirty, (name) => this.#look(name));
    const { message, last } = this.#snapshot.next();
    if (last) this.#snapshot = undefined;
    return message;
  }

  close(): void {
    this.#subscription.close();
  }

  #add(change: ItemChange): void {
    const prefix = this.#options.namespace === undefined ? '' : `${this.#options.namespace}/`;
    for (const name of change[this.kind]) if (name.startsWith(prefix)) this.#dirty.add(name);
    if (this.#dirty.size > DIRTY_MAX) {
      this.#dirty.clear();
      this.#overrun = true;
    }
  }

  /** The view does not change under the parts: what changes meanwhile is told after them. */
  #everything(): SnapshotParts<Instance> | SnapshotParts<ServiceView> {
    const { registry, namespace } = this.#options;
    const view = registry.snapshot();
    return this.kind === 'services'
      ? new SnapshotParts(this.kind, view.revision, selectServices(view, namespace), serviceText)
      : new SnapshotParts(this.kind, view.revision, selectInstances(view, { namespace }), instanceText);
  }

  #look(name: string): string | undefined {
    const { registry } = this.#options;
    const [namespace = '', service = '', id = ''] = name.split('/');
    const ref = { namespace, name: service };
    const view = registry.service(serviceKey(ref));
    if (view === undefined) return undefined;
    if (this.kind === 'services') return serviceText(view);
    const instance = registry.instance({ service: ref, id });
    return instance === undefined ? undefined : instanceText(instance);
  }
}
