// What talks to what, how fast, and what is wrong.
import { type ReadonlySignal, useComputed, useSignal } from '@preact/signals';
import type { GraphEdge } from '../api/traffic.ts';
import type { Authority, IdentityList, Policies } from '../api/types.ts';
import { attentionOf } from '../logic/attention.ts';
import { bytes, latency, percent, plural, rate, shortName } from '../logic/format.ts';
import { type Topology, declaredPairs, sumEdges, topologyOf } from '../logic/topology.ts';
import { caller } from '../browser/session.ts';
import { live } from '../browser/app.ts';
import { go, place } from '../browser/place.ts';
import { nowMs } from '../browser/machine.ts';
import { useResource } from '../browser/resource.ts';
import { Card, Empty, Facts, HealthMark, Note, Page, Segments, ServiceLink, Waiting } from '../parts/basics.tsx';
import { GraphView } from '../parts/graph.tsx';
import { Icon } from '../parts/icon.tsx';
import { Cell, Table } from '../parts/table.tsx';
import { TRAFFIC_COLUMNS, TRAFFIC_COLUMNS_WITH_MEDIAN, TrafficCells } from '../parts/traffic-cells.tsx';

const SLOW_MS = 15_000;

export function Overview() {
  const look = useComputed(() => (place.value.query['view'] === 'list' ? 'list' : 'graph'));
  const selected = useSignal('');
  const policies = useResource<Policies>(() => ({ path: '/policies', everyMs: SLOW_MS }));
  const topology = useTopology();
  const isMutual = (id: string): boolean | undefined => {
    const mode = live.services.item(id)?.value.mtls ?? policies.value.data?.mtls;
    // What leaves the mesh is not for the mesh to prove.
    return mode === undefined || live.services.item(id) === undefined ? undefined : mode === 'strict';
  };
  const isEmpty = live.services.complete.value && live.services.names.value.length === 0;
  return (
    <Page title="Overview" about={`The mesh ${caller.value?.mesh ?? ''}, as it is now.`}>
      <Totals />
      <AttentionList />
      <Card
        title="Who calls whom"
        aside={
          <Segments
            label="Show as"
            options={[
              ['graph', 'Graph'],
              ['list', 'List'],
            ]}
            value={look.value}
            onChange={(view) => go('overview', view === 'list' ? { view } : {}, { replace: true })}
          />
        }
      >
        {isEmpty ? (
          <Empty title="This mesh has no service yet">
            Add one to the mesh file, or register an instance: <code>heddle run --service orders --port 8080 -- node server.js</code>
          </Empty>
        ) : !live.services.complete.value ? (
          <Waiting what="the services" />
        ) : look.value === 'graph' ? (
          <>
            <GraphView topology={topology} selected={selected} isMutual={isMutual} />
            {selected.value !== '' && <EdgeDetails id={selected.value} onClose={() => (selected.value = '')} />}
          </>
        ) : (
          <Calls topology={topology} />
        )}
      </Card>
      {look.value === 'list' && <ServicesCard />}
    </Page>
  );
}

/** Changes only when something comes or goes. */
function useTopology(): ReadonlySignal<Topology> {
  const declared = useComputed(() => declaredPairs(live.instances.all()).join('\n'));
  return useComputed(() => {
    const edges = live.edges.names.value.map((name) => {
      const [source = '', destination = ''] = name.split(' ');
      return { source, destination };
    });
    const nodes = live.nodes.names.value.flatMap((name) => live.nodes.item(name)?.peek() ?? []);
    return topologyOf(live.services.names.value, nodes, edges, declared.value === '' ? [] : declared.value.split('\n'));
  });
}

function Totals() {
  const instances = useComputed(() => {
    const counts = { total: 0, healthy: 0 };
    for (const service of live.services.all()) {
      counts.total += service.instances.total;
      counts.healthy += service.instances.healthy;
    }
    return counts;
  });
  const edges = useComputed(() => live.edges.all());
  const sum = sumEdges(edges.value);
  const known = live.trafficAt.value !== '';
  return (
    <ul class="totals" aria-label="In numbers">
      <Total title="Services" value={String(live.services.names.value.length)} />
      <Total
        title="Healthy instances"
        value={`${instances.value.healthy} of ${instances.value.total}`}
        tone={instances.value.healthy < instances.value.total ? 'warn' : 'good'}
      />
      <Total title="Requests" value={known ? rate(sum?.requestsPerSecond ?? 0) : '–'} />
      <Total
        title="Errors"
        value={known ? percent(sum?.errorsPerSecond ?? 0, sum?.requestsPerSecond ?? 0) : '–'}
        tone={(sum?.errorsPerSecond ?? 0) > 0 ? 'warn' : undefined}
      />
      <Total title="Slowest p99" value={known ? latency(sum?.p99Ms ?? null) : '–'} />
      <Total title="Data planes" value={String(live.proxies.names.value.length)} />
    </ul>
  );
}

function Total({ title, value, tone }: { readonly title: string; readonly value: string; readonly tone?: 'good' | 'warn' | undefined }) {
  return (
    <li class="total">
      <span class="total-title">{title}</span>
      <span class={`total-value ${tone ?? ''}`}>
        {tone === 'warn' && <Icon name="warn" />}
        {value}
      </span>
    </li>
  );
}

