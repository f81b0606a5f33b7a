// Traces and access logs in Envoy's words: its own OpenTelemetry tracer, which follows W3C Trace Context as ours does, and its file and standard output
// loggers. Secrets for a collector Envoy cannot read by itself, and nobody sends them: then it traces nothing.
import { type AccessLogPolicy, DEFAULT_LIMITS, type Listener, type StatusRange, type TracingPolicy } from '@heddle/core';
import { type AccessLog, type AccessLogFilter, ComparisonFilter_Op } from '../../../gen/foreign/envoy/config/accesslog/v3/accesslog.ts';
import { type Cluster, Cluster_DiscoveryType, Cluster_DnsLookupFamily } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import type { SubstitutionFormatString } from '../../../gen/foreign/envoy/config/core/v3/substitution_format_string.ts';
import { OpenTelemetryConfig } from '../../../gen/foreign/envoy/config/trace/v3/opentelemetry.ts';
import { FileAccessLog } from '../../../gen/foreign/envoy/extensions/access_loggers/file/v3/file.ts';
import { StdoutAccessLog } from '../../../gen/foreign/envoy/extensions/access_loggers/stream/v3/stream.ts';
import type { HttpConnectionManager } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { ReqWithoutQuery } from '../../../gen/foreign/envoy/extensions/formatter/req_without_query/v3/req_without_query.ts';
import { UuidRequestIdConfig } from '../../../gen/foreign/envoy/extensions/request_id/uuid/v3/uuid.ts';
import { FractionalPercent_DenominatorType } from '../../../gen/foreign/envoy/type/v3/percent.ts';
import { encodeHost } from '../cluster.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';
import { serverTransport } from './envoy-tokens.ts';

export interface EnvoyTelemetry {
  readonly manager: Pick<HttpConnectionManager, 'tracing' | 'accessLog' | 'requestIdExtension'>;
  readonly clusters: readonly Cluster[];
}

const CONNECT_TIMEOUT_MS = 5_000;
/** All that mean that Envoy did not get an answer from upstream, but for clients that went (DC). */
const ERROR_FLAGS = [
  'LH',
  'UH',
  'UT',
  'LR',
  'UR',
  'UF',
  'UC',
  'UO',
  'NR',
  'FI',
  'RL',
  'UAEX',
  'URX',
  'SI',
  'IH',
  'DPE',
  'UMSDR',
  'DT',
  'UPE',
  'NC',
  'OM',
];
const STDOUT = 'stdout';

/** What is left out of `listener`'s telemetry since Envoy cannot follow it, in words; undefined: nothing. */
export function untoldTelemetry({ filter }: Listener): string | undefined {
  if (filter.kind !== 'http' || filter.tracing === undefined || !hasSecrets(filter.tracing)) return undefined;
  return 'Envoy cannot read the secret that the collector wants: it traces nothing; let it send to a collector on its machine that adds the secret';
}

export function envoyTelemetry({ name, filter, direction, workload }: Listener): EnvoyTelemetry {
  if (filter.kind !== 'http') return { manager: {}, clusters: [] };
  const { tracing, accessLog } = filter;
  const isTraced = tracing !== undefined && !hasSecrets(tracing);
  const cluster = isTraced ? collectorCluster(tracing, name) : undefined;
  const service = workload?.split('/')[1] ?? 'heddle';
  return {
    manager: {
      ...(isTraced &&
        cluster !== undefined && {
          tracing: tracingOf(tracing, cluster.name ?? '', service),
          // By itself it decides by request ids, and traces nothing where these are no UUIDs, as ours are not.
          requestIdExtension: { typedConfig: pack(UuidRequestIdConfig, { packTraceReason: false, useRequestIdForTraceSampling: false }) },
        }),
      ...(accessLog !== undefined && { accessLog: [logOf(accessLog, direction, workload)] }),
    },
    clusters: cluster === undefined ? [] : [cluster],
  };
}

function hasSecrets({ collector }: TracingPolicy): boolean {
  return collector.headers.some(({ from }) => from !== 'value');
}

