// The typed registry over the Store: services of the mesh file, instances with leases, health merged from all who report.
// Every write is a compare-and-set, so several control planes may share one store. Reads come from the view in memory.
import { DEFAULT_SECURITY, NO_TELEMETRY, serviceKey } from '@heddle/core';
import type { EgressHost, Instance, SecurityConfig, Service, TelemetryConfig, VerdictReason } from '@heddle/core';
import type { Clock, Logger, Random } from '@heddle/runtime';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import type { EventSink } from '../events/sink.ts';
import { ChangeLog, servicesOf } from './change-log.ts';
import { RegistryError } from './errors.ts';
import { isPast, readHistories, withHistory } from './history.ts';
import type { History } from './history.ts';
import { Keeper } from './keeper.ts';
import { DECLARED_KEYS, HISTORIES_KEY, ROOT, instanceName, instanceStoreKey, keptStoreKey, serviceStoreKey } from './keys.ts';
import type { InstanceRef } from './keys.ts';
import { checkExpected, contended, expired, notFound, superseded } from './lease.ts';
import type { Lease } from './lease.ts';
import { REGISTRY_LIMITS, leaseTtlMs } from './limits.ts';
import type { RegistryLimits } from './limits.ts';
import { cleanReason, readInstanceRecord, readRegistration } from './records.ts';
import type { HealthReport, InstanceRecord, Registration } from './records.ts';
import { checkDeclaration, conditionsOf, declarationOperations } from './declaration.ts';
import { egressSubject, tellEgress, tellInstance, tellSecurity, tellService, tellTelemetry, type Told } from './story.ts';
import { StoreError } from './store.ts';
import type { Store, StoreEntry, StoreEvent, StoreOperation, StoreWatch } from './store.ts';
import { TRANSACTION_LIMITS } from './transaction.ts';
import { reasonsOf } from './verdict.ts';
import { ViewBuilder } from './view.ts';
import type { HeldInstance, RegistryChange, RegistryView, ServiceView } from './view.ts';

export interface RegistryOptions {
  readonly store: Store;
  readonly logger: Logger;
  readonly limits?: RegistryLimits;
  /** Where people are told what changes. Default: nowhere. */
  readonly events?: EventSink;
  /** Default: the system's. */
  readonly clock?: Clock;
  readonly random?: Random;
}

/** What a watcher has missed. */
export type Missed =
  /** Keys of services that changed or went. */
  | { readonly known: true; readonly services: readonly string[] }
  /** `compacted`: too long ago. `ahead`: the registry has not got so far. `other-history`: it was restored from older data. */
  | { readonly known: false; readonly reason: 'compacted' | 'ahead' | 'other-history' };

/** Tries of a compare-and-set against other writers of the same instance; they are at most a handful. */
const ATTEMPTS_MAX = 16;

