// Who has changed what, and who was refused.
import type { AuditEntry, AuditList } from '../api/types.ts';
import { plain } from '../logic/format.ts';
import { go, place } from '../browser/place.ts';
import { useResource } from '../browser/resource.ts';
import { Ago, Card, Empty, Failure, Mark, Page, Segments, Waiting } from '../parts/basics.tsx';
import { Cell, Table } from '../parts/table.tsx';

const OUTCOMES = [
  ['', 'All'],
  ['done', 'Done'],
  ['refused', 'Refused'],
] as const;
const LIMIT = 200;

export function Audit() {
  const audit = useResource<AuditList>(() => ({ path: '/audit', query: { limit: LIMIT, outcome: place.value.query['outcome'] } }));
  const outcome = OUTCOMES.find(([value]) => value === place.value.query['outcome'])?.[0] ?? '';
  const { data, error } = audit.value;
  return (
    <Page title="Audit log" about="Every change of the mesh and every attempt that was refused. Entries are only ever added.">
      <Card
        title="Entries"
        aside={
          <Segments
            label="Outcome"
            options={OUTCOMES}
            value={outcome}
            onChange={(next) => go('audit', { outcome: next }, { replace: true })}
          />
        }
      >
        {data === undefined ? (
          error === undefined ? (
            <Waiting what="the audit log" />
          ) : (
            <Failure error={error} what="audit log" />
          )
        ) : data.items.length === 0 ? (
          <Empty title="Nothing yet">Changes are listed here with who made them.</Empty>
        ) : (
          <Table
            label="Entries of the audit log, the newest first"
            columns={['When', 'Who', 'Action', 'Subject', 'Outcome', 'What'].map((title) => ({ title }))}
          >
            {data.items.toReversed().map((entry) => (
              <AuditRow key={entry.id} entry={entry} />
            ))}
          </Table>
        )}
      </Card>
    </Page>
  );
}

function AuditRow({ entry: { time, who, role, from, action, subject, outcome, before, after, reason } }: { readonly entry: AuditEntry }) {
  return (
    <tr>
      <Cell title="When">
        <Ago time={time} />
      </Cell>
      <Cell title="Who">
        <span class="nowrap" title={from === '' ? 'the control plane itself' : from}>
          {who}
        </span>
        {role !== '' && <span class="about"> ({role})</span>}
      </Cell>
      <Cell title="Action">
        <span class="nowrap">{action.replaceAll('-', ' ')}</span>
      </Cell>
      <Cell title="Subject">{subject}</Cell>
      <Cell title="Outcome">
        <Mark tone={outcome === 'done' ? 'good' : 'bad'} icon={outcome === 'done' ? 'check' : 'cross'}>
          {outcome}
        </Mark>
      </Cell>
      <Cell title="What" wide>
        <span class="reason">{reason ?? changeText(before, after)}</span>
      </Cell>
    </tr>
  );
}

function changeText(before: unknown, after: unknown): string {
  if (before === undefined) return after === undefined ? '' : plain(after);
  return after === undefined ? `was ${plain(before)}` : `${plain(before)} → ${plain(after)}`;
}
