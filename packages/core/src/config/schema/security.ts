// The form of `security`: how workloads prove who they are, whose tokens count, who may call whom, and who may not any more.
import { z } from 'zod';
import { access } from './access.ts';
import { choice, EXPECTED, field, NO_NUL, text } from './fields.ts';
import { issuers, outbound } from './issuer.ts';

const DENIED_MAX = 10_000;
const MODES = ['strict', 'permissive', 'off'] as const;
const MODES_WORDS =
  'strict: mutual TLS, others are refused; permissive: callers without TLS are taken too, as nobody in particular; off: nothing is encrypted, and nobody has an identity.';

/** Of a service. */
export const mtls = choice(MODES, { description: `In place of that of the mesh. ${MODES_WORDS}`, examples: ['strict'] });

const tls = z
  .strictObject({
    min: field(z.union([z.literal('1.2'), z.literal('1.3'), z.literal(1.2), z.literal(1.3)]), '"1.2" or "1.3"', {
      description: 'The lowest version between workloads.',
      examples: ['1.3'],
    }).default('1.3'),
  })
  .meta({ description: 'TLS between workloads.', examples: [{ min: '1.3' }] })
  .register(EXPECTED, { expected: 'a map such as { min: "1.3" }' });

export const security = z
  .strictObject({
    mtls: choice(MODES, { description: `Calls between instances. ${MODES_WORDS}`, examples: ['strict'] }).default('strict'),
    tls: tls.prefault({}),
    anonymousCalls: choice(['operator', 'refuse'], {
      description: "Calls through this machine's HTTP proxy that name no workload: made with the operator's identity, or refused.",
      examples: ['operator'],
    }).default('operator'),
    issuers: issuers.default([]),
    access: access.optional(),
    deny: field(
      z
        .array(text('a service, NAMESPACE/SERVICE or a SPIFFE id', NO_NUL, { description: 'An identity.', examples: ['old-service'] }))
        .max(DENIED_MAX),
      'a list of services or SPIFFE ids',
      {
        description: 'Identities that get no certificate any more, and whose connections are closed: services, or SPIFFE ids.',
        examples: [['old-service']],
      },
    ).default([]),
    outbound: outbound.default([]),
  })
  .meta({ description: 'What holds for the whole mesh.', examples: [{ mtls: 'strict' }] })
  .register(EXPECTED, { expected: 'a map of settings' });

export type SecurityOutput = z.output<typeof security>;
export type IssuerOutput = SecurityOutput['issuers'][number];
export type OutboundOutput = SecurityOutput['outbound'][number];