/** Of the name of a history. */
const HISTORY_BYTES = 9;
const UNHEARD: EventSink = { record() {} };

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
  readonly #keeper: Keeper;
  readonly #random: Random;
  #log = new ChangeLog(0);
  #histories: readonly History[] = [];
  /** Instances whose leases ended in the batch that is being taken in. */
  #expired = new Map<string, HeldInstance[]>();
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
    this.#random = options.random ?? nodeRandom;
    const events = options.events ?? UNHEARD;
    const { keptMs } = this.#limits;
    this.#keeper = new Keeper({ store: this.#store, clock: options.clock ?? nodeClock, logger: this.#logger, events, keptMs });
    // What was there at the start is no news.
    const tell = (subject: string, news: () => Told | undefined): void => {
      const told = this.#watch === undefined ? undefined : news();
      if (told !== undefined) events.record(told.kind, subject, told.message);
    };
    this.#view = new ViewBuilder(this.#limits, {
      invalid: (key, error) =>
        this.#logger.error({ key, error: (error as Error).message }, 'a record of the registry cannot be read and is left out'),
      service: (key, before, after) => tell(key, () => tellService(before, after)),
      egress: (before, after) => tell(egressSubject(after ?? before), () => tellEgress(before, after)),
      security: (before, after) => tell('mesh', () => tellSecurity(before, after)),
      telemetry: (before, after) => tell('mesh', () => tellTelemetry(before, after)),
      instance: (ref, before, after, hasExpired) => {
        this.#note(ref, before, after, hasExpired);
        tell(instanceName(ref), () => tellInstance(before, after, hasExpired));
      },
    });
  }

  /** Called once, by `openRegistry`. */
  async start(): Promise<void> {
    await this.#follow();
    await this.#beginHistory();
  }

  async #follow(): Promise<void> {
    const { entries, revision } = await this.#store.list(ROOT);
    this.#learnHistories(entries.find((entry) => entry.key === HISTORIES_KEY)?.value);
    this.#publish(this.#view.reset(entries, revision));
    await this.#watchFrom(1, revision);
  }

  /** Follows from the first revision of the history that there is; up to `listed` only to know what changed when. */
  #watchFrom(first: number, listed: number): Promise<void> {
    this.#log = new ChangeLog(first - 1);
    let hasCaughtUp = false;
    return new Promise((resolve, reject) => {
      this.#watch = this.#store.watch(
        ROOT,
        first,
        (events, at) => {
          if (at > listed) this.#onEvents(events, at);
          else this.#log.note(servicesOf(events), at, (key) => this.#view.service(key) !== undefined);
        },
        (error) => {
          if (error.code === 'COMPACTED' && error.compactedRevision !== undefined)
            this.#watchFrom(error.compactedRevision + 1, listed).then(resolve, reject);
          else if (hasCaughtUp) this.#onWatchError(error);
          else reject(error);
        },
        () => {
          hasCaughtUp = true;
          resolve();
        },
      );
    });
  }

  /** From here on, what is told is of this life of the registry. */
  async #beginHistory(): Promise<void> {
    const id = Buffer.from(this.#random.bytes(HISTORY_BYTES)).toString('base64url');
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
        const entry = await this.#call(() => this.#store.get(HISTORIES_KEY));
        const value = JSON.stringify(withHistory(readHistories(entry?.value), { id, from: this.#view.revision }));
        const result = await this.#transact(
          [{ key: HISTORIES_KEY, modRevision: entry?.modRevision ?? 0 }],
          [{ kind: 'put', key: HISTORIES_KEY, value }],
        );
        if (result.succeeded) return;
      }
    } catch (error) {
      this.#logger.warn(
        { error: (error as Error).message },
        'the start cannot be noted in the store: watchers will begin anew after the next one',
      );
    }
    this.#histories = withHistory(this.#histories, { id, from: this.#view.revision });
  }

  #learnHistories(text: string | undefined): void {
    if (text !== undefined) this.#histories = readHistories(text);
  }

  /** The whole registry as it is now; does not change afterwards. */
  snapshot(): RegistryView {
    return this.#view.snapshot();
  }

  get revision(): number {
    return this.#view.revision;
  }

  /** The name of what follows from here; a watcher that comes back shows it. */
  get history(): string {
    return this.#histories.at(-1)?.id ?? '';
  }

  /** What changed after the revision. `history`: the name under which it was told; empty: not known. */
  changedSince(revision: number, history: string): Missed {
    if (revision > this.#view.revision) return { known: false, reason: 'ahead' };
    if (history !== '' && !isPast(this.#histories, history, revision)) return { known: false, reason: 'other-history' };
    const services = this.#log.since(revision);
    return services === undefined ? { known: false, reason: 'compacted' } : { known: true, services };
  }

  /** Whether instances are kept when most leases of their service end at once. Those that are kept go when it is switched off. */
  async setKeepOnMassExpiry(isKept: boolean): Promise<void> {
    this.#keeper.enabled = isKept;
    if (isKept) return;
    await this.#keeper.whenWritten();
    const kept = [...this.#view.allHeld()].filter((held) => held.isKept);
    await this.#transactAll(kept.map(({ instance }) => ({ kind: 'delete', key: keptStoreKey(instance) })));
  }

  /** By `<namespace>/<name>`. */
  service(key: string): ServiceView | undefined {
    return this.#view.service(key);
  }

  /** With its verdict; also of a service that is not declared. */
  instance(ref: InstanceRef): Instance | undefined {
    return this.#view.held(ref)?.instance;
  }

  /** All that its verdict was made from, the worst first; undefined: there is no such instance. */
  reasons(ref: InstanceRef): readonly VerdictReason[] | undefined {
    const held = this.#view.held(ref);
    return held === undefined ? undefined : reasonsOf(held.record, held.isKept);
  }

  /** Hosts outside the mesh that may be called through it, sorted. */
  get egress(): readonly EgressHost[] {
    return this.#view.egress;
  }

  /** Who may call whom. */
  get security(): SecurityConfig {
    return this.#view.security;
  }

  /** What is told of requests, and to whom. */
  get telemetry(): TelemetryConfig {
    return this.#view.telemetry;
  }

  instancesOfNode(node: string): readonly Instance[] {
    return this.#view.instancesOfNode(node);
  }

  /** Called synchronously after each change, with the view already new. */
  onChange(listener: (change: RegistryChange) => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  /**
   * Makes the declared services exactly these, each with its virtual address, and the hosts outside the mesh and who may call whom too.
   * Instances of a service that went are removed with it. `origin`: what is kept about where it comes from, by key; absent: that stays as it is.
   * Throws RegistryError: INVALID, LIMIT (nothing was changed), UNAVAILABLE.
   */
  async declareServices(
    services: readonly Service[],
    egress: readonly EgressHost[] = [],
    security: SecurityConfig = DEFAULT_SECURITY,
    telemetry: TelemetryConfig = NO_TELEMETRY,
    origin?: ReadonlyMap<string, string>,
  ): Promise<void> {
    checkDeclaration(services, egress, security, await conditionsOf(security));
    const present: StoreEntry[] = [];
    for (const prefix of DECLARED_KEYS) present.push(...(await this.#call(() => this.#store.list(prefix))).entries);
    const operations = declarationOperations(present, { services, egress, security, telemetry, origin });
    const wanted = new Set(services.map(serviceStoreKey));
    const leases: string[] = [];
    for (const { instance, lease, isKept } of this.#view.allHeld()) {
      if (wanted.has(serviceStoreKey(instance.service))) continue;
      operations.push({ kind: 'delete', key: isKept ? keptStoreKey(instance) : instanceStoreKey(instance) });
      if (lease !== undefined) leases.push(lease);
    }
    await this.#transactAll(operations);
    await Promise.all(leases.map((lease) => this.#dropLease(lease).catch(() => {})));
  }

  /**
   * Puts the instance in place of any of the same id. `own` is what its data plane knows about its health.
   * `expected`: only when the instance is at that revision, 0: only when there is none.
   * Throws RegistryError: INVALID, NOT_FOUND (the service is not declared), LIMIT, CONFLICT, UNAVAILABLE.
   */
  async register(
    input: unknown,
    wishedTtlMs: number,
    own: HealthReport = { health: 'starting', reason: 'registered, not checked yet' },
    expected?: number,
  ): Promise<Lease> {
    const registration = readRegistration(input, this.#limits);
    this.#checkRoom(registration);
    const ttlMs = leaseTtlMs(wishedTtlMs, this.#limits);
    const lease = await this.#call(() => this.#store.grantLease(ttlMs));
    try {
      const { old, revision } = await this.#putRegistration(registration, this.#clean(own), { id: lease, ttlMs }, expected);
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
   * Starts the lease's time anew and takes in the report, if there is one. Returns the revision. `expected` as for `register`.
   * Throws RegistryError: EXPIRED (register again), SUPERSEDED (another registration holds the instance), CONFLICT, UNAVAILABLE.
   */
  async heartbeat(lease: Lease, own?: HealthReport, expected?: number): Promise<number> {
    const held = this.#view.held(lease.ref);
    this.#checkHolder(lease, held);
    await this.#call(() => this.#store.keepAlive(lease.id), lease);
    const clean = own === undefined ? undefined : this.#clean(own);
    // Most heartbeats say nothing new: these cost no look into the store.
    if (clean === undefined || (held !== undefined && sameReport(held.record.own, clean))) {
      checkExpected(lease.ref, held?.instance.revision ?? 0, expected);
      return this.#view.revision;
    }
    return await this.#update(
      lease.ref,
      (record, entry) => {
        if (entry.lease !== lease.id) throw superseded(lease);
        checkExpected(lease.ref, entry.modRevision, expected);
        return sameReport(record.own, clean) ? undefined : { ...record, own: clean };
      },
      lease,
    );
  }

  /** For callers that know a lease by its id alone. Throws RegistryError: EXPIRED, SUPERSEDED. */
  leaseOf(ref: InstanceRef, id: string): Lease {
    const held = this.#view.held(ref);
    const lease: Lease = {
      ref,
      id,
      ttlMs: held?.record.leaseTtlMs ?? this.#limits.leaseTtlMsDefault,
      revision: held?.instance.revision ?? 0,
    };
    this.#checkHolder(lease, held);
    return lease;
  }

  /** The verdict of an outside detector: kept with the instance until the same detector reports healthy. `expected` as for `register`. */
  async reportHealth(ref: InstanceRef, detector: string, report: HealthReport, expected?: number): Promise<void> {
    const clean = this.#clean(report);
    await this.#update(ref, (record, entry) => {
      checkExpected(ref, entry.modRevision, expected);
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

  /** What the instance's data plane would report, which is gone: counts until it registers again. `expected` as for `register`. */
  async reportGone(ref: InstanceRef, reason: string, expected?: number): Promise<void> {
    const own = this.#clean({ health: 'unhealthy', reason });
    await this.#update(ref, (record, entry) => {
      checkExpected(ref, entry.modRevision, expected);
      // It was on its way out, and nobody calls it.
      return record.own.health === 'draining' || sameReport(record.own, own) ? undefined : { ...record, own };
    });
  }

  /** False when there was no such instance. `expected` as for `register`. */
  async deregister(ref: InstanceRef, expected?: number): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const entry = await this.#entryOf(ref);
      checkExpected(ref, entry?.modRevision ?? 0, expected);
      if (entry === undefined) return false;
      const { key, modRevision, lease } = entry;
      const result = await this.#transact([{ key, modRevision }], [{ kind: 'delete', key }]);
      if (!result.succeeded) continue;
      // The lease of what is kept is that of all which were kept with it.
      if (lease !== undefined && key === instanceStoreKey(ref)) await this.#dropLease(lease).catch(() => {});
      this.#logger.info({ instance: instanceName(ref) }, 'instance deregistered');
      return true;
    }
    throw contended(ref);
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#keeper.close();
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
    lease: { readonly id: string; readonly ttlMs: number },
    expected: number | undefined,
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
      checkExpected(registration, old?.modRevision ?? 0, expected);
      const outside = this.#outsideOf(old ?? (await this.#keptEntryOf(registration)));
      const value = JSON.stringify({ registration, own, outside, leaseTtlMs: lease.ttlMs } satisfies InstanceRecord);
      const conditions = [
        { key, modRevision: old?.modRevision ?? 0 },
        { key: service, modRevision: declared.modRevision },
      ];
      const result = await this.#transact(conditions, [
        { kind: 'put', key, value, lease: lease.id },
        { kind: 'delete', key: keptStoreKey(registration) },
      ]);
      if (result.succeeded) return { old, revision: result.revision };
    }
    throw contended(registration);
  }

  /** Outside verdicts stay when an instance registers again: only their detector takes them back. */
  #outsideOf(entry: StoreEntry | undefined): InstanceRecord['outside'] {
    if (entry === undefined) return {};
    try {
      return readInstanceRecord(entry.value, this.#limits).record.outside;
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
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const entry = lease === undefined ? await this.#entryOf(ref) : await this.#call(() => this.#store.get(instanceStoreKey(ref)), lease);
      if (entry === undefined) throw lease === undefined ? notFound(ref) : expired(lease);
      const { key } = entry;
      const next = change(readInstanceRecord(entry.value, this.#limits, this.#view.held(ref)).record, entry);
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

  /** Of a live instance, else of one that is kept. */
  async #entryOf(ref: InstanceRef): Promise<StoreEntry | undefined> {
    return (await this.#call(() => this.#store.get(instanceStoreKey(ref)))) ?? (await this.#keptEntryOf(ref));
  }

  async #keptEntryOf(ref: InstanceRef): Promise<StoreEntry | undefined> {
    if (this.#view.held(ref)?.isKept !== true) return undefined;
    await this.#keeper.whenWritten();
    return await this.#call(() => this.#store.get(keptStoreKey(ref)));
  }

  #checkHolder(lease: Lease, held: HeldInstance | undefined): void {
    if (held === undefined || held.isKept) throw expired(lease);
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

  async #transactAll(operations: readonly StoreOperation[]): Promise<void> {
    for (let from = 0; from < operations.length; from += TRANSACTION_LIMITS.operations)
      await this.#transact([], operations.slice(from, from + TRANSACTION_LIMITS.operations));
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
    for (const event of events) if (event.kind === 'put' && event.entry.key === HISTORIES_KEY) this.#learnHistories(event.entry.value);
    this.#view.take(events);
    // In the same change, so that nobody sees them gone.
    const kept = [...this.#expired].flatMap(([service, gone]) => this.#keeper.expired(service, gone, this.#liveOf(service)));
    this.#expired.clear();
    for (const held of kept) this.#view.keep(held, revision);
    this.#publish(this.#view.commit(revision));
    this.#keeper.persist(kept);
  }

  #note(ref: InstanceRef, before: HeldInstance | undefined, after: HeldInstance | undefined, hasExpired: boolean): void {
    if (!hasExpired || before === undefined) {
      if (after?.isKept !== true) this.#keeper.settled(ref);
      return;
    }
    this.#logger.warn(
      { instance: instanceName(ref) },
      before.isKept ? 'instance is no longer kept' : 'no heartbeat came for the time of the lease: instance removed',
    );
    const key = serviceKey(ref.service);
    if (before.isKept || this.#view.service(key) === undefined) return;
    this.#expired.set(key, [...(this.#expired.get(key) ?? []), before]);
  }

  #liveOf(service: string): number {
    let live = 0;
    for (const { isKept, instance } of this.#view.heldOf(service)) if (!isKept && instance.health !== 'draining') live += 1;
    return live;
  }

  #onWatchError(error: StoreError): void {
    if (this.#closed || error.code === 'CLOSED') return;
    this.#logger.warn({ error: error.message }, 'the watch of the store ended; reading everything anew');
    this.#follow().catch((cause: unknown) =>
      this.#logger.error({ error: (cause as Error).message }, 'the store cannot be read; the view stays as it is'),
    );
  }

  #publish(change: RegistryChange): void {
    this.#log.note(change.services, change.revision, (key) => this.#view.service(key) !== undefined);
    for (const waiting of [...this.#waiting]) {
      if (waiting.revision > change.revision) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
    if (change.services.size === 0 && change.nodes.size === 0 && !change.egress && !change.security && change.telemetry === undefined)
      return;
    for (const listener of [...this.#listeners]) listener(change);
  }
}

function sameReport(a: HealthReport, b: HealthReport): boolean {
  return a.health === b.health && a.reason === b.reason;
}
