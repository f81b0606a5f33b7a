// The REST API's schema: what a watch sends. Each message is one server-sent event: its name is `event`, its data the JSON described here.
import { z } from 'zod';
import { namespaceName, revision } from './common.ts';
import { Event } from './events.ts';
import { Instance } from './instances.ts';
import { Proxy } from './proxies.ts';
import { Service } from './services.ts';
import { Graph } from './traffic.ts';

export const WATCH_KINDS = ['services', 'instances', 'proxies', 'events', 'traffic'] as const;
/** Those that a watch has of which nothing is said: traffic changes all the time. */
const USUAL_KINDS: readonly WatchKind[] = WATCH_KINDS.filter((word) => word !== 'traffic');
export type WatchKind = (typeof WATCH_KINDS)[number];
const kind = z.enum(WATCH_KINDS);
const items = z.union([z.array(Service), z.array(Instance), z.array(Proxy), z.array(Event)]);

export const WatchQuery = z.strictObject({
  kinds: z
    .string()
    .transform((text) => [...new Set(text.split(',').map((word) => word.trim()))])
    .pipe(z.array(kind).min(1))
    .default([...USUAL_KINDS])
    .meta({
      description: 'What to watch, separated by commas: services, instances, proxies, events, traffic. All but traffic by default.',
      examples: [['services', 'instances']],
    }),
  namespace: namespaceName.optional().meta({ description: 'Only services and instances of this namespace.' }),
});

export const WatchSnapshot = z
  .strictObject({
    kind,
    revision,
    first: z.boolean().meta({ description: 'The snapshot begins: forget what was known of this kind.' }),
    last: z.boolean().meta({ description: 'The snapshot is complete.' }),
    items,
  })
  .meta({ id: 'WatchSnapshot', description: 'event: snapshot. A part of everything there is of one kind.' });

export const WatchChanges = z
  .strictObject({
    kind,
    revision,
    changed: items.meta({ description: 'What came or changed, as it is now.' }),
    removed: z.array(z.string()).meta({
      description: 'What went: NAMESPACE/SERVICE, NAMESPACE/SERVICE/INSTANCE, or the id of a proxy.',
    }),
  })
  .meta({ id: 'WatchChanges', description: 'event: changes. Several changes may come as one; the newest state counts.' });

export const WatchResumed = z
  .strictObject({ kinds: z.array(kind), revision })
  .meta({ id: 'WatchResumed', description: 'event: resumed. What is known of these kinds still counts; the changes since then follow.' });

export const WatchResync = z
  .strictObject({ kinds: z.array(kind), reason: z.string() })
  .meta({ id: 'WatchResync', description: 'event: resync. It cannot go on where it was; snapshots of these kinds follow.' });

export const WatchTraffic = Graph.meta({
  id: 'WatchTraffic',
  description: 'event: traffic. The graph of the last 10 s, once in each interval of the reports; what was told before is forgotten.',
});

/** By the name of the event. */
export const WATCH_EVENTS = {
  snapshot: WatchSnapshot,
  changes: WatchChanges,
  resumed: WatchResumed,
  resync: WatchResync,
  traffic: WatchTraffic,
} as const;
