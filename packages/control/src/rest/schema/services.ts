// The REST API's schema: services.
import type { Service as ModelService } from '@heddle/core';
import { z } from 'zod';
import { POLICIES, PROTOCOLS } from '../../schema/service.ts';
import { MtlsMode } from '../../schema/security.ts';
import type { PolicyName } from '../../schema/service.ts';
import {
  cursor,
  Health,
  HealthCounts,
  instanceId,
  Labels,
  limit,
  Locality,
  Metadata,
  namespaceName,
  NamedPorts,
  page,
  revision,
  serviceName,
  SocketAddress,
} from './common.ts';

export const SERVICES_PAGE_MAX = 1_000;

const summary = {
  namespace: namespaceName,
  name: serviceName,
  port: z.int().min(1).max(65_535).meta({ description: 'The port that callers name.' }),
  protocol: z.enum(PROTOCOLS),
  virtualAddress: z
    .string()
    .optional()
    .meta({ description: 'Stands for the service on every machine.', examples: ['240.0.0.1'] }),
  mtls: MtlsMode.optional().meta({ description: 'What its callers need; absent: as the mesh has it.' }),
  labels: Labels,
  metadata: Metadata,
  ports: NamedPorts,
  instances: HealthCounts,
};

const example = {
  namespace: 'default',
  name: 'orders',
  port: 8081,
  protocol: 'http',
  virtualAddress: '240.0.0.2',
  labels: {},
  metadata: {},
  ports: {},
  instances: { total: 1, healthy: 1, starting: 0, unhealthy: 0, draining: 0 },
};

export const Service = z.strictObject(summary).meta({ id: 'Service', examples: [example] });
export type Service = z.infer<typeof Service>;

export const ServiceEndpoint = z
  .strictObject({
    instance: instanceId,
    inbound: SocketAddress,
    health: Health,
    weight: z.int(),
    version: z.string(),
    labels: Labels,
    locality: Locality.optional(),
  })
  .meta({ id: 'ServiceEndpoint', description: 'What a caller needs of an instance.' });

export const ServiceDetail = z
  .strictObject({
    ...summary,
    revision,
    hostnames: z.array(z.string()).meta({ description: 'Names by which it is called.' }),
    endpoints: z.array(ServiceEndpoint).meta({ description: 'All instances of the service, at most 5,000.' }),
    ...POLICIES,
  })
  .meta({
    id: 'ServiceDetail',
    examples: [
      {
        ...example,
        revision: 42,
        hostnames: ['orders.default.mesh.internal', 'orders.default', 'orders.mesh.internal', 'orders'],
        endpoints: [
          { instance: 'orders-1', inbound: { address: '127.0.0.1', port: 20001 }, health: 'healthy', weight: 1, version: 'v1', labels: {} },
        ],
        health: { kind: 'http', path: '/healthz', intervalMs: 2_000, timeoutMs: 1_000, unhealthyAfter: 2, healthyAfter: 1 },
        balance: { algorithm: 'probing', locality: 'zone-aware', slowStartMs: 0, panicPercent: 0 },
        timeoutMs: 15_000,
        connectTimeoutMs: 1_000,
        idleTimeoutMs: 0,
        retry: {
          attempts: 2,
          on: ['connect-failure', 'refused'],
          perTryMs: 0,
          statuses: [],
          nonIdempotent: false,
          backoff: { baseMs: 25, maxMs: 250 },
        },
        retryBudget: { percent: 20, minPerSecond: 3 },
        breaker: { connections: 0, pending: 0, requests: 0 },
        hash: [],
        rateLimits: [],
        rules: [],
      },
    ],
  });
/** The policies as the registry has them. */
export type ServiceDetail = Omit<z.infer<typeof ServiceDetail>, PolicyName> & Pick<ModelService, PolicyName>;

export const ServiceList = page(Service, 'ServiceList', 'services', example);
export const ServiceQuery = z.strictObject({
  namespace: namespaceName.optional(),
  limit: limit(SERVICES_PAGE_MAX, 500),
  cursor: cursor('NAMESPACE/SERVICE'),
});
export const Route = z
  .strictObject({
    namespace: z.string().meta({ description: '`heddle-egress` for hosts outside the mesh.', examples: ['default'] }),
    service: z.string().meta({ description: 'Or HOST:PORT of a host outside the mesh.', examples: ['orders'] }),
    name: z.string().meta({ description: 'Of the rule; `default` for what no rule takes.' }),
    match: z.string().meta({ description: 'For people; empty: every request.', examples: ['GET /v2/** x-beta=1'] }),
    action: z.string().meta({ description: 'For people.', examples: ['default/orders{version=v2} 10 %, default/orders{version=v1} 90 %'] }),
    timeoutMs: z.number().min(0).meta({ description: 'Of a whole request; 0: no limit.' }),
    retries: z.int().min(0).meta({ description: 'Tries after the first one.' }),
  })
  .meta({ id: 'Route' });
export const RouteList = z.strictObject({ items: z.array(Route) }).meta({
  id: 'RouteList',
  description: 'By service, in the order in which they are tried.',
  examples: [
    {
      items: [
        { namespace: 'default', service: 'orders', name: 'default', match: '', action: 'default/orders', timeoutMs: 15_000, retries: 2 },
      ],
    },
  ],
});
export const RouteQuery = z.strictObject({ namespace: namespaceName.optional(), service: serviceName.optional() });

export const ServicePath = z.strictObject({ namespace: namespaceName, service: serviceName });

export const AddressList = z
  .strictObject({
    revision,
    services: z.array(
      z.strictObject({
        name: z.string().meta({ description: 'NAME, or NAME.NAMESPACE outside the namespace `default`.' }),
        ip: z.string(),
      }),
    ),
  })
  .meta({
    id: 'AddressList',
    description: 'One entry for every address with a healthy instance of a service, as `example.Discovery/ListServices` gives it.',
    examples: [{ revision: 42, services: [{ name: 'orders', ip: '127.0.0.1' }] }],
  });
