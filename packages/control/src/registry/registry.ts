// The typed registry over the Store: services of the mesh file, instances with leases, health merged from all who report.
// Every write is a compare-and-set, so several control planes may share one store. Reads come from the view in memory.
import { assignVirtualAddresses, serviceKey } from '@heddle/core';
import type { Instance, Service } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import { RegistryError } from './errors.ts';
import { ROOT, instanceName, instanceStoreKey, serviceStoreKey } from './keys.ts';
import type { InstanceRef } from './keys.ts';
import { REGISTRY_LIMITS, leaseTtlMs } from './limits.ts';
import type { RegistryLimits } from './limits.ts';
import { cleanReason, heldAddresses, readInstanceRecord, readRegistration } from './records.ts';
import type { HealthReport, InstanceRecord, Registration } from './records.ts';
import { StoreError } from './store.ts';
import type { Store, StoreEntry, StoreEvent, StoreOperation, StoreWatch } from './store.ts';
import { TRANSACTION_LIMITS } from './transaction.ts';
import { ViewBuilder } from './view.ts';
import type { HeldInstance, RegistryChange, RegistryView, ServiceView } from './view.ts';

export interface RegistryOptions {
  readonly store: Store;
  readonly logger: Logger;
  readonly limits?: RegistryLimits;
}

/** A live registration: what heartbeats are sent for. */
export interface Lease {
  readonly ref: InstanceRef;
  readonly id: string;
  readonly ttlMs: number;
  /** The registry's revision at which the instance was there. */
  readonly revision: number;
}

/** Tries of a compare-and-set against other writers of the same instance; they are at most a handful. */
const ATTEMPTS_MAX = 16;

/** Reads what the store holds and follows it from there. Throws StoreError. */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const registry = new Registry(options);
  await registry.start();
  return registry;
}

