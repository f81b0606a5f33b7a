// The REST API's schema: live requests. Each message is one server-sent event: its name is `event`, its data the JSON described here.
import { z } from 'zod';
import { TAP_LIMITS } from '@heddle/core';
import { TAP_DEFAULTS } from '../../admin/taps.ts';
import { time } from './common.ts';

const text = (description: string, ...examples: string[]) => z.string().max(512).optional().meta({ description, examples });
const name = (description: string) => text(`${description}, NAMESPACE/SERVICE.`, 'default/orders');
const whole = (most: number) => z.coerce.number().int().min(1).max(most);

export const TapQuery = z.strictObject({
  service: name('Calls of this service, and to it'),
  source: name('Calls of this service; `outside`: of who has proven nothing'),
  destination: name('Calls to this service'),
  instance: text('That answered, or was tried last.', 'orders-1'),
  route: text('Name of the rule of the route.', 'canary'),
  method: text('In any case.', 'POST'),
  path: text(
    'The path begins so; with `*`, which stands for any characters, all of it must fit. Without a query.',
    '/orders/',
    '/orders/*/items',
  ),
  status: text('A status, a class, or several. Of gRPC in words of HTTP.', '503', '429,5xx'),
  error: text(
    'A code of an error of a data plane, `5xx` for what the application answered so, or `any` of them.',
    'any',
    'NO_HEALTHY_INSTANCE',
  ),
  slowerThanMs: whole(TAP_LIMITS.forMs)
    .optional()
    .meta({ description: 'Only what took at least so long.', examples: ['100'] }),
  traceId: text('Of this trace.', '0af7651916cd43dd8448eb211c80319c'),
  headers: z
    .string()
    .transform((list) => [...new Set(list.split(',').map((one) => one.trim().toLowerCase()))])
    .pipe(z.array(z.string()))
    .default([])
    .meta({
      description: `Request headers to be told, separated by commas; at most ${TAP_LIMITS.headers}. What may hold a secret is refused.`,
      examples: ['user-agent,x-request-id'],
    }),
  perSecond: whole(TAP_LIMITS.perSecond)
    .default(TAP_DEFAULTS.perSecond)
    .meta({ description: 'At most so many are told; the others are counted.' }),
  forMs: whole(TAP_LIMITS.forMs).default(TAP_DEFAULTS.forMs).meta({ description: 'After this it ends by itself.' }),
});

export const TapRecord = z
  .strictObject({
    time: time.meta({ description: 'When it ended.' }),
    node: z.string().meta({ description: 'The data plane that tells it.' }),
    id: z.string().meta({ description: 'Within this stream.' }),
    side: z.enum(['outbound', 'inbound']).meta({ description: 'inbound: the caller has no data plane of Heddle.' }),
    source: z.string().meta({ description: 'NAMESPACE/SERVICE, or `outside`.' }),
    destination: z.string(),
    instance: z.string().meta({ description: 'Empty: none was tried.' }),
    route: z.string(),
    protocol: z.string().meta({ description: 'http1, http2, grpc' }),
    method: z.string(),
    path: z.string().meta({ description: 'Without its query.' }),
    status: z.int().meta({ description: '0: there was no answer.' }),
    grpcStatus: z.int().optional(),
    error: z.string().meta({ description: 'Code of the error that a data plane answered with; mostly empty.' }),
    durationMs: z.number(),
    requestBytes: z.int(),
    responseBytes: z.int(),
    tries: z.int().meta({ description: 'Hedges included; 0: it was not passed on.' }),
    traceId: z.string().meta({ description: 'Empty: it has no trace.' }),
    headers: z.record(z.string(), z.string()).optional().meta({ description: 'Those that were asked for.' }),
  })
  .meta({ id: 'TapRecord', description: 'event: record. One request.' });

export const TapWatchers = z
  .strictObject({ dataPlanes: z.int().meta({ description: 'That look now.' }) })
  .meta({ id: 'TapWatchers', description: 'event: watchers. First, and when it changes.' });

export const TapLost = z
  .strictObject({
    overLimit: z.int().meta({ description: 'More than were asked for in a second.' }),
    slowReader: z.int().meta({ description: 'The reader of the stream was too slow.' }),
  })
  .meta({ id: 'TapLost', description: 'event: lost. So many fitted and were not told, since it was last said.' });

export const TapEnd = z
  .strictObject({ reason: z.string(), told: z.int(), lost: z.int() })
  .meta({ id: 'TapEnd', description: 'event: end. The last one: close the stream, or it begins anew.' });

/** By the name of the event. */
export const TAP_EVENTS = { record: TapRecord, watchers: TapWatchers, lost: TapLost, end: TapEnd } as const;
