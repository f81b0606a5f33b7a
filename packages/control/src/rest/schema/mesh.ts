// The REST API's schema: the mesh as a whole, join tokens, and the check of a mesh file.
import { z } from 'zod';
import { FileProblem, HealthCounts, namespaceName, revision, serviceName, time } from './common.ts';

export const Serving = z
  .strictObject({ status: z.enum(['serving', 'stopping']) })
  .meta({ id: 'Serving', examples: [{ status: 'serving' }] });

export const Mesh = z
  .strictObject({
    mesh: z.string(),
    trustDomain: z.string(),
    version: z.string().meta({ description: 'Version of the control plane.' }),
    revision,
    started: time,
    services: z.int().min(0),
    instances: HealthCounts,
    proxies: z.int().min(0).meta({ description: 'Data planes that are connected.' }),
    origin: z
      .enum(['file', 'applied'])
      .meta({ description: "Where what holds comes from: the control plane's own mesh file, or one that was applied." }),
    splits: z.int().min(0).meta({ description: 'Splits that were changed since.' }),
    differences: z.int().min(0).meta({ description: "What holds otherwise than the control plane's own file says." }),
  })
  .meta({
    id: 'Mesh',
    examples: [
      {
        mesh: 'shop',
        trustDomain: 'shop.internal',
        version: '0.1.0',
        revision: 42,
        started: '2026-01-31T12:00:00.000Z',
        services: 4,
        instances: { total: 7, healthy: 7, starting: 0, unhealthy: 0, draining: 0 },
        proxies: 1,
        origin: 'file',
        splits: 0,
        differences: 0,
      },
    ],
  });
export type Mesh = z.infer<typeof Mesh>;

export const NewToken = z
  .strictObject({
    namespace: namespaceName.default('default'),
    service: serviceName,
    ttlMs: z
      .int()
      .min(1_000)
      .max(604_800_000)
      .default(3_600_000)
      .meta({ description: 'How long it can be used: from 1 s to 7 days, 1 h by default.', examples: [300_000] }),
  })
  .meta({ id: 'NewToken', examples: [{ service: 'orders', ttlMs: 300_000 }] });

export const Token = z.strictObject({ token: z.string(), namespace: namespaceName, service: serviceName, notAfter: time }).meta({
  id: 'Token',
  description: 'A join token: usable once, by the named service. It is shown only here.',
  examples: [{ token: 'heddle1…', namespace: 'default', service: 'orders', notAfter: '2026-01-31T12:05:00.000Z' }],
});

export const Validation = z.strictObject({ valid: z.boolean(), problems: z.array(FileProblem) }).meta({
  id: 'Validation',
  description: 'A mesh file is valid when none of its problems is an error.',
  examples: [
    {
      valid: false,
      problems: [
        {
          severity: 'error',
          path: 'heddle.yaml',
          line: 3,
          column: 11,
          where: 'services.orders.port',
          reason: 'expected a whole number from 1 to 65535',
          mend: 'for example 8081',
        },
      ],
    },
  ],
});
