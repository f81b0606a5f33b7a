// What the REST API says about traffic.
import type * as schema from '@heddle/control/schema';
import type { z } from 'zod';

export type GraphNode = schema.GraphNode;
export type GraphEdge = schema.Edge;
export type Graph = schema.Graph;
export type NodeKind = GraphNode['kind'];
export type ServiceTraffic = schema.ServiceTraffic;
export type Series = z.output<typeof schema.SeriesPoints>;

export type Decision = z.output<typeof schema.Decision>;
export type DecisionList = z.output<typeof schema.DecisionList>;

export interface TapRecord {
  readonly time: string;
  readonly node: string;
  readonly id: string | number;
  readonly source: string;
  readonly destination: string;
  readonly instance: string;
  readonly route: string;
  readonly protocol: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly error: string;
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly tries: number;
  readonly traceId: string;
  readonly headers?: Readonly<Record<string, string>>;
}