function tracingOf(
  { collector, samplePercent, attributes }: TracingPolicy,
  cluster: string,
  serviceName: string,
): HttpConnectionManager['tracing'] {
  const config: OpenTelemetryConfig = {
    httpService: {
      httpUri: { uri: collector.url, httpUpstreamType: { $case: 'cluster', value: cluster }, timeout: encodeDuration(collector.timeoutMs) },
      requestHeadersToAdd: collector.headers.map(({ name: key, text: value }) => ({ header: { key, value } })),
    },
    serviceName,
  };
  return {
    // A client of ours forces nothing: `x-client-trace-id` and the like mean nothing here.
    clientSampling: { value: 0 },
    randomSampling: { value: samplePercent },
    overallSampling: { value: 100 },
    customTags: Object.entries(attributes).map(([tag, value]) => ({ tag, type: { $case: 'literal', value: { value } } })),
    provider: { name: 'envoy.tracers.opentelemetry', configType: { $case: 'typedConfig', value: pack(OpenTelemetryConfig, config) } },
  };
}

/** One for each listener, as those by which Envoy fetches keys. */
function collectorCluster({ collector }: TracingPolicy, listener: string): Cluster {
  const { protocol, hostname, port } = new URL(collector.url);
  const isSecure = protocol === 'https:';
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const name = `${listener}/traces`;
  return {
    name,
    clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.LOGICAL_DNS },
    dnsLookupFamily: Cluster_DnsLookupFamily.ALL,
    connectTimeout: encodeDuration(CONNECT_TIMEOUT_MS),
    loadAssignment: encodeHost(name, host, port === '' ? (isSecure ? 443 : 80) : Number(port)),
    perConnectionBufferLimitBytes: DEFAULT_LIMITS.connectionBufferBytesMax,
    ...(isSecure && { transportSocket: serverTransport(host, undefined) }),
  };
}

function logOf(log: AccessLogPolicy, direction: Listener['direction'], workload: string | undefined): AccessLog {
  const logFormat = log.format === 'json' ? jsonFormat(log, direction, workload) : textFormat(log, direction, workload);
  const format = { accessLogFormat: { $case: 'logFormat' as const, value: logFormat } };
  const isStdout = log.to === STDOUT;
  const filter = filterOf(log);
  return {
    name: isStdout ? 'envoy.access_loggers.stdout' : 'envoy.access_loggers.file',
    ...(filter && { filter }),
    configType: {
      $case: 'typedConfig',
      value: isStdout ? pack(StdoutAccessLog, format) : pack(FileAccessLog, { path: log.to, ...format }),
    },
  };
}

/** Our own logs choose by the same. Undefined: all. */
function filterOf({ statuses = [], slowerThanMs, errors, samplePercent, restPercent }: AccessLogPolicy): AccessLogFilter | undefined {
  const conditions = [
    ...statuses.map(statusFilter),
    ...(slowerThanMs === undefined ? [] : [longer(slowerThanMs)]),
    ...(errors === true ? [flagged()] : []),
  ];
  const met = conditions.length === 0 ? undefined : anyOf(conditions);
  const drawn = samplePercent >= 100 ? undefined : share('sample', samplePercent);
  const chosen = met !== undefined && drawn !== undefined ? allOf([met, drawn]) : (met ?? drawn);
  return chosen === undefined || restPercent === 0 ? chosen : anyOf([chosen, share('rest', restPercent)]);
}

function statusFilter({ from, to }: StatusRange): AccessLogFilter {
  const compare = (op: ComparisonFilter_Op, value: number): AccessLogFilter => ({
    filterSpecifier: { $case: 'statusCodeFilter', value: { comparison: { op, value: runtime(value, 'status') } } },
  });
  return allOf([compare(ComparisonFilter_Op.GE, from), compare(ComparisonFilter_Op.LE, to)]);
}

function longer(ms: number): AccessLogFilter {
  return {
    filterSpecifier: { $case: 'durationFilter', value: { comparison: { op: ComparisonFilter_Op.GE, value: runtime(ms + 1, 'duration') } } },
  };
}

