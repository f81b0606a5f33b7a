// What the control plane shows of itself to Prometheus. Nearly all of it is read from what others keep, when somebody looks.
import { CONTROL_METRICS } from '@heddle/core';
import type { Clock, Gauge, Metrics } from '@heddle/runtime';
import { watchProcessMetrics } from '@heddle/runtime/process';
import type { Authority } from '../ca/index.ts';
import type { EventLog } from '../events/log.ts';
import type { Registry } from '../registry/registry.ts';
import type { ProxySource } from '../rest/sources.ts';
import type { ConnectedProxy } from '../xds-server/applied.ts';

export interface WatchControlOptions {
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly authority: Authority;
  readonly events: EventLog;
  readonly proxies: ProxySource;
  /** Of the control plane's own servers. */
  readonly certificates: { readonly notAfterMs: number };
  readonly clock: Clock;
}

const MS_PER_SECOND = 1_000;
const KINDS = ['heddle', 'envoy', 'grpc'] as const;
const STATES = ['healthy', 'starting', 'unhealthy', 'draining'] as const;

/** Until what is returned is called. */
export function watchControl(options: WatchControlOptions): () => void {
  const { metrics, registry, authority, events, certificates, clock } = options;
  const [services, revision] = [metrics.gauge(CONTROL_METRICS.services), metrics.gauge(CONTROL_METRICS.revision)];
  const [rootLeft, serverLeft] = [metrics.gauge(CONTROL_METRICS.authorityLeft), metrics.gauge(CONTROL_METRICS.serverLeft)];
  const issued = metrics.gauge(CONTROL_METRICS.certificates);
  const instances = instanceGauges(metrics, registry);
  const proxies = proxyGauges(options);
  metrics.onExpose(() => {
    const nowMs = clock.wallMs();
    services.set(registry.snapshot().services.size);
    revision.set(registry.revision);
    rootLeft.set(Math.round((authority.rootNotAfterMs - nowMs) / MS_PER_SECOND));
    serverLeft.set(Math.round((certificates.notAfterMs - nowMs) / MS_PER_SECOND));
    issued.set(authority.ledger.validOfWorkloads().length);
    instances();
    proxies(nowMs);
  });
  const subscription = events.onEvent(({ kind }) => metrics.counter(CONTROL_METRICS.events, { kind }).add(1));
  const endProcess = watchProcessMetrics(metrics);
  return () => {
    subscription.close();
    endProcess();
  };
}

/** Services that are not declared any more have no series. */
function instanceGauges(metrics: Metrics, registry: Registry): () => void {
  const known = new Map<string, readonly Gauge[]>();
  return () => {
    const { services } = registry.snapshot();
    for (const [service, view] of services) {
      let gauges = known.get(service);
      if (gauges === undefined) {
        gauges = STATES.map((state) => metrics.gauge(CONTROL_METRICS.instances, { service, state }));
        known.set(service, gauges);
      }
      for (const [at, state] of STATES.entries()) gauges[at]!.set(view.instances.filter(({ health }) => health === state).length);
    }
    for (const service of known.keys()) {
      if (services.has(service)) continue;
      known.delete(service);
      for (const state of STATES) metrics.forget(CONTROL_METRICS.instances, { service, state });
    }
  };
}

function proxyGauges({ metrics, proxies: source }: WatchControlOptions): (nowMs: number) => void {
  const connected = KINDS.map((kind) => metrics.gauge(CONTROL_METRICS.dataPlanes, { kind }));
  const behind = metrics.gauge(CONTROL_METRICS.behind, { state: 'behind' });
  const rejected = metrics.gauge(CONTROL_METRICS.behind, { state: 'rejected' });
  const longest = metrics.gauge(CONTROL_METRICS.longestBehind);
  return (nowMs) => {
    const proxies = source.proxies();
    for (const [at, kind] of KINDS.entries()) connected[at]!.set(proxies.filter(({ flavour }) => flavour === kind).length);
    rejected.set(proxies.filter(hasRejected).length);
    behind.set(proxies.filter((proxy) => !hasRejected(proxy) && isBehind(proxy)).length);
    const since = proxies.flatMap(({ sync }) => sync.map(({ behindSinceMs }) => behindSinceMs)).filter((ms) => ms > 0);
    longest.set(since.length === 0 ? 0 : Math.max(0, (nowMs - Math.min(...since)) / MS_PER_SECOND));
  };
}

function hasRejected({ sync }: ConnectedProxy): boolean {
  return sync.some(({ rejection }) => rejection !== '');
}

function isBehind({ sync }: ConnectedProxy): boolean {
  return sync.some(({ sentVersion, ackedVersion }) => sentVersion !== ackedVersion);
}
