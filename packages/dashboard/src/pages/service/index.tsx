// One service: its golden signals, its instances, where its requests go, who calls it, who may, and what has happened.
import { useComputed } from '@preact/signals';
import type { Policies, RouteList, ServiceDetail } from '../../api/types.ts';
import type { ServiceTraffic } from '../../api/traffic.ts';
import { pathOf } from '../../api/http.ts';
import { plain, shortName, span } from '../../logic/format.ts';
import { permissionText, subjectText } from '../../logic/words.ts';
import { live } from '../../browser/app.ts';
import { type Resource, useResource } from '../../browser/resource.ts';
import { href } from '../../state/routes.ts';
import { Card, Empty, Facts, Failure, Mark, Note, Page, ServiceLink, Waiting } from '../../parts/basics.tsx';
import { Cell, Table } from '../../parts/table.tsx';
import { TRAFFIC_COLUMNS, TrafficCells } from '../../parts/traffic-cells.tsx';
import { EventList } from '../../parts/event-list.tsx';
import { Instances } from './instances.tsx';
import { Signals } from './signals.tsx';
import { Splits } from './splits.tsx';

/** Settings change seldom, and with them the service that is watched. */
const SLOW_MS = 15_000;

export function ServicePage({ name }: { readonly name: string }) {
  const [namespace = '', service = ''] = name.split('/');
  const watched = useComputed(() => (void live.services.names.value, live.services.item(name)?.value));
  const detail = useResource<ServiceDetail>(() => ({
    path: `/services/${pathOf(name)}`,
    everyMs: SLOW_MS,
    version: JSON.stringify(watched.value),
  }));
  const routes = useResource<RouteList>(() => ({ path: '/routes', query: { namespace, service }, everyMs: SLOW_MS }));
  const policies = useResource<Policies>(() => ({ path: '/policies', query: { namespace, service }, everyMs: SLOW_MS }));
  const traffic = useResource<ServiceTraffic>(() => ({ path: `/services/${pathOf(name)}/traffic`, query: { window: '1m' } }));
  const { data, error } = detail.value;
  if (error?.status === 404 && data === undefined)
    return (
      <Page title={shortName(name)}>
        <Empty title="There is no such service">
          It may have been taken out of the mesh file. See <a href={href('services')}>all services</a>.
        </Empty>
      </Page>
    );
  return (
    <Page
      title={shortName(name)}
      about={data === undefined ? 'Service' : `${data.protocol} on port ${data.port}, called as ${data.hostnames.at(-1) ?? name}`}
      aside={
        <>
          <a class="button" href={href('explain', { url: `http://${service}/`, method: 'GET' })}>
            Explain a call
          </a>
          <a class="button" href={href('tap', { destination: name })}>
            Tap
          </a>
        </>
      }
    >
      <Signals name={name} />
      <Instances name={name} traffic={traffic.value.data} />
      <Splits
        name={name}
        detail={detail.value.data}
        traffic={traffic.value.data}
        onChange={() => [detail, routes].forEach((one) => one.reload())}
      />
      <RoutesCard routes={routes.value} traffic={traffic.value.data} />
      <div class="columns">
        <Neighbours title="Callers" traffic={traffic.value} side="callers" />
        <Neighbours title="Callees" traffic={traffic.value} side="callees" />
      </div>
      <AccessCard policies={policies.value} name={name} />
      <Card title="Events" aside={<a href={href('events', { subject: name })}>All</a>}>
        <EventList subject={name} limit={8} />
      </Card>
      {data !== undefined && <SettingsCard detail={data} />}
    </Page>
  );
}

function RoutesCard({ routes, traffic }: { readonly routes: Resource<RouteList>; readonly traffic: ServiceTraffic | undefined }) {
  const { data, error } = routes;
  const rates = new Map((traffic?.routes ?? []).map((one) => [one.route, one]));
  return (
    <Card title="Routes">
      {data === undefined ? (
        error === undefined ? (
          <Waiting what="the routes" />
        ) : (
          <Failure error={error} what="routes" />
        )
      ) : (
        <Table
          label="Routes, in the order in which they are tried"
          columns={[{ title: 'Name' }, { title: 'Takes' }, { title: 'Goes to' }, { title: 'Time limit' }, ...TRAFFIC_COLUMNS]}
        >
          {data.items.map(({ name, match, action, timeoutMs, retries }) => {
            const found = rates.get(name);
            return (
              <tr key={name}>
                <Cell title="Name">{name}</Cell>
                <Cell title="Takes">
                  <code>{match === '' ? 'every request' : match}</code>
                </Cell>
                <Cell title="Goes to">{action}</Cell>
                <Cell title="Time limit">
                  {timeoutMs === 0 ? 'none' : span(timeoutMs)}
                  {retries > 0 && `, ${retries} more ${retries === 1 ? 'try' : 'tries'}`}
                </Cell>
                <TrafficCells traffic={found} />
              </tr>
            );
          })}
        </Table>
      )}
    </Card>
  );
}

