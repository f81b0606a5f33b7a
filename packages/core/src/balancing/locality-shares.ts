// How much of a caller's traffic goes to which group of instances, by where they run. Shares add up to 1. The rules are Envoy's, by weight
// in place of number.

/** Of a group: what could carry traffic if all were well, and what can. */
export interface GroupWeight {
  readonly listed: number;
  readonly healthy: number;
}

/** A group with 1 / 1.4 = 71 % of its weight healthy still carries all of its traffic (Envoy's `overprovisioning_factor`). */
const OVERPROVISIONING = 1.4;

/**
 * Nearest first: each takes what its healthy part can carry, the rest spills over to the next. When all together cannot carry everything, each
 * gets its part of what they can (Envoy's priority levels).
 */
export function tierShares(tiers: readonly GroupWeight[]): number[] {
  const capacities = tiers.map(({ listed, healthy }) => (healthy > 0 ? Math.min(1, (healthy / listed) * OVERPROVISIONING) : 0));
  const total = capacities.reduce((sum, capacity) => sum + capacity, 0);
  if (total === 0) return capacities;
  if (total < 1) return capacities.map((capacity) => capacity / total);
  let left = 1;
  return capacities.map((capacity) => {
    const share = Math.min(left, capacity);
    left -= share;
    return share;
  });
}

export interface ZoneWeight extends GroupWeight {
  /** How many callers are in this zone, in any unit; undefined in all zones: not known. */
  readonly callers: number | undefined;
}

/**
 * Envoy's zone aware routing: when callers in every zone do the same, all instances get the same load. A zone with a greater share of the
 * instances than of the callers keeps everything; another one keeps what its instances can carry, and the rest goes to the zones that have room,
 * by how much they have. Callers that are not known count as spread like the listed instances.
 */
export function zoneShares(zones: readonly ZoneWeight[], local: number): number[] {
  const healthy = zones.reduce((sum, zone) => sum + zone.healthy, 0);
  const areKnown = zones.some(({ callers }) => callers !== undefined);
  const callersOf = (zone: ZoneWeight): number => (areKnown ? (zone.callers ?? 0) : zone.listed);
  const callers = zones.reduce((sum, zone) => sum + callersOf(zone), 0);
  const room = zones.map((zone) => (healthy > 0 ? zone.healthy / healthy : 0) - (callers > 0 ? callersOf(zone) / callers : 0));
  const here = zones[local];
  if (here === undefined || healthy === 0) return zones.map((zone) => (healthy > 0 ? zone.healthy / healthy : 0));
  if ((room[local] as number) >= 0) return zones.map((_, index) => (index === local ? 1 : 0));
  const kept = here.healthy / healthy / (callersOf(here) / callers);
  const allRoom = room.reduce((sum, value) => sum + Math.max(0, value), 0);
  return room.map((value, index) => (index === local ? kept : ((1 - kept) * Math.max(0, value)) / allRoom));
}
