// What this data plane has applied, as its admin API shows it: to be compared with what the control plane believes (`heddle describe proxy`).
import { stateHash } from '@heddle/api';
import type { AdsStatus } from './ads-connection.ts';

/** Plain JSON; times are ISO 8601, null where there is none. */
export interface SyncReport {
  readonly node: string;
  readonly connected: boolean;
  /** Why not; empty when it is. */
  readonly reason: string;
  /** `cache`: what an earlier process kept. */
  readonly source: AdsStatus['source'];
  /** When the control plane last proved that what is applied is what it says. */
  readonly synced: string | null;
  /** Seconds since then. */
  readonly ageSeconds: number | null;
  /** 16 hexadecimal digits for everything that is applied: equal ones mean the same configuration. */
  readonly stateHash: string;
  readonly kinds: readonly {
    readonly kind: string;
    readonly resources: number;
    readonly version: string;
    readonly applied: string | null;
    readonly hash: string;
    readonly rejection: string;
  }[];
}

export function syncReport(node: string, status: AdsStatus, nowMs: number): SyncReport {
  const { connected, reason, source, syncedMs, kinds } = status;
  return {
    node,
    connected,
    reason,
    source,
    synced: time(syncedMs),
    ageSeconds: syncedMs === 0 ? null : Math.max(0, Math.round(nowMs - syncedMs) / 1_000),
    stateHash: stateHash(kinds),
    kinds: kinds.map(({ kind, resources, version, appliedMs, hash, rejection }) => ({
      kind,
      resources,
      version,
      applied: time(appliedMs),
      hash,
      rejection,
    })),
  };
}

function time(wallMs: number): string | null {
  return wallMs === 0 ? null : new Date(wallMs).toISOString();
}
