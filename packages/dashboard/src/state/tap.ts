// Records of a tap as they are shown: the newest of them, and how many were not.
import type { TapRecord } from '../api/traffic.ts';

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

/** `counts`: of what was lost, by the reason; whatever they are called. */
export function withLost(tapped: Tapped, counts: Readonly<Record<string, unknown>>): Tapped {
  const lost = Object.values(counts).reduce<number>((sum, count) => (typeof count === 'number' ? sum + count : sum), 0);
  return { ...tapped, lost: tapped.lost + lost };
}
