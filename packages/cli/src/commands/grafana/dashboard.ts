// What the dashboard shows: the mesh at a glance, then one service (or several) as its callers see it, then what carries it. Counts of
// requests are those of the callers' side, which knows of those that never arrived, too.
import {
  CONFIGURATION_METRICS,
  CONTROL_METRICS,
  DOWNSTREAM_METRICS,
  IDENTITY_METRICS,
  INSTANCE_METRICS,
  PROCESS_METRICS,
} from '@heddle/core';
import { REQUEST_METRICS, UPSTREAM_METRICS } from '@heddle/core';
import { layOut, type Panel, type Section } from './layout.ts';

const RANGE = '$__rate_interval';
/** HTTP of all services. */
const ALL = 'direction="outbound",protocol!="tcp"';
const SERVICE = 'direction="outbound",destination=~"$service"';
/** Nobody answered, or the server failed. Who went away by itself is no failure. */
const FAILED = 'class=~"5xx|none",error!="CLIENT_GONE"';
const CLUSTER = 'cluster=~"outbound/($service)(\\\\{.*)?"';
const DAY = 86_400;

const { requests, duration, requestBytes, responseBytes, retries, active } = REQUEST_METRICS;

export function meshDashboard(): object {
  return {
    uid: 'heddle-mesh',
    title: 'Heddle mesh',
    tags: ['heddle', 'service mesh'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '10s',
    time: { from: 'now-30m', to: 'now' },
    timezone: 'browser',
    annotations: { list: [] },
    templating: { list: variables() },
    panels: layOut(SECTIONS),
  };
}

function variables(): object[] {
  const query = `label_values(${requests.name}{destination=~".+/.+"}, destination)`;
  return [
    { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus', hide: 0 },
    {
      name: 'service',
      type: 'query',
      label: 'Service',
      datasource: { type: 'prometheus', uid: '${datasource}' },
      query: { query, refId: 'services' },
      refresh: 2,
      sort: 1,
      multi: true,
      includeAll: true,
      allValue: '.+/.+',
      current: { text: 'All', value: '$__all' },
    },
  ];
}

function rate(name: string, labels: string, by = ''): string {
  return `sum${by === '' ? '' : ` by (${by}) `}(rate(${name}{${labels}}[${RANGE}]))`;
}

function quantile(share: number, name: string, labels: string, by = ''): string {
  return `histogram_quantile(${share}, sum by (le${by === '' ? '' : `, ${by}`}) (rate(${name}_bucket{${labels}}[${RANGE}])))`;
}

/** As a share of all; 0 where there are requests and no failure. */
function failures(labels: string, by = ''): string {
  const all = rate(requests.name, labels, by);
  return `(${rate(requests.name, `${labels},${FAILED}`, by)} or 0 * ${all}) / (${all} > 0)`;
}

const percentiles = (name: string, labels: string) =>
  [0.5, 0.9, 0.99].map((share) => ({ expr: quantile(share, name, labels), legend: `p${share * 100}` }));

function stat(title: string, description: string, expr: string, unit: string, more: Partial<Panel> = {}): Panel {
  return { title, type: 'stat', description, unit, width: 4, height: 4, queries: [{ expr }], ...more };
}

function lines(title: string, description: string, unit: string, queries: Panel['queries'], width = 8): Panel {
  return { title, type: 'timeseries', description, unit, width, queries };
}

const OVERVIEW: Section = {
  title: 'Overview',
  panels: [
    stat('Requests', 'Requests of all services, HTTP and gRPC.', rate(requests.name, ALL), 'reqps'),
    stat('Failures', 'Share of requests that failed: 5xx, or no answer.', failures(ALL), 'percentunit', { thresholds: [0.01, 0.05] }),
    stat('p99', '99 of 100 requests were answered within this time.', quantile(0.99, duration.name, ALL), 's'),
    stat(
      'Instances not healthy',
      'Registered instances that get no requests.',
      `sum(${CONTROL_METRICS.instances.name}{state!="healthy"}) or vector(0)`,
      'none',
      { thresholds: [1, 3] },
    ),
    stat('Data planes', 'Connected to the control plane.', `sum(${CONTROL_METRICS.dataPlanes.name})`, 'none'),
    stat(
      'Next certificate ends in',
      'The shortest life that a certificate of a workload has left.',
      `min(${IDENTITY_METRICS.left.name})`,
      's',
      { thresholds: [300, 900], isReversed: true },
    ),
    lines('Requests by service', 'Per second, by called service.', 'reqps', [
      { expr: rate(requests.name, ALL, 'destination'), legend: '{{destination}}' },
    ]),
    lines('Failures by service', 'Share of requests that failed.', 'percentunit', [
      { expr: failures(ALL, 'destination'), legend: '{{destination}}' },
    ]),
    lines('p99 by service', 'Time to the end of the response.', 's', [
      { expr: quantile(0.99, duration.name, ALL, 'destination'), legend: '{{destination}}' },
    ]),
  ],
};

const GOLDEN_SIGNALS: Section = {
  title: 'Service: $service',
  panels: [
    lines('Requests by caller', 'Per second.', 'reqps', [{ expr: rate(requests.name, SERVICE, 'source'), legend: '{{source}}' }]),
    lines('Failures by code', 'Per second; by the error that a data plane made, or the class of the answer.', 'reqps', [
      { expr: rate(requests.name, `${SERVICE},${FAILED}`, 'class, error'), legend: '{{class}} {{error}}' },
    ]),
    lines('Duration', 'To the end of the response.', 's', percentiles(duration.name, SERVICE)),
    lines('Requests by route', 'Per second, by rule and protocol.', 'reqps', [
      { expr: rate(requests.name, SERVICE, 'route, protocol'), legend: '{{route}} {{protocol}}' },
    ]),
    lines('Tries by instance', 'Per second.', 'reqps', [
      { expr: rate(INSTANCE_METRICS.tries.name, 'destination=~"$service"', 'destination_instance'), legend: '{{destination_instance}}' },
    ]),
    lines('p99 by instance', 'To the head of the answer.', 's', [
      {
        expr: quantile(0.99, INSTANCE_METRICS.duration.name, 'destination=~"$service"', 'destination_instance'),
        legend: '{{destination_instance}}',
      },
    ]),
    lines('Under way', 'Requests that have not been answered yet; with tcp connections.', 'none', [
      { expr: `sum by (destination) (${active.name}{${SERVICE}})`, legend: '{{destination}}' },
    ]),
    lines('Retries', 'Per second, by why the first try failed.', 'ops', [
      { expr: rate(retries.name, SERVICE, 'reason'), legend: '{{reason}}' },
    ]),
    lines('Bytes', 'Per second, of bodies and of tcp.', 'Bps', [
      { expr: rate(requestBytes.name, SERVICE), legend: 'to the service' },
      { expr: rate(responseBytes.name, SERVICE), legend: 'back' },
    ]),
    lines('Instances', 'As data planes see them: healthy, or left out by one of them on its own evidence.', 'none', [
      { expr: `max by (cluster, state) (${UPSTREAM_METRICS.endpoints.name}{${CLUSTER}})`, legend: '{{cluster}} {{state}}' },
      { expr: `max by (cluster) (${UPSTREAM_METRICS.ejected.name}{${CLUSTER}})`, legend: '{{cluster}} left out' },
    ]),
    lines('Breakers', 'How far limits are used, and what they have refused.', 'percentunit', [
      { expr: `max by (cluster, limit) (${UPSTREAM_METRICS.breakerUse.name}{${CLUSTER}})`, legend: '{{cluster}} {{limit}}' },
    ]),
    lines('Refused by breakers', 'Per second.', 'reqps', [
      { expr: rate(UPSTREAM_METRICS.breakerRefusals.name, CLUSTER, 'cluster, limit'), legend: '{{cluster}} {{limit}}' },
    ]),
  ],
};

/** Of the control plane the label `node` is missing. */
const NODE = '{{job}} {{node}}';

const DATA_PLANES: Section = {
  title: 'Data planes',
  panels: [
    stat('Behind', 'Connected data planes that have not applied what they were sent.', `sum(${CONTROL_METRICS.behind.name})`, 'none', {
      thresholds: [1, 2],
    }),
    stat('Oldest configuration', 'Time since its truth was last proved.', `max(${CONFIGURATION_METRICS.age.name})`, 's', {
      thresholds: [60, 600],
    }),
    stat(
      'Without a control plane',
      'Data planes without a stream.',
      `count(${CONFIGURATION_METRICS.connected.name} == 0) or vector(0)`,
      'none',
      {
        thresholds: [1, 2],
      },
    ),
    stat('Targets down', 'What Prometheus cannot read.', 'count(up{job=~"heddle-.+"} == 0) or vector(0)', 'none', { thresholds: [1, 2] }),
    stat(
      'Rejected updates',
      'Of the configuration, in the last hour.',
      `sum(increase(${CONFIGURATION_METRICS.rejections.name}[1h]))`,
      'none',
      {
        thresholds: [1, 10],
      },
    ),
    stat('Metrics cut off', 'Series that had no room.', `sum(${PROCESS_METRICS.folded.name}) or vector(0)`, 'none', {
      thresholds: [1, 10],
    }),
    lines('Processor', 'Of one: 100 %.', 'percentunit', [{ expr: `rate(${PROCESS_METRICS.cpu.name}[${RANGE}])`, legend: NODE }]),
    lines('Memory', 'As the system counts it.', 'bytes', [{ expr: PROCESS_METRICS.memory.name, legend: NODE }]),
    lines('Event loop', 'Longest time for which it was held up.', 's', [{ expr: PROCESS_METRICS.loopDelayMax.name, legend: NODE }]),
    lines('Connections', 'Open ones.', 'none', [
      { expr: `sum by (node) (${DOWNSTREAM_METRICS.open.name})`, legend: '{{node}} in' },
      { expr: `sum by (node) (${UPSTREAM_METRICS.open.name})`, legend: '{{node}} out' },
    ]),
    lines('TLS handshakes', 'Per second, with callers and with instances.', 'ops', [
      { expr: rate(DOWNSTREAM_METRICS.handshakes.name, '', 'node'), legend: '{{node}} in' },
      { expr: rate(UPSTREAM_METRICS.handshakes.name, '', 'node'), legend: '{{node}} out' },
    ]),
    lines('Refused TLS handshakes', 'Per second, by reason.', 'ops', [
      { expr: rate(DOWNSTREAM_METRICS.refusedHandshakes.name, '', 'node, reason'), legend: '{{node}} in: {{reason}}' },
      { expr: rate(UPSTREAM_METRICS.tlsFailures.name, '', 'node, reason'), legend: '{{node}} out: {{reason}}' },
    ]),
  ],
};

const CERTIFICATES: Section = {
  title: 'Certificates',
  panels: [
    lines('Left', 'Until the certificate of each workload ends; it is renewed at half of its life.', 's', [
      { expr: `min by (workload) (${IDENTITY_METRICS.left.name})`, legend: '{{workload}}' },
    ]),
    {
      title: 'Soonest to end',
      type: 'table',
      description: 'Certificates of workloads, the shortest life first.',
      unit: 's',
      width: 8,
      queries: [{ expr: `sort(min by (workload) (${IDENTITY_METRICS.left.name}))` }],
    },
    stat('Overdue', 'Certificates whose renewal is overdue.', `sum(${IDENTITY_METRICS.overdue.name})`, 'none', { thresholds: [1, 2] }),
    stat("The mesh's root", 'Until it ends.', `min(${CONTROL_METRICS.authorityLeft.name})`, 's', {
      thresholds: [30 * DAY, 90 * DAY],
      isReversed: true,
    }),
  ],
};

const SECTIONS: readonly Section[] = [OVERVIEW, GOLDEN_SIGNALS, DATA_PLANES, CERTIFICATES];
