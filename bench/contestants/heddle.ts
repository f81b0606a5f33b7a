// Heddle: one proxy is `heddle proxy --static`, as people run it; each of a pair is a data plane with an identity of the mesh
// (programs/heddle-plane.ts), as the mesh's control plane would configure it.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ANY_REQUEST, forwardTo, NO_BREAKER, NO_RETRY, SINGLE_BALANCE, DEFAULT_RETRY_BUDGET } from '@heddle/core';
import type { Cluster, Endpoint, Listener, RouteConfig, TelemetryConfig } from '@heddle/core';
import type { ResourceUpdate } from '../../packages/dataplane/src/data-plane.ts';
import type { PlaneSpec } from '../programs/plane-spec.ts';
import { type Contestant, type Hop, identityOf, type Setting } from './contestant.ts';

/** In the words of a proxy's file. */
export type Telemetry = Pick<TelemetryConfig, 'tracing' | 'accessLog'>;

export const heddle: Contestant = heddleWith('heddle', {});

/** Heddle that tells this of its requests. */
export function heddleWith(name: string, telemetry: Telemetry): Contestant {
  return {
    name,
    missing: ({ built, heddleRoot }) =>
      !built || existsSync(join(heddleRoot, 'packages/cli/dist/main.js')) ? undefined : 'it has not been built (`npm run build`)',
    versionCommand: [process.execPath, '--version'],
    command(hop, setting) {
      const { built, heddleRoot, folder } = setting;
      if (hop.role !== 'proxy') return planeCommand(hop, setting, telemetry, 'counted');
      const file = join(folder, 'heddle.yaml');
      writeFileSync(file, staticFile(hop, setting) + staticTelemetry(telemetry));
      const run = [process.execPath, ...(built ? [] : ['--conditions=heddle-source'])];
      const main = join(heddleRoot, 'packages/cli', built ? 'dist/main.js' : 'src/main.ts');
      return [...run, main, 'proxy', '--static', file, '--workers', '1', '--admin-port', '0', '--log-level', 'warn'];
    },
  };
}

/** Pairs without metrics, beside which one sees what these cost. */
export const heddleSilent: Contestant = {
  ...heddle,
  name: 'heddle-silent',
  isExtra: true,
  cannot: ({ role }) => (role === 'proxy' ? 'a single proxy always has metrics; see the rows of pairs' : undefined),
  command: (hop, setting) => planeCommand(hop, setting, {}, 'silent'),
};

function planeCommand(hop: Hop, setting: Setting, telemetry: Telemetry, metrics: 'counted' | 'silent'): readonly string[] {
  const { built, heddleRoot, folder } = setting;
  const file = join(folder, 'heddle.json');
  writeFileSync(file, JSON.stringify(insideSpec(hop, setting, telemetry)), { mode: 0o600 });
  // The engine as a worker of `heddle proxy` has it (`startModule` in runtime).
  return [
    process.execPath,
    ...(built ? [] : ['--conditions=heddle-source']),
    '--max-semi-space-size=1',
    '--no-maglev',
    join(import.meta.dirname, '../programs/heddle-plane.ts'),
    heddleRoot,
    built ? 'dist' : 'src',
    file,
    metrics,
  ];
}

function staticFile(hop: Hop, { certificates }: Setting): string {
  const protocol = (http: string) => (http === 'http2' ? 'http2' : 'http');
  const own = join(certificates.folder, identityOf(hop));
  const tls = hop.listen.tls === undefined ? '' : `, tls: { cert: "${own}.crt", key: "${own}.key" }`;
  return `listeners:
  - { port: ${hop.listen.port}, protocol: ${protocol(hop.listen.http)}, service: application${tls} }
services:
  application: { protocol: ${protocol(hop.upstream.http)}, endpoints: ["127.0.0.1:${hop.upstream.port}"] }
`;
}

