// The form of a service: what its instances are, how they are started, checked and called.
import { z } from 'zod';
import { ATTRIBUTE_NAME, PORT_NAME, PORT_NAME_WORDS } from '../../model/attributes.ts';
import { balance, outlier, sticky } from './balance.ts';
import {
  choice,
  duration,
  EXPECTED,
  field,
  LABEL_KEY_PATTERN,
  NO_NUL,
  NOT_BLANK,
  port,
  PROTOCOLS,
  scalarText,
  text,
  VARIABLE_PATTERN,
  whole,
} from './fields.ts';
import { health } from './health.ts';
import { breaker, concurrency, hedge, idleTimeout, retry, serviceRateLimits, timeout } from './resilience.ts';
import { mtls } from './security.ts';
import { serviceTelemetry } from './telemetry.ts';

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
  balance: balance.optional(),
  timeout: timeout(
    'Time for a whole request, retries included; 0 means no limit. Only for services that carry requests: protocol http, http2, grpc or auto. Default: 15s; with grpc none, as calls bring their own and may stream for long.',
  ).optional(),
  connectTimeout: duration(10, 60_000, { description: 'Time to connect to an instance, TLS included.', examples: ['1s'] }).default('1s'),
  idleTimeout: idleTimeout(
    'Time without a byte in either direction, after which a request or a byte stream is ended. Default: that of the data plane (see the limits streamIdleTimeoutMs and tcpIdleTimeoutMs).',
  ).optional(),
  retry: retry.optional(),
  hedge: hedge.optional(),
  breaker: breaker.optional(),
  concurrency: concurrency.optional(),
  outlier: outlier.optional(),
  sticky: sticky.optional(),
};

const runFields = {
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
    description: 'Version of the instances that are started, shown, and usable in `routes`.',
    examples: ['v1'],
  }).optional(),
};

const attributeFields = {
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
  ports: field(z.record(z.string(), port({ description: 'The port.', examples: [9_100] })), 'a map of ports by name', {
    description: `Other ports on which its instances listen, for metrics for example. Told to whoever asks, DNS included; the mesh does not carry them. Names have ${PORT_NAME_WORDS}.`,
    examples: [{ metrics: 9_100 }],
  })
    .meta({ propertyNames: { pattern: PORT_NAME.source } })
    .default({}),
};

export const service = z
  .strictObject({
    port: port({ description: 'The port callers name.', examples: [8081] }),
    protocol: choice(PROTOCOLS, {
      description:
        'How the service speaks. http: HTTP/1.1; http2: HTTP/2 from the first byte; grpc: the same for gRPC; tcp: any bytes; tls: bytes that the application encrypts itself; auto: found out for each connection, http or tcp. Callers of http, http2 and grpc may use HTTP/1.1 or HTTP/2.',
      examples: ['http'],
    }).default('http'),
    ...runFields,
    ...attributeFields,
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
    rateLimit: serviceRateLimits.optional(),
    mtls: mtls.optional(),
    telemetry: serviceTelemetry.optional(),
  })
  .meta({ description: 'One service: a name that others call, and the instances behind it.', examples: [{ port: 8081 }] })
  .register(EXPECTED, { expected: 'a map of settings, at least a port' });
