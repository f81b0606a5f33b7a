// Records of a tap as they are shown: the newest of them, and how many were not.
import type { TapLost, TapRecord } from '../api/traffic.ts';

export interface Tapped {
  /** Newest first. */
  readonly records: readonly (TapRecord & { readonly key: number })[];
  readonly seen: number;
  /** Not told, because there were more than the limit. */
  readonly lost: number;
}

export const NOTHING_TAPPED: Tapped = { records: [], seen: 0, lost: 0 };
/** What a person can look through. */
export const TAPPED_MAX = 200;

export function withRecord({ records, seen, lost }: Tapped, record: TapRecord): Tapped {
  return { records: [{ ...record, key: seen }, ...records].slice(0, TAPPED_MAX), seen: seen + 1, lost };
}

export function withLost(tapped: Tapped, { overLimit, slowReader }: TapLost): Tapped {
  return { ...tapped, lost: tapped.lost + overLimit + slowReader };
}
