// What has happened, newest first: what the watch tells, and before that what the control plane has kept.
import { useComputed } from '@preact/signals';
import type { EventList as Events, MeshEvent } from '../api/types.ts';
import { shortName } from '../logic/format.ts';
import { type Tone, eventTone } from '../logic/words.ts';
import { live } from '../browser/app.ts';
import { useResource } from '../browser/resource.ts';
import { Ago, Empty, Waiting } from './basics.tsx';
import { Icon, type IconName } from './icon.tsx';

const ICONS: Readonly<Record<Tone, IconName>> = { bad: 'cross', warn: 'warn', good: 'check', calm: 'dots' };

export interface EventListProps {
  /** It and what is below it; empty: everything. */
  readonly subject: string;
  readonly limit: number;
  readonly isShown?: (event: MeshEvent) => boolean;
}

export function EventList({ subject, limit, isShown = () => true }: EventListProps) {
  const kept = useResource<Events>(() => ({ path: '/events', query: { subject, limit }, everyMs: 0 }));
  const events = useComputed(() => {
    const fits = (event: MeshEvent): boolean => subject === '' || event.subject === subject || event.subject.startsWith(`${subject}/`);
    const all = new Map([...(kept.value.data?.items ?? []), ...live.events.value.filter(fits)].map((event) => [event.id, event]));
    return [...all.values()].sort((a, b) => b.id - a.id);
  });
  const shown = events.value.filter(isShown).slice(0, limit);
  if (shown.length === 0)
    return kept.value.data === undefined && kept.value.error === undefined ? (
      <Waiting what="the events" />
    ) : (
      <Empty title="Nothing has happened yet">Registrations, changes of health, and what data planes refuse are told here.</Empty>
    );
  return (
    <ol class="timeline">
      {shown.map((event) => (
        <EventItem key={event.id} event={event} />
      ))}
    </ol>
  );
}

function EventItem({ event: { kind, subject, message, time } }: { readonly event: MeshEvent }) {
  const tone = eventTone(kind, message);
  return (
    <li class={tone}>
      <span class="timeline-dot">
        <Icon name={ICONS[tone]} />
      </span>
      <div>
        <p class="timeline-head">
          <b>{shortName(subject)}</b> <span class="kind">{kind.replaceAll('-', ' ')}</span> <Ago time={time} />
        </p>
        <p>{message}</p>
      </div>
    </li>
  );
}
