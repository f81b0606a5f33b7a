// Metrics of requests between one pair of services by one route: handles are bound once, so that a request costs a few additions.
import { OTHER, REQUEST_METRICS } from '@heddle/core';
import type { CounterDefinition, ErrorCode, RetryVerdict } from '@heddle/core';
import type { Counter, Gauge, Histogram, Metrics } from '@heddle/runtime';

/** What the caller speaks. */
export type RequestProtocol = 'http1' | 'http2' | 'grpc' | 'tcp';

export interface PairLabels {
  /** `mirror`: copies that nobody waits for. */
  readonly direction: 'inbound' | 'outbound' | 'mirror';
  /** `<namespace>/<service>` of the caller; `unknown` where it was not established. */
  readonly source: string;
  readonly destination: string;
}

export interface RequestLabels extends PairLabels {
  /** Name of the rule. */
  readonly route: string;
  readonly protocol: RequestProtocol;
}

/** Of a request that no route was found for. */
export const NO_ROUTE = 'none';

/** `none`: there is no status. */
type ResponseClass = '1xx' | '2xx' | '3xx' | '4xx' | '5xx' | 'other' | 'none';

/** By the first digit of the status. */
const CLASSES: readonly ResponseClass[] = ['none', '1xx', '2xx', '3xx', '4xx', '5xx', 'other', 'other', 'other', 'other'];
/** Their counters begin with zero, so that the first request of them is a difference. */
const USUAL = new Set<ResponseClass>(['2xx', '4xx', '5xx']);
type RequestCounter = (typeof REQUEST_METRICS)['tryTimeouts' | 'hedges' | 'hedgesWon'];

/** Of one class of responses. */
class ResponseMetrics {
  readonly count: Counter;
  private histogram: Histogram | undefined;
  private readonly metrics: Metrics;
  private readonly labels: RequestLabels & { readonly class: ResponseClass };

  constructor(metrics: Metrics, labels: RequestLabels, responseClass: ResponseClass) {
    this.metrics = metrics;
    this.labels = { ...labels, class: responseClass };
    this.count = metrics.counter(REQUEST_METRICS.requests, { ...this.labels, error: '' });
  }

  took(seconds: number, traceId: string | undefined): void {
    this.histogram ??= this.metrics.histogram(REQUEST_METRICS.duration, this.labels);
    this.histogram.observe(seconds, traceId);
  }
}

export class RequestMetrics {
  private readonly metrics: Metrics;
  readonly labels: RequestLabels;
  private readonly byClass: (ResponseMetrics | undefined)[] = [];
  private readonly byError = new Map<string, Counter>();
  private readonly events = new Map<string, Counter>();
  /** Requests under way. */
  readonly active: Gauge;
  readonly requestBytes: Counter;
  readonly responseBytes: Counter;
  private readonly sibling: (protocol: RequestProtocol) => RequestMetrics;
  private grpcMetrics: RequestMetrics | undefined;

  /** @param sibling the same of another protocol. */
  constructor(metrics: Metrics, labels: RequestLabels, sibling: (protocol: RequestProtocol) => RequestMetrics) {
    const { direction, source, destination, route, protocol } = labels;
    this.metrics = metrics;
    this.labels = { direction, source, destination, route, protocol };
    this.sibling = sibling;
    if (protocol === 'tcp') this.responses(0);
    else for (const [digit, responseClass] of CLASSES.entries()) if (USUAL.has(responseClass)) this.responses(digit);
    this.active = metrics.gauge(REQUEST_METRICS.active, this.labels);
    this.requestBytes = metrics.counter(REQUEST_METRICS.requestBytes, this.labels);
    this.responseBytes = metrics.counter(REQUEST_METRICS.responseBytes, this.labels);
  }

  /** The same for a request of gRPC, which shows only in its head. */
  get grpc(): RequestMetrics {
    this.grpcMetrics ??= this.sibling('grpc');
    return this.grpcMetrics;
  }

  /**
   * @param status of HTTP; of gRPC the one that stands for its own; 0: there is none.
   * @param error the code this data plane answered with or ended the request for; empty when the application answered.
   * @param traceId of a trace that is recorded; undefined or empty: there is none.
   */
  ended(status: number, error: ErrorCode | 'CLIENT_GONE' | '', elapsedMs: number, traceId?: string): void {
    const responses = this.responses((status / 100) | 0);
    responses.took(elapsedMs / 1000, traceId);
    if (error === '') responses.count.add(1);
    else this.failed(status, error);
  }