function flagged(): AccessLogFilter {
  return { filterSpecifier: { $case: 'responseFlagFilter', value: { flags: [...ERROR_FLAGS] } } };
}

function share(name: string, percent: number): AccessLogFilter {
  const percentSampled = { numerator: Math.round(percent * 10_000), denominator: FractionalPercent_DenominatorType.MILLION };
  return {
    filterSpecifier: {
      $case: 'runtimeFilter',
      value: { runtimeKey: `heddle.access_log.${name}`, percentSampled, useIndependentRandomness: true },
    },
  };
}

function anyOf(filters: AccessLogFilter[]): AccessLogFilter {
  return filters.length === 1 ? filters[0]! : { filterSpecifier: { $case: 'orFilter', value: { filters } } };
}

function allOf(filters: AccessLogFilter[]): AccessLogFilter {
  return { filterSpecifier: { $case: 'andFilter', value: { filters } } };
}

function runtime(defaultValue: number, name: string): { defaultValue: number; runtimeKey: string } {
  return { defaultValue, runtimeKey: `heddle.access_log.${name}` };
}

const TIME = '%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%';
const PATH = '%REQ_WITHOUT_QUERY(:PATH)%';

function formatters(): NonNullable<SubstitutionFormatString['formatters']> {
  return [{ name: 'envoy.formatter.req_without_query', typedConfig: pack(ReqWithoutQuery, {}) }];
}

function ends(direction: Listener['direction'], workload = ''): { readonly source: string; readonly destination: string } {
  const own = workload.split('/').slice(0, 2).join('/');
  return direction === 'inbound'
    ? { source: '%DOWNSTREAM_PEER_URI_SAN%', destination: own }
    : { source: own === '' ? 'unknown' : own, destination: '%UPSTREAM_CLUSTER%' };
}

/** As our own lines. */
function jsonFormat(
  { headers }: AccessLogPolicy,
  direction: Listener['direction'],
  workload: string | undefined,
): SubstitutionFormatString {
  const fields = {
    time: TIME,
    node: '%HOSTNAME%',
    direction,
    ...ends(direction, workload),
    route: '%ROUTE_NAME%',
    protocol: '%PROTOCOL%',
    method: '%REQ(:METHOD)%',
    authority: '%REQ(:AUTHORITY)%',
    path: PATH,
    status: '%RESPONSE_CODE%',
    grpcStatus: '%GRPC_STATUS_NUMBER%',
    error: '%RESP(X-HEDDLE-ERROR)%',
    flags: '%RESPONSE_FLAGS%',
    durationMs: '%DURATION%',
    requestBytes: '%BYTES_RECEIVED%',
    responseBytes: '%BYTES_SENT%',
    tries: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
    instance: '%UPSTREAM_HOST%',
    peer: '%DOWNSTREAM_PEER_URI_SAN%',
    address: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
    traceId: '%TRACE_ID%',
    ...(headers.length > 0 && { headers: Object.fromEntries(headers.map((name) => [name, `%REQ(${name})%`])) }),
  };
  return { format: { $case: 'jsonFormat', value: fields }, omitEmptyValues: true, formatters: formatters() };
}

function textFormat(
  { headers }: AccessLogPolicy,
  direction: Listener['direction'],
  workload: string | undefined,
): SubstitutionFormatString {
  const { source, destination } = ends(direction, workload);
  const besides = [
    'error=%RESP(X-HEDDLE-ERROR)%',
    'instance=%UPSTREAM_HOST%',
    'trace=%TRACE_ID%',
    ...headers.map((name) => `${name}=%REQ(${name})%`),
  ];
  const inlineString = `${TIME} ${direction} ${source} -> ${destination} %REQ(:METHOD)% %REQ(:AUTHORITY)% ${PATH} %RESPONSE_CODE% %DURATION%ms %BYTES_RECEIVED%B/%BYTES_SENT%B ${besides.join(' ')}\n`;
  return {
    format: { $case: 'textFormatSource', value: { specifier: { $case: 'inlineString', value: inlineString } } },
    omitEmptyValues: true,
    formatters: formatters(),
  };
}
