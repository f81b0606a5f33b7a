// The REST API's schema: traffic as it was reported.
import { z } from 'zod';
import { PROTOCOLS } from '../../schema/service.ts';
import { HealthCounts, revision, time } from './common.ts';

const MINUTE_MS = 60_000;

/** In milliseconds. */
export const WINDOWS = { '10s': 10_000, '1m': MINUTE_MS, '5m': 5 * MINUTE_MS, '1h': 60 * MINUTE_MS } as const;
export const RANGES = { '5m': 5 * MINUTE_MS, '1h': 60 * MINUTE_MS, '24h': 1_440 * MINUTE_MS } as const;

const lengthOf = <T extends string>(lengths: Readonly<Record<T, number>>, standard: T, description: string) =>
  z
    .enum(Object.keys(lengths) as T[])
    .default(standard as never)
    .meta({ description, examples: [standard] });

export const window = lengthOf(WINDOWS, '1m', 'How much of the past is taken together.');

const serviceId = z
  .string()
  .max(253)
  .meta({ description: 'NAMESPACE/SERVICE', examples: ['default/orders'] });

export const SeriesQuery = z.strictObject({
  destination: serviceId.optional().meta({ description: 'The service that is called, NAMESPACE/SERVICE.', examples: ['default/orders'] }),
  source: serviceId.optional().meta({ description: 'The service that calls.', examples: ['default/web'] }),
  route: z.string().max(253).optional().meta({ description: 'Name of a rule of the destination.' }),
  instance: z.string().max(253).optional().meta({ description: 'Name of an instance of the destination.' }),
  range: lengthOf(RANGES, '5m', 'How far back. The last hour is kept at 5 s, the last day by minutes.'),
});

const perSecond = z.number().min(0);
const milliseconds = z.number().min(0).nullable().meta({ description: 'In milliseconds; null: nothing was measured.' });
const since = time.meta({ description: 'Nothing is known of the time before: the control plane has kept its counts since then.' });

const golden = { requestsPerSecond: perSecond, errorsPerSecond: perSecond, p50Ms: milliseconds, p99Ms: milliseconds };

export const Edge = z
  .strictObject({
    source: z.string().meta({ description: 'NAMESPACE/SERVICE that calls; `outside`: it is of no service of the mesh.' }),
    destination: z.string().meta({ description: 'NAMESPACE/SERVICE that is called; heddle-egress/HOST:PORT outside the mesh.' }),
    protocol: z.string().nullable().meta({ description: 'http1, http2, grpc or tcp; null: it is not known.' }),
    ...golden,
    bytesPerSecond: perSecond.meta({ description: 'Bodies in both directions.' }),
    retriesPerSecond: perSecond,
    p90Ms: milliseconds,
    errors: z.record(z.string(), perSecond).meta({ description: 'By code of the error; `5xx`: the application answered so.' }),
  })
  .meta({ id: 'Edge', description: 'Calls of one service to another.' });
export type Edge = z.infer<typeof Edge>;

const edgeExample: Edge = {
  ...{ source: 'default/web', destination: 'default/orders', protocol: 'http1', requestsPerSecond: 12.5, errorsPerSecond: 0.5 },
  ...{ bytesPerSecond: 20_480, retriesPerSecond: 0.5, p50Ms: 3.1, p90Ms: 7.5, p99Ms: 24, errors: { '5xx': 0.5 } },
};

export const GraphNode = z
  .strictObject({
    id: z.string(),
    kind: z.enum(['service', 'egress', 'outside', 'operator']).meta({
      description:
        'egress: a host outside the mesh. outside: callers that are no service of it. operator: who calls without saying who it is.',
    }),
    protocol: z.enum(PROTOCOLS).nullable(),
    instances: HealthCounts,
    ...golden,
  })
  .meta({ id: 'GraphNode', description: 'A service with all calls to it.' });
export type GraphNode = z.infer<typeof GraphNode>;

export const Graph = z
  .strictObject({
    revision,
    windowMs: z.int(),
    updated: time.meta({ description: 'Where the window ends.' }),
    since,
    nodes: z.array(GraphNode),
    edges: z.array(Edge),
  })
  .meta({
    id: 'Graph',
    examples: [
      {
        revision: 42,
        windowMs: 60_000,
        updated: '2026-01-31T12:00:00.000Z',
        since: '2026-01-31T09:00:00.000Z',
        nodes: [
          {
            id: 'default/orders',
            kind: 'service',
            protocol: 'http',
            instances: { total: 2, healthy: 2, starting: 0, unhealthy: 0, draining: 0 },
            ...{ requestsPerSecond: 12.5, errorsPerSecond: 0.5, p50Ms: 3.1, p99Ms: 24 },
          },
        ],
        edges: [edgeExample],
      },
    ],
  });
export type Graph = z.infer<typeof Graph>;

export const ServiceTraffic = z
  .strictObject({
    windowMs: z.int(),
    updated: time,
    since,
    callers: z.array(Edge),
    callees: z.array(Edge),
    routes: z.array(z.strictObject({ route: z.string(), ...golden })),
    instances: z.array(z.strictObject({ instance: z.string(), ...golden })).meta({
      description: 'Tries, as the calling sides have seen them.',
    }),
  })
  .meta({
    id: 'ServiceTraffic',
    examples: [
      {
        windowMs: 60_000,
        updated: '2026-01-31T12:00:00.000Z',
        since: '2026-01-31T09:00:00.000Z',
        callers: [edgeExample],
        callees: [],
        routes: [{ route: 'default', requestsPerSecond: 12.5, errorsPerSecond: 0.5, p50Ms: 3.1, p99Ms: 24 }],
        instances: [{ instance: 'orders-1', requestsPerSecond: 12.5, errorsPerSecond: 0.5, p50Ms: 3.1, p99Ms: 24 }],
      },
    ],
  });
export type ServiceTraffic = z.infer<typeof ServiceTraffic>;

const values = z.array(z.number().nullable());

export const SeriesPoints = z
  .strictObject({
    stepMs: z.int().min(1).meta({ description: 'From one point to the next.' }),
    start: time.meta({ description: 'Where the first point begins.' }),
    from: z.enum(['memory', 'prometheus']).meta({ description: 'Where the points were read.' }),
    since,
    note: z.string().meta({ description: 'What is to be known about them, such as that Prometheus did not answer; mostly empty.' }),
    points: z.strictObject({
      ...{ requestsPerSecond: values, errorsPerSecond: values, p50Ms: values, p90Ms: values, p99Ms: values, bytesPerSecond: values },
    }),
  })
  .meta({
    id: 'SeriesPoints',
    examples: [
      {
        stepMs: 5_000,
        start: '2026-01-31T12:00:00.000Z',
        from: 'memory',
        since: '2026-01-31T12:00:00.000Z',
        note: '',
        points: {
          requestsPerSecond: [null, 12.4],
          errorsPerSecond: [null, 0],
          p50Ms: [null, 3.1],
          p90Ms: [null, 7.5],
          p99Ms: [null, 24],
          bytesPerSecond: [null, 20_480],
        },
      },
    ],
  });
export type SeriesPoints = z.infer<typeof SeriesPoints>;
