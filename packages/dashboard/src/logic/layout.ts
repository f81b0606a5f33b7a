// Where the nodes and edges of the graph are drawn: layered by dagre from callers to called. Pure: the same topology gives the same picture.
import { Graph, layout as dagre } from '@dagrejs/dagre';
import type { Topology } from './topology.ts';

export const NODE_WIDTH = 158;
export const NODE_HEIGHT = 72;
/** Room for what an edge says. */
const LABEL_WIDTH = 84;
const LABEL_HEIGHT = 34;
const MARGIN = 16;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Centres, by the id of the node. */
  readonly nodes: ReadonlyMap<string, Point>;
  /** By the id of the edge: its path, as SVG has it, and where its label's centre is. */
  readonly edges: ReadonlyMap<string, { readonly path: string; readonly label: Point }>;
}

/** `down`: for screens that are higher than wide. */
export function layoutOf({ nodes, edges }: Topology, down = false): Layout {
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: down ? 'TB' : 'LR', nodesep: 30, ranksep: down ? 34 : 26, edgesep: 24, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) graph.setNode(id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const { source, destination } of edges)
    graph.setEdge(source, destination, { width: LABEL_WIDTH, height: LABEL_HEIGHT, labelpos: 'c' });
  dagre(graph);
  const places = new Map(nodes.map(({ id }) => [id, pointOf(graph.node(id) as Partial<Point>)]));
  const lines = edges.map(({ id, source, destination }) => {
    const { points = [], ...label } = graph.edge(source, destination) as { points?: Point[] } & Partial<Point>;
    return [id, { path: smoothPath(points), label: pointOf(label) }] as const;
  });
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return { width: finite(width), height: finite(height), nodes: places, edges: new Map(lines) };
}

/** Through the first and the last point, and smoothly past those between. */
export function smoothPath(points: readonly Point[]): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (first === undefined || last === undefined) return '';
  const at = ({ x, y }: Point): string => `${round(x)} ${round(y)}`;
  let path = `M${at(first)}`;
  for (let index = 0; index < rest.length - 1; index += 1) {
    const [point, next] = [rest[index]!, rest[index + 1]!];
    const end = index === rest.length - 2 ? next : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    path += `Q${at(point)} ${at(end)}`;
  }
  return rest.length === 1 ? `${path}L${at(last)}` : path;
}

function pointOf({ x = 0, y = 0 }: Partial<Point>): Point {
  return { x, y };
}

/** Of nothing dagre says that it is as large as -Infinity. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
