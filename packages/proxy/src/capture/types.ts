// What capture is about: which calls of this machine are sent to which local port of the proxy. Plain data.
import type { SocketAddress } from '@heddle/core';

/** The nftables table, in the family `ip`. All of it is ours; nothing outside of it is touched. */
export const TABLE = 'heddle';

/** A service that can be called by its virtual address. */
export interface VirtualService {
  /** `<namespace>/<name>` */
  readonly service: string;
  /** IPv4. */
  readonly address: string;
  readonly port: number;
}

/** A workload that the proxy hosts, with the local ports on which it calls services. */
export interface CapturableWorkload {
  /** `<namespace>/<service>/<instance>` */
  readonly workload: string;
  readonly outbounds: readonly { readonly service: string; readonly listen: SocketAddress }[];
}

/** Whose calls are captured, and as which workload they are made. */
export interface Caller {
  readonly workload: string;
  /** The user whose processes call. Absent: every process of this machine; then there is one caller. */
  readonly uid?: number;
}

export interface CaptureEntry extends VirtualService {
  /** Local port of the proxy, IPv4. */
  readonly to: SocketAddress;
}

export interface CapturedCaller extends Caller {
  /** Sorted by service. */
  readonly entries: readonly CaptureEntry[];
}

/** Everything that the table holds. */
export interface CaptureTable {
  /** Every virtual address of the mesh, sorted: calls to one of them that no entry takes are refused at once. */
  readonly addresses: readonly string[];
  readonly callers: readonly CapturedCaller[];
}

/** What cannot be captured, and what the person can do. */
export class CaptureError extends Error {
  readonly mend: string;
  /** Whether the command was wrong, not the state of things. */
  readonly usage: boolean;
  constructor(message: string, mend: string, usage = false) {
    super(message);
    this.mend = mend;
    this.usage = usage;
  }
}
