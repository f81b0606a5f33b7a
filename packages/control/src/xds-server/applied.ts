// What each data plane has applied, as people and other programs see it: in `ListProxies`, and as events.
import { kindOfTypeUrl, stateHash } from '@heddle/api';
import type { KindSync, SessionResource, admin } from '@heddle/api';
import type { DataPlaneFlavour, SocketAddress } from '@heddle/core';
import type { EventKind, EventSink } from '../events/sink.ts';

/** A data plane on one stream. */
export interface ConnectedProxy {
  readonly node: string;
  /** By which right it is connected: a SPIFFE id, or the operator's token. */
  readonly identity: string;
  readonly flavour: DataPlaneFlavour;
  /** What it says it is: `heddle 1.2.3`, `envoy 1.30.0`. */
  readonly userAgent: string;
  /** The service and the variant it uses: `ADS delta`. */
  readonly service: string;
  readonly connectedMs: number;
  /** Where its admin API is, as it says; absent: it has none that could be reached from the machine of the control plane. */
  readonly admin?: SocketAddress | undefined;
  readonly sync: readonly KindSync[];
  resources(): Iterable<SessionResource>;
}

/** What a data plane itself says that it has. */
export interface ReportedState {
  readonly hash: string;
  /** Unix time. */
  readonly ms: number;
}

export function proxyToMessage(proxy: ConnectedProxy, reported: ReportedState | undefined): admin.ProxyMessage {
  const { node, identity, flavour, userAgent, service, connectedMs, sync } = proxy;
  return {
    node,
    identity,
    connectedMs,
    sync: sync.map((state) => ({ ...state })),
    flavour,
    userAgent,
    service,
    heldHash: stateHash(sync.map(({ kind, heldHash }) => ({ kind, hash: heldHash }))),
    givenHash: stateHash(sync.map(({ kind, givenHash }) => ({ kind, hash: givenHash }))),
    reportedHash: reported?.hash ?? '',
    reportedMs: reported?.ms ?? 0,
  };
}

/** A data plane that refuses the same thing for the same reason over and over is told of once in this time. */
const SAME_REASON_MS = 600_000;
/** And of one that finds new reasons all the time, no more often than this for each type. */
const NEW_REASON_MS = 1_000;
/** Types with a refusal of their own: the five that there are, and what a client makes up counts as one. */
const UNKNOWN_TYPE = 'resources of an unknown type';
const REASON_CHARS_MAX = 500;

/**
 * Events of all data planes at once, and again for each second: a mesh that connects anew after a restart of the control plane, or one client
 * that does nothing else, must not push everything else out of the log.
 */
const EVENTS_AT_ONCE = 200;
const EVENTS_PER_SECOND = 1;

export class DataPlaneEvents {
  readonly #sink: EventSink;
  #budget = EVENTS_AT_ONCE;
  #atMs = 0;
  #missed = 0;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  record(kind: EventKind, node: string, message: string, nowMs: number): void {
    this.#budget = Math.min(EVENTS_AT_ONCE, this.#budget + (Math.max(0, nowMs - this.#atMs) / 1_000) * EVENTS_PER_SECOND);
    this.#atMs = nowMs;
    if (this.#budget < 1) {
      this.#missed += 1;
      return;
    }
    this.#budget -= 1;
    const missed = this.#missed === 0 ? '' : ` (before it, ${this.#missed} events of data planes were too many to keep)`;
    this.#missed = 0;
    this.#sink.record(kind, node, oneLine(message) + missed);
  }
}

/** Tells of one stream. */
export class StreamEvents {
  readonly #events: DataPlaneEvents;
  readonly #refusals = new Map<string, { readonly reason: string; readonly ms: number }>();

  constructor(events: DataPlaneEvents) {
    this.#events = events;
  }

  connected(proxy: Omit<ConnectedProxy, 'sync' | 'resources' | 'connectedMs'>, nowMs: number): void {
    const { node, identity, flavour, userAgent, service } = proxy;
    this.#events.record('data-plane-connected', node, `${userAgent === '' ? flavour : userAgent}, as ${identity}, by ${service}`, nowMs);
  }

  disconnected(node: string, service: string, reason: string, nowMs: number): void {
    this.#events.record('data-plane-disconnected', node, reason === '' ? `its ${service} stream ended` : reason, nowMs);
  }

  rejected(node: string, typeUrl: string, reason: string, nowMs: number): void {
    const kind = kindOfTypeUrl(typeUrl) ?? UNKNOWN_TYPE;
    const known = this.#refusals.get(kind);
    if (known !== undefined && nowMs - known.ms < (known.reason === reason ? SAME_REASON_MS : NEW_REASON_MS)) return;
    this.#refusals.set(kind, { reason, ms: nowMs });
    this.#events.record('data-plane-rejected', node, `refused ${kind}: ${reason === '' ? 'without a reason' : reason}`, nowMs);
  }
}

/** Texts of peers: control characters would let one line look like several. */
function oneLine(text: string): string {
  const plain = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
  return plain.length > REASON_CHARS_MAX ? `${plain.slice(0, REASON_CHARS_MAX)}…` : plain;
}
