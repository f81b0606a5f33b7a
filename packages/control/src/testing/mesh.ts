// A small mesh for tests: two HTTP services and one spoken over TCP.
import { DEFAULT_RETRY_BUDGET, DEFAULT_SECURITY, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type { EgressHost, Instance, MeshConfig, SecurityConfig, Service } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import type { Registration } from '../registry/records.ts';

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

export function service(name: string, over: Partial<Service> = {}): Service {
  return {
    namespace: 'default',
    name,
    port: 8080,
    protocol: 'http',
    labels: {},
    metadata: {},
    ports: {},
    balance: SINGLE_BALANCE,
    timeoutMs: 15_000,
    connectTimeoutMs: 1_000,
    idleTimeoutMs: 0,
    health: { kind: 'http', path: '/healthz', intervalMs: 1_000, timeoutMs: 500, unhealthyAfter: 2, healthyAfter: 1 },
    retry: { ...NO_RETRY, attempts: 2, on: ['connect-failure', 'refused'] },
    retryBudget: DEFAULT_RETRY_BUDGET,
    breaker: NO_BREAKER,
    hash: [],
    rateLimits: [],
    rules: [],
    ...over,
  };
}

export function registration(name: string, index: number, over: Partial<Registration> = {}): Registration {
  return {
    service: { namespace: 'default', name },
    id: `${name}-${index}`,
    node: 'node-1',
    inbound: { address: '127.0.0.1', port: 20_000 + index },
    application: { address: '127.0.0.1', port: 30_000 + index },
    outbounds: [],
    version: 'v1',
    labels: {},
    metadata: {},
    ports: {},
    weight: 1,
    ...over,
  };
}

export function instance(name: string, index: number, over: Partial<Instance> = {}): Instance {
  return { ...registration(name, index), health: 'healthy', healthReason: 'checks pass', revision: 1, ...over };
}

export const SERVICES: readonly Service[] = [
  service('orders'),
  service('web', { port: 8000 }),
  service('cache', { port: 6379, protocol: 'tcp' }),
];

export function mesh(
  services: readonly Service[] = SERVICES,
  egress: readonly EgressHost[] = [],
  security: SecurityConfig = DEFAULT_SECURITY,
): MeshConfig {
  return {
    name: 'shop',
    trustDomain: 'shop.test',
    anonymousCalls: 'operator',
    discovery: { keepOnMassExpiry: true },
    services: services.map((declared) => ({ service: declared, uses: [] })),
    egress,
    security,
    telemetry: {},
  };
}
