// The form of `telemetry`: where spans of traces go, which requests get a line in the access log, and who keeps the metrics.
import { z } from 'zod';
import {
  choice,
  duration,
  EXPECTED,
  field,
  flag,
  HEADER_VALUE_PATTERN,
  NO_NUL,
  oneOrMore,
  percent,
  scalarText,
  text,
  TOKEN_PATTERN,
} from './fields.ts';

/** Of an access log. */
const HEADERS_MAX = 16;
const STATUSES_MAX = 16;
/** Of spans, and of requests to the collector. */
const ENTRIES_MAX = 32;
export const STATUS_PATTERN = /^(?:[1-5]xx|[1-5]\d\d(?:-[1-5]\d\d)?)$/;

const sample = (description: string) => percent({ description, examples: ['10%'] });

const secretHeader = z
  .strictObject({
    env: text('the name of a variable', NO_NUL, {
      description: 'A variable in the environment of each data plane, with OTLP or OTEL in its name.',
      examples: ['OTLP_TOKEN'],
    }).optional(),
    file: text('the name of a file', NO_NUL, {
      description:
        'A file on the machine of each data plane, with the value in one line. Relative names start from the directory of this file.',
      examples: ['secrets/otlp'],
    }).optional(),
  })
  .meta({ description: 'Where a secret is.', examples: [{ env: 'OTLP_TOKEN' }] })
  .register(EXPECTED, { expected: 'a map such as { env: OTLP_TOKEN }' });

const collectorHeaders = field(
  z
    .record(
      z.string(),
      field(z.union([z.string().regex(HEADER_VALUE_PATTERN), secretHeader]), 'a text, or a map such as { env: OTLP_TOKEN }', {
        description:
          'Its value. A secret is written as `{ env: NAME }` or `{ file: NAME }`: it is read by each data plane, for each batch, and never leaves it but for the collector.',
        examples: ['shop', { env: 'OTLP_TOKEN' }],
      }),
    )
    .refine((map) => Object.keys(map).length <= ENTRIES_MAX),
  `a map of at most ${ENTRIES_MAX} headers`,
  { description: 'What requests to the collector have besides.', examples: [{ 'x-tenant': 'shop', authorization: { env: 'OTLP_TOKEN' } }] },
).meta({ propertyNames: { pattern: TOKEN_PATTERN.source } });

const tracing = z
  .strictObject({
    otlp: text('a URL such as http://127.0.0.1:4318', NO_NUL, {
      description:
        'The collector, which takes OTLP over HTTP as protobuf. `/v1/traces` is put behind it where it does not end with it. Data planes send spans to it themselves, so that it must be reached from where they run.',
      examples: ['http://127.0.0.1:4318'],
    }),
    sample: sample(
      'The share of requests that are traced, of those that come without a trace. Whoever sends one along has decided: what was sampled is traced, and what was not is not.',
    ).default('1%'),
    headers: collectorHeaders.optional(),
    attributes: field(
      z
        .record(z.string(), scalarText('a text', { description: 'Its value.', examples: ['production'] }))
        .refine((map) => Object.keys(map).length <= ENTRIES_MAX),
      `a map of at most ${ENTRIES_MAX} texts`,
      { description: 'On every span.', examples: [{ 'deployment.environment.name': 'production' }] },
    ).default({}),
    timeout: duration(100, 60_000, { description: 'For the collector to take a batch.', examples: ['5s'] }).default('5s'),
    gzip: flag({ description: 'Batches are compressed: less to send, more to compute.', examples: [true] }).default(false),
  })
  .meta({ description: 'Spans of requests, to a collector.', examples: [{ otlp: 'http://127.0.0.1:4318', sample: '1%' }] })
  .register(EXPECTED, { expected: 'a map with the URL of a collector in "otlp"' });

