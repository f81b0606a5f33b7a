// Who sends how much to whom, from what data planes report. Reports are claims of peers: counts are bounded, tables are bounded, and what is
// not reported again is forgotten. Pure: time is an argument.

/** What one reporter sent from one source to one destination since its report before. */
export interface LoadCounts {
  /** Requests that were begun. */
  readonly issued: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Under way when the report was made. */
  readonly inProgress: number;
  /** Given up before they were sent. */
  readonly dropped: number;
}

export interface LoadReport extends LoadCounts {
  /** `<namespace>/<service>`. */
  readonly source: string;
  /** `<namespace>/<service>`. */
  readonly destination: string;
  /** What the counts are of. */
  readonly intervalMs: number;
}

/** One edge of the mesh, all reporters together. */
export interface Load {
  readonly source: string;
  readonly destination: string;
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  readonly droppedPerSecond: number;
  readonly inProgress: number;
  /** Data planes that report it, sorted. */
  readonly nodes: readonly string[];
  /** Of the latest report. */
  readonly updatedMs: number;
}

export interface LoadTableOptions {
  /** Edges kept of one reporter: more than any data plane has of sources times destinations that are really used. */
  readonly edgesPerReporterMax: number;
  /** Edges kept of all together: some 200 bytes each. */
  readonly edgesMax: number;
  /** After this without a report an edge is forgotten. */
  readonly expiryMs: number;
}

export const LOAD_TABLE_DEFAULTS: LoadTableOptions = { edgesPerReporterMax: 10_000, edgesMax: 200_000, expiryMs: 35_000 };

/** More than this in one report is no count of requests: a whole machine's for a year would be less. */
export const LOAD_COUNT_MAX = 1e12;

interface Edge {
  source: string;
  destination: string;
  requestsPerSecond: number;
  errorsPerSecond: number;
  droppedPerSecond: number;
  inProgress: number;
  updatedMs: number;
}

/** One data plane on one stream. */
export class LoadContributor {
  readonly node: string;
  readonly edges = new Map<string, Edge>();
  /** Edges that were not kept, because there was no room. */
  refused = 0;

  constructor(node: string) {
    this.node = node;
  }
}

export class LoadTable {
  readonly #options: LoadTableOptions;
  readonly #reporters = new Set<LoadContributor>();
  #edges = 0;

  constructor(options: Partial<LoadTableOptions> = {}) {
    this.#options = { ...LOAD_TABLE_DEFAULTS, ...options };
  }

  get size(): number {
    return this.#edges;
  }

  /** Until `leave`. */
  join(node: string): LoadContributor {
    const reporter = new LoadContributor(node);
    this.#reporters.add(reporter);
    return reporter;
  }

  /** Everything it reported is forgotten. */
  leave(from: LoadContributor): void {
    if (!this.#reporters.delete(from)) return;
    this.#edges -= from.edges.size;
    from.edges.clear();
  }

  /** Takes the place of what the reporter said before about the same edge. False: there is no room for a new edge. */
  report(from: LoadContributor, report: LoadReport, nowMs: number): boolean {
    if (!this.#reporters.has(from)) return false;
    const key = `${report.source} ${report.destination}`;
    let edge = from.edges.get(key);
    if (edge === undefined) {
      if (isIdle(report)) return true;
      if (from.edges.size >= this.#options.edgesPerReporterMax || this.#edges >= this.#options.edgesMax) {
        from.refused += 1;
        return false;
      }
      const { source, destination } = report;
      edge = { source, destination, requestsPerSecond: 0, errorsPerSecond: 0, droppedPerSecond: 0, inProgress: 0, updatedMs: nowMs };
      from.edges.set(key, edge);
      this.#edges += 1;
    }
    const seconds = Math.max(report.intervalMs, 1) / 1_000;
    edge.requestsPerSecond = bounded(report.issued) / seconds;
    edge.errorsPerSecond = bounded(report.failed) / seconds;
    edge.droppedPerSecond = bounded(report.dropped) / seconds;
    edge.inProgress = bounded(report.inProgress);
    // What has come to rest is shown as such for a while.
    if (!isIdle(report)) edge.updatedMs = nowMs;
    return true;
  }

  /** Sorted by source and destination. `node`: only what this data plane reports. */
  list(nowMs: number, node?: string): Load[] {
    this.#expire(nowMs);
    const sums = new Map<string, { -readonly [K in keyof Load]: Load[K] } & { nodes: string[] }>();
    for (const reporter of this.#reporters) {
      if (node !== undefined && reporter.node !== node) continue;
      for (const [key, edge] of reporter.edges) {
        const sum = sums.get(key);
        if (sum === undefined) {
          sums.set(key, { ...edge, nodes: [reporter.node] });
          continue;
        }
        sum.requestsPerSecond += edge.requestsPerSecond;
        sum.errorsPerSecond += edge.errorsPerSecond;
        sum.droppedPerSecond += edge.droppedPerSecond;
        sum.inProgress += edge.inProgress;
        sum.updatedMs = Math.max(sum.updatedMs, edge.updatedMs);
        sum.nodes.push(reporter.node);
      }
    }
    return [...sums]
      .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([, sum]) => ({ ...sum, nodes: [...new Set(sum.nodes)].toSorted() }));
  }

  #expire(nowMs: number): void {
    for (const { edges } of this.#reporters) {
      for (const [key, { updatedMs }] of edges) {
        if (nowMs - updatedMs <= this.#options.expiryMs) continue;
        edges.delete(key);
        this.#edges -= 1;
      }
    }
  }
}

/** What never carried anything needs no place. */
function isIdle({ issued, succeeded, failed, inProgress, dropped }: LoadReport): boolean {
  return issued + succeeded + failed + inProgress + dropped === 0;
}

function bounded(count: number): number {
  return Number.isFinite(count) ? Math.min(Math.max(count, 0), LOAD_COUNT_MAX) : 0;
}
