// Requests that rules of access have refused, or would have.
import type { Decision, DecisionList } from '../api/traffic.ts';
import { shortName } from '../logic/format.ts';
import { identityName } from '../logic/words.ts';
import { live } from '../browser/app.ts';
import { go, place } from '../browser/place.ts';
import { useResource } from '../browser/resource.ts';
import { Ago, Card, Empty, Failure, Mark, Page, ServiceLink, Waiting } from '../parts/basics.tsx';
import { Select } from '../parts/fields.tsx';
import { Cell, Table } from '../parts/table.tsx';

const OUTCOMES = [
  ['', 'All'],
  ['denied', 'Denied'],
  ['would-deny', 'Would be denied'],
  ['would-allow', 'Would be allowed'],
  ['unavailable', 'Not found out'],
] as const;

export function Decisions() {
  const { service = '', outcome = '' } = place.value.query;
  const decisions = useResource<DecisionList>(() => {
    const { query } = place.value;
    return { path: '/decisions', query: { service: query['service'], outcome: query['outcome'] }, everyMs: 3_000 };
  });
  const { data, error } = decisions.value;
  const filter = (next: Record<string, string>): void => go('decisions', { service, outcome, ...next }, { replace: true });
  return (
    <Page
      title="Decisions"
      about="Requests that were refused by rules of access, and those that a rule on trial would refuse. The newest first."
    >
      <Card
        title="Denied and audited"
        aside={
          <>
            <Select
              label="Service"
              value={service}
              options={[['', 'All services'], ...live.services.names.value.map((name) => [name, shortName(name)] as const)]}
              onChange={(next) => filter({ service: next })}
            />
            <Select label="Outcome" value={outcome} options={OUTCOMES} onChange={(next) => filter({ outcome: next })} />
          </>
        }
      >
        {data === undefined ? (
          error === undefined ? (
            <Waiting what="the decisions" />
          ) : (
            <Failure error={error} what="list of decisions" />
          )
        ) : data.items.length === 0 ? (
          <Empty title="Nothing was denied">
            That is good, or no rule is there to deny: rules stand at <code>security.access</code> of the mesh file. With{' '}
            <code>audit: true</code> they can be tried without refusing anything.
          </Empty>
        ) : (
          <Table
            label="Decisions, the newest first"
            columns={['When', 'Outcome', 'From', 'To', 'Request', 'Why'].map((title) => ({ title }))}
          >
            {data.items.map((decision, index) => (
              <DecisionRow key={`${decision.time} ${decision.node} ${index}`} decision={decision} />
            ))}
          </Table>
        )}
        {data !== undefined && data.lost > 0 && (
          <p class="about">
            {data.lost.toLocaleString('en')} more, of all services, were not kept: the newest are, and of each data plane only so many.
          </p>
        )}
      </Card>
    </Page>
  );
}

function DecisionRow({
  decision: { time, outcome, side, source, service, method, path, rule, reason, by, node },
}: {
  readonly decision: Decision;
}) {
  return (
    <tr>
      <Cell title="When">
        <Ago time={time} />
      </Cell>
      <Cell title="Outcome">
        <Mark tone={outcome === 'denied' ? 'bad' : 'warn'} icon={outcome === 'denied' ? 'cross' : 'warn'}>
          {outcome.replaceAll('-', ' ')}
        </Mark>
      </Cell>
      <Cell title="From">
        <ServiceLink name={identityName(source)} />
      </Cell>
      <Cell title="To">
        <ServiceLink name={service} />
      </Cell>
      <Cell title="Request" wide>
        <code>
          {method} {path}
        </code>
      </Cell>
      <Cell title="Why" wide>
        {rule === '' ? 'the default' : `rule ${rule}`}: {reason}
        <span class="about">
          {' '}
          {by === '' ? '' : `${by}, `}
          {node}, {side}
        </span>
      </Cell>
    </tr>
  );
}
