// Asks an endpoint how loaded it is, for the balancer of one caller, over a connection that requests use as well. One question at a time for each
// pool, whose object is used for all of them. Endpoints that cannot be asked say so at once, and the balancer goes by what it measures itself.
import { UPSTREAM_METRICS } from '@heddle/core';
import type { BalancedHost, Balancer, LoadSignal } from '@heddle/core';
import type { Counter, Metrics } from '@heddle/runtime';
import type { LoadAnswer } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import type { Http2Upstream } from './http2-upstream.ts';

/** What comes later says little about now. Balancers ask no sooner again (PROBE_LOST_MS). */
const ANSWER_TIMEOUT_MS = 500;
/** Of one cluster, so that callers of few hosts know them all, and those of many do not hold connections to all of them for a question a minute. */
const PROBE_CONNECTIONS_MAX = 64;

/** Whom the answer is for. */
export type LoadAsker = Pick<Balancer<BalancedHost>, 'loadReported' | 'probeFailed'>;
type Outcome = 'answered' | 'unanswered' | 'unsupported';

/** What the questions of all callers of a cluster have in common. */
export class LoadProbes {
  /** Endpoints to which connections were opened for a question. */
  private connections = 0;
  private readonly metrics: Metrics;
  private readonly cluster: string;
  private readonly counters = new Map<Outcome, Counter>();

  constructor(metrics: Metrics, cluster: string) {
    this.metrics = metrics;
    this.cluster = cluster;
  }

  count(result: Outcome): void {
    let counter = this.counters.get(result);
    if (counter === undefined) {
      const labels = { cluster: this.cluster, result };
      counter = this.metrics.counter(UPSTREAM_METRICS.loadProbes, labels);
      this.counters.set(result, counter);
    }
    counter.add(1);
  }

  /** The endpoint is none that could be asked. */
  unsupported(host: BalancedHost, asker: LoadAsker, nowMs: number): void {
    this.count('unsupported');
    asker.probeFailed?.(host, 'unsupported', nowMs);
  }

  /** False: a question is no reason for one more. `connectionEnded` follows where it is. */
  admitConnection(): boolean {
    if (this.connections >= PROBE_CONNECTIONS_MAX) return false;
    this.connections += 1;
    return true;
  }

  connectionEnded(): void {
    this.connections -= 1;
  }
}

/** Where the connections are. */
export interface ProbedPool {
  /** Those that can be asked on, the oldest first. */
  readonly usable: readonly Http2Upstream[];
  /** There is none: one is being made from now on. `send` follows when it can be asked on. False: none may be made. */
  connectForProbe(): boolean;
}

export class LoadProbe extends Timed {
  private readonly context: Context;
  private readonly pool: ProbedPool;
  private readonly probes: LoadProbes;
  /** Of the latest question. */
  private number = 0;
  /** `late`: it was given up, but an answer that comes before the next question is good all the same. */
  private state: 'none' | 'unsent' | 'sent' | 'late' = 'none';
  private host!: BalancedHost;
  private asker!: LoadAsker;
  private answer: LoadSignal | undefined;
  private answeredMs = 0;

  constructor(context: Context, pool: ProbedPool, probes: LoadProbes) {
    super();
    this.context = context;
    this.pool = pool;
    this.probes = probes;
  }

  /** Each question ends with one call of the asker, perhaps at once. A question before it is forgotten. */
  ask(host: BalancedHost, asker: LoadAsker, nowMs: number): void {
    if (this.state === 'unsent' || this.state === 'sent') this.probes.count('unanswered');
    this.host = host;
    this.asker = asker;
    this.number = (this.number + 1) >>> 0;
    this.state = 'unsent';
    this.context.deadlines.set(this, nowMs + ANSWER_TIMEOUT_MS);
    this.send();
  }

  /** A connection may have become ready. */
  send(): void {
    if (this.state !== 'unsent') return;
    for (const upstream of this.pool.usable) {
      // Whether it answers such questions is not known yet.
      if (!upstream.hasSettings) return;
      if (!upstream.codec.peerSettings.answersLoad) return this.fail('unsupported', this.context.clock.nowMs());
      if (upstream.askLoad(this.number)) {
        this.state = 'sent';
        return;
      }
    }
    if (!this.pool.connectForProbe()) this.fail('unanswered', this.context.clock.nowMs());
  }

  answered({ number, inFlight, latencyMicros }: LoadAnswer): void {
    const { state, context } = this;
    if (number !== this.number || (state !== 'sent' && state !== 'late')) return;
    const nowMs = context.clock.nowMs();
    this.state = 'none';
    // It stays on the wheel: the next question is soon.
    this.deadlineMs = Infinity;
    this.answer = { inFlight, latencyMs: latencyMicros / 1_000 };
    this.answeredMs = nowMs;
    if (state === 'sent') this.probes.count('answered');
    this.asker.loadReported?.(this.host, this.answer, nowMs);
  }

  override onDeadline(nowMs: number): void {
    const wasSent = this.state === 'sent';
    this.fail('unanswered', nowMs);
    if (wasSent) this.state = 'late';
  }

  /** The newest answer, whatever its age. */
  describe(nowMs: number): object | undefined {
    return this.answer && { ...this.answer, ageMs: Math.round(nowMs - this.answeredMs) };
  }

  private fail(why: 'unanswered' | 'unsupported', nowMs: number): void {
    this.state = 'none';
    this.deadlineMs = Infinity;
    this.probes.count(why);
    this.asker.probeFailed?.(this.host, why, nowMs);
  }
}
