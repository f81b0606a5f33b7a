// The REST API's schema: certificates that are valid, identities that are denied, join tokens, and the root that certificates come from.
import { z } from 'zod';
import { ROTATION_STEPS } from '../../admin/identities.ts';
import { cursor, limit, namespaceName, serviceName, time } from './common.ts';

export const IDENTITIES_PAGE_MAX = 1_000;

const identity = z.string().meta({ description: 'SPIFFE id.', examples: ['spiffe://shop.internal/ns/default/svc/orders'] });
const pin = (whose: string) =>
  z.string().meta({ description: `base64url SHA-256 of the SubjectPublicKeyInfo of ${whose}.`, examples: ['mUiQpvHJ…'] });
const next = z.string().optional().meta({ description: 'Cursor of the next page; absent on the last one.' });

export const IssuedCertificate = z
  .strictObject({
    serial: z.string().meta({ description: 'Hexadecimal digits.', examples: ['7c0a9d'] }),
    identity,
    issued: time,
    notAfter: time,
    why: z
      .enum(['token', 'renewal', 'late-renewal', 'control'])
      .meta({ description: 'What it was issued for; `control`: for the control plane itself.' }),
    keyPin: pin('its key'),
    rootPin: pin('the root that it leads to'),
    denied: z.boolean().meta({ description: 'Its identity is denied: nobody takes it any more.' }),
  })
  .meta({
    id: 'IssuedCertificate',
    examples: [
      {
        serial: '7c0a9d',
        identity: 'spiffe://shop.internal/ns/default/svc/orders',
        issued: '2026-01-31T12:00:00.000Z',
        notAfter: '2026-01-31T13:00:00.000Z',
        why: 'renewal',
        keyPin: 'mUiQpvHJ…',
        rootPin: '47DEQpj8…',
        denied: false,
      },
    ],
  });

export const IdentityList = z
  .strictObject({ items: z.array(IssuedCertificate), next })
  .meta({ id: 'IdentityList', description: 'One page of certificates that are valid and not replaced by newer ones, oldest first.' });
export const IdentityQuery = z.strictObject({
  limit: limit(IDENTITIES_PAGE_MAX, 500),
  cursor: cursor('the serial number of a certificate'),
});

export const DeniedIdentity = z
  .strictObject({
    identity,
    reason: z.string().meta({ description: 'One line for people; may be empty.', examples: ['lost laptop'] }),
    since: time.nullable().meta({ description: 'null: it stands in the mesh file.' }),
    by: z.enum(['operator', 'mesh file']),
  })
  .meta({
    id: 'DeniedIdentity',
    examples: [
      {
        identity: 'spiffe://shop.internal/ns/default/svc/orders',
        reason: 'lost laptop',
        since: '2026-01-31T12:00:00.000Z',
        by: 'operator',
      },
    ],
  });
export const DeniedList = z.strictObject({ items: z.array(DeniedIdentity) }).meta({ id: 'DeniedList', description: 'Sorted by identity.' });
export const DeniedPath = z.strictObject({ namespace: namespaceName, service: serviceName });
export const Denial = z
  .strictObject({
    reason: z
      .string()
      .max(200)
      .default('')
      .meta({ description: 'One line for people.', examples: ['lost laptop'] }),
  })
  .meta({ id: 'Denial', examples: [{ reason: 'lost laptop' }] });

export const JoinToken = z
  .strictObject({
    id: z.string().meta({ description: 'Not secret.', examples: ['AAAABBBBCCCC'] }),
    namespace: namespaceName,
    service: serviceName,
    state: z
      .enum(['good', 'used', 'expired', 'revoked', 'old-root'])
      .meta({ description: '`good`: it can be used. `old-root`: it was made for a root that is not in use any more.' }),
    created: time.nullable(),
    notAfter: time,
    used: time.nullable().meta({ description: 'null: it was not.' }),
  })
  .meta({
    id: 'JoinToken',
    examples: [
      {
        id: 'AAAABBBBCCCC',
        namespace: 'default',
        service: 'orders',
        state: 'good',
        created: '2026-01-31T12:00:00.000Z',
        notAfter: '2026-01-31T13:00:00.000Z',
        used: null,
      },
    ],
  });
export const JoinTokenList = z
  .strictObject({ items: z.array(JoinToken), next })
  .meta({ id: 'JoinTokenList', description: 'One page, newest first; used ones and those that have ended are listed for some time.' });
export const JoinTokenQuery = z.strictObject({ limit: limit(IDENTITIES_PAGE_MAX, 500), cursor: cursor('the id of a token') });
export const JoinTokenPath = z.strictObject({
  id: z
    .string()
    .min(1)
    .max(64)
    .meta({ description: 'Of the token; not secret.', examples: ['AAAABBBBCCCC'] }),
});

export const Root = z
  .strictObject({
    pin: pin('the root'),
    notAfter: time,
    certificates: z.int().min(0).meta({ description: "Valid ones that lead to it and were not renewed, without the control plane's own." }),
    lastCertificateEnds: time.nullable().meta({ description: 'null: there is none.' }),
  })
  .meta({ id: 'Root' });

export const Authority = z
  .strictObject({
    source: z.enum(['own', 'files', 'command']).meta({ description: 'What signs certificates.' }),
    phase: z.enum(['none', 'added', 'used', 'finishing']).meta({
      description:
        'How far the replacement of the root is: `added`: data planes are told of the new root; `used`: certificates come from it; `finishing`: the old one is being removed.',
    }),
    automatic: z.boolean().meta({ description: 'It goes on by itself.' }),
    added: time.nullable().meta({ description: 'When the new root came; null: there is none.' }),
    used: time.nullable().meta({ description: 'When certificates began to come from it; null: not yet.' }),
    root: Root,
    next: Root.nullable().meta({ description: 'The one that is to take its place; null: there is none.' }),
    step: z.enum(['use', 'finish']).nullable().meta({ description: 'What is to be done next; null: nothing is under way.' }),
    obstacles: z.array(z.string()).meta({ description: 'Why that cannot be done yet.' }),
    dataPlanes: z.int().min(0).meta({ description: 'Those that follow the roots.' }),
    acknowledged: z.int().min(0).meta({ description: 'Of these, those that have the roots of now.' }),
    stragglers: z.array(z.strictObject({ node: z.string(), reason: z.string() })).meta({ description: 'The others, the first 100.' }),
    logFailing: z.boolean().meta({ description: 'The log of issued certificates cannot be written at present.' }),
  })
  .meta({
    id: 'Authority',
    examples: [
      {
        source: 'own',
        phase: 'none',
        automatic: false,
        added: null,
        used: null,
        root: { pin: '47DEQpj8…', notAfter: '2036-01-29T12:00:00.000Z', certificates: 7, lastCertificateEnds: '2026-01-31T13:00:00.000Z' },
        next: null,
        step: null,
        obstacles: [],
        dataPlanes: 3,
        acknowledged: 3,
        stragglers: [],
        logFailing: false,
      },
    ],
  });

export const RotationRequest = z
  .strictObject({
    step: z.enum(ROTATION_STEPS).meta({
      description:
        '`start`: a new root is added to what everybody trusts; `use`: certificates come from it; `finish`: the old one is removed; `abort`: one step back.',
    }),
    force: z.boolean().default(false).meta({ description: 'Whatever stands in the way; who is not ready is cut off.' }),
    automatic: z.boolean().default(false).meta({ description: 'With `start`: it goes on by itself.' }),
  })
  .meta({ id: 'RotationRequest', examples: [{ step: 'start', automatic: true }] });
