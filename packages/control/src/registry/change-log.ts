// Which services changed after which revision: what a watcher that comes back has missed. Holds one number for each service, and for
// those that went as many as the limit says; how far back it reaches is known exactly.
import { serviceKey } from '@heddle/core';
import { parseStoreKey } from './keys.ts';
import type { StoreEvent } from './store.ts';

/** Services that are gone: with more of them, the log reaches less far back. */
const GONE_MAX = 10_000;

export class ChangeLog {
  /** By the revision of the last change, oldest first. */
  readonly #changed = new Map<string, number>();
  readonly #goneMax: number;
  /** With so many entries it is looked at again which are of services that are gone. */
  #trimAt: number;
  #floor: number;

  /** @param floor what changed after this revision will be noted. */
  constructor(floor: number, goneMax = GONE_MAX) {
    this.#floor = floor;
    this.#goneMax = goneMax;
    this.#trimAt = goneMax;
  }

  /** Changes after this revision are known. */
  get floor(): number {
    return this.#floor;
  }

  /** Revisions must not decrease. */
  note(services: Iterable<string>, revision: number, isPresent: (service: string) => boolean): void {
    for (const service of services) {
      this.#changed.delete(service);
      this.#changed.set(service, revision);
    }
    if (this.#changed.size <= this.#trimAt) return;
    this.#trim(isPresent);
    this.#trimAt = this.#changed.size + Math.max(1, this.#goneMax >> 2);
  }

  /** Undefined when the log does not reach back so far. */
  since(revision: number): string[] | undefined {
    if (revision < this.#floor) return undefined;
    const services: string[] = [];
    for (const [service, at] of [...this.#changed].reverse()) {
      if (at <= revision) break;
      services.push(service);
    }
    return services;
  }

  /** A change of a service that is gone can only be forgotten together with everything before it. */
  #trim(isPresent: (service: string) => boolean): void {
    let gone = 0;
    for (const service of this.#changed.keys()) if (!isPresent(service)) gone += 1;
    for (const [service, at] of this.#changed) {
      if (gone <= this.#goneMax) return;
      if (isPresent(service)) continue;
      this.#changed.delete(service);
      gone -= 1;
      this.#floor = Math.max(this.#floor, at);
    }
  }
}

/** Services whose records, or those of their instances, are in the batch. */
export function servicesOf(events: readonly StoreEvent[]): Set<string> {
  const services = new Set<string>();
  for (const event of events) {
    const parsed = parseStoreKey(event.kind === 'put' ? event.entry.key : event.key);
    if (parsed !== undefined && 'ref' in parsed) services.add(serviceKey(parsed.kind === 'service' ? parsed.ref : parsed.ref.service));
  }
  return services;
}