function Neighbours({
  title,
  traffic: { data, error },
  side,
}: {
  readonly title: string;
  readonly traffic: Resource<ServiceTraffic>;
  readonly side: 'callers' | 'callees';
}) {
  const edges = (data?.[side] ?? []).toSorted((a, b) => b.requestsPerSecond - a.requestsPerSecond);
  return (
    <Card title={title}>
      {data === undefined ? (
        error === undefined ? (
          <Waiting what={`the ${side}`} />
        ) : (
          <Failure error={error} what={side} />
        )
      ) : edges.length === 0 ? (
        <Empty title={side === 'callers' ? 'Nobody calls it now' : 'It calls nobody now'}>The last minute counts.</Empty>
      ) : (
        <Table label={title} columns={[{ title: 'Service' }, ...TRAFFIC_COLUMNS]}>
          {edges.map((edge) => (
            <tr key={`${edge.source} ${edge.destination} ${edge.protocol}`}>
              <Cell title="Service">
                <ServiceLink name={side === 'callers' ? edge.source : edge.destination} />
              </Cell>
              <TrafficCells traffic={edge} />
            </tr>
          ))}
        </Table>
      )}
    </Card>
  );
}

function AccessCard({ policies: { data, error }, name }: { readonly policies: Resource<Policies>; readonly name: string }) {
  return (
    <Card title="Who may call" aside={<a href={href('decisions', { service: name })}>Decisions</a>}>
      {data === undefined ? (
        error === undefined ? (
          <Waiting what="the rules" />
        ) : (
          <Failure error={error} what="rules" />
        )
      ) : (
        <>
          <p class="about">
            Mutual TLS is {data.mtls}. What no rule takes is {data.default === 'allow' ? 'allowed' : 'refused'}.
            {data.audit && ' Nothing is refused yet: what would be is logged.'}
          </p>
          {data.rules.length > 0 && (
            <Table
              label="Access rules"
              columns={[{ title: 'Rule' }, { title: 'Effect' }, { title: 'Who' }, { title: 'What' }, { title: 'When' }]}
            >
              {data.rules.map((rule) => (
                <tr key={rule.name}>
                  <Cell title="Rule">{rule.name}</Cell>
                  <Cell title="Effect">
                    <Mark tone={rule.effect === 'allow' ? 'good' : 'bad'} icon={rule.effect === 'allow' ? 'check' : 'cross'}>
                      {rule.effect}
                      {rule.audit === true && ' (only logged)'}
                    </Mark>
                  </Cell>
                  <Cell title="Who">{rule.subjects.map(subjectText).join('; or ')}</Cell>
                  <Cell title="What">
                    {rule.permissions.length === 0 ? 'every request' : rule.permissions.map(permissionText).join('; or ')}
                  </Cell>
                  <Cell title="When">{rule.when === undefined ? '' : <code>{rule.when}</code>}</Cell>
                </tr>
              ))}
            </Table>
          )}
          {data.rules.length === 0 && data.default === 'allow' && (
            <Note tone="warn" icon="unlock">
              Every workload of the mesh may call this service. Rules in <code>security.access</code> of the mesh file say who may.
            </Note>
          )}
        </>
      )}
    </Card>
  );
}

/** 0 is no limit. */
function limitsText(limits: object): string {
  const set = Object.entries(limits).filter(([, limit]) => limit !== 0);
  return set.length === 0 ? 'no limits' : plain(Object.fromEntries(set));
}

function SettingsCard({ detail }: { readonly detail: ServiceDetail }) {
  const {
    health,
    balance,
    timeoutMs,
    connectTimeoutMs,
    retry,
    retryBudget,
    breaker,
    outlier,
    hedge,
    session,
    labels,
    metadata,
    virtualAddress,
  } = detail;
  const items: [string, string][] = [
    ['Health check', plain(health)],
    ['Balancing', plain(balance)],
    ['Time limit', timeoutMs === 0 ? 'none' : span(timeoutMs)],
    ['Time to connect', `${connectTimeoutMs} ms`],
    ['Retries', `${retry.attempts}, on ${retry.on.join(', ')}; at most ${retryBudget.percent} % of the requests`],
    ['Breaker', limitsText(breaker)],
    ['Outliers', outlier === undefined ? 'nothing is left out by callers' : limitsText(outlier)],
    ['Hedging', hedge === undefined ? 'none' : plain(hedge)],
    ['Sessions', session === undefined ? 'none' : plain(session)],
    ['Virtual address', virtualAddress ?? '–'],
    ['Labels', plain(Object.entries(labels).map(([name, value]) => `${name}=${value}`))],
    ['Metadata', plain(Object.entries(metadata).map(([name, value]) => `${name}=${value}`))],
  ];
  return (
    <Card title="Settings">
      <Facts items={items} />
    </Card>
  );
}
