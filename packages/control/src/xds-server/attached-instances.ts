// Instances behind data planes that cannot register by themselves: Envoy, gRPC servers. What `node.metadata.heddle.instance` of their ADS
// stream says is registered for them and held while the stream lives; then the lease runs out. Only a workload of the very service may say so.
import { DEFAULT_NAMESPACE } from '@heddle/core';
import type { KindSync, SessionResource } from '@heddle/api';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { inboundName } from '../compiler/names.ts';
import { requireOwn } from '../discovery-server/own.ts';
import { RegistryError } from '../registry/errors.ts';
import { instanceName } from '../registry/keys.ts';
import { REGISTRY_LIMITS, leaseTtlMs } from '../registry/limits.ts';
import { Reader } from '../registry/reader.ts';
import { readRegistration } from '../registry/records.ts';
import type { HealthReport, Registration } from '../registry/records.ts';
import type { Lease } from '../registry/lease.ts';
import type { Registry } from '../registry/registry.ts';
import type { Caller } from '../server/caller.ts';
import type { NodeInfo } from './node-info.ts';

export interface AttachedInstancesOptions {
  readonly registry: Pick<Registry, 'register' | 'heartbeat' | 'instance'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: that of the registry. */
  readonly leaseTtlMs?: number;
}

/** What the session of a stream tells about how far its data plane is. */
export interface AttachedSession {
  sync(): readonly KindSync[];
  resources(): Iterable<Pick<SessionResource, 'kind' | 'name' | 'state' | 'refusal'>>;
}

/** One stream of the data plane. A program may have several: of each of its channels, and an old one that is not known to be gone. */
export interface AttachedStream {
  /** The data plane has asked or answered something. Throws RegistryError when its instance cannot be registered. */
  progressed(session: AttachedSession): void;
  close(): void;
}

/** Heartbeats in one lease: two may be lost. */
const HEARTBEATS_PER_LEASE = 3;
const FIELDS = 'node.metadata.heddle.instance';
const KNOWN = ['id', 'inbound', 'application', 'version', 'labels', 'metadata', 'ports', 'locality', 'weight'];

export class AttachedInstances {
  readonly #options: AttachedInstancesOptions;
  /** By data plane and identity. */
  readonly #attached = new Map<string, AttachedInstance>();

  constructor(options: AttachedInstancesOptions) {
    this.#options = options;
  }

