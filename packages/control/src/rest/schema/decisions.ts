// The REST API's schema: access decisions, and questions about what would become of a request.
import { z } from 'zod';
import { limit, time } from './common.ts';
import { nodeName } from './proxies.ts';

export const DECISIONS_MAX = 2_000;
export const DECISIONS_DEFAULT = 200;
export const OUTCOMES = ['denied', 'would-deny', 'would-allow', 'unavailable'] as const;

export const Decision = z
  .strictObject({
    time,
    service: z.string().meta({ description: 'NAMESPACE/SERVICE whose policy it was.' }),
    side: z.enum(['inbound', 'outbound']).meta({ description: 'Which side decided: that of the service, or that of its caller.' }),
    outcome: z.enum(OUTCOMES).meta({
      description: 'would-deny, would-allow: a rule that only watches; unavailable: it could not be found out.',
    }),
    source: z.string().meta({ description: 'SPIFFE id of the caller, or `unknown`.' }),
    method: z.string(),
    path: z.string().meta({ description: 'Without its query.' }),
    rule: z.string().meta({ description: 'Empty: none.' }),
    by: z.string().meta({ description: 'What decided: rule, default, token, authorizer, form, caller.' }),
    reason: z.string(),
    node: z.string().meta({ description: 'The data plane that tells it.' }),
  })
  .meta({ id: 'Decision' });

const lost = z.int().meta({
  description:
    'How many more were made, of all services and with any outcome, and are not kept: they gave way to newer ones, or a data plane made more than it tells one by one. Counted since the control plane has started.',
});

export const DecisionList = z.strictObject({ items: z.array(Decision), lost }).meta({
  id: 'DecisionList',
  examples: [
    {
      items: [
        {
          time: '2026-01-31T12:00:00.000Z',
          ...{ service: 'default/orders', side: 'inbound', outcome: 'denied', source: 'spiffe://shop.internal/ns/default/svc/web' },
          ...{ method: 'DELETE', path: '/orders/7', rule: '', by: 'default', reason: 'no rule allows it', node: 'laptop' },
        },
      ],
      lost: 0,
    },
  ],
});

export const DecisionQuery = z.strictObject({
  service: z
    .string()
    .max(253)
    .optional()
    .meta({ description: 'Only of this service, NAMESPACE/SERVICE.', examples: ['default/orders'] }),
  outcome: z.enum(OUTCOMES).optional().meta({ description: 'Only those with this outcome.' }),
  limit: limit(DECISIONS_MAX, DECISIONS_DEFAULT),
});

const CALLER = /^[A-Za-z0-9._-]{1,63}\/[A-Za-z0-9._-]{1,63}(?:\/[A-Za-z0-9._-]{1,63})?$/;

export const ExplainQuestion = z
  .strictObject({
    node: nodeName.optional().meta({ description: 'The data plane to ask. Without it: one that hosts who calls.', examples: ['laptop'] }),
    from: z
      .string()
      .regex(CALLER, 'NAMESPACE/SERVICE or NAMESPACE/SERVICE/INSTANCE')
      .meta({ description: 'Who calls: NAMESPACE/SERVICE, or one instance of it.', examples: ['default/web'] }),
    method: z
      .string()
      .min(1)
      .max(100)
      .meta({ examples: ['GET'] }),
    url: z
      .string()
      .min(1)
      .max(16_384)
      .meta({ examples: ['http://orders/items?page=2'] }),
    headers: z.record(z.string().min(1).max(1_000), z.string().max(16_384)).default({}),
  })
  .meta({ id: 'ExplainQuestion', examples: [{ from: 'default/web', method: 'GET', url: 'http://orders/items', headers: {} }] });

export const Explanation = z.record(z.string(), z.unknown()).meta({
  id: 'Explanation',
  description: 'What the data plane would do, and why: outcome, listener, route, action, clusters with their instances, access.',
});
