// What the primary and its workers say to one another. Messages of one side arrive in order; a request is answered once.
import type { LogLevel, MetricsReport } from '@heddle/runtime/node';
import type { TakenDecisions, TapOrder, TapTold } from '@heddle/core';
import type { DataPlaneStatus, ResourceUpdate, SocketBind, WorkloadIdentity } from '@heddle/dataplane';

export interface WorkerSettings {
  /** From 1 on; for logs. */
  readonly worker: number;
  readonly node: string;
  readonly logLevel: LogLevel;
  readonly logFormat: 'json' | 'pretty' | undefined;
}

/** A request names itself by `id`, and its answer repeats it. */
export type ToWorker =
  /** First. */
  | { readonly type: 'settings'; readonly settings: WorkerSettings }
  /** A listening socket comes along: number `slot` of the port, and the share of worker `owner`. */
  | { readonly type: 'socket'; readonly bind: SocketBind; readonly slot: number; readonly owner: number }
  /** That worker is back and accepts from its sockets itself. */
  | { readonly type: 'give-back'; readonly owner: number }
  | { readonly type: 'reserve'; readonly id: number; readonly bind: SocketBind }
  | { readonly type: 'release'; readonly id: number; readonly bind: SocketBind }
  | { readonly type: 'apply'; readonly id: number; readonly update: ResourceUpdate }
  | { readonly type: 'identity'; readonly workload: string; readonly identity: WorkloadIdentity | undefined }
  | { readonly type: 'certificate'; readonly name: string; readonly certificate: WorkloadIdentity | undefined }
  | { readonly type: 'credential'; readonly credential: string; readonly workload: string | undefined }
  | { readonly type: 'anonymous'; readonly workload: string | undefined }
  | { readonly type: 'tap'; readonly order: TapOrder }
  | { readonly type: 'tap-stop'; readonly id: string }
  /** Everything has been told: accept connections. Answered. */
  | { readonly type: 'begin'; readonly id: number }
  /** Answered with a report. */
  | { readonly type: 'report'; readonly id: number; readonly withConfig: boolean }
  | {
      readonly type: 'drain';
      readonly id: number;
      readonly graceMs: number;
      readonly waysIn: 'inbound' | 'all';
      readonly idleMs: number | undefined;
    }
  | { readonly type: 'close'; readonly id: number };

export interface WorkerReport {
  readonly status: DataPlaneStatus;
  readonly metrics: MetricsReport;
  readonly configDump: object | undefined;
  /** Since the report before. */
  readonly decisions: TakenDecisions;
}

/** What a request can be answered with. */
export interface Answer {
  readonly type: 'answer';
  readonly id: number;
  /** Why it failed; absent when it did not. */
  readonly reason?: string;
  readonly report?: WorkerReport;
}

export type FromWorker =
  | Answer
  /** Connections that failed although the configuration calls the endpoints healthy. */
  | { readonly type: 'connect-failures'; readonly cluster: string; readonly count: number }
  /** Of live requests that were asked for. */
  | { readonly type: 'tapped'; readonly told: TapTold }
  /** The process is there and waits for its settings. */
  | { readonly type: 'started' }
  /** At least once a second, unasked; also tells that it lives. */
  | { readonly type: 'beat'; readonly report: WorkerReport };

type Request = Extract<ToWorker, { readonly id: number }>;
/** A request without its number. */
export type WorkerRequest = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

export const BEAT_MS = 1_000;