  /**
   * Undefined: the data plane brings no instance. Throws CallError PERMISSION_DENIED and RegistryError INVALID; what the registry says later
   * comes by `progressed`.
   */
  attach(node: NodeInfo, caller: Caller): AttachedStream | undefined {
    if (node.instance === undefined || node.instance === null) return undefined;
    const { registration, awaitsChecks } = readAttached(node);
    requireOwn(caller, registration.service, 'attach');
    const key = keyOf(node.id, caller);
    const form = JSON.stringify(node.instance);
    let attached = this.#attached.get(key);
    if (attached?.form !== form) {
      attached?.replace();
      attached = new AttachedInstance(form, registration, awaitsChecks, this.#options);
      this.#attached.set(key, attached);
    }
    const instance = attached;
    return instance.open(() => {
      if (this.#attached.get(key) === instance) this.#attached.delete(key);
    });
  }

  /** The one that the data plane has attached. */
  of(node: string, caller: Caller): AttachedInstance | undefined {
    return this.#attached.get(keyOf(node, caller));
  }
}

function keyOf(node: string, caller: Caller): string {
  return JSON.stringify([node, caller.kind === 'anonymous' ? '' : caller.uri]);
}

/** How far the listener is by which the instance is reached. */
type Listening = { readonly kind: 'waiting' } | { readonly kind: 'applied' } | { readonly kind: 'refused'; readonly reason: string };

export class AttachedInstance {
  /** As the data plane wrote it. */
  readonly form: string;
  readonly registration: Registration;
  readonly #awaitsChecks: boolean;
  readonly #options: AttachedInstancesOptions;
  readonly #ttlMs: number;
  readonly #streams = new Set<AttachedStream>();
  #listening: Listening = { kind: 'waiting' };
  /** The stream that has said how far the listener is. */
  #speaker: AttachedStream | undefined;
  #check: HealthReport | undefined;
  /** What held before the data plane connected anew: it counts until the data plane has said more, and no longer than a lease. */
  #before: { readonly report: HealthReport; readonly untilMs: number } | undefined;
  #lease: Lease | undefined;
  /** Another data plane says that it has this instance: as long as it does, it is believed. */
  #isSuperseded = false;
  /** Why the instance is not in the registry, if it cannot be. */
  #refusal: RegistryError | undefined;
  /** What the registry knows. */
  #told = '';
  #isBusy = false;
  #isOver = false;
  #timer: Timer | undefined;

  /** @internal */
  constructor(form: string, registration: Registration, awaitsChecks: boolean, options: AttachedInstancesOptions) {
    this.form = form;
    this.registration = registration;
    this.#awaitsChecks = awaitsChecks;
    this.#options = options;
    this.#ttlMs = leaseTtlMs(options.leaseTtlMs ?? 0);
    const known = options.registry.instance(registration);
    if (known?.node === registration.node && known.health === 'healthy')
      this.#before = { report: { health: 'healthy', reason: known.healthReason }, untilMs: options.clock.nowMs() + this.#ttlMs };
  }

  /** @internal `emptied`: called when the last stream is gone. */
  open(emptied: () => void): AttachedStream {
    let seen = '';
    const stream: AttachedStream = {
      progressed: (session) => {
        if (this.#refusal !== undefined) throw this.#refusal;
        const listeners = session.sync().find(({ kind }) => kind === 'listener');
        const now = listeners === undefined ? '' : howFar(listeners);
        if (now === seen) return;
        seen = now;
        this.#look(stream, session);
      },
      close: () => {
        if (!this.#streams.delete(stream)) return;
        if (this.#speaker === stream) this.#listening = { kind: 'waiting' };
        if (this.#streams.size > 0) return this.#changed();
        // The lease runs out by itself: a data plane that is back by then has lost nothing.
        this.replace();
        emptied();
      },
    };
    this.#streams.add(stream);
    this.#changed();
    return stream;
  }

  /** What its data plane's checks of the application say. */
  checked(report: HealthReport): void {
    this.#check = report;
    this.#changed();
  }

  /** @internal Another form of it has come, or nobody is left. */
  replace(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #look(stream: AttachedStream, session: AttachedSession): void {
    const name = inboundName(this.registration);
    for (const { kind, name: other, state, refusal } of session.resources()) {
      if (kind !== 'listener' || other !== name) continue;
      this.#speaker = stream;
      if (state === 'refused') this.#listening = { kind: 'refused', reason: refusal?.reason ?? '' };
      else if (state === 'acknowledged') this.#listening = { kind: 'applied' };
      break;
    }
    this.#changed();
  }

  #health(): HealthReport {
    const listening = this.#listening;
    if (listening.kind === 'refused')
      return { health: 'unhealthy', reason: `its data plane refused the listener: ${listening.reason || 'it does not say why'}` };
    const isSettled = listening.kind === 'applied' && (this.#check !== undefined || !this.#awaitsChecks);
    if (isSettled) return this.#check ?? { health: 'healthy', reason: 'its data plane has taken its listener' };
    if (this.#before !== undefined && this.#options.clock.nowMs() < this.#before.untilMs) return this.#before.report;
    if (listening.kind === 'waiting') return { health: 'starting', reason: 'its data plane has not taken its listener yet' };
    return { health: 'starting', reason: 'its data plane has not checked the application yet' };
  }

  #changed(): void {
    if (this.#lease === undefined || JSON.stringify(this.#health()) !== this.#told) this.#pump();
  }

  /** One call of the registry at a time, and the next one when something has changed or a heartbeat is due. */
  #pump(): void {
    if (this.#isBusy || this.#isOver) return;
    this.#isBusy = true;
    this.#timer?.cancel();
    void this.#tell().then((isTold) => {
      this.#isBusy = false;
      if (this.#isOver) return;
      if (isTold && JSON.stringify(this.#health()) !== this.#told) return this.#pump();
      this.#timer = this.#options.clock.after(this.#ttlMs / HEARTBEATS_PER_LEASE, () => this.#pump());
    });
  }

  /** False: it did not work this time. Never rejects. */
  async #tell(): Promise<boolean> {
    const { registry, logger } = this.#options;
    if (this.#isSuperseded && registry.instance(this.registration) !== undefined) return false;
    const health = this.#health();
    try {
      if (this.#lease === undefined) this.#lease = await registry.register(this.registration, this.#ttlMs, health);
      else await registry.heartbeat(this.#lease, health);
      this.#told = JSON.stringify(health);
      this.#isSuperseded = false;
      this.#refusal = undefined;
      return true;
    } catch (error) {
      this.#lease = undefined;
      this.#told = '';
      if (error instanceof RegistryError && error.code === 'EXPIRED') return true;
      const fields = { instance: instanceName(this.registration), node: this.registration.node, error: (error as Error).message };
      if (error instanceof RegistryError && error.code === 'SUPERSEDED') {
        this.#isSuperseded = true;
        logger.error(fields, 'another data plane has registered the same instance: give each a name of its own');
        return false;
      }
      const isRefused = error instanceof RegistryError && error.code !== 'UNAVAILABLE';
      // Service and room may come: it is tried again while the stream lives, which ends when the data plane speaks next.
      if (isRefused) this.#refusal = error;
      logger.warn(fields, 'the attached instance could not be registered; trying again');
      return false;
    }
  }
}

function howFar({ ackedMs, ackedVersion, rejection, heldHash, givenHash }: KindSync): string {
  return `${ackedMs} ${ackedVersion} ${heldHash} ${givenHash} ${rejection}`;
}

/** The registration as others make it, from the short form in the metadata. Throws RegistryError INVALID that names the field. */
function readAttached({ id: node, instance }: NodeInfo): { registration: Registration; awaitsChecks: boolean } {
  const reader = new Reader(instance, FIELDS);
  const value = instance as Readonly<Record<string, unknown>>;
  const { service, namespace = DEFAULT_NAMESPACE, outbounds = [], healthDiscovery, ...rest } = value;
  const unknown = Object.keys(rest).find((key) => !KNOWN.includes(key));
  if (unknown !== undefined) throw reader.fail(unknown, `is not known; there are service, namespace, outbounds, ${KNOWN.join(', ')}`);
  if (!Array.isArray(outbounds)) throw reader.fail('outbounds', 'must be a list');
  const input = {
    version: '',
    labels: {},
    weight: 1,
    ...rest,
    service: { name: service, namespace },
    node,
    outbounds: outbounds.map((outbound: unknown, index) => {
      new Reader(outbound, `${FIELDS}.outbounds[${index}]`);
      const { service: name, namespace: of = namespace, address, port } = outbound as Readonly<Record<string, unknown>>;
      return { service: { name, namespace: of }, listen: { address, port } };
    }),
  };
  try {
    return { registration: readRegistration(input, REGISTRY_LIMITS), awaitsChecks: healthDiscovery === true };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    throw new RegistryError(error.code, error.message.replace(/^instance\b/, FIELDS), error);
  }
}
