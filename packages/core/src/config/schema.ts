// The mesh file's form: one zod schema for the parser's checks, the editors' JSON Schema and the mends in error messages.
// It checks form only; what fields mean to one another is in `semantics.ts`, what they become in `build.ts`.
import { z } from 'zod';
import { ATTRIBUTE_NAME, PORT_NAME, PORT_NAME_WORDS } from '../model/attributes.ts';
import type { Protocol } from '../model/service.ts';
import { DURATION_PATTERN, formatDuration, parseDuration } from './duration.ts';

/** What a field takes, in words that follow "expected". */
export const EXPECTED = z.registry<{ expected: string }>();

/** RFC 1123 §2.1, lower case, as Kubernetes has it: the name becomes a host name, a SPIFFE id and environment variables. */
export const LABEL_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
export const LABEL_WORDS = 'lower-case letters, digits and "-", at most 63, beginning and ending with a letter or digit';
export const VARIABLE_PATTERN = /^[A-Za-z_][A-Za-z0-9_]*$/;
export const LABEL_KEY_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
export const NO_NUL = /^[^\u0000]*$/;
const NOT_BLANK = /^[^\u0000]*[^\u0000\s][^\u0000]*$/;

interface About {
  readonly description: string;
  readonly examples?: readonly unknown[];
}

export function field<T extends z.ZodType>(schema: T, expected: string, about: About): T {
  const described = schema.meta({ description: about.description, ...(about.examples && { examples: [...about.examples] }) });
  EXPECTED.add(described, { expected });
  return described;
}

