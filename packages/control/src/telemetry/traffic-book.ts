// What all data planes report, taken together: each speaks for whom it hosts, and what both sides of a call have seen counts once. The calling
// side counts; what comes from callers without a data plane of ours is counted at the called side, or by their own reports (LRS).
import {
  type CountedTraffic,
  EGRESS_NAMESPACE,
  type InstanceCounts,
  isErrorCode,
  type LoadCounts,
  NO_DURATIONS,
  serviceKey,
  SYSTEM_NAMESPACE,
  type TrafficCounts,
  type TrafficReport,
  TrafficStore,
  type TrafficStoreOptions,
} from '@heddle/core';
import { authorityOf } from '../compiler/egress-resources.ts';
import type { Registry } from '../registry/registry.ts';
import type { Caller } from '../server/caller.ts';

/** Callers that have proven nothing, or are of no service of the mesh. */
export const OUTSIDE = 'outside';
/** What data planes call those. */
export const UNKNOWN = 'unknown';
/** Who calls without saying so: people on the machine of `heddle up`. */
export const OPERATOR = `${SYSTEM_NAMESPACE}/operator`;
/** In place of the codes of errors where only their number is reported. */
const SOME_ERROR = 'FAILED';
/** Codes that a data plane has made up, or that are of a later version: the store has room for 127 names, and never forgets one. */
const OTHER_ERROR = 'OTHER';
/** The application's own. */
const ANSWERED_ERROR = '5xx';
/** After this without a report a source is counted at the called side again. */
const EXPIRY_STEPS = 7;
/** A data plane of ours that is only held up is waited for longer: what it has counted comes yet, and must not count twice. */
const COVERED_MS_MIN = 60_000;

/** What a data plane may say. */
export interface Speaker {
  /** `<namespace>/<service>` of its identity. */
  readonly own: string;
  /** Of the operator: it hosts workloads of many services. */
  readonly isOperator: boolean;
  /** Services that it speaks for as callers, and when it last did. */
  readonly sources: Map<string, number>;
}

export interface TrafficBookOptions extends Partial<TrafficStoreOptions> {
  readonly registry: Pick<Registry, 'service' | 'instance' | 'egress' | 'revision'>;
}

export class TrafficBook {
  readonly store: TrafficStore;
  readonly #registry: TrafficBookOptions['registry'];
  readonly #speakers = new Set<Speaker>();
  /** How many speakers speak for a source. */
  readonly #covered = new Map<string, number>();
  /** When somebody last reported about an edge by LRS. */
  readonly #lrs = new Map<string, number>();
  #egress: { readonly revision: number; readonly names: ReadonlySet<string> } | undefined;

  constructor(nowMs: number, { registry, ...options }: TrafficBookOptions) {
    this.#registry = registry;
    this.store = new TrafficStore(nowMs, options);
  }

  join(own: string, isOperator: boolean): Speaker {
    const speaker = { own, isOperator, sources: new Map<string, number>() };
    this.#speakers.add(speaker);
    return speaker;
  }

  leave(speaker: Speaker): void {
    this.#speakers.delete(speaker);
    for (const source of speaker.sources.keys()) this.#uncover(speaker, source);
  }

  /** The speaker reports as a caller for this source, as far as it may. To be said with each report. */
  hosts(speaker: Speaker, source: string, nowMs: number): void {
    if (!speaker.isOperator && source !== speaker.own) return;
    if (!speaker.sources.has(source)) this.#covered.set(source, (this.#covered.get(source) ?? 0) + 1);
    speaker.sources.set(source, nowMs);
  }

  /** Whether a data plane of ours tells what this source calls. */
  isCovered(source: string): boolean {
    return this.#covered.has(source);
  }

  /** All of them. */
  covered(): Iterable<string> {
    return this.#covered.keys();
  }

  report(
    speaker: Speaker,
    { traffic, instances, intervalMs }: Pick<TrafficReport, 'traffic' | 'instances' | 'intervalMs'>,
    nowMs: number,
  ): void {
    const fromMs = nowMs - intervalMs;
    for (const counts of traffic) {
      const source = this.#sourceOf(speaker, counts);
      if (source === undefined || !this.isDestination(counts.destination)) continue;
      if (counts.side === 'outbound') this.hosts(speaker, source, nowMs);
      this.#take(source, counts, fromMs, nowMs);
    }
    for (const counts of instances) this.#takeInstance(counts, fromMs, nowMs);
  }

