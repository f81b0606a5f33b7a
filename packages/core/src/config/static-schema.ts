// The form of a static proxy's file: listeners, and the services they lead to.
import { z } from 'zod';
import { DEFAULT_LIMITS } from '../limits/index.ts';
import { choice, EXPECTED, field, health, NO_NUL, text, trafficFields } from './schema.ts';
import { LISTENER_ADDRESS } from './static-semantics.ts';

const ENDPOINTS_MAX = DEFAULT_LIMITS.endpointsPerClusterMax;
/** Each is a socket of its own; a process commonly gets some thousand. */
const LISTENERS_MAX = 1_000;

const protocol = choice(['http', 'tcp'], { description: 'http: HTTP/1.1; tcp: bytes as they are.', examples: ['http'] });

const listener = z
  .strictObject({
    address: text('an IP address', NO_NUL, { description: 'Where to listen.', examples: ['127.0.0.1'] }).default(LISTENER_ADDRESS),
    port: field(z.int().min(0).max(65_535), 'a port, a whole number from 0 to 65535', {
      description: 'Port to listen on; 0: the system chooses.',
      examples: [9100],
    }),
    protocol: protocol.default('http'),
    service: text('the name of a service', NO_NUL, { description: 'The service that everything goes to.', examples: ['echo'] }),
  })
  .meta({ examples: [{ port: 9100, service: 'echo' }] })
  .register(EXPECTED, { expected: 'a map with a port and a service' });

const endpoint = text('a text such as 127.0.0.1:9000', NO_NUL, { description: 'IP address and port.', examples: ['127.0.0.1:9000'] });

const service = z
  .strictObject({
    protocol: protocol.default('http'),
    endpoints: field(z.array(endpoint).min(1).max(ENDPOINTS_MAX), `a list of 1 to ${ENDPOINTS_MAX} addresses with ports`, {
      description: 'Where the instances of the service listen.',
      examples: [['127.0.0.1:9000']],
    }),
    health: health.optional(),
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
  })
  .register(EXPECTED, { expected: 'a map with "listeners" and "services"' });

export type StaticFileOutput = z.output<typeof StaticFile>;