export class Registry {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #limits: RegistryLimits;
  readonly #view: ViewBuilder;
  readonly #listeners = new Set<(change: RegistryChange) => void>();
  readonly #waiting = new Set<{
    readonly revision: number;
    readonly resolve: () => void;
    readonly reject: (error: RegistryError) => void;
  }>();
  #watch: StoreWatch | undefined;
  #closed = false;

  constructor(options: RegistryOptions) {
    this.#store = options.store;
    this.#logger = options.logger;
    this.#limits = options.limits ?? REGISTRY_LIMITS;
    this.#view = new ViewBuilder(this.#limits, (key, error) =>
      this.#logger.error({ key, error: (error as Error).message }, 'a record of the registry cannot be read and is left out'),
    );
  }

  /** Called once, by `openRegistry`. */
  async start(): Promise<void> {
    const { entries, revision } = await this.#store.list(ROOT);
    this.#publish(this.#view.reset(entries, revision));
    this.#watch = this.#store.watch(
      ROOT,
      revision + 1,
      (events, at) => this.#onEvents(events, at),
      (error) => this.#onWatchError(error),
    );
  }

  /** The whole registry as it is now; does not change afterwards. */
  snapshot(): RegistryView {
    return this.#view.snapshot();
  }

  get revision(): number {
    return this.#view.revision;
  }

  /** By `<namespace>/<name>`. */
  service(key: string): ServiceView | undefined {
    return this.#view.service(key);
  }

  /** With its verdict; also of a service that is not declared. */
  instance(ref: InstanceRef): Instance | undefined {
    return this.#view.held(ref)?.instance;
  }

  instancesOfNode(node: string): readonly Instance[] {
    return this.#view.instancesOfNode(node);
  }

  /** Called synchronously after each change, with the view already new. */
  onChange(listener: (change: RegistryChange) => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  /** Makes the declared services exactly these, each with its virtual address. Instances of a service that went are removed with it. */
  async declareServices(services: readonly Service[]): Promise<void> {
    const wanted = new Map(services.map((service) => [serviceStoreKey(service), service]));
    const operations: StoreOperation[] = [];
    const { entries } = await this.#call(() => this.#store.list(`${ROOT}services/`));
    const present = new Map(entries.map((entry) => [entry.key, entry.value]));
    const addresses = assignVirtualAddresses(services.map(serviceKey), heldAddresses(entries));
    for (const [key, service] of wanted) {
      const value = JSON.stringify({ ...service, virtualAddress: addresses.get(serviceKey(service)) });
      if (present.get(key) !== value) operations.push({ kind: 'put', key, value });
    }
    for (const key of present.keys()) if (!wanted.has(key)) operations.push({ kind: 'delete', key });
    const leases: string[] = [];
    for (const { instance, lease } of this.#view.allHeld()) {
      if (wanted.has(serviceStoreKey(instance.service))) continue;
      operations.push({ kind: 'delete', key: instanceStoreKey(instance) });
      if (lease !== undefined) leases.push(lease);
    }
    for (let from = 0; from < operations.length; from += TRANSACTION_LIMITS.operations) {
      await this.#transact([], operations.slice(from, from + TRANSACTION_LIMITS.operations));
    }
    await Promise.all(leases.map((lease) => this.#dropLease(lease).catch(() => {})));
  }

  /**
   * Puts the instance in place of any of the same id. `own` is what its data plane knows about its health.
   * Throws RegistryError: INVALID, NOT_FOUND (the service is not declared), LIMIT, UNAVAILABLE.
   */
  async register(
    input: unknown,
    wishedTtlMs: number,
    own: HealthReport = { health: 'starting', reason: 'registered, not checked yet' },
  ): Promise<Lease> {
    const registration = readRegistration(input, this.#limits);
    this.#checkRoom(registration);
    const ttlMs = leaseTtlMs(wishedTtlMs, this.#limits);
    const lease = await this.#call(() => this.#store.grantLease(ttlMs));
    try {
      const { old, revision } = await this.#putRegistration(registration, this.#clean(own), lease);
      // The instance no longer hangs on it; should this fail, it ends by itself.
      if (old?.lease !== undefined) await this.#dropLease(old.lease).catch(() => {});
      this.#logger.info(
        { instance: instanceName(registration), node: registration.node, leaseTtlMs: ttlMs },
        old === undefined ? 'instance registered' : 'instance registered again',
      );
      return { ref: { service: registration.service, id: registration.id }, id: lease, ttlMs, revision };
    } catch (error) {
      await this.#dropLease(lease).catch(() => {});
      throw error;
    }
  }

  /**
   * Starts the lease's time anew and takes in the report, if there is one. Returns the revision.
   * Throws RegistryError: EXPIRED (register again), SUPERSEDED (another registration holds the instance), UNAVAILABLE.
   */
  async heartbeat(lease: Lease, own?: HealthReport): Promise<number> {
    this.#checkHolder(lease, this.#view.held(lease.ref));
    await this.#call(() => this.#store.keepAlive(lease.id), lease);
    if (own === undefined) return this.#view.revision;
    const clean = this.#clean(own);
    return await this.#update(
      lease.ref,
      (record, entry) => {
        if (entry.lease !== lease.id) throw superseded(lease);
        return sameReport(record.own, clean) ? undefined : { ...record, own: clean };
      },
      lease,
    );
  }

  /** The verdict of an outside detector: kept with the instance until the same detector reports healthy. */
  async reportHealth(ref: InstanceRef, detector: string, report: HealthReport): Promise<void> {
    const clean = this.#clean(report);
    await this.#update(ref, (record) => {
      if (clean.health === 'healthy' && record.outside[detector] === undefined) return undefined;
      const outside = { ...record.outside };
      delete outside[detector];
      if (clean.health !== 'healthy') outside[detector] = clean;
      if (Object.keys(outside).length > this.#limits.detectorsPerInstanceMax) {
        throw new RegistryError(
          'LIMIT',
          `${instanceName(ref)} already has the verdicts of ${this.#limits.detectorsPerInstanceMax} outside detectors`,
        );
      }
      const old = record.outside[detector];
      return old !== undefined && sameReport(old, clean) ? undefined : { ...record, outside };
    });
  }

  /** False when there was no such instance. */
  async deregister(ref: InstanceRef): Promise<boolean> {
    const key = instanceStoreKey(ref);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const entry = await this.#call(() => this.#store.get(key));
      if (entry === undefined) return false;
      const result = await this.#transact([{ key, modRevision: entry.modRevision }], [{ kind: 'delete', key }]);
      if (!result.succeeded) continue;
      if (entry.lease !== undefined) await this.#dropLease(entry.lease).catch(() => {});
      this.#logger.info({ instance: instanceName(ref) }, 'instance deregistered');
      return true;
    }
    throw contended(ref);
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#listeners.clear();
    for (const waiting of this.#waiting) waiting.reject(new RegistryError('UNAVAILABLE', 'the control plane is stopping'));
    this.#waiting.clear();
  }

  #checkRoom(registration: Registration): void {
    const { instancesMax, instancesPerServiceMax } = this.#limits;
    if (this.#view.held(registration) !== undefined) return;
    if (this.#view.instanceCount >= instancesMax)
      throw new RegistryError('LIMIT', `the registry holds ${instancesMax} instances, its limit`);
    const view = this.#view.service(serviceKey(registration.service));
    if (view !== undefined && view.instances.length >= instancesPerServiceMax) {
      throw new RegistryError(
        'LIMIT',
        `${serviceKey(registration.service)} has ${instancesPerServiceMax} instances, the limit of one service`,
      );
    }
  }

  async #putRegistration(
    registration: Registration,
    own: HealthReport,
    lease: string,
  ): Promise<{ old: StoreEntry | undefined; revision: number }> {
    const key = instanceStoreKey(registration);
    const service = serviceStoreKey(registration.service);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const [declared, old] = await Promise.all([this.#call(() => this.#store.get(service)), this.#call(() => this.#store.get(key))]);
      if (declared === undefined) {
        throw new RegistryError(
          'NOT_FOUND',
          `service ${serviceKey(registration.service)} is not declared; add it to the mesh file, or correct the name of the registering instance`,
        );
      }
      const outside = this.#outsideOf(old);
      const value = JSON.stringify({ registration, own, outside } satisfies InstanceRecord);
      const conditions = [
        { key, modRevision: old?.modRevision ?? 0 },
        { key: service, modRevision: declared.modRevision },
      ];
      const result = await this.#transact(conditions, [{ kind: 'put', key, value, lease }]);
      if (result.succeeded) return { old, revision: result.revision };
    }
    throw contended(registration);
  }

  /** Outside verdicts stay when an instance registers again: only their detector takes them back. */
  #outsideOf(entry: StoreEntry | undefined): InstanceRecord['outside'] {
    if (entry === undefined) return {};
    try {
      return readInstanceRecord(entry.value, this.#limits).outside;
    } catch {
      // The view has logged it; a registration is what mends such a record.
      return {};
    }
  }

  async #update(
    ref: InstanceRef,
    change: (record: InstanceRecord, entry: StoreEntry) => InstanceRecord | undefined,
    lease?: Lease,
  ): Promise<number> {
    const key = instanceStoreKey(ref);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const entry = await this.#call(() => this.#store.get(key), lease);
      if (entry === undefined) throw lease === undefined ? notFound(ref) : expired(lease);
      const next = change(readInstanceRecord(entry.value, this.#limits), entry);
      if (next === undefined) return this.#view.revision;
      const operation: StoreOperation = {
        kind: 'put',
        key,
        value: JSON.stringify(next),
        ...(entry.lease === undefined ? {} : { lease: entry.lease }),
      };
      const result = await this.#transact([{ key, modRevision: entry.modRevision }], [operation], lease);
      if (result.succeeded) return result.revision;
    }
    throw contended(ref);
  }

  #checkHolder(lease: Lease, held: HeldInstance | undefined): void {
    if (held === undefined) throw expired(lease);
    if (held.lease !== lease.id) throw superseded(lease);
  }

  /** Resolves when the view has caught up with the write, so that everybody reads what they wrote. */
  async #transact(
    conditions: readonly { key: string; modRevision: number }[],
    operations: readonly StoreOperation[],
    lease?: Lease,
  ): Promise<{ succeeded: boolean; revision: number }> {
    const result = await this.#call(() => this.#store.transact({ conditions, operations }), lease);
    if (result.succeeded && this.#view.revision < result.revision) {
      await new Promise<void>((resolve, reject) => this.#waiting.add({ revision: result.revision, resolve, reject }));
    }
    return result;
  }

  async #call<T>(run: () => Promise<T>, lease?: Lease): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code === 'LEASE_NOT_FOUND' && lease !== undefined) throw expired(lease);
      throw new RegistryError('UNAVAILABLE', `the registry cannot be written: ${error.message}`, error);
    }
  }

  async #dropLease(lease: string): Promise<void> {
    try {
      await this.#store.revokeLease(lease);
    } catch (error) {
      // It ended by itself in the meantime: what was wanted.
      if (!(error instanceof StoreError && error.code === 'LEASE_NOT_FOUND')) throw error;
    }
  }

  #clean(report: HealthReport): HealthReport {
    return { health: report.health, reason: cleanReason(report.reason, this.#limits) };
  }

  #onEvents(events: readonly StoreEvent[], revision: number): void {
    this.#logEvents(events);
    this.#publish(this.#view.apply(events, revision));
  }

  #logEvents(events: readonly StoreEvent[]): void {
    for (const event of events) {
      if (event.kind === 'delete' && event.expired)
        this.#logger.warn({ key: event.key }, 'instance removed: no heartbeat came for the time of its lease');
    }
  }

  #onWatchError(error: StoreError): void {
    if (this.#closed || error.code === 'CLOSED') return;
    this.#logger.warn({ error: error.message }, 'the watch of the store ended; reading everything anew');
    this.start().catch((cause: unknown) =>
      this.#logger.error({ error: (cause as Error).message }, 'the store cannot be read; the view stays as it is'),
    );
  }

  #publish(change: RegistryChange): void {
    for (const waiting of [...this.#waiting]) {
      if (waiting.revision > change.revision) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
    if (change.services.size === 0 && change.nodes.size === 0) return;
    for (const listener of [...this.#listeners]) listener(change);
  }
}

function sameReport(a: HealthReport, b: HealthReport): boolean {
  return a.health === b.health && a.reason === b.reason;
}

function expired(lease: Lease): RegistryError {
  return new RegistryError(
    'EXPIRED',
    `${instanceName(lease.ref)} is no longer registered: its lease of ${lease.ttlMs} ms ended or it was deregistered; register again`,
  );
}

function superseded(lease: Lease): RegistryError {
  return new RegistryError(
    'SUPERSEDED',
    `another registration has taken the place of ${instanceName(lease.ref)}; if two processes use the same instance id, give one of them another`,
  );
}

function notFound(ref: InstanceRef): RegistryError {
  return new RegistryError('NOT_FOUND', `there is no instance ${instanceName(ref)}`);
}

function contended(ref: InstanceRef): RegistryError {
  return new RegistryError('UNAVAILABLE', `${instanceName(ref)} is being changed by others all the time; try again`);
}
