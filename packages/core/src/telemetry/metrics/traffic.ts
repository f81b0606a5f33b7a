// Metrics of what passes a data plane: requests, streams of bytes, connections, and the instances that are called.
import { DURATION_BOUNDS, SHOWN_DURATION_BOUNDS } from './bounds.ts';
import { metricsOf } from './definition.ts';

const { counter, gauge, histogram } = metricsOf('proxy', 'application');

/** Between whom, on which way. */
const PAIR = ['direction', 'source', 'destination', 'route', 'protocol'] as const;

const durations = { all: DURATION_BOUNDS, shown: SHOWN_DURATION_BOUNDS };

export const REQUEST_METRICS = {
  requests: counter(
    'heddle_requests_total',
    'Requests that ended, and with protocol tcp connections that ended; `error` is empty when the application answered.',
    ...PAIR,
    'class',
    'error',
  ),
  duration: histogram(
    'heddle_request_duration_seconds',
    'Time from the request head to the end of the response. Not of protocol tcp, whose connections last as long as people like.',
    durations,
    ...PAIR,
    'class',
  ),
  active: gauge('heddle_requests_active', 'Requests under way.', ...PAIR),
  requestBytes: counter('heddle_request_bytes_total', 'Bytes of request bodies, and of the way there of protocol tcp.', ...PAIR),
  responseBytes: counter('heddle_response_bytes_total', 'Bytes of response bodies, and of the way back of protocol tcp.', ...PAIR),
  retries: counter('heddle_retries_total', 'Tries that were repeated, by the reason of the failed one.', ...PAIR, 'reason'),
  retryDecisions: counter('heddle_retry_decisions_total', 'Failed tries, by what was decided: retry, or why not.', ...PAIR, 'verdict'),
  tryTimeouts: counter('heddle_try_timeouts_total', 'Tries that got no answer within the time of one try.', ...PAIR),
  hedges: counter('heddle_hedges_total', 'Tries that were begun beside others that were slow.', ...PAIR),
  hedgesWon: counter('heddle_hedges_won_total', 'Hedges that were answered first.', ...PAIR),
  allActive: gauge('heddle_active_requests', 'Requests and TCP streams under way, all together.'),
} as const;

export const INSTANCE_METRICS = {
  tries: counter(
    'heddle_upstream_requests_total',
    'Tries at one instance, by what came of them: `success`, `server-error`, `gateway-error` (502, 503, 504 and the like), `local-error` (no answer), `cancelled`.',
    'destination',
    'destination_instance',
    'result',
  ),
  duration: histogram(
    'heddle_upstream_request_duration_seconds',
    'Time until the head of the answer of one instance. Not of tries that were cancelled.',
    durations,
    'destination',
    'destination_instance',
  ),
} as const;

export const STREAM_METRICS = {
  open: gauge('heddle_tcp_streams', 'Open TCP streams.', 'listener'),
  total: counter('heddle_tcp_streams_total', 'TCP streams begun.', 'listener'),
  sentBytes: counter('heddle_tcp_sent_bytes_total', 'Bytes from the upstream passed to the downstream side.', 'listener'),
  receivedBytes: counter('heddle_tcp_received_bytes_total', 'Bytes from the downstream passed to the upstream side.', 'listener'),
  clusterOpen: gauge('heddle_upstream_streams', 'Open opaque streams to the cluster, by calling service.', 'cluster', 'source'),
  clusterTotal: counter('heddle_upstream_streams_total', 'Opaque streams to the cluster that were begun.', 'cluster', 'source'),
  clusterFailed: counter(
    'heddle_upstream_streams_failed_total',
    'Opaque streams for which no endpoint could be reached.',
    'cluster',
    'source',
  ),
} as const;

export const DOWNSTREAM_METRICS = {
  open: gauge('heddle_downstream_connections', 'Open downstream connections.', 'listener'),
  opened: counter('heddle_downstream_connections_total', 'Downstream connections accepted.', 'listener'),
  refused: counter(
    'heddle_downstream_connections_refused_total',
    'Downstream connections closed at once because a limit was reached.',
    'listener',
  ),
  brokenHttp2: counter(
    'heddle_http2_broken_connections_total',
    'HTTP/2 connections that were ended because the client broke a rule.',
    'listener',
    'rule',
  ),
  handshakes: counter('heddle_tls_handshakes_total', 'TLS handshakes with callers that ended well.', 'listener'),
  refusedHandshakes: counter(
    'heddle_tls_refused_handshakes_total',
    'TLS handshakes that ended without an accepted peer, by reason.',
    'listener',
    'reason',
  ),
  deniedClosed: counter(
    'heddle_denied_connections_closed_total',
    'Connections that were closed because the identity of their peer was denied.',
  ),
} as const;

export const UPSTREAM_METRICS = {
  open: gauge('heddle_upstream_connections', 'Open upstream connections.', 'cluster'),
  opened: counter('heddle_upstream_connections_total', 'Upstream connections made.', 'cluster'),
  pending: gauge('heddle_upstream_pending_requests', 'Requests waiting for an upstream connection.', 'cluster'),
  connectFailures: counter(
    'heddle_upstream_connect_failures_total',
    'Upstream connections that could not be made, by reason.',
    'cluster',
    'reason',
  ),
  handshakes: counter('heddle_upstream_tls_handshakes_total', 'TLS handshakes with instances that ended well.', 'cluster'),
  tlsFailures: counter(
    'heddle_upstream_tls_failures_total',
    'TLS handshakes with instances that ended without an accepted peer, by reason.',
    'cluster',
    'reason',
  ),
  endpoints: gauge('heddle_upstream_endpoints', 'Instances of the cluster as this data plane sees them, by health.', 'cluster', 'state'),
  ejections: counter('heddle_outlier_ejections_total', 'Instances that were left out on own evidence.', 'cluster', 'reason'),
  ejected: gauge('heddle_outliers', 'Instances that are left out at present on own evidence.', 'cluster'),
  breakerRefusals: counter(
    'heddle_breaker_refusals_total',
    'Requests and streams that were refused because a limit of the upstream was reached.',
    'cluster',
    'limit',
  ),
  breakerUse: gauge(
    'heddle_breaker_use_ratio',
    'How far the limit is used at present, 0 to 1. At 1 the next one is refused. Of limits that are set.',
    'cluster',
    'limit',
  ),
  retriesLeft: gauge('heddle_retry_budget_left', 'Retries that the budget of the cluster allows at present.', 'cluster'),
  concurrencyLimit: gauge(
    'heddle_concurrency_limit',
    'Requests that may be under way at present, where the limit finds itself.',
    'cluster',
  ),
  loadProbes: counter('heddle_load_probes_total', 'Questions to instances about their load, by what came of them.', 'cluster', 'result'),
} as const;
