// Metrics of what a data plane needs to go on: configuration, identity, access, tokens, its process.
import { metricsOf } from './definition.ts';

const { counter, gauge } = metricsOf('proxy', 'application');
const proxy = metricsOf('proxy');
const application = metricsOf('application');
const anyProcess = metricsOf('proxy', 'application', 'control plane');
const anyServer = metricsOf('proxy', 'control plane');

export const CONFIGURATION_METRICS = {
  connected: gauge('heddle_control_connected', '1 while the xDS stream to the control plane is up.'),
  rejections: counter('heddle_xds_rejections_total', 'Configuration updates that could not be applied; the last good one stayed.'),
  age: gauge(
    'heddle_config_age_seconds',
    'Time since the control plane last proved that the applied configuration is what it says; -1 before the first time.',
  ),
  distrust: counter(
    'heddle_config_distrust_total',
    'Times that failing connections to endpoints called healthy made this data plane ask for them anew, or compare everything.',
    'action',
  ),
  restarts: counter(
    'heddle_control_stream_restarts_total',
    'Streams to the control plane that were made anew, by stream and reason.',
    'stream',
    'reason',
  ),
} as const;

export const IDENTITY_METRICS = {
  expiry: gauge(
    'heddle_identity_expiry_timestamp_seconds',
    'Unix time at which the certificate of a workload ends; 0 without one.',
    'workload',
  ),
  left: gauge(
    'heddle_identity_seconds_left',
    'Until the certificate of a workload ends; negative when it has ended, 0 without one.',
    'workload',
  ),
  overdue: gauge('heddle_identity_overdue', '1 while the renewal of a certificate is overdue or has been missed.', 'workload'),
} as const;

export const ACCESS_METRICS = {
  decisions: counter(
    'heddle_access_decisions_total',
    'Access decisions, by what decided.',
    'direction',
    'destination',
    'decision',
    'by',
    'rule',
  ),
  linesLeftOut: counter('heddle_access_log_suppressed_total', 'Access decisions that were counted and not logged, as there were too many.'),
} as const;

export const EXPORT_METRICS = {
  accessLogLines: counter('heddle_access_log_lines_total', 'Lines of the access log that were written.'),
  accessLogDropped: counter(
    'heddle_access_log_dropped_total',
    'Lines of the access log that were lost: full, too many waited; failed, they could not be written.',
    'reason',
  ),
  spansExported: counter('heddle_spans_exported_total', 'Spans that a collector has taken.'),
  spansDropped: counter(
    'heddle_spans_dropped_total',
    'Spans that were lost: full, too many waited; refused, the collector did not want them; unreachable, it was away for too long.',
    'reason',
  ),
} as const;

export const TOKEN_METRICS = {
  checks: counter(
    'heddle_token_checks_total',
    'Tokens that came with requests. known: valid, and checked before. The issuer is empty where the token is of none.',
    'issuer',
    'result',
  ),
  issuerFailures: counter('heddle_issuer_failures_total', 'Questions for the keys of an issuer that were not answered well.', 'issuer'),
  issuerUnreachable: gauge(
    'heddle_issuer_unreachable',
    'Above 0: the keys of the issuer could not be had the last time that they were asked for; the ones of before are used, or none.',
    'issuer',
  ),
  outbound: counter('heddle_outbound_tokens_total', 'Questions for tokens that go out with calls, by how they ended.', 'token', 'result'),
  outboundRefusals: counter(
    'heddle_outbound_token_refusals_total',
    'Calls with the token that the called side answered with 401, or UNAUTHENTICATED of gRPC.',
    'token',
  ),
  outboundMissing: gauge(
    'heddle_outbound_token_missing',
    'Above 0: the token for calls could not be had the last time that it was asked for; the one of before is used to its end, or none.',
    'token',
  ),
} as const;

export const PROCESS_METRICS = {
  startTime: anyProcess.highest('heddle_process_start_time_seconds', 'Unix time at which the process began; the latest of several.'),
  cpu: anyProcess.counter('heddle_process_cpu_seconds_total', 'Processor time used, of user and system.'),
  memory: anyProcess.gauge('heddle_process_resident_memory_bytes', 'Memory in use as the system counts it.'),
  heap: anyProcess.gauge('heddle_process_heap_bytes', 'Memory in use by objects of JavaScript.'),
  loopDelay: anyProcess.highest(
    'heddle_process_event_loop_delay_seconds',
    'Mean time that something which came in the last second waited for the event loop; the highest of several processes.',
  ),
  loopDelayMax: anyProcess.highest(
    'heddle_process_event_loop_delay_max_seconds',
    'Longest time in the last 15 s for which the event loop was held up; the highest of several processes.',
  ),
  loopUtilization: anyProcess.highest(
    'heddle_process_event_loop_utilization',
    'Share of the time in which the event loop was busy; the highest of several processes.',
  ),
  inFlight: application.gauge(
    'heddle_process_requests_in_flight',
    'Requests from the mesh that the application of this process has not answered.',
  ),
  gcPauses: application.histogram(
    'heddle_process_gc_pause_seconds',
    'Times for which the garbage collector stopped this process.',
    // From what nobody feels to what every caller does.
    { all: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1] },
    'kind',
  ),
  faults: counter('heddle_internal_faults_total', 'Faults of the data plane itself.', 'where'),
  workers: proxy.gauge('heddle_workers', 'Worker processes that serve.'),
  workerRestarts: proxy.counter('heddle_worker_restarts_total', 'Worker processes that were started in place of one that ended.'),
  folded: anyProcess.counter(
    'heddle_metrics_folded_total',
    'Series that were not made because their metric has as many as it may have: what they would count is in series with `other`.',
    'metric',
  ),
} as const;

export const DNS_METRICS = {
  queries: anyServer.counter('heddle_dns_queries_total', 'Queries that were answered, by type and response code.', 'type', 'rcode'),
  forwarded: anyServer.counter(
    'heddle_dns_forwarded_total',
    'Questions that were sent to other resolvers, by whether any of these answered.',
    'result',
  ),
  rateLimited: anyServer.counter(
    'heddle_dns_rate_limited_total',
    'Queries of clients that ask too often, by what they got: a cut answer, or none.',
    'action',
  ),
  ignored: anyServer.counter('heddle_dns_ignored_total', 'Messages that are no query: too short for one, or a response.', 'reason'),
  cacheHits: anyServer.counter('heddle_dns_cache_hits_total', 'Forwarded queries that were answered from the cache.'),
  cacheMisses: anyServer.counter('heddle_dns_cache_misses_total', 'Forwarded queries that were not in the cache.'),
  cacheEntries: anyServer.gauge('heddle_dns_cache_entries', 'Answers of other resolvers that are kept.'),
  loops: anyServer.counter('heddle_dns_loops_total', 'Questions that were forwarded and came back to this server.'),
  connections: anyServer.gauge('heddle_dns_connections', 'Open TCP connections to the DNS server.'),
} as const;
