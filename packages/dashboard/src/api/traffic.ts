// What the REST API says about traffic.

export type NodeKind = 'service' | 'egress' | 'outside' | 'operator';

export interface GraphNode {
  /** `default/orders`. */
  readonly id: string;
  readonly kind: NodeKind;
  readonly protocol: string;
  readonly instances: { readonly total: number; readonly healthy: number; readonly unhealthy: number; readonly draining: number; readonly starting: number };
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Null: there was no request. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface GraphEdge {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly retriesPerSecond: number;
  readonly p50Ms: number | null;
  readonly p90Ms: number | null;
  readonly p99Ms: number | null;
  /** A second, by the mesh's error code. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface Graph {
  readonly revision: number;
  readonly windowMs: number;
  readonly updated: string;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export interface Rates {
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface ServiceTraffic {
  readonly callers: readonly GraphEdge[];
  readonly callees: readonly GraphEdge[];
  readonly routes: readonly (Rates & { readonly route: string })[];
  readonly instances: readonly (Rates & { readonly instance: string })[];
}

/** Null: a gap. */
type Points = readonly (number | null)[];

export interface Series {
  readonly stepMs: number;
  /** RFC 3339. */
  readonly start: string;
  readonly from: 'memory' | 'prometheus';
  readonly points: {
    readonly requestsPerSecond: Points;
    readonly errorsPerSecond: Points;
    readonly p50Ms: Points;
    readonly p90Ms: Points;
    readonly p99Ms: Points;
    readonly bytesPerSecond: Points;
  };
}

export interface Decision {
  readonly time: string;
  readonly service: string;
  readonly side: string;
  readonly outcome: string;
  readonly source: string;
  readonly method: string;
  readonly path: string;
  readonly rule: string;
  readonly by: string;
  readonly reason: string;
  readonly node: string;
}

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
