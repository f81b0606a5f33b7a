// The registry in memory: built from the store's entries and events, nothing else. What it hands out is immutable; parts
// that did not change keep their identity, so that whoever derives something from them can keep the result. A change costs in
// proportion to the instances of its service, never to all there are.
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_SECURITY, NO_TELEMETRY, serviceKey } from '@heddle/core';
import type { EgressHost, Instance, SecurityConfig, Service, TelemetryConfig } from '@heddle/core';
import { egressStoreKey, instanceStoreKey, keptStoreKey, parseStoreKey, serviceStoreKey, TELEMETRY_KEY } from './keys.ts';
import type { InstanceRef } from './keys.ts';
import type { RegistryLimits } from './limits.ts';
import { readInstanceRecord } from './records.ts';
import type { InstanceRecord, ReadRecord } from './records.ts';
import { UNREADABLE_SECURITY, readSecurity } from './security-record.ts';
import { readEgress, readService, readTelemetry } from './service-record.ts';
import { changedAt, withoutAt } from './sorted.ts';
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
  /** Whether a host outside the mesh came, changed or went. */
  readonly egress: boolean;
  /** Whether what is said about security changed. */
  readonly security: boolean;
  /** What is said about traces and access logs changed. */
  readonly telemetry?: true;
}

export interface HeldInstance extends ReadRecord {
  readonly record: InstanceRecord;
  readonly instance: Instance;
  /** Undefined: kept after its lease has ended, or of nobody's. */
  readonly lease: string | undefined;
  readonly isKept: boolean;
}

/** What the view is told of each step; for those who tell people about it. */
export interface ViewObserver {
  /** A record that cannot be read is left out. */
  invalid(key: string, error: unknown): void;
  service(key: string, before: Service | undefined, after: Service | undefined): void;
  egress(before: EgressHost | undefined, after: EgressHost | undefined): void;
  security(before: SecurityConfig, after: SecurityConfig): void;
  telemetry(before: TelemetryConfig, after: TelemetryConfig): void;
  /** `hasExpired`: it went because its lease ended. */
  instance(ref: InstanceRef, before: HeldInstance | undefined, after: HeldInstance | undefined, hasExpired: boolean): void;
}

const NO_INSTANCES: readonly Instance[] = [];

export class ViewBuilder {
  readonly #limits: RegistryLimits;
  readonly #observer: ViewObserver;
  readonly #services = new Map<string, Service>();
  /** By its key in the store. */
  readonly #egress = new Map<string, EgressHost>();
  #egressList: readonly EgressHost[] = [];
  #egressChanged = false;
  /** By their keys in the store. */
  readonly #securityParts = new Map<string, string>();
  #security: SecurityConfig = DEFAULT_SECURITY;
  #hasSecurity = false;
  #securityTaken = false;
  #telemetry: TelemetryConfig = NO_TELEMETRY;
  #telemetryChanged = false;
  readonly #instances = new Map<string, Map<string, HeldInstance>>();
  readonly #byNode = new Map<string, Map<string, Instance>>();
  /** Lists made from `#byNode`, while they hold. */
  readonly #ofNode = new Map<string, readonly Instance[]>();
  readonly #views = new Map<string, ServiceView>();
  /** Keys of `#views`; undefined: one came or went since. */
  #sortedKeys: readonly string[] | undefined;
  #instanceCount = 0;
  #revision = 0;
  #snapshot: RegistryView | undefined;
  /** By service, the instances that changed since the last commit. */
  #changed = new Map<string, Set<string>>();
  #changedNodes = new Set<string>();

