// Which streams want what: by name, and those that want everything of a kind. Telling a change costs the streams that want it.
import type { ResourceKind } from '@heddle/core';
import { KINDS } from './encoded-maps.ts';

export interface Subscriber {
  /** The resource came, changed or went. */
  told(kind: ResourceKind, name: string): void;
}

interface OfKind {
  readonly byName: Map<string, Set<Subscriber>>;
  readonly all: Set<Subscriber>;
}

export class Subscriptions {
  readonly #kinds = new Map<ResourceKind, OfKind>(KINDS.map((kind) => [kind, { byName: new Map(), all: new Set() }]));

  /** `name` undefined: everything of the kind. */
  set(subscriber: Subscriber, kind: ResourceKind, name: string | undefined, isWanted: boolean): void {
    const { byName, all } = this.#of(kind);
    const known = name === undefined ? all : byName.get(name);
    if (isWanted) {
      if (known !== undefined) known.add(subscriber);
      else if (name !== undefined) byName.set(name, new Set([subscriber]));
      return;
    }
    known?.delete(subscriber);
    if (name !== undefined && known?.size === 0) byName.delete(name);
  }

  tell(kind: ResourceKind, name: string): void {
    const { byName, all } = this.#of(kind);
    for (const subscriber of all) subscriber.told(kind, name);
    for (const subscriber of byName.get(name) ?? []) subscriber.told(kind, name);
  }

  #of(kind: ResourceKind): OfKind {
    return this.#kinds.get(kind) as OfKind;
  }
}
