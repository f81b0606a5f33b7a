// The REST API's schema: what has happened.
import { z } from 'zod';
import { limit, time } from './common.ts';

export const EVENTS_PAGE_MAX = 1_000;

const example = {
  id: 17,
  time: '2026-01-31T12:00:00.000Z',
  kind: 'instance-registered',
  subject: 'default/orders/orders-1',
  message: 'registered on laptop, 127.0.0.1:20001; healthy: it answers',
};

export const Event = z
  .strictObject({
    id: z.int().min(0).meta({ description: 'Grows by one with every event.' }),
    time,
    kind: z.string().meta({ examples: ['instance-registered'] }),
    subject: z.string().meta({ description: 'What it is about, for example NAMESPACE/SERVICE/INSTANCE.' }),
    message: z.string(),
  })
  .meta({ id: 'Event', examples: [example] });
export type Event = z.infer<typeof Event>;

export const EventList = z
  .strictObject({
    items: z.array(Event),
    next: z.int().min(0).optional().meta({ description: '`after` of the next page; absent on the last one.' }),
  })
  .meta({
    id: 'EventList',
    description: 'Events, oldest first. The control plane keeps the last 2,000.',
    examples: [{ items: [example] }],
  });

export const EventQuery = z.strictObject({
  after: z.coerce
    .number()
    .pipe(z.int().min(0))
    .optional()
    .meta({ description: 'Only events after the one with this id. Without it: the newest.', examples: [17] }),
  kind: z.string().max(64).optional().meta({ description: 'Only events of this kind.' }),
  subject: z
    .string()
    .max(256)
    .optional()
    .meta({ description: 'Only events about this, or about what is below it: default/orders has its instances.' }),
  limit: limit(EVENTS_PAGE_MAX, 100),
});
