// The REST API's schema: data planes, and what each has applied.
import { z } from 'zod';
import { time } from './common.ts';

const hash = z.string().meta({ description: 'Stands for resources by name and version.', examples: ['91c0a3d5e2b74f60'] });

export const KindSync = z
  .strictObject({
    kind: z.enum(['listener', 'route', 'cluster', 'endpoints', 'secret']),
    state: z.enum(['in sync', 'behind', 'rejected']),
    resources: z.int().min(0),
    sentVersion: z.string(),
    ackedVersion: z.string(),
    acked: time.nullable().meta({ description: 'When it last acknowledged; null before the first time.' }),
    rejection: z.string().meta({ description: 'Why it refused what it refused last; empty when it refuses nothing.' }),
    behindSince: time.nullable().meta({ description: 'Since when it has not been in sync; null: it is.' }),
    heldHash: hash,
    givenHash: hash,
  })
  .meta({ id: 'KindSync', description: 'One kind of configuration, as one data plane has it.' });

export const Proxy = z
  .strictObject({
    id: z.string().meta({ description: 'Names this connection of the data plane.' }),
    node: z.string(),
    identity: z.string().meta({ description: 'SPIFFE id it connected with.' }),
    flavour: z.enum(['heddle', 'envoy', 'grpc']),
    userAgent: z.string().meta({ description: 'What it says it is.', examples: ['envoy 1.30.0'] }),
    service: z.string().meta({ description: 'The xDS service and variant it uses.', examples: ['ADS delta'] }),
    connected: time,
    heldHash: hash.meta({ description: 'Stands for all it has acknowledged. Data planes with equal ones have the same configuration.' }),
    givenHash: hash.meta({ description: 'The same of all it was given; differs while something is unanswered or refused.' }),
    reported: z
      .strictObject({ hash, time })
      .nullable()
      .meta({ description: 'The same as the data plane itself says it has; null: it does not say.' }),
    process: z
      .strictObject({
        eventLoopDelayMaxMs: z.number().optional().meta({ description: 'Longest time in the last 15 s for which nothing else ran.' }),
        residentBytes: z.number().optional(),
        openConnections: z.number().optional(),
        certificateSecondsLeft: z.number().optional().meta({ description: 'Until the first certificate ends.' }),
        snapshotAgeMs: z.number().optional().meta({ description: 'Since its configuration was last known to be the newest.' }),
      })
      .nullable()
      .meta({ description: 'What a data plane of Heddle says of its process; null: nothing yet.' }),
    inSync: z.boolean().meta({ description: 'Whether it has applied everything it was sent.' }),
    sync: z.array(KindSync),
  })
  .meta({
    id: 'Proxy',
    examples: [
      {
        id: 'laptop@1769860800000',
        node: 'laptop',
        identity: 'spiffe://shop.internal/ns/heddle-system/svc/operator',
        flavour: 'heddle',
        userAgent: 'heddle 0.1.0',
        service: 'ADS delta',
        connected: '2026-01-31T12:00:00.000Z',
        heldHash: '91c0a3d5e2b74f60',
        givenHash: '91c0a3d5e2b74f60',
        reported: null,
        process: {
          eventLoopDelayMaxMs: 12,
          residentBytes: 72_351_744,
          openConnections: 9,
          certificateSecondsLeft: 3_000,
          snapshotAgeMs: 800,
        },
        inSync: true,
        sync: [
          {
            kind: 'cluster',
            state: 'in sync',
            resources: 4,
            sentVersion: '42',
            ackedVersion: '42',
            acked: '2026-01-31T12:00:01.000Z',
            rejection: '',
            behindSince: null,
            heldHash: '91c0a3d5e2b74f60',
            givenHash: '91c0a3d5e2b74f60',
          },
        ],
      },
    ],
  });
export type Proxy = z.infer<typeof Proxy>;

export const ScrapeTargets = z
  .array(
    z.strictObject({
      targets: z.array(z.string()).meta({ examples: [['127.0.0.1:15020']] }),
      labels: z.record(z.string(), z.string()).meta({ examples: [{ node: 'laptop' }] }),
    }),
  )
  .meta({ id: 'ScrapeTargets', examples: [[{ targets: ['127.0.0.1:15020'], labels: { node: 'laptop' } }]] });
export type ScrapeTargets = z.infer<typeof ScrapeTargets>;

export const PROXIES_PAGE_MAX = 1_000;
export const ProxyList = z
  .strictObject({
    items: z.array(Proxy),
    next: z.string().optional().meta({ description: 'Cursor of the next page; absent on the last one.' }),
  })
  .meta({ id: 'ProxyList', description: 'One page of data planes that are connected, sorted by node.' });
export const nodeName = z
  .string()
  .min(1)
  .max(253)
  .meta({ description: 'Name of the data plane.', examples: ['laptop'] });
export const ProxyPath = z.strictObject({ node: nodeName });

const perSecond = z.number().min(0);

export const Load = z
  .strictObject({
    source: z.string().meta({ description: 'NAMESPACE/SERVICE that calls; heddle-system/operator: nobody in particular.' }),
    destination: z.string(),
    requestsPerSecond: perSecond,
    errorsPerSecond: perSecond,
    droppedPerSecond: perSecond,
    inProgress: z.number().min(0),
    nodes: z.array(z.string()).meta({ description: 'Data planes that report it.' }),
    updated: time,
  })
  .meta({ id: 'Load' });

export const LoadList = z
  .strictObject({
    items: z.array(Load),
    next: z.string().optional().meta({ description: 'Cursor of the next page; absent on the last one.' }),
  })
  .meta({
    id: 'LoadList',
    description: 'One page of calls between services, sorted by source and destination.',
    examples: [
      {
        items: [
          {
            source: 'default/web',
            destination: 'default/orders',
            requestsPerSecond: 12.5,
            errorsPerSecond: 0,
            droppedPerSecond: 0,
            inProgress: 1,
            nodes: ['laptop'],
            updated: '2026-01-31T12:00:00.000Z',
          },
        ],
      },
    ],
  });
