// The REST API's schema: instances, their registration with a lease, and verdicts about them.
import { z } from 'zod';
import {
  cursor,
  Health,
  instanceId,
  Labels,
  limit,
  Locality,
  Metadata,
  name,
  NamedPorts,
  namespaceName,
  page,
  revision,
  serviceName,
  SocketAddress,
} from './common.ts';

export const INSTANCES_PAGE_MAX = 1_000;

const Outbound = z
  .strictObject({ namespace: namespaceName, service: serviceName, listen: SocketAddress })
  .meta({ id: 'Outbound', description: 'A local port on which the application calls another service.' });

const NewOutbound = z
  .strictObject({ namespace: namespaceName.default('default'), service: serviceName, listen: SocketAddress })
  .meta({ id: 'NewOutbound', description: 'A local port on which the application calls another service.' });

const node = z
  .string()
  .min(1)
  .max(253)
  .meta({ description: 'Name of the data plane that hosts the instance.', examples: ['laptop'] });
const version = z
  .string()
  .max(128)
  .meta({ description: 'Version of the application; may be empty.', examples: ['v1'] });
const weight = z
  .int()
  .min(1)
  .max(1_000)
  .meta({ description: 'Share of the traffic, relative to other instances.', examples: [1] });
const reason = z
  .string()
  .max(1_024)
  .meta({ description: 'Why, in words for people.', examples: ['checks pass'] });
const lease = z.string().min(1).max(128).meta({ description: 'Names the registration in its heartbeats.' });
const leaseTtlMs = z.int().min(1_000).max(300_000);

const example = {
  namespace: 'default',
  service: 'orders',
  instance: 'orders-1',
  health: 'healthy',
  healthReason: 'checks pass',
  node: 'laptop',
  inbound: { address: '127.0.0.1', port: 20001 },
  application: { address: '127.0.0.1', port: 8081 },
  outbounds: [],
  version: 'v1',
  labels: { zone: 'a' },
  metadata: {},
  ports: {},
  weight: 1,
  revision: 41,
};

const reasonExample = { source: 'check', health: 'healthy', text: 'checks pass' };

const VerdictReason = z
  .strictObject({
    source: z.enum(['draining', 'lease', 'check', 'report']).meta({
      description:
        '`draining`: it is leaving. `lease`: whether its data plane is heard of. `check`: what its data plane finds. `report`: what an outside detector says.',
    }),
    detector: z.string().optional().meta({ description: 'Only with `report`.' }),
    health: Health.meta({ description: 'What the instance would be if only this counted.' }),
    text: z.string(),
  })
  .meta({ id: 'VerdictReason', description: 'One piece of the evidence about an instance.', examples: [reasonExample] });

const instanceFields = {
  namespace: namespaceName,
  service: serviceName,
  instance: instanceId,
  health: Health,
  healthReason: z.string().meta({ description: 'All reasons for the verdict.' }),
  node,
  inbound: SocketAddress.meta({ description: 'Where peers reach it: the inbound port of its data plane.' }),
  application: SocketAddress.meta({ description: 'Where the application listens, seen from its data plane.' }),
  outbounds: z.array(Outbound),
  version,
  labels: Labels,
  metadata: Metadata,
  ports: NamedPorts,
  locality: Locality.optional().meta({ description: 'Absent: not known.' }),
  weight,
  revision: revision.meta({ description: 'Revision at which it was last written; also its entity tag.' }),
};

export const Instance = z.strictObject(instanceFields).meta({ id: 'Instance', examples: [example] });
export type Instance = z.infer<typeof Instance>;

export const InstanceDetail = z
  .strictObject({
    ...instanceFields,
    reasons: z.array(VerdictReason).meta({ description: 'All that the verdict was made from, the worst first.' }),
  })
  .meta({ id: 'InstanceDetail', examples: [{ ...example, reasons: [reasonExample] }] });
export type InstanceDetail = z.infer<typeof InstanceDetail>;

export const InstanceList = page(Instance, 'InstanceList', 'instances', example);

export const InstanceQuery = z.strictObject({
  namespace: namespaceName.optional(),
  service: serviceName.optional(),
  node: node.optional(),
  health: Health.optional(),
  label: z
    .union([z.string(), z.array(z.string())])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .pipe(z.array(z.string().regex(/^[^=]+=/, 'NAME=VALUE')).max(16))
    .optional()
    .meta({ description: 'NAME=VALUE. Given several times, all must hold.', examples: [['zone=a']] }),
  limit: limit(INSTANCES_PAGE_MAX, 500),
  cursor: cursor('NAMESPACE/SERVICE/INSTANCE'),
});
export const InstancePath = z.strictObject({ namespace: namespaceName, service: serviceName, instance: instanceId });

