// Everything that the control plane knows of traffic, put together: what data planes tell, what is kept of it, what is asked of them.
import type { Server } from '@grpc/grpc-js';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import type { EventLog } from '../events/log.ts';
import type { Registry } from '../registry/registry.ts';
import type { Graph, SeriesPoints, ServiceTraffic } from '../rest/schema/traffic.ts';
import type { TrafficSource } from '../rest/sources.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { loadTable } from '../xds-server/lrs.ts';
import { type AnomalySettings, AnomalyWatch } from './anomaly-watch.ts';
import { type DecisionFilter, DecisionLog, type DecisionPage } from './decision-log.ts';
import { pointsFromPrometheus } from './prometheus.ts';
import { type ExplainReply, type ExplainWish, Questions } from './questions.ts';
import { TelemetryServer } from './server.ts';
import { type OpenTap, TapDesk, type TapWish } from './tap-desk.ts';
import { TrafficBook } from './traffic-book.ts';
import { type InstanceTraffic, type SeriesQuestion, TrafficViews } from './traffic-views.ts';

export interface TelemetryDeskOptions {
  readonly registry: Registry;
  readonly streams: OpenStreams;
  readonly events: EventLog;
  readonly anomalies?: Partial<AnomalySettings> | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often data planes are to report; also the width of a small step. */
  readonly intervalMs: number;
}

export class TelemetryDesk implements TrafficSource {
  readonly book: TrafficBook;
  readonly loads;
  readonly server: TelemetryServer;
  readonly #options: TelemetryDeskOptions;
  readonly #views: TrafficViews;
  readonly #decisions = new DecisionLog();
  readonly #questions: Questions;
  readonly #taps: TapDesk;
  readonly #anomalies: AnomalyWatch;
  readonly #listeners = new Set<() => void>();
  #timer: Timer;

  constructor(options: TelemetryDeskOptions) {
    const { registry, clock, intervalMs } = options;
    this.#options = options;
    this.book = new TrafficBook(clock.nowMs(), { registry, stepMs: intervalMs });
    this.loads = loadTable(intervalMs);
    this.server = new TelemetryServer({ ...options, book: this.book, loads: this.loads });
    this.#views = new TrafficViews({ registry, book: this.book, clock });
    const { events, anomalies } = options;
    this.#anomalies = new AnomalyWatch({ registry, book: this.book, events, clock, ...(anomalies && { settings: anomalies }) });
    this.#questions = new Questions({ registry, server: this.server, clock });
    this.#taps = new TapDesk({ registry, server: this.server, book: this.book, clock });
    this.server.listen({
      onDecisions: ({ node }, decisions, lost) => this.#decisions.add(node, decisions, lost, Math.floor(clock.wallMs())),
    });
    this.#timer = this.#plan();
  }

  addTo(server: Server): void {
    this.server.addTo(server);
  }

  graph(windowMs: number, namespace?: string): Graph {
    return this.#views.graph(windowMs, namespace);
  }

  service(key: string, windowMs: number): ServiceTraffic | undefined {
    return this.#views.service(key, windowMs);
  }

  instances(windowMs: number): InstanceTraffic[] {
    return this.#views.instances(windowMs);
  }

  async series(question: SeriesQuestion, rangeMs: number): Promise<SeriesPoints> {
    const { registry, clock, logger } = this.#options;
    const points = this.#views.series(question, rangeMs);
    const { prometheus } = registry.telemetry;
    // What is all in memory is newer and finer there.
    if (prometheus === undefined || Date.parse(points.since) <= Date.parse(points.start)) return points;
    const asked = { ...question, startMs: Date.parse(points.start), stepMs: points.stepMs, count: points.points.p50Ms.length };
    try {
      return { ...points, from: 'prometheus', points: await pointsFromPrometheus(prometheus, asked, clock) };
    } catch (error) {
      const reason = (error as Error).message;
      logger.warn({ reason }, 'history could not be read from Prometheus');
      return { ...points, note: `Prometheus was asked in vain, so this is what the control plane itself remembers: ${reason}` };
    }
  }

  decisions(filter: DecisionFilter, limit: number): DecisionPage {
    return this.#decisions.list(filter, limit);
  }

  explain(wish: ExplainWish): Promise<ExplainReply> {
    return this.#questions.ask(wish);
  }

  tap(wish: TapWish, poke: () => void): OpenTap {
    return this.#taps.open(wish, poke);
  }

  onTraffic(listener: () => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  close(): void {
    this.#timer.cancel();
    this.#questions.close();
    this.#taps.close();
    this.#listeners.clear();
  }

  #plan(): Timer {
    const { clock, intervalMs } = this.#options;
    return clock.after(intervalMs, () => {
      this.book.advance(clock.nowMs());
      this.#anomalies.look();
      for (const listener of [...this.#listeners]) listener();
      this.#timer = this.#plan();
    });
  }
}
