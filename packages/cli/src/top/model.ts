// What `heddle top` shows: rows of a view, chosen and sorted. Nothing here knows a terminal.

interface Golden {
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Null: nothing was measured. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

interface Edge extends Golden {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string | null;
  readonly retriesPerSecond: number;
}

/** As the control plane tells it. */
export interface Traffic {
  readonly graph: {
    readonly updated: string;
    readonly nodes: readonly (Golden & {
      readonly id: string;
      readonly kind: string;
      readonly instances: { readonly total: number; readonly healthy: number };
    })[];
    readonly edges: readonly Edge[];
  };
  readonly service:
    | {
        readonly callers: readonly Edge[];
        readonly callees: readonly Edge[];
        readonly routes: readonly (Golden & { readonly route: string })[];
        readonly instances: readonly (Golden & { readonly instance: string })[];
      }
    | undefined;
  readonly instances: readonly (Golden & { readonly service: string; readonly instance: string })[];
  readonly dataPlanes: readonly {
    readonly node: string;
    readonly version: string;
    readonly inSync: boolean;
    readonly process: { readonly eventLoopDelayMaxMs?: number; readonly residentBytes?: number; readonly openConnections?: number };
  }[];
}

export const VIEWS = ['services', 'edges', 'instances', 'data planes'] as const;
export type View = (typeof VIEWS)[number];
export const SORTS = ['rate', 'errors', 'p99', 'name'] as const;
export type Sort = (typeof SORTS)[number];

export interface Row {
  readonly name: string;
  /** After the name, one for each title but the first. */
  readonly cells: readonly string[];
  /** The service to look into; undefined: there is none. */
  readonly service: string | undefined;
  readonly mood: 'good' | 'bad' | 'idle';
  readonly rate: number;
  readonly errors: number;
  readonly p99: number;
}

export interface Section {
  /** Empty: the only one. */
  readonly title: string;
  readonly titles: readonly string[];
  readonly rows: readonly Row[];
}

export interface Choice {
  readonly view: View;
  /** In place of the view. */
  readonly service: string | undefined;
  readonly sort: Sort;
  /** A part of the name, in any case. */
  readonly filter: string;
}

const GOLDEN = ['REQ/S', 'ERR/S', 'ERR %', 'P50', 'P99'];

export function sections(traffic: Traffic, choice: Choice): Section[] {
  const made = choice.service === undefined ? [viewOf(traffic, choice.view)] : serviceOf(traffic);
  return made.map((section) => ({ ...section, rows: section.rows.filter(named(choice.filter)).sort(by(choice.sort)) }));
}

function viewOf({ graph, instances, dataPlanes }: Traffic, view: View): Section {
  switch (view) {
    case 'services':
      return {
        title: '',
        titles: ['SERVICE', ...GOLDEN, 'HEALTHY'],
        rows: graph.nodes
          .filter(({ kind }) => kind === 'service' || kind === 'egress')
          .map((node) => {
            const { total, healthy } = node.instances;
            const row = golden(short(node.id), node, node.kind === 'service' ? node.id : undefined);
            const isDown = total > 0 && healthy < total;
            return {
              ...row,
              cells: [...row.cells, node.kind === 'service' ? `${healthy}/${total}` : '-'],
              mood: isDown ? 'bad' : row.mood,
            };
          }),
      };
    case 'edges':
      return {
        title: '',
        titles: ['SOURCE -> DESTINATION', ...GOLDEN, 'RETRY/S'],
        rows: graph.edges.map((edge) => edgeRow(edge, 'destination')),
      };
    case 'instances':
      return {
        title: '',
        titles: ['INSTANCE', ...GOLDEN],
        rows: instances.map((one) => golden(`${short(one.service)}/${one.instance}`, one, one.service)),
      };
    case 'data planes':
      return {
        title: '',
        titles: ['DATA PLANE', 'VERSION', 'SYNC', 'MEMORY', 'CONNS', 'LOOP MAX'],
        rows: dataPlanes.map(({ node, version, inSync, process: { residentBytes, openConnections, eventLoopDelayMaxMs } }) => ({
          name: node,
          cells: [
            version,
            inSync ? 'yes' : 'no',
            residentBytes === undefined ? '-' : `${(residentBytes / 1_048_576).toFixed(0)} MiB`,
            openConnections === undefined ? '-' : String(openConnections),
            milliseconds(eventLoopDelayMaxMs ?? null),
          ],
          service: undefined,
          mood: inSync ? 'good' : 'bad',
          ...{ rate: openConnections ?? 0, errors: Number(!inSync), p99: eventLoopDelayMaxMs ?? 0 },
        })),
      };
  }
}

function serviceOf({ service }: Traffic): Section[] {
  const { callers = [], callees = [], routes = [], instances = [] } = service ?? {};
  return [
    { title: 'callers', titles: ['SOURCE -> DESTINATION', ...GOLDEN, 'RETRY/S'], rows: callers.map((edge) => edgeRow(edge, 'source')) },
    { title: 'instances', titles: ['INSTANCE', ...GOLDEN], rows: instances.map((one) => golden(one.instance, one, undefined)) },
    { title: 'routes', titles: ['ROUTE', ...GOLDEN], rows: routes.map((one) => golden(one.route, one, undefined)) },
    { title: 'calls', titles: ['SOURCE -> DESTINATION', ...GOLDEN, 'RETRY/S'], rows: callees.map((edge) => edgeRow(edge, 'destination')) },
  ].filter(({ rows }) => rows.length > 0);
}

function edgeRow(edge: Edge, other: 'source' | 'destination'): Row {
  const key = edge[other];
  const isService = key !== 'outside' && !key.startsWith('heddle-');
  const row = golden(`${short(edge.source)} -> ${short(edge.destination)}`, edge, isService ? key : undefined);
  return { ...row, cells: [...row.cells, rate(edge.retriesPerSecond)] };
}

function golden(name: string, { requestsPerSecond, errorsPerSecond, p50Ms, p99Ms }: Golden, service: string | undefined): Row {
  const share = requestsPerSecond === 0 ? '-' : ((errorsPerSecond / requestsPerSecond) * 100).toFixed(1);
  return {
    name,
    cells: [rate(requestsPerSecond), rate(errorsPerSecond), share, milliseconds(p50Ms), milliseconds(p99Ms)],
    service,
    mood: errorsPerSecond > 0 ? 'bad' : requestsPerSecond > 0 ? 'good' : 'idle',
    ...{ rate: requestsPerSecond, errors: errorsPerSecond, p99: p99Ms ?? 0 },
  };
}

function named(filter: string): (row: Row) => boolean {
  const part = filter.toLowerCase();
  return ({ name }) => name.toLowerCase().includes(part);
}

function by(sort: Sort): (a: Row, b: Row) => number {
  const byName = (a: Row, b: Row): number => (a.name < b.name ? -1 : Number(a.name > b.name));
  return sort === 'name' ? byName : (a, b) => b[sort] - a[sort] || byName(a, b);
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}

function milliseconds(ms: number | null): string {
  if (ms === null) return '-';
  return ms >= 10_000 ? `${(ms / 1_000).toFixed(1)}s` : `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)}ms`;
}

function short(service: string): string {
  return service.startsWith('default/') ? service.slice('default/'.length) : service;
}
