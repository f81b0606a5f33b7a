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

export type TapRecord = z.output<typeof schema.TapRecord>;
export type TapLost = z.output<typeof schema.TapLost>;
export type TapWatchers = z.output<typeof schema.TapWatchers>;
export type TapEnd = z.output<typeof schema.TapEnd>;
