// What a data plane in the process of its application can do besides.
import type { OrcaReport } from '@heddle/core';
import type { Connection } from '@heddle/runtime';
import type { DataPlane, SocketBind } from '../data-plane-types.ts';
import type { DirectCalls } from './types.ts';

/** What the process of an instance says of itself: all its own measures may be missing. */
export type ProcessLoad = OrcaReport;

export interface InsideDataPlane extends DataPlane {
  /** Calls of the workload by what the listener at this place is configured to. Whether it has arrived yet is looked at with each call. */
  callsThrough(bind: SocketBind, workload: string): DirectCalls;
  /** A connection from inside the process, on behalf of the workload: HTTP of either version, as a proxy takes it; closed where none is taken. */
  enter(bind: SocketBind, connection: Connection, workload: string): void;
  /** Whether the listener at this place has routes for this host: for requests, or for connections by CONNECT. Undefined: the listener or its routes have not arrived. */
  knowsHost(bind: SocketBind, authority: string): boolean | undefined;
  /** How loaded the workload's process is, for callers who ask: as if it had said so with a response. It holds for a second. */
  tellLoad(workload: string, load: ProcessLoad): void;
}
