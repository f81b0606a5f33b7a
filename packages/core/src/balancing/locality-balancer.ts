// What all algorithms have in common: health, panic, slow start, and where hosts run. Hosts are put into groups (all in one, tiers by distance,
// or zones), each with a picker of its own; a request goes to a group by the group's share, and the picker decides there.
import type { BalancePolicy } from '../model/balance.ts';
import type { Locality } from '../model/service.ts';
import type { BalancedHost, Balancer, LoadSignal, PickRequest, TryResult } from './balancer.ts';
import { mixHash } from './hash-text.ts';
import type { ZoneWeight } from './locality-shares.ts';
import { tierShares, zoneShares } from './locality-shares.ts';
import type { Member, Picker } from './member.ts';
import { MemberTable } from './member-table.ts';

/** Callers of a cluster that run in one zone, as far as they are known. */
export interface CallerZone {
  readonly locality: Locality;
  /** How many there are, or any measure that grows with what they ask for. */
  readonly count: number;
}

export interface BalancerOptions {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Where the caller runs. Absent: not known, and locality plays no part. */
  readonly local?: Locality;
  /** Where the callers of the cluster run, for `zone-aware`. Absent, or without an entry: they count as spread like the instances. */
  readonly callers?: () => readonly CallerZone[];
}

interface Group<H extends BalancedHost> {
  readonly key: string;
  readonly picker: Picker<H>;
  readonly locality: Locality | undefined;
  /** Those that can be picked. */
  members: Member<H>[];
  listedWeight: number;
  healthyWeight: number;
  /** Of the requests. */
  share: number;
}

/** With fewer healthy hosts zones are too small to be balanced one by one (Envoy's `min_cluster_size`). */
const ZONE_AWARE_HOSTS_MIN = 6;
/** In the caller's zone: with a single one there nothing could get out of its way when it is slow. */
const LOCAL_ZONE_HOSTS_MIN = 2;
/** How old what is known of the callers may be. */
const CALLERS_AGE_MAX_MS = 1_000;
const TIERS = ['same zone', 'same region', 'elsewhere'] as const;

export class LocalityBalancer<H extends BalancedHost> implements Balancer<H> {
  readonly algorithm: BalancePolicy['algorithm'];
  healthyCount = 0;
  private readonly policy: BalancePolicy;
  private readonly options: BalancerOptions;
  private readonly createPicker: () => Picker<H>;
  private readonly table: MemberTable<H>;
  /** The nearest first. */
  private groups: readonly Group<H>[] = [];
  /** Of `groups`: sums of shares up to each. */
  private bounds: readonly number[] = [];
  /** Index in `groups` of the caller's zone while they are zones. */
  private localZone = -1;
  private sharesUntilMs = Number.POSITIVE_INFINITY;
  private isInPanic = false;
  /** Where the last request went: the one that may want to probe. */
  private lastGroup: Group<H> | undefined;
  private readonly isByHash: boolean;

  constructor(policy: BalancePolicy, options: BalancerOptions, createPicker: () => Picker<H>) {
    this.algorithm = policy.algorithm;
    this.policy = policy;
    this.options = options;
    this.createPicker = createPicker;
    this.table = new MemberTable(policy.slowStartMs);
    this.isByHash = policy.algorithm === 'ring-hash' || policy.algorithm === 'maglev';
  }

  update(hosts: readonly H[], nowMs: number): void {
    this.table.update(hosts, nowMs);
    const { members } = this.table;
    let healthy = 0;
    let draining = 0;
    for (const member of members) {
      if (member.health === 'healthy') healthy++;
      else if (member.health === 'draining') draining++;
    }
    const staying = members.length - draining;
    this.isInPanic = healthy < staying && healthy * 100 < staying * this.policy.panicPercent;
    this.healthyCount = this.isInPanic ? staying : healthy;
    this.regroup(members, this.groupingFor(members, healthy));
    for (const group of this.groups) group.picker.update(group.members, nowMs);
    this.share(nowMs);
  }

  pick(request: PickRequest<H>): H | undefined {
    if (request.nowMs >= this.sharesUntilMs) this.share(request.nowMs);
    const group = this.groupFor(request);
    if (group === undefined) return undefined;
    this.lastGroup = group;
    if (request.avoid.length === 0) return group.picker.pick(request)?.host;
    return this.pickAgain(request, group)?.host;
  }

  started(host: H, nowMs: number): void {
    const member = this.table.find(host);
    if (member === undefined) return;
    if (member.inFlight++ === 0) member.quietSinceMs = nowMs;
  }

  finished(host: H, result: TryResult, elapsedMs: number, nowMs: number): void {
    const member = this.table.find(host);
    if (member === undefined) return;
    // A host that left the list and came back began at 0.
    if (member.inFlight > 0) member.inFlight--;
    member.quietSinceMs = nowMs;
    member.picker?.finished?.(member, result, elapsedMs, nowMs);
  }

  probeDue(nowMs: number): H | undefined {
    return this.lastGroup?.picker.probeDue?.(nowMs)?.host;
  }

  loadReported(host: H, load: LoadSignal, nowMs: number): void {
    const member = this.table.find(host);
    // It may have fallen ill since it was asked.
    if (member?.isPickable) member.picker?.loadReported?.(member, load, nowMs);
  }

  probeFailed(host: H, why: 'unanswered' | 'unsupported', nowMs: number): void {
    const member = this.table.find(host);
    if (member?.isPickable) member.picker?.probeFailed?.(member, why, nowMs);
  }