const status = field(z.union([z.string().regex(STATUS_PATTERN), z.int().min(100).max(599)]), 'a status such as 404, 5xx or 400-499', {
  description: 'A status, all of a class, or a range. Those of gRPC count as what they mean in HTTP: UNAVAILABLE as 503.',
  examples: ['5xx', 404, '400-499'],
});

const choiceFields = {
  sample: sample('The share that is written, of the requests that meet a condition, or of all where there is no condition.').default(
    '100%',
  ),
  rest: sample('The share of all requests that is written besides, whatever the conditions say. Only with a condition.').optional(),
  status: oneOrMore(status, STATUSES_MAX, `a status such as 5xx, or a list of at most ${STATUSES_MAX}`, {
    description: 'A condition: answered with one of these.',
    examples: [['5xx', '400-499']],
  }).optional(),
  slowerThan: duration(1, 3_600_000, { description: 'A condition: it took longer.', examples: ['500ms'] }).optional(),
  errors: flag({
    description: 'A condition: a data plane ended it with an error of its own, such as NO_HEALTHY_INSTANCE or ACCESS_DENIED.',
    examples: [true],
  }).optional(),
};

const accessLog = z
  .strictObject({
    format: choice(['json', 'text'], {
      description: 'json: an object for each line; text: words, for people.',
      examples: ['json'],
    }).default('json'),
    to: text('stdout, or the name of a file', NO_NUL, {
      description:
        '`stdout` of the data plane, or a file on its machine, whose name ends in .log or .jsonl. Relative names start from the directory of this file. A file that was renamed (logrotate) is made anew.',
      examples: ['stdout', 'logs/access.jsonl'],
    }).default('stdout'),
    ...choiceFields,
    headers: field(
      z
        .array(text('the name of a header', TOKEN_PATTERN, { description: 'A header of requests.', examples: ['x-request-id'] }))
        .max(HEADERS_MAX),
      `a list of at most ${HEADERS_MAX} names of headers`,
      { description: 'Headers of requests that are written besides.', examples: [['x-request-id']] },
    ).default([]),
  })
  .meta({
    description:
      'A line for each request, at both ends of a call. What meets one of the conditions `status`, `slowerThan` and `errors` is written; without any, all.',
    examples: [{ status: ['5xx'], slowerThan: '500ms', errors: true, rest: '1%' }],
  })
  .register(EXPECTED, { expected: 'a map of settings' });

/** What a static proxy has, too. */
export const outletFields = { tracing: tracing.optional(), accessLog: accessLog.optional() };

const prometheus = text('a URL such as http://127.0.0.1:9090', NO_NUL, {
  description: 'A Prometheus server that has the metrics of the mesh, for what the control plane shows of the past.',
  examples: ['http://127.0.0.1:9090'],
});

export const telemetry = z
  .strictObject({ ...outletFields, prometheus: prometheus.optional() })
  .meta({ description: 'What is told of requests, and to whom.', examples: [{ tracing: { otlp: 'http://127.0.0.1:4318' } }] })
  .register(EXPECTED, { expected: 'a map of settings' });

export const serviceTelemetry = z
  .strictObject({
    tracing: z
      .strictObject({ sample: sample('In place of that of the mesh.') })
      .meta({ description: 'How its requests are traced.', examples: [{ sample: '100%' }] })
      .register(EXPECTED, { expected: 'a map such as { sample: 100% }' })
      .optional(),
    accessLog: z
      .strictObject(choiceFields)
      .meta({
        description: 'Which requests are written, in place of what the mesh says about it, as a whole.',
        examples: [{ sample: '0%' }],
      })
      .register(EXPECTED, { expected: 'a map of settings' })
      .optional(),
  })
  .meta({
    description: 'What is different for the requests that its instances get and make.',
    examples: [{ tracing: { sample: '100%' } }],
  })
  .register(EXPECTED, { expected: 'a map of settings' });

export type TelemetryOutput = z.output<typeof telemetry>;
export type ServiceTelemetryOutput = z.output<typeof serviceTelemetry>;