  /** What a data plane of somebody else reports: counts alone. */
  reportLoad(source: string, destination: string, { issued, failed }: LoadCounts, intervalMs: number, nowMs: number): void {
    if (issued + failed === 0 || this.#covered.has(source)) return;
    this.#lrs.set(edgeKey(source, destination), nowMs);
    const counted = { requests: issued, errors: [[SOME_ERROR, failed] as const], durations: NO_DURATIONS, bytes: 0, retries: 0 };
    this.store.add('edge', destination, source, counted, nowMs - intervalMs, nowMs);
  }

  /** Closes steps. To be called about once a step. */
  advance(nowMs: number): void {
    this.store.advance(nowMs);
    const oldestMs = nowMs - EXPIRY_STEPS * this.store.options.stepMs;
    for (const [key, reportedMs] of this.#lrs) if (reportedMs < oldestMs) this.#lrs.delete(key);
    // A service may have gone elsewhere, to a data plane of somebody else.
    const coveredMs = Math.min(oldestMs, nowMs - COVERED_MS_MIN);
    for (const speaker of this.#speakers)
      for (const [source, saidMs] of speaker.sources) if (saidMs < coveredMs) this.#uncover(speaker, source);
  }

  /** A service of the mesh, or a host outside that it may call. */
  isDestination(destination: string): boolean {
    return this.#registry.service(destination) !== undefined || this.egressNames().has(destination);
  }

  egressNames(): ReadonlySet<string> {
    const { revision, egress } = this.#registry;
    if (this.#egress?.revision !== revision)
      this.#egress = { revision, names: new Set(egress.map((host) => `${EGRESS_NAMESPACE}/${authorityOf(host)}`)) };
    return this.#egress.names;
  }

  #uncover(speaker: Speaker, source: string): void {
    speaker.sources.delete(source);
    const left = (this.#covered.get(source) ?? 1) - 1;
    if (left === 0) this.#covered.delete(source);
    else this.#covered.set(source, left);
  }

  /** Undefined: the speaker may not say it, or it is counted elsewhere. */
  #sourceOf({ own, isOperator }: Speaker, { side, source, destination }: TrafficCounts): string | undefined {
    if (side === 'outbound') {
      if (!isOperator) return own;
      return source === OPERATOR || this.#registry.service(source) !== undefined ? source : own;
    }
    if (!isOperator && destination !== own) return undefined;
    const caller = source === OPERATOR || this.#registry.service(source) !== undefined ? source : OUTSIDE;
    return this.#covered.has(caller) ? undefined : caller;
  }

  #take(source: string, counts: TrafficCounts, fromMs: number, toMs: number): void {
    const { destination, route, protocol, requests, errors, durations, requestBytes, responseBytes, retries } = counts;
    const counted: CountedTraffic = {
      requests,
      errors: Object.entries(errors).map(knownError),
      durations,
      bytes: requestBytes + responseBytes,
      retries,
    };
    // Their own reports have counted them already; how long they took these do not say.
    const isReported = counts.side === 'inbound' && this.#lrs.has(edgeKey(source, destination));
    const edge = isReported ? { ...counted, requests: 0, errors: [] } : counted;
    const series = this.store.add('edge', destination, source, edge, fromMs, toMs);
    if (requests > 0 || series.protocol === '') series.protocol = protocol;
    this.store.add('route', destination, route, counted, fromMs, toMs).protocol = protocol;
  }

  #takeInstance({ destination, instance, requests, failures, durations }: InstanceCounts, fromMs: number, toMs: number): void {
    const [namespace = '', name = ''] = destination.split('/');
    if (this.#registry.instance({ service: { namespace, name }, id: instance }) === undefined || !this.isDestination(destination)) return;
    const counted = { requests, errors: [[SOME_ERROR, failures] as const], durations, bytes: 0, retries: 0 };
    this.store.add('instance', destination, instance, counted, fromMs, toMs);
  }
}

function knownError([code, count]: [string, number]): readonly [string, number] {
  return [code === ANSWERED_ERROR || isErrorCode(code) ? code : OTHER_ERROR, count];
}

function edgeKey(source: string, destination: string): string {
  return `${source} ${destination}`;
}

/** `<namespace>/<service>` for which a data plane speaks by its identity. */
export function ownServiceOf(caller: Caller): string {
  return caller.kind === 'anonymous' || caller.id === undefined ? OPERATOR : serviceKey(caller.id);
}
