// A host as balancers know it: its weight, slow start, and what was measured of it. One object for each address and port; it lives as long
// as the host is listed, whatever happens to its health, so that measurements outlast updates.
import type { BalancedHost, LoadSignal, PickRequest, TryResult } from './balancer.ts';

/** Envoy's `min_weight_percent` of slow start: below it a host would hardly be tried. */
const RAMP_MIN = 0.1;
/** For hosts that came with a weight that is none, so that nothing divides by zero. */
const WEIGHT_MIN = 0.001;

export class Member<H extends BalancedHost> {
  host: H;
  readonly key: string;
  health: BalancedHost['health'];
  weight: number;
  /** Slow start ends then; 0: the host has its full weight. */
  rampUntilMs = 0;
  private rampFromMs = 0;
  /** Requests of this caller that are under way. */
  inFlight = 0;
  /** While requests are under way: since when nothing began from none and nothing ended. One of them is at least so old. */
  quietSinceMs = 0;
  /** Peak EWMA of response times at `latencyAtMs`; 0: not known. */
  latencyMs = 0;
  latencyAtMs = 0;
  /** Added to the response time for failures, at `penaltyAtMs`. */
  penaltyMs = 0;
  penaltyAtMs = 0;
  /** A probe is under way since then. */
  probedAtMs = Number.NEGATIVE_INFINITY;
  /** Probes in a row that got no answer. */
  probesUnanswered = 0;
  /** Not to be probed before. */
  probeAgainMs = 0;
  /** Virtual time of the next turn in a weighted rotation, in that of `turnOwner` and for `turnWeight`. */
  turn = 0;
  turnWeight = 0;
  turnOwner: unknown;
  /** The newest update that listed the host. */
  listedIn = 0;
  /** The picker knows it: it is healthy, or panic makes no difference. */
  isPickable = false;
  /** Decides about this member and those that it is compared with. */
  picker: Picker<H> | undefined;

  constructor(host: H, key: string) {
    this.host = host;
    this.key = key;
    this.health = host.health;
    this.weight = weightOf(host);
  }

  /** The newest entry for the host. */
  take(host: H): void {
    this.host = host;
    this.health = host.health;
    this.weight = weightOf(host);
  }

  beginRamp(nowMs: number, windowMs: number): void {
    this.rampFromMs = nowMs;
    this.rampUntilMs = nowMs + windowMs;
  }

  endRamp(): void {
    this.rampUntilMs = 0;
  }

  /** Share of its weight that the host has by slow start, linear in time (Envoy's aggression of 1). */
  rampFactor(nowMs: number): number {
    if (this.rampUntilMs === 0) return 1;
    if (nowMs >= this.rampUntilMs) {
      this.rampUntilMs = 0;
      return 1;
    }
    return Math.max(RAMP_MIN, (nowMs - this.rampFromMs) / (this.rampUntilMs - this.rampFromMs));
  }

  effectiveWeight(nowMs: number): number {
    return this.rampUntilMs === 0 ? this.weight : this.weight * this.rampFactor(nowMs);
  }
}

function weightOf(host: BalancedHost): number {
  return host.weight > WEIGHT_MIN ? host.weight : WEIGHT_MIN;
}

/** When the last slow start among the members ends; 0: none is in one. Until then weights differ from those that are configured. */
export function rampsUntil<H extends BalancedHost>(members: readonly Member<H>[], nowMs: number): number {
  let untilMs = 0;
  for (const member of members) if (member.rampUntilMs > nowMs && member.rampUntilMs > untilMs) untilMs = member.rampUntilMs;
  return untilMs;
}

/**
 * A balancing rule over members that can all be picked. Health, slow start, panic and locality are decided before: a `LocalityBalancer` keeps
 * a picker for each group of members between which only the rule decides.
 */
export interface Picker<H extends BalancedHost> {
  /** In their fixed order. */
  update(members: readonly Member<H>[], nowMs: number): void;
  /** For a first try; undefined: there are no members. */
  pick(request: PickRequest<H>): Member<H> | undefined;
  /** For a retry: one that is not to be avoided, without using up a turn; undefined when all are to be avoided. */
  pickAgain(request: PickRequest<H>): Member<H> | undefined;
  finished?(member: Member<H>, result: TryResult, elapsedMs: number, nowMs: number): void;
  probeDue?(nowMs: number): Member<H> | undefined;
  loadReported?(member: Member<H>, load: LoadSignal, nowMs: number): void;
  probeFailed?(member: Member<H>, why: 'unanswered' | 'unsupported', nowMs: number): void;
  describe?(member: Member<H>, nowMs: number): Readonly<Record<string, string | number>>;
}