function staticTelemetry({ tracing, accessLog }: Telemetry): string {
  const traces = tracing && { otlp: tracing.collector.url, sample: `${tracing.samplePercent}%` };
  const log = accessLog && { to: accessLog.to, sample: `${accessLog.samplePercent}%` };
  return `telemetry: ${JSON.stringify({ ...(traces && { tracing: traces }), ...(log && { accessLog: log }) })}\n`;
}

const TRUST_DOMAIN = 'shop.test';
const ORDERS = 'default/orders/orders-1';
const WEB = 'default/web/web-1';

/** What a data plane of a pair is configured to. */
export function insideSpec(hop: Hop, { certificates }: Setting, telemetry: Telemetry = {}): PlaneSpec {
  const trust = update('secret', { name: 'trust-bundle', rootsPem: certificates.rootsPem });
  const isCalled = hop.role === 'called';
  const to = isCalled ? localCluster(hop) : meshCluster(hop);
  const listener = isCalled ? inbound(hop) : outbound(hop);
  const told = { ...listener, filter: { ...listener.filter, ...telemetry } };
  return {
    identities: isCalled ? { [ORDERS]: certificates.orders } : { [WEB]: certificates.web },
    updates: [trust, update('cluster', to), update('route', routeTo(to.name)), update('listener', told)],
  };
}

function localCluster({ upstream }: Hop): Cluster {
  return {
    name: `local/${ORDERS}`,
    service: { namespace: 'default', name: 'orders' },
    endpoints: { kind: 'static', endpoints: [endpoint(upstream.port)] },
    balance: SINGLE_BALANCE,
    breaker: NO_BREAKER,
    retryBudget: DEFAULT_RETRY_BUDGET,
    connectTimeoutMs: 1_000,
    http: upstream.http,
    health: { kind: 'tcp', intervalMs: 1_000, timeoutMs: 500, unhealthyAfter: 2, healthyAfter: 1 },
  };
}

function meshCluster({ upstream }: Hop): Cluster {
  return {
    name: 'outbound/default/orders',
    service: { namespace: 'default', name: 'orders' },
    endpoints: { kind: 'static', endpoints: [endpoint(upstream.port)] },
    balance: SINGLE_BALANCE,
    breaker: NO_BREAKER,
    retryBudget: DEFAULT_RETRY_BUDGET,
    connectTimeoutMs: 1_000,
    http: 'http2',
    tls: {
      certificateName: 'workload',
      trustBundleName: 'trust-bundle',
      peerIds: [`spiffe://${TRUST_DOMAIN}/ns/default/svc/orders`],
      alpn: ['h2'],
    },
  };
}

function endpoint(port: number): Endpoint {
  return { address: '127.0.0.1', port, health: 'healthy', weight: 1, instance: 'orders-1' };
}

function routeTo(cluster: string): RouteConfig {
  const retry = { ...NO_RETRY, attempts: 2, on: ['connect-failure', 'refused', 'reset'] } as const;
  const route = { name: 'all', match: ANY_REQUEST, action: { ...forwardTo(cluster), timeoutMs: 15_000, retry } };
  return { name: 'routes', virtualHosts: [{ name: 'all', domains: ['*'], routes: [route] }] };
}

function inbound({ listen }: Hop): Listener {
  return {
    name: 'in',
    direction: 'inbound',
    address: '127.0.0.1',
    port: listen.port,
    workload: ORDERS,
    tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: TRUST_DOMAIN },
    filter: { kind: 'http', routeConfigName: 'routes' },
  };
}

function outbound({ listen }: Hop): Listener {
  return {
    name: 'out',
    direction: 'outbound',
    address: '127.0.0.1',
    port: listen.port,
    workload: WEB,
    filter: { kind: 'http', routeConfigName: 'routes' },
  };
}

function update(kind: ResourceUpdate['kind'], resource: ResourceUpdate['upserts'][number]): ResourceUpdate {
  return { kind, upserts: [resource], removed: [] };
}
