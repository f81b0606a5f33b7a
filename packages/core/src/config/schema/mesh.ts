// The mesh file's form: one zod schema for the parser's checks, the editors' JSON Schema and the mends in error messages.
// It checks form only; what fields mean to one another is in `semantics/`, what they become in `build/`.
import { z } from 'zod';
import { choice, EXPECTED, field, flag, LABEL_PATTERN, LABEL_WORDS, port, text } from './fields.ts';
import { routes } from './rule.ts';
import { security } from './security.ts';
import { service } from './service.ts';
import { telemetry } from './telemetry.ts';

const EGRESS_MAX = 10_000;

const discovery = z
  .strictObject({
    keepOnMassExpiry: flag({
      description:
        'When more than half of the instances of a service (of 3 or more) stop sending heartbeats at about the same time, the way to them is more likely broken than they are: the last known ones are kept, for 10 minutes or until they register again. false: every instance goes when its own lease ends.',
      examples: [true],
    }).default(true),
  })
  .meta({ description: 'How the registry knows which instances there are.', examples: [{ keepOnMassExpiry: true }] })
  .register(EXPECTED, { expected: 'a map of settings' });

const egressHost = z
  .strictObject({
    host: text('a host name, or an IP address', /^[\x21-\x7e]{1,255}$/, {
      description: 'A name or an IP address.',
      examples: ['api.example.com', '192.0.2.7'],
    }),
    port: port({ description: 'Its port. Default: 80 with http, 443 with https.', examples: [443] }).optional(),
    protocol: choice(['http', 'https', 'tcp'], {
      description:
        'http: requests are routed and measured; https: the same, and the data plane encrypts them; tcp: bytes, which are encrypted by the application or not at all.',
      examples: ['tcp'],
    }).default('tcp'),
  })
  .meta({ examples: [{ host: 'api.example.com', port: 443 }] })
  .register(EXPECTED, { expected: 'a map such as { host: api.example.com, port: 443 }' });

const egress = field(z.array(egressHost).max(EGRESS_MAX), 'a list of hosts', {
  description: 'Hosts outside the mesh that workloads may call through it.',
  examples: [[{ host: 'api.example.com', port: 443, protocol: 'tcp' }]],
});

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
    routes: routes.default([]),
    egress: egress.default([]),
    security: security.prefault({}),
    telemetry: telemetry.default({}),
    discovery: discovery.prefault({}),
  })
  .register(EXPECTED, { expected: 'a map with "mesh" and "services"' });

export type MeshFileOutput = z.output<typeof MeshFile>;
export type ServiceOutput = MeshFileOutput['services'][string];
export type HealthOutput = ServiceOutput['health'];
export type RuleOutput = MeshFileOutput['routes'][number]['rules'][number];