  constructor(limits: RegistryLimits, observer: ViewObserver) {
    this.#limits = limits;
    this.#observer = observer;
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

  /** Hosts outside the mesh, sorted. */
  get egress(): readonly EgressHost[] {
    return this.#egressList;
  }

  /** Of the mesh; the default while nothing is said. */
  get security(): SecurityConfig {
    return this.#security;
  }

  /** Of the mesh. */
  get telemetry(): TelemetryConfig {
    return this.#telemetry;
  }

  held(ref: InstanceRef): HeldInstance | undefined {
    return this.#instances.get(serviceKey(ref.service))?.get(ref.id);
  }

  /** Every instance, also of services that are not declared. */
  *allHeld(): Iterable<HeldInstance> {
    for (const ofService of this.#instances.values()) yield* ofService.values();
  }

  *heldOf(service: string): Iterable<HeldInstance> {
    yield* this.#instances.get(service)?.values() ?? [];
  }

  instancesOfNode(node: string): readonly Instance[] {
    const known = this.#ofNode.get(node);
    if (known !== undefined) return known;
    const ofNode = this.#byNode.get(node);
    if (ofNode === undefined) return NO_INSTANCES;
    const list = [...ofNode.values()];
    this.#ofNode.set(node, list);
    return list;
  }

  /** A copy of the map of services is made only when one is asked for after a change, and sorted only when a service came or went. */
  snapshot(): RegistryView {
    if (this.#snapshot !== undefined) return this.#snapshot;
    this.#sortedKeys ??= [...this.#views.keys()].sort();
    const services = new Map<string, ServiceView>();
    for (const key of this.#sortedKeys) {
      const view = this.#views.get(key);
      if (view !== undefined) services.set(key, view);
    }
    this.#snapshot = { revision: this.#revision, services };
    return this.#snapshot;
  }

  /** Starts over from a list; what was there and is not in the list has gone. */
  reset(entries: readonly StoreEntry[], revision: number): RegistryChange {
    const present = new Set(entries.map((entry) => entry.key));
    const gone: StoreEvent[] = [];
    const drop = (key: string): void => {
      if (!present.has(key)) gone.push({ kind: 'delete', key, revision, expired: false });
    };
    for (const service of this.#services.values()) drop(serviceStoreKey(service));
    for (const host of this.#egress.values()) drop(egressStoreKey(host));
    for (const key of this.#securityParts.keys()) drop(key);
    if (this.#telemetry !== NO_TELEMETRY) drop(TELEMETRY_KEY);
    for (const { instance, isKept } of this.allHeld()) drop(isKept ? keptStoreKey(instance) : instanceStoreKey(instance));
    this.take([...gone, ...entries.map((entry): StoreEvent => ({ kind: 'put', entry }))]);
    return this.commit(revision);
  }

  /** Takes in one batch of the store. Nothing of it is seen before `commit`, except by `held` and the like. */
  take(events: readonly StoreEvent[]): void {
    for (const event of events) {
      const key = event.kind === 'put' ? event.entry.key : event.key;
      const parsed = parseStoreKey(key);
      if (parsed === undefined) continue;
      try {
        if (parsed.kind === 'security') this.#setSecurityPart(key, event.kind === 'put' ? event.entry.value : undefined);
        else if (parsed.kind === 'telemetry') this.#setTelemetry(event.kind === 'put' ? readTelemetry(event.entry.value) : NO_TELEMETRY);
        else if (parsed.kind === 'egress') this.#setEgress(key, event.kind === 'put' ? readEgress(event.entry.value) : undefined);
        else if (parsed.kind === 'service')
          this.#setService(serviceKey(parsed.ref), event.kind === 'put' ? readService(event.entry.value) : undefined);
        else this.#takeInstance(parsed.ref, parsed.kind === 'kept', event);
      } catch (error) {
        this.#observer.invalid(key, error);
      }
    }
  }

  /** Puts an instance back whose lease has ended; one that has a lease again stays as it is. */
  keep(held: HeldInstance, revision: number): void {
    const { instance } = held;
    const ref = { service: instance.service, id: instance.id };
    if (this.held(ref) !== undefined) return;
    this.#setInstance(ref, makeHeld(held, revision, undefined, true), false);
  }

  /** Makes what was taken the truth, and says what changed by it. */
  commit(revision: number): RegistryChange {
    const changed = this.#changed;
    const services = new Set(changed.keys());
    const security = this.#takeSecurity();
    const change: RegistryChange = {
      ...{ revision, services, nodes: this.#changedNodes, egress: this.#egressChanged, security },
      ...(this.#telemetryChanged && { telemetry: true }),
    };
    this.#telemetryChanged = false;
    this.#changed = new Map();
    this.#changedNodes = new Set();
    if (this.#egressChanged) this.#egressList = [...this.#egress].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, host]) => host);
    this.#egressChanged = false;
    this.#revision = revision;
    this.#snapshot = undefined;
    for (const [key, ids] of changed) this.#rebuild(key, ids);
    return change;
  }

  #setService(key: string, service: Service | undefined): void {
    const before = this.#services.get(key);
    if (service === undefined) this.#services.delete(key);
    else this.#services.set(key, service);
    this.#idsOf(key);
    this.#observer.service(key, before, service);
  }

  #setEgress(key: string, host: EgressHost | undefined): void {
    const before = this.#egress.get(key);
    if (host === undefined) this.#egress.delete(key);
    else this.#egress.set(key, host);
    this.#egressChanged = true;
    this.#observer.egress(before, host);
  }

  #setTelemetry(telemetry: TelemetryConfig): void {
    const before = this.#telemetry;
    if (isDeepStrictEqual(before, telemetry)) return;
    this.#telemetry = telemetry;
    this.#telemetryChanged = true;
    this.#observer.telemetry(before, telemetry);
  }

  #setSecurityPart(key: string, text: string | undefined): void {
    if (text === undefined) this.#securityParts.delete(key);
    else this.#securityParts.set(key, text);
    this.#securityTaken = true;
  }

  /** Whether it changed. What cannot be read leaves what was; where nothing was, nobody may do anything. */
  #takeSecurity(): boolean {
    if (!this.#securityTaken) return false;
    this.#securityTaken = false;
    const before = this.#security;
    const keys = [...this.#securityParts.keys()].sort();
    try {
      const after = readSecurity(keys.map((key) => this.#securityParts.get(key) ?? ''));
      this.#hasSecurity = true;
      if (isDeepStrictEqual(before, after)) return false;
      this.#security = after;
    } catch (error) {
      this.#observer.invalid(keys[0] ?? '', error);
      if (this.#hasSecurity) return false;
      this.#security = UNREADABLE_SECURITY;
    }
    this.#observer.security(before, this.#security);
    return true;
  }

  /** A live record stands before one that is kept. */
  #takeInstance(ref: InstanceRef, isKept: boolean, event: StoreEvent): void {
    const old = this.held(ref);
    if (event.kind === 'put') {
      if (isKept && old?.isKept === false) return;
      const { value, modRevision, lease } = event.entry;
      const read = readInstanceRecord(value, this.#limits, old);
      this.#setInstance(ref, makeHeld(read, modRevision, isKept ? undefined : lease, isKept), false);
    } else if (old?.isKept === isKept) this.#setInstance(ref, undefined, event.expired);
  }

  #setInstance(ref: InstanceRef, held: HeldInstance | undefined, hasExpired: boolean): void {
    const key = serviceKey(ref.service);
    const name = `${key}/${ref.id}`;
    const ofService = this.#instances.get(key) ?? new Map<string, HeldInstance>();
    const old = ofService.get(ref.id);
    if (old !== undefined && old.instance.node !== held?.instance.node) this.#unlist(old.instance.node, name);
    if (held === undefined) ofService.delete(ref.id);
    else {
      ofService.set(ref.id, held);
      this.#list(held.instance, name);
    }
    this.#instanceCount += (held === undefined ? 0 : 1) - (old === undefined ? 0 : 1);
    if (ofService.size === 0) this.#instances.delete(key);
    else this.#instances.set(key, ofService);
    this.#idsOf(key).add(ref.id);
    this.#observer.instance(ref, old, held, hasExpired);
  }

  #list(instance: Instance, name: string): void {
    const { node } = instance;
    const ofNode = this.#byNode.get(node) ?? new Map<string, Instance>();
    this.#byNode.set(node, ofNode.set(name, instance));
    this.#ofNode.delete(node);
    this.#changedNodes.add(node);
  }

  #unlist(node: string, name: string): void {
    const ofNode = this.#byNode.get(node);
    ofNode?.delete(name);
    if (ofNode?.size === 0) this.#byNode.delete(node);
    this.#ofNode.delete(node);
    this.#changedNodes.add(node);
  }

  #idsOf(service: string): Set<string> {
    const known = this.#changed.get(service);
    if (known !== undefined) return known;
    const ids = new Set<string>();
    this.#changed.set(service, ids);
    return ids;
  }

  #rebuild(key: string, ids: ReadonlySet<string>): void {
    const service = this.#services.get(key);
    const old = this.#views.get(key);
    if ((service === undefined) !== (old === undefined)) this.#sortedKeys = undefined;
    if (service === undefined) this.#views.delete(key);
    else this.#views.set(key, { service, instances: this.#instancesOf(key, old, ids) });
  }

  #instancesOf(key: string, old: ServiceView | undefined, ids: ReadonlySet<string>): readonly Instance[] {
    const ofService = this.#instances.get(key);
    if (ofService === undefined) return NO_INSTANCES;
    // Sorting all is quicker than many single steps.
    if (old === undefined || ids.size > 8)
      return [...ofService.values()].map(({ instance }) => instance).sort((a, b) => (a.id < b.id ? -1 : 1));
    let { instances } = old;
    for (const id of ids) {
      const held = ofService.get(id);
      instances = held === undefined ? withoutAt(instances, id) : changedAt(instances, held.instance);
    }
    return instances;
  }
}

function makeHeld(read: ReadRecord, revision: number, lease: string | undefined, isKept: boolean): HeldInstance {
  const { record, registrationText } = read;
  const { health, reason } = verdictOf(record, isKept);
  return { record, registrationText, instance: { ...record.registration, health, healthReason: reason, revision }, lease, isKept };
}
