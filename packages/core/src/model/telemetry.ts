// What is told of requests besides metrics: spans of traces to a collector, and lines of an access log. Plain data, of one listener.

/** Spans of all requests that a listener takes. */
export interface TracingPolicy {
  readonly collector: TraceCollector;
  /** 0 to 100: of requests that come without a trace. Where one comes along, its sender has decided. */
  readonly samplePercent: number;
  /** On every span. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Takes OTLP over HTTP, as protobuf. */
export interface TraceCollector {
  /** Where spans are posted, for example `http://127.0.0.1:4318/v1/traces`. No credentials in it. */
  readonly url: string;
  readonly headers: readonly CollectorHeader[];
  /** Of one batch, with its answer. */
  readonly timeoutMs: number;
  /** Batches are compressed. */
  readonly gzip?: true;
}

/**
 * `value`: as it stands here, no secret. `env`: that of a variable in the environment of the data plane; `file`: the one line of a file on its machine, by
 * absolute path. Secrets do not travel: each data plane reads them for each batch.
 */
export interface CollectorHeader {
  /** In lower case. */
  readonly name: string;
  readonly from: 'value' | 'env' | 'file';
  readonly text: string;
}

/** A line for each request that it chooses: those that meet one of the conditions, or all where there is none, by `samplePercent`; and of all others `restPercent`. */
export interface AccessLogPolicy {
  readonly format: 'json' | 'text';
  /** `stdout`, or the absolute path of a file. */
  readonly to: string;
  /** 0 to 100. */
  readonly samplePercent: number;
  /** 0 to 100. Only with a condition. */
  readonly restPercent: number;
  /** Absent: none is asked for. */
  readonly statuses?: readonly StatusRange[];
  /** Only above 0. Absent: it is not asked how long they took. */
  readonly slowerThanMs?: number;
  /** Those that a data plane ended with an error of its own, whatever the status. */
  readonly errors?: true;
  /** Names in lower case of headers of the request. */
  readonly headers: readonly string[];
}

/** Both ends belong to it. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

/** Names that a file of lines may have: a data plane writes to no other, whoever tells it to. */
export const LOG_FILE_PATTERN = /^\/(?:[^\u0000/]+\/)*[^\u0000/]+\.(?:log|jsonl)$/;

/** Of a whole mesh. */
export interface TelemetryConfig {
  readonly tracing?: TracingPolicy;
  readonly accessLog?: AccessLogPolicy;
  /** Address of a Prometheus server that has the metrics of the mesh, for what the control plane shows of the past. */
  readonly prometheus?: string;
}

export const NO_TELEMETRY: TelemetryConfig = {};

/** Which requests a log is about. */
export type AccessLogChoice = Pick<AccessLogPolicy, 'samplePercent' | 'restPercent' | 'statuses' | 'slowerThanMs' | 'errors'>;

/** What is different for the requests that the instances of one service get and make. */
export interface ServiceTelemetry {
  /** In place of that of the mesh. */
  readonly samplePercent?: number;
  /** In place of that of the mesh, as a whole. */
  readonly accessLog?: AccessLogChoice;
}

/** Variables whose values may go to a collector: with OTLP or OTEL in their names, so that configuration cannot send other secrets of a machine away. */
export const COLLECTOR_VARIABLE = /^(?:[A-Z0-9_]+_)?(?:OTLP|OTEL)(?:_[A-Z0-9_]+)?$/;