export const Registration = z
  .strictObject({
    node,
    inbound: SocketAddress,
    application: SocketAddress,
    outbounds: z.array(NewOutbound).max(1_000).default([]),
    version: version.default(''),
    labels: Labels.default({}),
    metadata: Metadata.default({}),
    ports: NamedPorts.default({}),
    locality: Locality.optional(),
    weight: weight.default(1),
    leaseTtlMs: leaseTtlMs
      .default(10_000)
      .meta({ description: 'Without a heartbeat for this long, the instance is removed.', examples: [10_000] }),
    health: Health.optional().meta({ description: 'What is known about it by who registers it; `starting` when absent.' }),
    healthReason: reason.optional(),
  })
  .meta({
    id: 'Registration',
    examples: [
      {
        node: 'laptop',
        inbound: { address: '127.0.0.1', port: 20001 },
        application: { address: '127.0.0.1', port: 8081 },
        version: 'v1',
        labels: { zone: 'a' },
        leaseTtlMs: 10_000,
        health: 'healthy',
        healthReason: 'it answers',
      },
    ],
  });
export type Registration = z.infer<typeof Registration>;

export const Registered = z
  .strictObject({
    lease,
    leaseTtlMs: leaseTtlMs.meta({ description: 'Send a heartbeat within a third of this.' }),
    revision,
    instance: Instance,
  })
  .meta({ id: 'Registered', examples: [{ lease: '7f3a', leaseTtlMs: 10_000, revision: 43, instance: example }] });

export const Heartbeat = z
  .strictObject({
    lease,
    health: Health.optional().meta({ description: 'What has been found about the instance; absent: as before.' }),
    healthReason: reason.optional(),
  })
  .meta({ id: 'Heartbeat', examples: [{ lease: '7f3a', health: 'healthy', healthReason: 'it answers' }] });

export const HeartbeatAnswer = z
  .strictObject({ revision, instance: Instance })
  .meta({ id: 'HeartbeatAnswer', examples: [{ revision: 44, instance: example }] });

export const HealthReport = z
  .strictObject({
    detector: name('Who has found it; a verdict stays until the same detector takes it back', 'prober').default('rest'),
    health: z.enum(['healthy', 'unhealthy']),
    reason: reason.default(''),
  })
  .meta({ id: 'HealthReport', examples: [{ detector: 'prober', health: 'unhealthy', reason: 'answers are wrong' }] });

export const Drain = z.strictObject({ reason: reason.default('') }).meta({ id: 'Drain', examples: [{ reason: 'machine is replaced' }] });

export const DrainQuery = z.strictObject({
  waitMs: z.coerce
    .number()
    .pipe(z.int().min(0).max(50_000))
    .optional()
    .meta({
      description:
        'How long to wait until no data plane chooses the instance any more, at most 50 s. Absent: it is answered at once, while data planes are being told.',
      examples: [30_000],
    }),
});

const drainExample = {
  outcome: 'timed-out',
  dataPlanes: 12,
  acknowledged: 11,
  gone: 0,
  stragglers: [{ node: 'laptop-3', reason: 'unacknowledged' }],
};

export const DrainProgress = z
  .strictObject({
    outcome: z.enum(['waiting', 'complete', 'timed-out', 'returned']).meta({
      description:
        '`complete`: no data plane chooses the instance any more. `timed-out`: the stragglers may. `returned`: it is in rotation again.',
    }),
    dataPlanes: z.int().min(0).meta({ description: 'Those that were told of the instance as one to be chosen.' }),
    acknowledged: z.int().min(0).meta({ description: 'Of these, those that have acknowledged a state without it.' }),
    gone: z.int().min(0).meta({ description: 'And those that have ended, or have been away for 15 s.' }),
    stragglers: z
      .array(z.strictObject({ node, reason: z.enum(['unacknowledged', 'refused', 'disconnected']) }))
      .meta({ description: 'The others, by name.' }),
  })
  .meta({ id: 'DrainProgress', description: 'Who may still choose an instance that is draining.', examples: [drainExample] });
export type DrainProgress = z.infer<typeof DrainProgress>;

export const DrainAnswer = z
  .strictObject({
    revision,
    instance: Instance,
    drain: DrainProgress.optional().meta({ description: 'How the waiting ended; absent where there was none.' }),
  })
  .meta({ id: 'DrainAnswer', examples: [{ revision: 44, instance: { ...example, health: 'draining' }, drain: drainExample }] });