  describe(host: H, nowMs: number): Readonly<Record<string, string | number>> {
    const member = this.table.find(host);
    if (member === undefined) return {};
    const group = this.groups.find(({ picker }) => picker === member.picker);
    return {
      weight: member.weight,
      ...(member.rampUntilMs > nowMs && { slowStartWeight: member.effectiveWeight(nowMs) }),
      inFlight: member.inFlight,
      ...(this.groups.length > 1 && group !== undefined && { locality: group.key, localityShare: group.share }),
      ...(this.isInPanic && { panic: 'all instances are used, because too few are healthy' }),
      ...member.picker?.describe?.(member, nowMs),
    };
  }

  private pickAgain(request: PickRequest<H>, first: Group<H>): Member<H> | undefined {
    const member = first.picker.pickAgain(request);
    if (member !== undefined) return member;
    for (const group of this.groups) {
      const other = group === first ? undefined : group.picker.pickAgain(request);
      if (other !== undefined) return other;
    }
    // All are to be avoided: any of them.
    return first.picker.pickAgain({ nowMs: request.nowMs, hash: request.hash, avoid: [] });
  }

  private groupFor(request: PickRequest<H>): Group<H> | undefined {
    const { groups, bounds } = this;
    if (groups.length < 2) return groups[0];
    // A hash goes to the same group as long as the group keeps its share.
    const point = this.isByHash && request.hash !== undefined ? mixHash(request.hash) / 2 ** 32 : this.options.random();
    let low = 0;
    let high = bounds.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (point < (bounds[middle] as number)) high = middle;
      else low = middle + 1;
    }
    return groups[low];
  }

  private groupingFor(members: readonly Member<H>[], healthy: number): 'one' | 'tiers' | 'zones' {
    const { local } = this.options;
    if (local === undefined || this.isInPanic) return 'one';
    if (this.policy.locality === 'prefer') return 'tiers';
    // With consistent hashing callers in all zones are to agree.
    if (this.policy.locality === 'any' || this.isByHash || healthy < ZONE_AWARE_HOSTS_MIN) return 'one';
    let near = 0;
    for (const { host, health } of members) if (health === 'healthy' && distance(host.locality, local) === 0) near++;
    return near >= LOCAL_ZONE_HOSTS_MIN ? 'zones' : 'one';
  }

  private regroup(members: readonly Member<H>[], grouping: 'one' | 'tiers' | 'zones'): void {
    const { local } = this.options;
    const before = new Map(this.groups.map((group) => [group.key, group]));
    const groups = new Map<string, Group<H>>();
    for (const member of members) {
      const { locality } = member.host;
      const key = grouping === 'one' ? '' : grouping === 'tiers' ? TIERS[distance(locality, local)] : zoneKey(locality);
      let group = groups.get(key);
      if (group === undefined) {
        const picker = before.get(key)?.picker ?? this.createPicker();
        group = { key, picker, locality, members: [], listedWeight: 0, healthyWeight: 0, share: 0 };
        groups.set(key, group);
      }
      member.picker = group.picker;
      group.listedWeight += member.weight;
      if (member.health === 'healthy') group.healthyWeight += member.weight;
      member.isPickable = member.health === 'healthy' || (this.isInPanic && member.health === 'unhealthy');
      if (member.isPickable) group.members.push(member);
    }
    // An empty list keeps its place in the rotation.
    const [only] = this.groups;
    if (groups.size === 0 && only !== undefined) groups.set(only.key, { ...only, members: [] });
    this.groups = [...groups.values()].sort((a, b) => distance(a.locality, local) - distance(b.locality, local));
    this.localZone = grouping === 'zones' ? this.groups.findIndex(({ locality }) => distance(locality, local) === 0) : -1;
    if (this.lastGroup !== undefined) this.lastGroup = this.groups.find(({ picker }) => picker === this.lastGroup?.picker);
  }

  private share(nowMs: number): void {
    const { groups } = this;
    this.sharesUntilMs = Number.POSITIVE_INFINITY;
    if (groups.length < 2) return;
    const shares = this.localZone < 0 ? tierShares(groups.map(weightsOf)) : this.zoneShares(nowMs);
    let sum = 0;
    let last = 0;
    const bounds = groups.map((group, index) => {
      group.share = shares[index] as number;
      if (group.share > 0) last = index;
      sum += group.share;
      return sum;
    });
    // Rounding must not lead to a group without a share.
    bounds[last] = 1;
    this.bounds = bounds;
  }

  private zoneShares(nowMs: number): number[] {
    const callers = this.options.callers?.() ?? [];
    if (this.options.callers !== undefined) this.sharesUntilMs = nowMs + CALLERS_AGE_MAX_MS;
    const counts = new Map<string, number>();
    for (const { locality, count } of callers) counts.set(zoneKey(locality), (counts.get(zoneKey(locality)) ?? 0) + count);
    const zones: ZoneWeight[] = this.groups.map((group) => ({ ...weightsOf(group), callers: counts.get(group.key) }));
    // Callers in zones without instances need room as well.
    for (const { key } of this.groups) counts.delete(key);
    for (const count of counts.values()) zones.push({ listed: 0, healthy: 0, callers: count });
    return zoneShares(zones, this.localZone);
  }
}

function weightsOf(group: Group<BalancedHost>): { listed: number; healthy: number } {
  return { listed: group.listedWeight, healthy: group.healthyWeight };
}

/** Index in TIERS. A host of unknown locality is far away. */
function distance(locality: Locality | undefined, local: Locality | undefined): 0 | 1 | 2 {
  if (locality === undefined || local === undefined || locality.region !== local.region) return 2;
  return locality.zone === local.zone ? 0 : 1;
}

function zoneKey(locality: Locality | undefined): string {
  return locality === undefined ? '' : `${locality.region}/${locality.zone}`;
}
