// The REST API's schema: who administers the mesh, what was changed and by whom, and the rules that hold.
import { z } from 'zod';
import { AUDIT_ACTIONS } from '../../audit/entry.ts';
import { AccessRule, MtlsMode } from '../../schema/security.ts';
import { ServiceRef } from '../../schema/rules.ts';
import { limit, namespaceName, serviceName, time } from './common.ts';

export const AUDIT_PAGE_MAX = 10_000;
const ROLES = ['viewer', 'editor', 'operator'] as const;

const administratorName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'is not a name: 1 to 63 lower-case letters, digits and "-"')
  .meta({ description: 'Name of the token.', examples: ['ann'] });
const role = z.enum(ROLES).meta({ description: 'Viewers read everything, editors also change what runs, the operator may do everything.' });

export const NewAdminToken = z
  .strictObject({
    name: administratorName,
    role,
    ttlMs: z
      .int()
      .min(60_000)
      .max(31_622_400_000)
      .default(2_592_000_000)
      .meta({ description: 'From 1 minute to 366 days; 30 days by default.', examples: [86_400_000] }),
  })
  .meta({ id: 'NewAdminToken', examples: [{ name: 'ann', role: 'viewer', ttlMs: 2_592_000_000 }] });

const facts = {
  name: administratorName,
  role,
  by: z.string().meta({ description: 'Who made it.', examples: ['operator token'] }),
  created: time,
  notAfter: time,
};
const example = {
  name: 'ann',
  role: 'viewer',
  by: 'operator token',
  created: '2026-01-31T12:00:00.000Z',
  notAfter: '2026-03-02T12:00:00.000Z',
};

export const AdminToken = z.strictObject(facts).meta({ id: 'AdminToken', examples: [example] });
export const MadeAdminToken = z
  .strictObject({ token: z.string(), ...facts })
  .meta({ id: 'MadeAdminToken', description: 'The token is shown only here.', examples: [{ token: 'heddle-admin.ann.…', ...example }] });
export const AdminTokenList = z.strictObject({ items: z.array(AdminToken) }).meta({
  id: 'AdminTokenList',
  description: 'Sorted by name; those that have ended are listed for a week.',
  examples: [{ items: [example] }],
});
export const AdminTokenPath = z.strictObject({ name: administratorName });

export const CallerView = z
  .strictObject({
    who: z.string().meta({ description: 'By which proof; as in the audit log.' }),
    role,
    mesh: z.string().meta({ description: 'Name of the mesh.' }),
    version: z.string().meta({ description: 'Version of the control plane.' }),
  })
  .meta({ id: 'Caller', examples: [{ who: 'admin token ann', role: 'viewer', mesh: 'shop', version: '0.1.0' }] });

export const NewLoginCode = z
  .strictObject({ role: role.default('editor') })
  .meta({ id: 'NewLoginCode', description: 'The role of who logs in with it; editor by default.', examples: [{ role: 'viewer' }] });
export const LoginCode = z.strictObject({ code: z.string(), role, notAfter: time }).meta({
  id: 'LoginCode',
  description: 'It is good once, for 10 minutes, while this control plane runs.',
  examples: [{ code: 'uK0…', role: 'editor', notAfter: '2026-01-31T12:10:00.000Z' }],
});
export const LoginWith = z.strictObject({ code: z.string().min(1).max(200) }).meta({ id: 'LoginWith', examples: [{ code: 'uK0…' }] });

export const AuditEntry = z
  .strictObject({
    id: z.int().min(1).meta({ description: 'One more than the entry before.' }),
    time,
    who: z.string().meta({
      description: 'By which proof: a SPIFFE id, `operator token`, `admin token NAME`, `login NAME at ISSUER`, `mesh file` or `nobody`.',
    }),
    role: z.enum([...ROLES, '']).meta({ description: 'Of an administrator; else empty.' }),
    from: z.string().meta({ description: 'Address and port that the call came from; empty: the control plane itself.' }),
    action: z.enum(AUDIT_ACTIONS),
    subject: z.string(),
    outcome: z.enum(['done', 'refused']),
    before: z.unknown().optional().meta({ description: 'What it was.' }),
    after: z.unknown().optional().meta({ description: 'What it is.' }),
    reason: z.string().optional().meta({ description: 'Why it was refused.' }),
  })
  .meta({
    id: 'AuditEntry',
    examples: [
      {
        id: 17,
        time: '2026-01-31T12:00:00.000Z',
        who: 'admin token ann',
        role: 'editor',
        from: '127.0.0.1:50123',
        action: 'drain-instance',
        subject: 'default/orders/orders-1',
        outcome: 'done',
        before: { health: 'healthy' },
        after: { health: 'draining' },
      },
    ],
  });

export const AuditList = z
  .strictObject({
    items: z.array(AuditEntry),
    lastId: z.int().min(0).meta({ description: 'Of the newest entry of all: `after` to go on from.' }),
  })
  .meta({ id: 'AuditList', description: 'Oldest first.', examples: [{ items: [], lastId: 0 }] });

export const AuditQuery = z.strictObject({
  who: z.string().min(1).max(300).optional().meta({ description: 'A part of `who`.' }),
  action: z.enum(AUDIT_ACTIONS).optional(),
  subject: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .meta({ description: 'It and what is below it.', examples: ['default/orders'] }),
  outcome: z.enum(['done', 'refused']).optional(),
  since: z.iso.datetime({ offset: true }).optional().meta({ description: 'Entries from this time on (RFC 3339).' }),
  after: z.coerce
    .number()
    .pipe(z.int().min(1))
    .optional()
    .meta({ description: 'Entries after this id, the first of them. Absent: the newest.' }),
  limit: limit(AUDIT_PAGE_MAX, 1_000),
});

export const Policies = z
  .strictObject({
    default: z.enum(['allow', 'deny']).meta({ description: 'What holds where no rule fits.' }),
    audit: z.boolean().meta({ description: 'Nothing is refused: what would be is logged.' }),
    mtls: MtlsMode,
    tlsMin: z.enum(['1.2', '1.3']),
    authorizer: z.string().optional().meta({ description: 'The service that is asked too, `NAMESPACE/SERVICE`.' }),
    issuers: z.array(z.string()).meta({ description: 'Names of the issuers whose tokens count.' }),
    denied: z.array(z.string()).meta({ description: 'SPIFFE ids that may not do anything.' }),
    rules: z.array(
      z.strictObject({
        ...AccessRule.shape,
        to: z
          .array(
            z.discriminatedUnion('kind', [
              z.strictObject({ kind: z.literal('service'), service: ServiceRef }),
              z.strictObject({ kind: z.literal('namespace'), namespace: z.string() }),
            ]),
          )
          .meta({ description: 'Services that it is for; none: all.' }),
      }),
    ),
  })
  .meta({
    id: 'Policies',
    description: 'Who may call whom. Rules that deny go before rules that allow.',
    examples: [{ default: 'deny', audit: false, mtls: 'strict', tlsMin: '1.3', issuers: [], denied: [], rules: [] }],
  });

export const PoliciesQuery = z.strictObject({
  namespace: namespaceName.default('default'),
  service: serviceName.optional().meta({ description: 'Only the rules that are for this service.' }),
});