export function duration(minMs: number, maxMs: number, about: About) {
  const fits = (value: string | 0): boolean => {
    const durationMs = parseDuration(value);
    return durationMs !== undefined && durationMs >= minMs && durationMs <= maxMs;
  };
  const text = z.string().regex(DURATION_PATTERN);
  const range = `from ${minMs === 0 ? '0' : formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  return field(z.union([z.literal(0), text]).refine(fits), `a duration ${range} with a unit (ms, s, m or h)`, about);
}

function whole(min: number, max: number, about: About) {
  return field(z.int().min(min).max(max), `a whole number from ${min} to ${max}`, about);
}

export function choice<const V extends readonly string[]>(values: V, about: About) {
  const expected = values.length === 1 ? `"${values[0]}"` : `one of ${values.map((value) => `"${value}"`).join(', ')}`;
  return field(z.enum(values), expected, about);
}

export function text(expected: string, pattern: RegExp, about: About) {
  return field(z.string().min(1).regex(pattern), expected, about);
}

/** A number or boolean is taken as it is written: `1.10` stays `1.10`. */
const scalarText = (expected: string, about: About) => field(z.union([z.string().regex(NO_NUL), z.number(), z.boolean()]), expected, about);

export const health = z
  .strictObject({
    http: text('a path that begins with "/"', /^\/[\x21-\x7e]*$/, {
      description: 'Path asked for with GET by HTTP/1.1; any 2xx answer passes. Only for services with protocol http or auto.',
      examples: ['/healthz'],
    }).optional(),
    tcp: field(z.literal(true), 'true', { description: 'A connection that opens passes. The default.', examples: [true] }).optional(),
    interval: duration(100, 3_600_000, { description: 'Time from one check to the next.', examples: ['2s'] }).default('2s'),
    timeout: duration(10, 3_600_000, {
      description: 'Time a check may take; at most the interval. Default: 1s, or the interval where that is shorter.',
      examples: ['1s'],
    }).optional(),
    unhealthyAfter: whole(1, 100, {
      description: 'Failed checks in a row after which an instance gets no more traffic.',
      examples: [2],
    }).default(2),
    healthyAfter: whole(1, 100, {
      description: 'Passed checks in a row after which an unhealthy instance gets traffic again.',
      examples: [1],
    }).default(1),
  })
  .meta({ description: 'How the data plane finds out whether an instance is alive.', examples: [{ http: '/healthz' }] })
  .register(EXPECTED, { expected: 'a map such as { http: /healthz }' });

export const PROTOCOLS = ['http', 'http2', 'grpc', 'tcp', 'tls', 'auto'] as const satisfies readonly Protocol[];

export const RETRY_CONDITIONS = ['connect-failure', 'refused', 'reset'] as const;

const retry = field(
  z.union([
    z.literal('off'),
    z.strictObject({
      attempts: whole(0, 10, { description: 'Tries after the first one.', examples: [2] }).default(2),
      on: field(
        z
          .array(
            choice(RETRY_CONDITIONS, {
              description:
                'connect-failure and refused: the application never saw the request; reset: the connection broke, repeated only for idempotent methods; by gRPC programs without a proxy for every call that ends with UNAVAILABLE.',
            }),
          )
          .min(1),
        'a list of conditions, at least one',
        { description: 'What is tried again.', examples: [['connect-failure', 'refused']] },
      ).default([...RETRY_CONDITIONS]),
    }),
  ]),
  '"off" or a map such as { attempts: 2 }',
  {
    description:
      'When a failed request is tried again, on another instance where there is one. Only for services that carry requests, gRPC calls included: protocol http, http2, grpc or auto. Without it, 2 tries more for every condition; with grpc not after a reset.',
    examples: ['off', { attempts: 1 }],
  },
);

const word = field(z.string().regex(NO_NUL), 'a text', { description: 'One argument.', examples: ['node'] });
const command = field(
  z.union([z.string().regex(NOT_BLANK), z.array(word).min(1)]).refine((value) => typeof value === 'string' || value[0]?.trim() !== ''),
  'a command, or a list of its words',
  {
    description: 'Starts one instance. A text is given to /bin/sh; a list is started as it is.',
    examples: ['node services/orders.ts', ['python3', 'stock.py']],
  },
);

/** What a service has in the mesh file and in the file of a static proxy. */
export const trafficFields = {
  balance: choice(['round-robin'], { description: 'How callers choose among healthy instances.', examples: ['round-robin'] }).default(
    'round-robin',
  ),
  timeout: duration(0, 86_400_000, {
    description:
      'Time for a whole request, retries included; 0 means no limit. Only for services that carry requests: protocol http, http2, grpc or auto. Default: 15s; with grpc none, as calls bring their own and may stream for long.',
    examples: ['2s'],
  }).optional(),
  connectTimeout: duration(10, 60_000, { description: 'Time to connect to an instance, TLS included.', examples: ['1s'] }).default('1s'),
  retry: retry.optional(),
};

const serviceFields = {
  port: field(z.int().min(1).max(65_535), 'a port, a whole number from 1 to 65535', {
    description: 'The port callers name.',
    examples: [8081],
  }),
  protocol: choice(PROTOCOLS, {
    description:
      'How the service speaks. http: HTTP/1.1; http2: HTTP/2 from the first byte; grpc: the same for gRPC; tcp: any bytes; tls: bytes that the application encrypts itself; auto: found out for each connection, http or tcp. Callers of http, http2 and grpc may use HTTP/1.1 or HTTP/2.',
    examples: ['http'],
  }).default('http'),
  run: command.optional(),
  cwd: text('a directory', NO_NUL, {
    description: 'Where the command runs, relative to this file. Default: the directory of this file.',
    examples: ['services'],
  }).optional(),
  env: field(
    z.record(z.string(), scalarText('a text', { description: 'Value of the variable.', examples: ['value'] })),
    'a map of variables',
    {
      description: 'Environment of the command, beside what Heddle sets itself (PORT, HTTP_PROXY, <SERVICE>_URL, …).',
      examples: [{ LOG_LEVEL: 'debug' }],
    },
  )
    .meta({ propertyNames: { pattern: VARIABLE_PATTERN.source } })
    .optional(),
  replicas: whole(1, 100, { description: 'How many instances are started. Default: 1.', examples: [3] }).optional(),
  needs: field(
    z.array(text('the name of a program', /^[^\u0000\s]+$/, { description: 'A program.', examples: ['python3'] })),
    'a list of programs',
    {
      description: 'Programs that must be on PATH; where one is missing the service is left out with a message.',
      examples: [['python3']],
    },
  ).optional(),
  stopTimeout: duration(0, 3_600_000, {
    description: 'Time a process gets to end after SIGTERM before it is killed. Default: 10s.',
    examples: ['10s'],
  }).optional(),
  version: scalarText('a text', {
    description: 'Version of the instances that are started, shown and usable for routing.',
    examples: ['v1'],
  }).optional(),
  labels: field(
    z.record(z.string(), scalarText('a text', { description: 'Value of the label.', examples: ['value'] })),
    'a map of labels',
    {
      description: 'Names and values of your own, kept with the service.',
      examples: [{ team: 'payments' }],
    },
  )
    .meta({ propertyNames: { pattern: LABEL_KEY_PATTERN.source } })
    .default({}),
  metadata: field(
    z.record(z.string(), scalarText('a text', { description: 'Value of the entry.', examples: ['value'] })),
    'a map of texts',
    {
      description: 'What else is to be known about the service: kept, shown to whoever lists it, never acted upon.',
      examples: [{ owner: 'payments@shop.example', runbook: 'https://wiki.shop.example/orders' }],
    },
  )
    .meta({ propertyNames: { pattern: ATTRIBUTE_NAME.source } })
    .default({}),
  ports: field(
    z.record(
      z.string(),
      field(z.int().min(1).max(65_535), 'a port, a whole number from 1 to 65535', { description: 'The port.', examples: [9_100] }),
    ),
    'a map of ports by name',
    {
      description: `Other ports on which its instances listen, for metrics for example. Told to whoever asks, DNS included; the mesh does not carry them. Names have ${PORT_NAME_WORDS}.`,
      examples: [{ metrics: 9_100 }],
    },
  )
    .meta({ propertyNames: { pattern: PORT_NAME.source } })
    .default({}),
  uses: field(
    z.array(text('the name of a service', NO_NUL, { description: 'A service of this file.', examples: ['orders'] })),
    'a list of services',
    {
      description: 'The services this one calls; for each it gets <NAME>_URL, <NAME>_HOST and <NAME>_PORT. Default: all others.',
      examples: [['orders']],
    },
  ).optional(),
  health: health.prefault({}),
  ...trafficFields,
};

const service = z
  .strictObject(serviceFields)
  .meta({ description: 'One service: a name that others call, and the instances behind it.', examples: [{ port: 8081 }] })
  .register(EXPECTED, {
    expected: 'a map of settings, at least a port',
  });

const security = z
  .strictObject({
    mtls: choice(['strict'], {
      description: 'Mutual TLS for every call between instances; others are refused.',
      examples: ['strict'],
    }).default('strict'),
    anonymousCalls: choice(['operator', 'refuse'], {
      description: "Calls through this machine's HTTP proxy that name no workload: made with the operator's identity, or refused.",
      examples: ['operator'],
    }).default('operator'),
  })
  .meta({ description: 'What holds for the whole mesh.', examples: [{ mtls: 'strict' }] })
  .register(EXPECTED, { expected: 'a map of settings' });

const discovery = z
  .strictObject({
    keepOnMassExpiry: field(z.boolean(), 'true or false', {
      description:
        'When more than half of the instances of a service (of 3 or more) stop sending heartbeats at about the same time, the way to them is more likely broken than they are: the last known ones are kept, for 10 minutes or until they register again. false: every instance goes when its own lease ends.',
      examples: [true],
    }).default(true),
  })
  .meta({ description: 'How the registry knows which instances there are.', examples: [{ keepOnMassExpiry: true }] })
  .register(EXPECTED, { expected: 'a map of settings' });

export const MeshFile = z
  .strictObject({
    mesh: text(`a name of ${LABEL_WORDS}`, LABEL_PATTERN, { description: 'Name of the mesh.', examples: ['shop'] }),
    trustDomain: text('a trust domain: lower-case letters, digits, ".", "-" and "_", at most 255', /^[a-z0-9._-]{1,255}$/, {
      description: 'Trust domain of all identities (SPIFFE). Default: the name of the mesh.',
      examples: ['shop.example'],
    }).optional(),
    services: z
      .record(z.string(), service)
      .meta({
        description: 'The services by name.',
        examples: [{ orders: { port: 8081 } }],
        propertyNames: { pattern: LABEL_PATTERN.source },
      })
      .register(EXPECTED, { expected: 'a map of services by name' }),
    security: security.prefault({}),
    discovery: discovery.prefault({}),
  })
  .register(EXPECTED, { expected: 'a map with "mesh" and "services"' });

export type MeshFileOutput = z.output<typeof MeshFile>;
export type ServiceOutput = MeshFileOutput['services'][string];
export type HealthOutput = ServiceOutput['health'];