function AttentionList() {
  const authority = useResource<Authority>(() => ({ path: '/authority', everyMs: SLOW_MS }));
  const identities = useResource<IdentityList>(() => ({ path: '/identities', query: { limit: 1_000 }, everyMs: SLOW_MS }));
  const list = useComputed(() =>
    attentionOf({
      services: live.services.all(),
      instances: live.instances.all(),
      proxies: live.proxies.all(),
      certificates: identities.value.data?.items ?? [],
      authority: authority.value.data,
      events: live.events.value,
      edges: live.edges.all(),
      nowMs: nowMs.value,
    }),
  );
  if (!live.services.complete.value) return null;
  if (list.value.length === 0)
    return (
      <Note tone="good" icon="check">
        Nothing needs you: every service answers, every data plane has its configuration, certificates are fresh.
      </Note>
    );
  return (
    <Card title="Needs attention">
      <ul class="attention">
        {list.value.slice(0, 12).map(({ tone, text, why, href }) => (
          <li key={`${text} ${href}`} class={tone}>
            <Icon name={tone === 'bad' ? 'cross' : 'warn'} />
            <div>
              <a href={href}>{text}</a>
              <p>{why}</p>
            </div>
          </li>
        ))}
      </ul>
      {list.value.length > 12 && <p class="about">and {plural(list.value.length - 12, 'more', 'more')}</p>}
    </Card>
  );
}

function EdgeDetails({ id, onClose }: { readonly id: string; readonly onClose: () => void }) {
  const edges = live.edges.names.value.filter((name) => name.startsWith(`${id} `)).flatMap((name) => live.edges.item(name)?.value ?? []);
  const [source = '', destination = ''] = id.split(' ');
  return (
    <div class="edge-details" role="status">
      <div class="card-head">
        <h3>
          <ServiceLink name={source} /> → <ServiceLink name={destination} />
        </h3>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      {edges.length === 0 && <p>It may call, and does not now.</p>}
      {edges.map((edge) => (
        <Facts key={edge.protocol ?? ''} items={edgeFacts(edge)} />
      ))}
    </div>
  );
}

function edgeFacts(edge: GraphEdge): [string, string][] {
  const errors = Object.entries(edge.errors).map(([code, perSecond]) => `${code} ${rate(perSecond)}`);
  return [
    ['Protocol', edge.protocol ?? 'not known'],
    ['Requests', rate(edge.requestsPerSecond)],
    ['Errors', `${percent(edge.errorsPerSecond, edge.requestsPerSecond)}${errors.length === 0 ? '' : ` (${errors.join(', ')})`}`],
    ['Retries', rate(edge.retriesPerSecond)],
    ['Latency', `p50 ${latency(edge.p50Ms)}, p90 ${latency(edge.p90Ms)}, p99 ${latency(edge.p99Ms)}`],
    ['Bytes', `${bytes(edge.bytesPerSecond)}/s`],
  ];
}

function Calls({ topology }: { readonly topology: ReadonlySignal<Topology> }) {
  if (topology.value.edges.length === 0)
    return <Empty title="Nobody calls anybody yet">Calls are shown here within seconds of the first.</Empty>;
  return (
    <Table
      label="Calls between services"
      columns={[{ title: 'From' }, { title: 'To' }, { title: 'Protocol' }, ...TRAFFIC_COLUMNS_WITH_MEDIAN]}
    >
      {topology.value.edges.map(({ id, source, destination }) => (
        <CallRow key={id} id={id} source={source} destination={destination} />
      ))}
    </Table>
  );
}

function CallRow({ id, source, destination }: { readonly id: string; readonly source: string; readonly destination: string }) {
  const edge = sumEdges(
    live.edges.names.value.filter((name) => name.startsWith(`${id} `)).flatMap((name) => live.edges.item(name)?.value ?? []),
  );
  return (
    <tr>
      <Cell title="From">
        <ServiceLink name={source} />
      </Cell>
      <Cell title="To">
        <ServiceLink name={destination} />
      </Cell>
      <Cell title="Protocol">{edge?.protocol ?? '–'}</Cell>
      <TrafficCells traffic={edge} unknown="idle" withMedian />
    </tr>
  );
}

export function ServicesCard() {
  return (
    <Card title="Services">
      <ServiceTable />
    </Card>
  );
}

function ServiceTable() {
  if (!live.services.complete.value) return <Waiting what="the services" />;
  return (
    <Table
      label="Services"
      columns={[
        { title: 'Service' },
        { title: 'Protocol' },
        { title: 'Health' },
        { title: 'Instances', numeric: true },
        ...TRAFFIC_COLUMNS,
      ]}
    >
      {live.services.names.value.map((name) => (
        <ServiceRow key={name} name={name} />
      ))}
    </Table>
  );
}

function ServiceRow({ name }: { readonly name: string }) {
  const service = live.services.item(name)?.value;
  void live.nodes.names.value;
  const traffic = live.nodes.item(name)?.value;
  if (service === undefined) return null;
  const { total, healthy, unhealthy, draining } = service.instances;
  return (
    <tr>
      <Cell title="Service">
        <a href={`#/services/${name}`}>{shortName(name)}</a>
      </Cell>
      <Cell title="Protocol">{service.protocol}</Cell>
      <Cell title="Health">
        <HealthMark
          health={unhealthy > 0 || total === 0 ? 'unhealthy' : healthy === total ? 'healthy' : draining > 0 ? 'draining' : 'starting'}
        />
      </Cell>
      <Cell title="Instances" numeric>
        {healthy} of {total}
      </Cell>
      <TrafficCells traffic={traffic} />
    </tr>
  );
}
