// The form of a static proxy's file: listeners, and the services they lead to.
import { z } from 'zod';
import { DEFAULT_LIMITS } from '../limits/index.ts';
import { WEIGHT_MAX } from '../routing/split.ts';
import { choice, EXPECTED, field, NO_NUL, PROTOCOLS, text, whole } from './schema/fields.ts';
import { health } from './schema/health.ts';
import { trafficFields } from './schema/service.ts';
import { outletFields } from './schema/telemetry.ts';
import { LISTENER_ADDRESS } from './static-semantics.ts';

const ENDPOINTS_MAX = DEFAULT_LIMITS.endpointsPerClusterMax;
/** Each is a socket of its own; a process commonly gets some thousand. */
const LISTENERS_MAX = 1_000;

const pemFile = (description: string, example: string) => text('the name of a PEM file', NO_NUL, { description, examples: [example] });

const listenerTls = z
  .strictObject({
    cert: pemFile('Certificate of the server, then intermediates.', 'server.pem'),
    key: pemFile('Private key of the certificate.', 'server.key'),
    ca: pemFile('Roots: clients must show a certificate that leads to one of them.', 'clients-ca.pem').optional(),
  })
  .meta({ examples: [{ cert: 'server.pem', key: 'server.key' }] })
  .register(EXPECTED, { expected: 'a map with a certificate and its key' });

const serviceTls = z
  .strictObject({
    ca: pemFile('Roots that the certificates of the endpoints must lead to.', 'ca.pem'),
    serverName: text('a name such as db.example', NO_NUL, {
      description: 'Name that the endpoints are asked for, and that their certificates must be for.',
      examples: ['db.example'],
    }),
    cert: pemFile('Certificate that is shown to endpoints which ask for one.', 'client.pem').optional(),
    key: pemFile('Private key of the certificate.', 'client.key').optional(),
  })
  .meta({ examples: [{ ca: 'ca.pem', serverName: 'db.example' }] })
  .register(EXPECTED, { expected: 'a map with the roots and the name of the server' });

const serviceName = (description: string) => text('the name of a service', NO_NUL, { description, examples: ['echo'] });

const sni = field(
  z.record(z.string(), serviceName('The service that connections for the name go to.')).refine((map) => Object.keys(map).length > 0),
  'a map of server names and services, at least one',
  { description: 'Where connections go by the server name of their ClientHello.', examples: [{ 'db.example': 'db' }] },
);

const listener = z
  .strictObject({
    address: text('an IP address', NO_NUL, { description: 'Where to listen.', examples: ['127.0.0.1'] }).default(LISTENER_ADDRESS),
    port: field(z.int().min(0).max(65_535), 'a port, a whole number from 0 to 65535', {
      description: 'Port to listen on; 0: the system chooses.',
      examples: [9100],
    }),
    protocol: choice(PROTOCOLS, {
      description: 'http, http2 and grpc: HTTP/1.1 and HTTP/2; tcp: any bytes; tls: encrypted bytes that pass through; auto: found out.',
      examples: ['http'],
    }).default('http'),
    service: serviceName('The service that everything goes to.').optional(),
    tls: listenerTls.optional(),
    sni: sni.optional(),
  })
  .meta({ examples: [{ port: 9100, service: 'echo' }] })
  .register(EXPECTED, { expected: 'a map with a port and a service' });

const address = text('a text such as 127.0.0.1:9000', NO_NUL, { description: 'IP address and port.', examples: ['127.0.0.1:9000'] });
const endpoint = field(
  z.union([
    z.string().min(1).regex(NO_NUL),
    z.strictObject({
      address,
      weight: whole(1, WEIGHT_MAX, { description: 'Its share, next to the others.', examples: [2] }).default(1),
    }),
  ]),
  'a text such as 127.0.0.1:9000, or a map such as { address: 127.0.0.1:9000, weight: 2 }',
  { description: 'IP address and port.', examples: ['127.0.0.1:9000', { address: '127.0.0.1:9000', weight: 2 }] },
);

const service = z
  .strictObject({
    protocol: choice(PROTOCOLS, { description: 'How the endpoints speak.', examples: ['http'] }).default('http'),
    endpoints: field(z.array(endpoint).min(1).max(ENDPOINTS_MAX), `a list of 1 to ${ENDPOINTS_MAX} addresses with ports`, {
      description: 'Where the instances of the service listen.',
      examples: [['127.0.0.1:9000']],
    }),
    health: health.optional(),
    tls: serviceTls.optional(),
    ...trafficFields,
  })
  .meta({ examples: [{ endpoints: ['127.0.0.1:9000'] }] })
  .register(EXPECTED, { expected: 'a map of settings, at least the endpoints' });

export const StaticFile = z
  .strictObject({
    listeners: field(z.array(listener).min(1).max(LISTENERS_MAX), `a list of 1 to ${LISTENERS_MAX} listeners`, {
      description: 'The ports.',
      examples: [[{ port: 9100, service: 'echo' }]],
    }),
    services: z
      .record(z.string(), service)
      .meta({ examples: [{ echo: { endpoints: ['127.0.0.1:9000'] } }] })
      .register(EXPECTED, { expected: 'a map of services by name' }),
    telemetry: z
      .strictObject(outletFields)
      .meta({ description: 'What is told of requests, and to whom.', examples: [{ tracing: { otlp: 'http://127.0.0.1:4318' } }] })
      .register(EXPECTED, { expected: 'a map of settings' })
      .default({}),
  })
  .register(EXPECTED, { expected: 'a map with "listeners" and "services"' });

export type StaticFileOutput = z.output<typeof StaticFile>;
