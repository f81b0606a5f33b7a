// The REST API's schema: what many resources share. Plain data and zod, so that a browser can use the same types. Every schema with an
// id is a component of the OpenAPI document; descriptions and examples are written there too.
import { z } from 'zod';

/** As the registry has it: what a SPIFFE id and an xDS name can hold. */
const NAME_FORM = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const NAME_WORDS = '1 to 63 letters, digits, ".", "_" or "-", a letter or digit at both ends';

export const name = (what: string, example: string) =>
  z
    .string()
    .regex(NAME_FORM, NAME_WORDS)
    .meta({ description: `${what}: ${NAME_WORDS}.`, examples: [example] });

export const namespaceName = name('Namespace', 'default');
export const serviceName = name('Name of the service', 'orders');
export const instanceId = name('Name of the instance, unique within its service', 'orders-1');

export const revision = z
  .int()
  .min(0)
  .meta({ description: 'Revision of the registry; it grows with every change.', examples: [42] });

/** RFC 3339 in UTC with milliseconds. */
export const time = z.iso
  .datetime({ precision: 3 })
  .meta({ description: 'Time in UTC (RFC 3339).', examples: ['2026-01-31T12:00:00.000Z'] });

export const SocketAddress = z
  .strictObject({
    address: z
      .string()
      .max(45)
      .meta({ description: 'IPv4 or IPv6 address without brackets.', examples: ['127.0.0.1'] }),
    port: z.int().min(1).max(65_535),
  })
  .meta({ id: 'SocketAddress', examples: [{ address: '127.0.0.1', port: 20001 }] });

export const Labels = z
  .record(z.string().min(1).max(317), z.string().max(256))
  .meta({ id: 'Labels', description: 'At most 64 labels.', examples: [{ zone: 'a' }] });

export const Metadata = z.record(z.string().min(1).max(317), z.string()).meta({
  id: 'Metadata',
  description: 'Kept and shown, never acted upon: at most 64 entries and 8,192 bytes.',
  examples: [{ team: 'checkout' }],
});

export const NamedPorts = z
  .record(z.string().min(1).max(15), z.int().min(1).max(65_535))
  .meta({ id: 'NamedPorts', description: 'Other ports of the application by name, at most 32.', examples: [{ metrics: 9090 }] });

export const Locality = z
  .strictObject({ region: z.string().min(1).max(63), zone: z.string().min(1).max(63), subZone: z.string().min(1).max(63).optional() })
  .meta({ id: 'Locality', description: 'Where an instance runs.', examples: [{ region: 'eu-1', zone: 'eu-1a' }] });

export const Health = z
  .enum(['starting', 'healthy', 'unhealthy', 'draining'])
  .meta({ id: 'Health', description: 'The verdict of the registry; only healthy instances get traffic.' });

export const HealthCounts = z
  .strictObject({
    total: z.int().min(0),
    healthy: z.int().min(0),
    starting: z.int().min(0),
    unhealthy: z.int().min(0),
    draining: z.int().min(0),
  })
  .meta({ id: 'HealthCounts', description: 'Numbers of instances by health.' });

/** Query parameters come as text. */
export const limit = (max: number, standard: number) =>
  z.coerce
    .number()
    .pipe(z.int().min(1).max(max))
    .default(standard)
    .meta({ description: `Items of one page, at most ${max}.`, examples: [standard] });

export const cursor = (form: string) =>
  z
    .string()
    .max(256)
    .optional()
    .meta({ description: `Where the page begins: \`next\` of the page before (${form}, after which it goes on).` });

/** One page; `next` is absent on the last one. */
export const page = <T extends z.ZodType>(items: T, id: string, what: string, example: unknown) =>
  z
    .strictObject({
      revision,
      items: z.array(items),
      next: z.string().optional().meta({ description: 'Cursor of the next page; absent on the last one.' }),
    })
    .meta({ id, description: `One page of ${what}, sorted.`, examples: [{ revision: 42, items: [example] }] });

export const FieldError = z
  .strictObject({
    path: z.string().meta({ description: 'Which field; empty for the whole.' }),
    message: z.string(),
  })
  .meta({ id: 'FieldError' });

export const FileProblem = z
  .strictObject({
    severity: z.enum(['error', 'warning']),
    path: z.string(),
    line: z.int().min(1),
    column: z.int().min(1),
    where: z
      .string()
      .meta({ description: 'Place in the configuration; empty for the file as a whole.', examples: ['services.orders.port'] }),
    reason: z.string(),
    mend: z.string(),
  })
  .meta({ id: 'FileProblem' });
export type FileProblem = z.infer<typeof FileProblem>;

export const Problem = z
  .strictObject({
    type: z.string().meta({ description: 'A URN that names the kind of problem.' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What is wrong with this request.' }),
    instance: z.string().meta({ description: 'Path of the request.' }),
    code: z.string().meta({ description: 'The kind of problem, for programs.' }),
    mend: z.string().optional().meta({ description: 'What to do about it.' }),
    errors: z.array(FieldError).optional().meta({ description: 'Every field that is wrong.' }),
    problems: z.array(FileProblem).optional().meta({ description: 'Everything that is wrong with a mesh file.' }),
  })
  .meta({
    id: 'Problem',
    description: 'What went wrong (RFC 9457).',
    examples: [
      {
        type: 'urn:heddle:problem:not-found',
        title: 'There is no such thing',
        status: 404,
        detail: 'there is no service default/ordrs',
        instance: '/api/v1/services/default/ordrs',
        code: 'NOT_FOUND',
      },
    ],
  });
export type Problem = z.infer<typeof Problem>;