  /** A stream of bytes has ended, of protocol `tcp`. @param error why it was never more than a wish; empty: it was. */
  streamEnded(error: ErrorCode | ''): void {
    if (error === '') this.responses(0).count.add(1);
    else this.failed(0, error);
  }

  /** `reason`: the code of the error, or the status of the answer. */
  retried(reason: string): void {
    this.eventOf(`retried ${reason}`, () => this.metrics.counter(REQUEST_METRICS.retries, { ...this.labels, reason })).add(1);
  }

  /** What was decided about a failed try. */
  decided(verdict: RetryVerdict): void {
    const make = () => this.metrics.counter(REQUEST_METRICS.retryDecisions, { ...this.labels, verdict });
    this.eventOf(`decided ${verdict}`, make).add(1);
  }

  tryTimedOut(): void {
    this.count(REQUEST_METRICS.tryTimeouts);
  }

  /** A try was begun beside the one under way. */
  hedged(): void {
    this.count(REQUEST_METRICS.hedges);
  }

  hedgeWon(): void {
    this.count(REQUEST_METRICS.hedgesWon);
  }

  private responses(digit: number): ResponseMetrics {
    return (this.byClass[digit] ??= new ResponseMetrics(this.metrics, this.labels, CLASSES[digit] ?? 'other'));
  }

  private failed(status: number, error: string): void {
    const responseClass = CLASSES[(status / 100) | 0] ?? 'other';
    const key = `${responseClass} ${error}`;
    let counter = this.byError.get(key);
    if (counter === undefined) {
      counter = this.metrics.counter(REQUEST_METRICS.requests, { ...this.labels, class: responseClass, error });
      this.byError.set(key, counter);
    }
    counter.add(1);
  }

  private count(definition: RequestCounter): void {
    this.eventOf(definition.name, () => this.metrics.counter(definition satisfies CounterDefinition<keyof RequestLabels>, this.labels)).add(
      1,
    );
  }

  /** Of what happens seldom: the series is made when it does. */
  private eventOf(key: string, make: () => Counter): Counter {
    let counter = this.events.get(key);
    if (counter === undefined) this.events.set(key, (counter = make()));
    return counter;
  }
}

/** The routes of one pair. */
export class PairMetrics {
  private readonly metrics: Metrics;
  private readonly labels: PairLabels;
  private readonly routesMax: number;
  private readonly byProtocol = new Map<RequestProtocol, Map<string, RequestMetrics>>();

  constructor(metrics: Metrics, labels: PairLabels, routesMax: number) {
    this.metrics = metrics;
    this.labels = labels;
    this.routesMax = routesMax;
  }

  of(route: string, protocol: RequestProtocol): RequestMetrics {
    let routes = this.byProtocol.get(protocol);
    if (routes === undefined) this.byProtocol.set(protocol, (routes = new Map()));
    let metrics = routes.get(route);
    if (metrics !== undefined) return metrics;
    if (routes.size >= this.routesMax && route !== OTHER) return this.of(OTHER, protocol);
    metrics = new RequestMetrics(this.metrics, { ...this.labels, route, protocol }, (other) => this.of(route, other));
    routes.set(route, metrics);
    return metrics;
  }
}

/** All who call one destination. Those beyond `sourcesMax` count together. */
export class CallerMetrics {
  private readonly metrics: Metrics;
  private readonly destination: string;
  private readonly sourcesMax: number;
  private readonly bySource = new Map<string, PairMetrics>();

  constructor(metrics: Metrics, destination: string, sourcesMax: number) {
    this.metrics = metrics;
    this.destination = destination;
    this.sourcesMax = sourcesMax;
  }

  from(source: string, direction: PairLabels['direction']): PairMetrics {
    const key = `${direction} ${source}`;
    let pair = this.bySource.get(key);
    if (pair !== undefined) return pair;
    if (this.bySource.size >= this.sourcesMax && source !== OTHER) return this.from(OTHER, direction);
    pair = new PairMetrics(this.metrics, { direction, source, destination: this.destination }, this.sourcesMax);
    this.bySource.set(key, pair);
    return pair;
  }
}
