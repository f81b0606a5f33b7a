// The registry in memory: built from the store's entries and events, nothing else. What it hands out is immutable; parts
// that did not change keep their identity, so that whoever derives something from them can keep the result.
import { serviceKey } from '@heddle/core';
import type { Instance, Service } from '@heddle/core';
import { parseStoreKey } from './keys.ts';
import type { InstanceRef } from './keys.ts';
import type { RegistryLimits } from './limits.ts';
import { readInstanceRecord, readService } from './records.ts';
import type { InstanceRecord } from './records.ts';
import type { StoreEntry, StoreEvent } from './store.ts';
import { verdictOf } from './verdict.ts';

export interface ServiceView {
  readonly service: Service;
  /** Sorted by id. */
  readonly instances: readonly Instance[];
}

export interface RegistryView {
  /** The store's revision at which this was the truth. */
  readonly revision: number;
  /** By `<namespace>/<name>`, sorted. */
  readonly services: ReadonlyMap<string, ServiceView>;
}

export interface RegistryChange {
  readonly revision: number;
  /** Keys of services that came, changed, went, or of which an instance did. */
  readonly services: ReadonlySet<string>;
  /** Data planes of which an instance came, changed or went. */
  readonly nodes: ReadonlySet<string>;
}

export interface HeldInstance {
  readonly record: InstanceRecord;
  readonly instance: Instance;
  readonly lease: string | undefined;
}

export type OnInvalid = (key: string, error: unknown) => void;

export class ViewBuilder {
  readonly #limits: RegistryLimits;
  readonly #onInvalid: OnInvalid;
  readonly #services = new Map<string, Service>();
  readonly #instances = new Map<string, Map<string, HeldInstance>>();
  readonly #byNode = new Map<string, Map<string, Instance>>();
  readonly #views = new Map<string, ServiceView>();
  #instanceCount = 0;
  #revision = 0;
  #snapshot: RegistryView | undefined;
  #changedServices = new Set<string>();
  #changedNodes = new Set<string>();

  constructor(limits: RegistryLimits, onInvalid: OnInvalid) {
    this.#limits = limits;
    this.#onInvalid = onInvalid;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Instances of all services, also of those that are not declared (any more). */
  get instanceCount(): number {
    return this.#instanceCount;
  }

  service(key: string): ServiceView | undefined {
    return this.#views.get(key);
  }

  held(ref: InstanceRef): HeldInstance | undefined {
    return this.#instances.get(serviceKey(ref.service))?.get(ref.id);
  }

  /** Every instance, also of services that are not declared. */
  *allHeld(): Iterable<HeldInstance> {
    for (const ofService of this.#instances.values()) yield* ofService.values();
  }

  instancesOfNode(node: string): Instance[] {
    return [...(this.#byNode.get(node)?.values() ?? [])];
  }

  /** A copy of the map of services is made only when one is asked for after a change. */
  snapshot(): RegistryView {
    this.#snapshot ??= { revision: this.#revision, services: new Map([...this.#views].sort(([a], [b]) => (a < b ? -1 : 1))) };
    return this.#snapshot;
  }

  /** Starts over from a list; what was there and is not in the list has gone. */
  reset(entries: readonly StoreEntry[], revision: number): RegistryChange {
    const present = new Set(entries.map((entry) => entry.key));
    const gone: StoreEvent[] = [];
    for (const key of this.#services.keys())
      if (!present.has(`/heddle/services/${key}`)) gone.push({ kind: 'delete', key: `/heddle/services/${key}`, revision, expired: false });
    for (const { instance } of this.allHeld()) {
      const key = `/heddle/instances/${serviceKey(instance.service)}/${instance.id}`;
      if (!present.has(key)) gone.push({ kind: 'delete', key, revision, expired: false });
    }
    return this.apply([...gone, ...entries.map((entry): StoreEvent => ({ kind: 'put', entry }))], revision);
  }

  /** Takes in one batch of the store. */
  apply(events: readonly StoreEvent[], revision: number): RegistryChange {
    for (const event of events) {
      const key = event.kind === 'put' ? event.entry.key : event.key;
      const parsed = parseStoreKey(key);
      if (parsed === undefined) continue;
      try {
        if (parsed.kind === 'service')
          this.#setService(serviceKey(parsed.ref), event.kind === 'put' ? readService(event.entry.value) : undefined);
        else this.#setInstance(parsed.ref, event.kind === 'put' ? this.#hold(parsed.ref, event.entry) : undefined);
      } catch (error) {
        this.#onInvalid(key, error);
      }
    }
    const change: RegistryChange = { revision, services: this.#changedServices, nodes: this.#changedNodes };
    this.#changedServices = new Set();
    this.#changedNodes = new Set();
    this.#revision = revision;
    this.#snapshot = undefined;
    for (const key of change.services) this.#rebuild(key);
    return change;
  }

  #setService(key: string, service: Service | undefined): void {
    if (service === undefined) this.#services.delete(key);
    else this.#services.set(key, service);
    this.#changedServices.add(key);
  }

  #hold(ref: InstanceRef, entry: StoreEntry): HeldInstance {
    const record = readInstanceRecord(entry.value, this.#limits);
    const old = this.held(ref);
    // The same registration keeps its objects, so that a change of health is seen as that and nothing more.
    const same = old !== undefined && JSON.stringify(old.record.registration) === JSON.stringify(record.registration);
    const registration = same ? old.record.registration : record.registration;
    const { health, reason } = verdictOf(record);
    return { record: { ...record, registration }, instance: { ...registration, health, healthReason: reason }, lease: entry.lease };
  }

  #setInstance(ref: InstanceRef, held: HeldInstance | undefined): void {
    const key = serviceKey(ref.service);
    const name = `${key}/${ref.id}`;
    const ofService = this.#instances.get(key) ?? new Map<string, HeldInstance>();
    const old = ofService.get(ref.id);
    if (old !== undefined) {
      this.#changedNodes.add(old.instance.node);
      const ofNode = this.#byNode.get(old.instance.node);
      ofNode?.delete(name);
      if (ofNode?.size === 0) this.#byNode.delete(old.instance.node);
      ofService.delete(ref.id);
      this.#instanceCount -= 1;
    }
    if (held !== undefined) {
      const { node } = held.instance;
      this.#changedNodes.add(node);
      const ofNode = this.#byNode.get(node) ?? new Map<string, Instance>();
      this.#byNode.set(node, ofNode.set(name, held.instance));
      ofService.set(ref.id, held);
      this.#instanceCount += 1;
    }
    if (ofService.size === 0) this.#instances.delete(key);
    else this.#instances.set(key, ofService);
    this.#changedServices.add(key);
  }

  #rebuild(key: string): void {
    const service = this.#services.get(key);
    if (service === undefined) {
      this.#views.delete(key);
      return;
    }
    const instances = [...(this.#instances.get(key)?.values() ?? [])].map((held) => held.instance).sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#views.set(key, { service, instances });
  }
}
