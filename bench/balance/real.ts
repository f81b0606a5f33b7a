// The same scenarios with processes: four servers, a data plane that hosts them, data planes that call, a client. Everything between client and server is
// what a mesh has: routes, balancing, mutual TLS, HTTP/2, load questions. No retries and no ejections, so that the balancer stands alone.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_BALANCE, DEFAULT_RETRY_BUDGET, forwardTo, ANY_REQUEST, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type { BalanceAlgorithm, Cluster, Endpoint, Listener, RouteConfig } from '@heddle/core';
import { TestAuthority } from '../../packages/dataplane/src/testing/certificates.ts';
import type { ResourceUpdate } from '../../packages/dataplane/src/data-plane.ts';
import type { PlaneSpec } from '../programs/plane-spec.ts';
import { freePorts } from '../../tests/support/ports.ts';
import { output, Process } from '../support/processes.ts';
import type { Figures } from './figures.ts';
import type { BalanceScenario } from './scenarios.ts';
import { capacityOf } from './scenarios.ts';

export interface RealOptions {
  readonly folder: string;
  readonly root: string;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly seed: number;
}

const CALLERS = 2;
const TRUST_DOMAIN = 'shop.test';
const SERVICE = { namespace: 'default', name: 'orders' };
const PROGRAMS = join(import.meta.dirname, 'programs');
const PLANE = join(import.meta.dirname, '../programs/heddle-plane.ts');
const COMMON = { connectTimeoutMs: 1_000, breaker: NO_BREAKER, retryBudget: DEFAULT_RETRY_BUDGET } as const;

export async function runReal(scenario: BalanceScenario, algorithm: BalanceAlgorithm, options: RealOptions): Promise<Figures> {
  const processes: Process[] = [];
  const { folder, root, seed, seconds, warmUpSeconds } = options;
  const start = (name: string, command: readonly string[]): Process => {
    const process = new Process(name, undefined, command);
    processes.push(process);
    return process;
  };
  try {
    const servers = scenario.servers.map((server, index) =>
      start(`server ${index}`, program('server', [JSON.stringify(server), String(seed * 100 + index)])),
    );
    const applications = await Promise.all(servers.map(async (server) => Number(await server.nextLine())));
    const ports = await freePorts(applications.length + CALLERS);
    const inbound = ports.slice(0, applications.length);
    const outbound = ports.slice(applications.length);
    const authority = new TestAuthority();
    const trust = update('secret', { name: 'trust-bundle', rootsPem: authority.rootsPem });
    const plane = (name: string, spec: PlaneSpec): Process => {
      const file = join(folder, `${name}.json`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, JSON.stringify(spec), { mode: 0o600 });
      return start(name, [process.execPath, '--conditions=heddle-source', PLANE, root, 'src', file]);
    };
    const called = plane('called', calledSpec(applications, inbound, authority, trust));
    for (const port of inbound) await called.listensOn(port);
    for (const [index, port] of outbound.entries())
      await plane(`caller-${index}`, callerSpec(algorithm, inbound, port, authority, trust, scenario.timeoutMs)).listensOn(port);
    const rate = capacityOf(scenario) * scenario.load;
    const numbers = [rate, warmUpSeconds, seconds, scenario.timeoutMs, scenario.users, seed].map(String);
    return JSON.parse(await output(undefined, program('client', [outbound.join(','), ...numbers]))) as Figures;
  } finally {
    await Promise.all(processes.map((process) => process.stop()));
  }
}

function program(name: string, args: readonly string[]): string[] {
  return [process.execPath, '--conditions=heddle-source', join(PROGRAMS, `${name}.ts`), ...args];
}

function calledSpec(applications: readonly number[], ports: readonly number[], authority: TestAuthority, trust: ResourceUpdate): PlaneSpec {
  const names = applications.map((_, index) => `default/orders/orders-${index}`);
  const clusters = applications.map(
    (port, index): Cluster => ({
      ...COMMON,
      name: `local/${names[index]}`,
      service: SERVICE,
      endpoints: { kind: 'static', endpoints: [endpoint(port, index)] },
      balance: SINGLE_BALANCE,
      http: 'http1',
      health: { kind: 'tcp', intervalMs: 1_000, timeoutMs: 500, unhealthyAfter: 2, healthyAfter: 1 },
    }),
  );
  const listeners = ports.map(
    (port, index): Listener => ({
      name: `in-${index}`,
      direction: 'inbound',
      address: '127.0.0.1',
      port,
      workload: names[index],
      tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: TRUST_DOMAIN },
      filter: { kind: 'http', routeConfigName: `in-${index}` },
    }),
  );
  const identity = authority.service('orders');
  return {
    identities: Object.fromEntries(names.map((name) => [name, identity])),
    updates: [
      trust,
      ...clusters.map((cluster) => update('cluster', cluster)),
      ...clusters.map(({ name }, index) => update('route', routeTo(`in-${index}`, name, 0))),
      ...listeners.map((listener) => update('listener', listener)),
    ],
  };
}

function callerSpec(
  algorithm: BalanceAlgorithm,
  endpoints: readonly number[],
  port: number,
  authority: TestAuthority,
  trust: ResourceUpdate,
  timeoutMs: number,
): PlaneSpec {
  const cluster: Cluster = {
    ...COMMON,
    name: 'outbound/default/orders',
    service: SERVICE,
    endpoints: { kind: 'static', endpoints: endpoints.map(endpoint) },
    balance: { ...DEFAULT_BALANCE, algorithm, locality: 'any' },
    http: 'http2',
    tls: {
      certificateName: 'workload',
      trustBundleName: 'trust-bundle',
      peerIds: [`spiffe://${TRUST_DOMAIN}/ns/default/svc/orders`],
      alpn: ['h2'],
    },
  };
  const listener: Listener = {
    name: 'out',
    direction: 'outbound',
    address: '127.0.0.1',
    port,
    workload: 'default/web/web-1',
    filter: { kind: 'http', routeConfigName: 'out' },
  };
  return {
    identities: { 'default/web/web-1': authority.service('web') },
    updates: [trust, update('cluster', cluster), update('route', routeTo('out', cluster.name, timeoutMs)), update('listener', listener)],
  };
}

function routeTo(name: string, cluster: string, timeoutMs: number): RouteConfig {
  const action = { ...forwardTo(cluster), timeoutMs, hash: [{ kind: 'header', name: 'x-user' }] } as const;
  return { name, virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ name: 'all', match: ANY_REQUEST, action }] }] };
}

function endpoint(port: number, index: number): Endpoint {
  return { address: '127.0.0.1', port, health: 'healthy', weight: 1, instance: `orders-${index}` };
}

function update(kind: ResourceUpdate['kind'], resource: ResourceUpdate['upserts'][number]): ResourceUpdate {
  return { kind, upserts: [resource], removed: [] };
}
