// Metrics of requests between one pair of services: handles are bound once per pair, so that a request costs three additions.
import type { ErrorCode, RetryVerdict } from '@heddle/core';
import type { Counter, Gauge, Histogram, Metrics } from '@heddle/runtime';

/** Seconds; from a local cache hit to the longest timeout that people set. */
const DURATION_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export interface RequestLabels {
  /** `mirror`: copies that nobody waits for. */
  readonly direction: 'inbound' | 'outbound' | 'mirror';
  /** `<namespace>/<service>` of the caller; `unknown` where it was not established. */
  readonly source: string;
  readonly destination: string;
}

export class RequestMetrics {
  private readonly metrics: Metrics;
  readonly labels: RequestLabels;
  private readonly byClass: Counter[];
  private readonly byError = new Map<string, Counter>();
  private readonly events = new Map<string, Counter>();
  private readonly duration: Histogram;
  /** Requests under way. */
  readonly active: Gauge;
  readonly requestBytes: Counter;
  readonly responseBytes: Counter;

  constructor(metrics: Metrics, labels: RequestLabels) {
    this.metrics = metrics;
    this.labels = labels;
    this.byClass = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) =>
      this.requests(digit >= 1 && digit <= 5 ? `${digit}xx` : 'other', '', digit >= 2 && digit <= 5),
    );
    const pair = { ...labels };
    this.duration = metrics.histogram(
      'heddle_request_duration_seconds',
      'Time from the request head to the end of the response.',
      DURATION_BOUNDS,
      pair,
    );
    this.active = metrics.gauge('heddle_requests_active', 'Requests under way.', pair);
    this.requestBytes = metrics.counter('heddle_request_bytes_total', 'Bytes of request bodies passed on.', pair);
    this.responseBytes = metrics.counter('heddle_response_bytes_total', 'Bytes of response bodies passed on.', pair);
  }

  /** `error`: the code this data plane answered with or ended the request for; empty when the application answered. */
  ended(status: number, error: ErrorCode | 'CLIENT_GONE' | '', elapsedMs: number): void {
    this.duration.observe(elapsedMs / 1000);
    if (error === '') {
      const digit = (status / 100) | 0;
      (this.byClass[digit] ?? this.byClass[0]!).add(1);
      return;
    }
    let counter = this.byError.get(`${status} ${error}`);
    if (counter === undefined) {
      counter = this.requests(status === 0 ? 'none' : `${(status / 100) | 0}xx`, error, true);
      this.byError.set(`${status} ${error}`, counter);
    }
    counter.add(1);
  }

  /** `reason`: the code of the error, or the status of the answer. */
  retried(reason: string): void {
    this.count('heddle_retries_total', 'Tries that were repeated, by the reason of the failed one.', 'reason', reason);
  }

  /** What was decided about a failed try. */
  decided(verdict: RetryVerdict): void {
    this.count('heddle_retry_decisions_total', 'Failed tries, by what was decided: retry, or why not.', 'verdict', verdict);
  }

  tryTimedOut(): void {
    this.count('heddle_try_timeouts_total', 'Tries that got no answer within the time of one try.');
  }

  /** A try was begun beside the one under way. */
  hedged(): void {
    this.count('heddle_hedges_total', 'Tries that were begun beside others that were slow.');
  }

  hedgeWon(): void {
    this.count('heddle_hedges_won_total', 'Hedges that were answered first.');
  }

  /** Of what happens seldom: the series is made when it does. */
  private count(name: string, help: string, label = '', value = ''): void {
    const key = `${name} ${value}`;
    let counter = this.events.get(key);
    if (counter === undefined) {
      counter = this.metrics.counter(name, help, label === '' ? { ...this.labels } : { ...this.labels, [label]: value });
      this.events.set(key, counter);
    }
    counter.add(1);
  }

  /** Series of status classes that hardly ever occur are made when they do. */
  private requests(responseClass: string, error: string, now: boolean): Counter {
    const make = () =>
      this.metrics.counter(
        'heddle_requests_total',
        'Requests that ended, by response class; `error` is empty when the application answered.',
        { ...this.labels, class: responseClass, error },
      );
    if (now) return make();
    let made: Counter | undefined;
    return { add: (amount) => (made ??= make()).add(amount) };
  }
}
