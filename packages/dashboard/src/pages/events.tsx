// What has happened in the mesh, in the order of time.
import { useComputed } from '@preact/signals';
import { shortName } from '../logic/format.ts';
import { type Tone, eventTone } from '../logic/words.ts';
import { live } from '../browser/app.ts';
import { go, place } from '../browser/place.ts';
import { Card, Page, Segments } from '../parts/basics.tsx';
import { EventList } from '../parts/event-list.tsx';
import { Select } from '../parts/fields.tsx';

const LOOKS = [
  ['', 'All'],
  ['trouble', 'Trouble'],
  ['anomaly', 'Anomalies'],
] as const;
const TROUBLE: ReadonlySet<Tone> = new Set(['bad', 'warn']);
const LIMIT = 300;

export function Events() {
  const look = useComputed(() => place.value.query['kind'] ?? '');
  const subject = useComputed(() => place.value.query['subject'] ?? '');
  const filter = (next: Record<string, string>): void =>
    go('events', { kind: look.value, subject: subject.value, ...next }, { replace: true });
  return (
    <Page title="Events" about="What came, went, changed or failed, and what is out of the ordinary. The newest first.">
      <Card
        title="Timeline"
        aside={
          <>
            <Select
              label="About"
              value={subject.value}
              options={[['', 'Everything'], ...optionsOf(subject.value)]}
              onChange={(next) => filter({ subject: next })}
            />
            <Segments
              label="Kind"
              options={LOOKS}
              value={LOOKS.find(([value]) => value === look.value)?.[0] ?? ''}
              onChange={(kind) => filter({ kind })}
            />
          </>
        }
      >
        <EventList
          key={subject.value}
          subject={subject.value}
          limit={LIMIT}
          isShown={({ kind, message }) =>
            look.value === '' || (look.value === 'anomaly' ? kind === 'anomaly' : TROUBLE.has(eventTone(kind, message)))
          }
        />
      </Card>
    </Page>
  );
}

function optionsOf(chosen: string): (readonly [string, string])[] {
  const names = live.services.names.value;
  return [...(chosen === '' || names.includes(chosen) ? [] : [chosen]), ...names].map((name) => [name, shortName(name)]);
}
