// What the graph shows: services, those that are called from outside, and who calls whom, whether it does so now or only may.
import type { GraphEdge, GraphNode, NodeKind } from '../api/traffic.ts';
import type { Instance } from '../api/types.ts';

export interface TopologyNode {
  readonly id: string;
  readonly kind: NodeKind;
}

export interface TopologyEdge {
  readonly id: string;
  readonly source: string;
  readonly destination: string;
}

export interface Topology {
  readonly nodes: readonly TopologyNode[];
  readonly edges: readonly TopologyEdge[];
}

/** Of a pair, whatever protocols it speaks. */
export function pairId(source: string, destination: string): string {
  return `${source} ${destination}`;
}

/** What `uses` of the mesh file says: an instance has a local port for each service that it may call. */
export function declaredPairs(instances: readonly Pick<Instance, 'namespace' | 'service' | 'outbounds'>[]): string[] {
  return [
    ...new Set(
      instances.flatMap((one) => one.outbounds.map((to) => pairId(`${one.namespace}/${one.service}`, `${to.namespace}/${to.service}`))),
    ),
  ].sort();
}

/** Sorted, so that the same mesh is drawn the same way each time. Edges from a service to itself are left out. */
export function topologyOf(
  services: readonly string[],
  nodes: readonly Pick<GraphNode, 'id' | 'kind'>[],
  edges: readonly Pick<GraphEdge, 'source' | 'destination'>[],
  declared: readonly string[],
): Topology {
  const kinds = new Map<string, NodeKind>(services.map((id) => [id, 'service']));
  const known = new Map(nodes.map(({ id, kind }) => [id, kind]));
  const pairs = new Map<string, TopologyEdge>();
  const connect = (source: string, destination: string): void => {
    if (source === destination) return;
    for (const id of [source, destination]) if (!kinds.has(id)) kinds.set(id, known.get(id) ?? kindOf(id));
    pairs.set(pairId(source, destination), { id: pairId(source, destination), source, destination });
  };
  for (const { source, destination } of edges) connect(source, destination);
  for (const pair of declared) {
    const [source = '', destination = ''] = pair.split(' ');
    if (kinds.has(source) && kinds.has(destination)) connect(source, destination);
  }
  return {
    nodes: [...kinds].map(([id, kind]) => ({ id, kind })).sort((a, b) => (a.id < b.id ? -1 : 1)),
    edges: [...pairs.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

function kindOf(id: string): NodeKind {
  if (id.startsWith('heddle-egress/')) return 'egress';
  return id === 'heddle-system/operator' ? 'operator' : 'outside';
}

/** A pair as one edge, whatever its protocols: rates add up, of latencies the worst counts. Undefined: nothing is measured. */
export function sumEdges(edges: readonly GraphEdge[]): GraphEdge | undefined {
  return edges.slice(1).reduce<GraphEdge | undefined>((sum, edge) => sum && addEdges(sum, edge), edges[0]);
}

function addEdges(a: GraphEdge, b: GraphEdge): GraphEdge {
  const worst = (left: number | null, right: number | null): number | null =>
    left === null ? right : right === null ? left : Math.max(left, right);
  const errors = { ...a.errors };
  for (const [code, count] of Object.entries(b.errors)) errors[code] = (errors[code] ?? 0) + count;
  return {
    ...a,
    protocol: a.protocol === b.protocol ? a.protocol : [a.protocol, b.protocol].filter((one) => one !== null).join(', '),
    requestsPerSecond: a.requestsPerSecond + b.requestsPerSecond,
    errorsPerSecond: a.errorsPerSecond + b.errorsPerSecond,
    bytesPerSecond: a.bytesPerSecond + b.bytesPerSecond,
    retriesPerSecond: a.retriesPerSecond + b.retriesPerSecond,
    p50Ms: worst(a.p50Ms, b.p50Ms),
    p90Ms: worst(a.p90Ms, b.p90Ms),
    p99Ms: worst(a.p99Ms, b.p99Ms),
    errors,
  };
}
