// Looks at the traffic of every service once in each window, and notes as an event what is not as usual: with the part of the traffic that
// it comes from, and what changed shortly before.
import {
  type AnomalyOptions,
  likelyPart,
  type LikelyPart,
  type PartKind,
  ServiceBaseline,
  type Shift,
  shiftMessage,
  TrafficSum,
  type TrafficPart,
  type TrafficSeries,
} from '@heddle/core';
import type { EventLog, LoggedEvent } from '../events/log.ts';
import type { EventKind } from '../events/sink.ts';
import type { Registry } from '../registry/registry.ts';
import type { TrafficBook } from './traffic-book.ts';

export interface AnomalySettings extends AnomalyOptions {
  /** Small steps in a window. */
  readonly windowSteps: number;
}

const WINDOW_STEPS = 6;
/** Parts are compared with so many windows of before. */
const COMPARED_WINDOWS = 20;
/** What changed so long before a shift may be its cause. */
const CHANGE_WINDOWS = 10;

/** What may be the cause of something. */
const CHANGES: ReadonlySet<EventKind> = new Set<EventKind>([
  ...(['service-declared', 'service-changed', 'service-removed', 'egress-changed', 'security-changed', 'route-refused'] as const),
  ...(['instance-registered', 'instance-deregistered', 'instance-expired', 'instance-health', 'mass-expiry'] as const),
  ...(['data-plane-disconnected', 'data-plane-rejected', 'identity-denied', 'root-rotation', 'anomaly'] as const),
]);

export interface AnomalyWatchOptions {
  readonly book: TrafficBook;
  readonly registry: Pick<Registry, 'service'>;
  readonly events: Pick<EventLog, 'list' | 'record'>;
  readonly settings?: Partial<AnomalySettings>;
  readonly clock: { nowMs(): number; wallMs(): number };
}

interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export class AnomalyWatch {
  readonly #options: AnomalyWatchOptions;
  readonly #windowMs: number;
  readonly #baselines = new Map<string, ServiceBaseline>();
  #judgedMs: number;

  constructor(options: AnomalyWatchOptions) {
    this.#options = options;
    const { store } = options.book;
    this.#windowMs = store.options.stepMs * (options.settings?.windowSteps ?? WINDOW_STEPS);
    this.#judgedMs = store.startMs;
  }

  /** To be called once in a step. Judges every window that is over since, one after the other. */
  look(): void {
    const { book, clock } = this.#options;
    const settledMs = book.store.settledMs(clock.nowMs());
    for (; this.#judgedMs + this.#windowMs <= settledMs; this.#judgedMs += this.#windowMs)
      this.#judge({ fromMs: this.#judgedMs, toMs: this.#judgedMs + this.#windowMs });
  }

  #judge(window: Window): void {
    const { book, registry, settings } = this.#options;
    const sums = new Map<string, TrafficSum>();
    for (const series of book.store.list('edge')) {
      let sum = sums.get(series.destination);
      if (sum === undefined) sums.set(series.destination, (sum = new TrafficSum()));
      book.store.sum(series, window.fromMs, window.toMs, sum);
    }
    for (const destination of this.#baselines.keys())
      if (!sums.has(destination) || registry.service(destination) === undefined) this.#baselines.delete(destination);
    for (const [destination, sum] of sums) {
      if (registry.service(destination) === undefined) continue;
      let baseline = this.#baselines.get(destination);
      if (baseline === undefined) this.#baselines.set(destination, (baseline = new ServiceBaseline(settings)));
      const facts = { requests: sum.requests, failures: sum.errorCount, p50Ms: sum.quantileMs(0.5), p99Ms: sum.quantileMs(0.99) };
      for (const shift of baseline.judge(facts)) this.#note(destination, shift, window);
    }
  }

  #note(service: string, shift: Shift, { toMs }: Window): void {
    const { events, clock } = this.#options;
    const beganMs = toMs - shift.windows * this.#windowMs;
    const sinceMs = Math.floor(clock.wallMs() - (clock.nowMs() - beganMs));
    const hasBegun = shift.state === 'began';
    const part = hasBegun ? this.#part(service, shift, { fromMs: beganMs, toMs }) : undefined;
    const change = hasBegun ? this.#change(service, sinceMs, part) : undefined;
    const told = change === undefined ? undefined : { timeMs: change.timeMs, what: `${change.subject} ${change.kind}: ${change.message}` };
    events.record('anomaly', service, shiftMessage(shift, { windowMs: this.#windowMs, sinceMs, part, change: told }));
  }

  #part(service: string, { signal }: Shift, now: Window): LikelyPart | undefined {
    const { book, registry } = this.#options;
    const before = { fromMs: Math.max(book.store.startMs, now.fromMs - COMPARED_WINDOWS * this.#windowMs), toMs: now.fromMs };
    const partOf = (series: TrafficSeries): TrafficPart => ({
      name: series.part,
      before: book.store.sum(series, before.fromMs, before.toMs),
      now: book.store.sum(series, now.fromMs, now.toMs),
    });
    const parts = (kind: 'edge' | 'route' | 'instance'): TrafficPart[] =>
      Array.from(book.store.list(kind))
        .filter(({ destination }) => destination === service)
        .map(partOf)
        .filter((part) => part.now.requests + part.before.requests > 0);
    const instances = parts('instance');
    const known = new Map(registry.service(service)?.instances.map((instance) => [instance.id, instance]));
    const dimensions: Partial<Record<PartKind, readonly TrafficPart[]>> = {
      instance: instances,
      version: grouped(instances, (id) => known.get(id)?.version),
      zone: grouped(instances, (id) => known.get(id)?.locality?.zone),
      route: parts('route'),
      caller: parts('edge'),
    };
    const beforeToNow = (now.toMs - now.fromMs) / Math.max(1, before.toMs - before.fromMs);
    return likelyPart(signal, dimensions, beforeToNow);
  }

  /** The event that is nearest to the matter, and of several the latest. */
  #change(service: string, sinceMs: number, part: LikelyPart | undefined): LoggedEvent | undefined {
    const callees = new Set<string>();
    for (const { part: source, destination } of this.#options.book.store.list('edge')) if (source === service) callees.add(destination);
    let best: { readonly event: LoggedEvent; readonly nearness: number } | undefined;
    for (const event of this.#options.events.list()) {
      const isThen = event.timeMs >= sinceMs - CHANGE_WINDOWS * this.#windowMs && event.timeMs <= sinceMs + this.#windowMs;
      if (!isThen || !CHANGES.has(event.kind)) continue;
      const nearness = nearnessOf(event, service, callees, part);
      if (nearness > 0 && nearness >= (best?.nearness ?? 0)) best = { event, nearness };
    }
    return best?.event;
  }
}

function nearnessOf({ kind, subject }: LoggedEvent, service: string, callees: ReadonlySet<string>, part: LikelyPart | undefined): number {
  const [namespace = '', name = '', instance] = subject.split('/');
  const about = `${namespace}/${name}`;
  if (about === service) {
    if (kind === 'anomaly') return 0;
    return part?.kind === 'instance' && instance === part.name ? 4 : 3;
  }
  if (part?.kind === 'caller' && about === part.name) return 3;
  if (callees.has(about)) return 2;
  return ['security-changed', 'root-rotation', 'mass-expiry', 'egress-changed'].includes(kind) ? 1 : 0;
}

function grouped(parts: readonly TrafficPart[], nameOf: (instance: string) => string | undefined): TrafficPart[] {
  const groups = new Map<string, TrafficPart>();
  for (const part of parts) {
    const name = nameOf(part.name);
    if (name === undefined || name === '') continue;
    let group = groups.get(name);
    if (group === undefined) groups.set(name, (group = { name, before: new TrafficSum(), now: new TrafficSum() }));
    group.before.addSum(part.before);
    group.now.addSum(part.now);
  }
  return [...groups.values()];
}
