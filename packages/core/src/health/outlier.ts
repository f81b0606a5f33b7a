// When a caller leaves out an instance on its own evidence (Envoy's outlier detection): failures in a row at once; shares of failures and
// latency, compared with the other instances, at the end of each interval. For how long grows with each time and shrinks again with each
// calm interval. What came of a request costs O(1); state is some 150 bytes per instance, 500 where latency is looked at.
import type { BalancedHost, TryResult } from '../balancing/balancer.ts';
import type { OutlierPolicy } from '../model/balance.ts';
import { LatencySketch } from '../telemetry/latency-sketch.ts';
import { findOutliers } from './outlier-shares.ts';
import type { IntervalCounts } from './outlier-shares.ts';

/** What is known of an instance, for people. */
export interface OutlierStatus {
  readonly ejected: boolean;
  /** Why it is out; of one that is in, why it would be if not too many were already. Else empty. */
  readonly reason: string;
  /** When it comes back, on the clock of `nowMs`; 0 unless it is out. */
  readonly untilMs: number;
  /** How often it was out lately: its next ejection takes so many times `ejectMs` and one more. */
  readonly ejections: number;
  readonly errorsInRow: number;
  /** In the last interval in which it had requests, where shares are looked at; undefined: not known. */
  readonly successPercent: number | undefined;
  readonly medianMs: number | undefined;
}

class HostState<H> implements IntervalCounts {
  host: H;
  errors = 0;
  gatewayErrors = 0;
  localErrors = 0;
  requests = 0;
  failures = 0;
  readonly latency: LatencySketch | undefined;
  times = 0;
  /** 0: it is in. */
  untilMs = 0;
  returnedMs = 0;
  reason = '';
  successPercent: number | undefined;
  medianMs: number | undefined;

  constructor(host: H, latency: LatencySketch | undefined) {
    this.host = host;
    this.latency = latency;
  }
}

/** Buckets of a latency per doubling: a median is off by 9 % at most. */
const LATENCY_STEPS = 4;

/**
 * One per caller and cluster; a changed policy needs a new one. Differences from Envoy: an instance comes back when its time is over, not
 * at the next interval; `maxEjectedPercent` is of the instances that the registry calls healthy, and holds on when some of them leave; when
 * it does not allow all, the worst go; latency is looked at. What instances do that are out, or not healthy anyway, does not count.
 */
export class OutlierDetector<H extends BalancedHost> {
  readonly #policy: OutlierPolicy;
  readonly #looksAtShares: boolean;
  #states = new Map<H, HostState<H>>();
  #byAddress = new Map<string, HostState<H>>();
  #healthy = 0;
  /** Of the healthy ones. */
  #ejected = 0;
  #sweepAtMs = Infinity;
  #returnAtMs = Infinity;

  constructor(policy: OutlierPolicy) {
    this.#policy = policy;
    this.#looksAtShares = policy.successRateFactor > 0 || policy.failurePercent > 0 || policy.latencyFactor > 0;
  }

  /** How many instances are out at present, of those that the registry calls healthy. */
  get ejectedCount(): number {
    return this.#ejected;
  }

  /**
   * Takes a new list in place of the old one. What is known of hosts that stay (same object, or same address and port) is kept. True when
   * ejections of hosts that stay have changed: with fewer instances fewer may be out, and those that would come back first do so now.
   */
  update(hosts: readonly H[], nowMs: number): boolean {
    const states = new Map<H, HostState<H>>();
    const byAddress = new Map<string, HostState<H>>();
    this.#healthy = 0;
    this.#ejected = 0;
    for (const host of hosts) {
      const key = addressOf(host);
      const state = this.#byAddress.get(key) ?? this.#newState(host);
      state.host = host;
      states.set(host, state);
      byAddress.set(key, state);
      if (host.health !== 'healthy') continue;
      this.#healthy += 1;
      if (state.untilMs > 0) this.#ejected += 1;
    }
    this.#states = states;
    this.#byAddress = byAddress;
    const changed = this.#returnSurplus(nowMs);
    this.#findNextReturn();
    return changed;
  }

  /** A try ended. True when ejections have changed. `nextTimeoutMs` may have changed in any case. */
  ended(host: H, result: TryResult, elapsedMs: number, nowMs: number): boolean {
    const state = this.#stateOf(host);
    if (state === undefined || state.untilMs > 0 || result === 'cancelled') return false;
    if (this.#looksAtShares) this.#count(state, result, elapsedMs, nowMs);
    if (result === 'success') {
      if (state.errors > 0) {
        state.errors = 0;
        state.gatewayErrors = 0;
        state.localErrors = 0;
        state.reason = '';
      }
      return false;
    }
    return this.#failed(state, result, nowMs);
  }

  isEjected(host: H): boolean {
    if (this.#returnAtMs === Infinity) return false;
    const state = this.#stateOf(host);
    return state !== undefined && state.untilMs > 0;
  }

  /** When to call `handleTimeout`, on the clock of `nowMs`; undefined when nothing is awaited: then no timer is needed. */
  nextTimeoutMs(): number | undefined {
    const atMs = Math.min(this.#sweepAtMs, this.#returnAtMs);
    return atMs === Infinity ? undefined : atMs;
  }

  /** To be called at `nextTimeoutMs` or later. True when ejections have changed. */
  handleTimeout(nowMs: number): boolean {
    let changed = false;
    if (nowMs >= this.#returnAtMs) {
      for (const state of this.#states.values()) {
        if (state.untilMs === 0 || state.untilMs > nowMs) continue;
        this.#return(state, nowMs);
        changed = true;
      }
      this.#findNextReturn();
    }
    if (nowMs >= this.#sweepAtMs) changed = this.#sweep(nowMs) || changed;
    return changed;
  }

  /** Undefined for hosts that are not in the list. */
  describe(host: H): OutlierStatus | undefined {
    const state = this.#stateOf(host);
    if (state === undefined) return undefined;
    const { untilMs, reason, times, errors, successPercent, medianMs } = state;
    return { ejected: untilMs > 0, reason, untilMs, ejections: times, errorsInRow: errors, successPercent, medianMs };
  }

  #failed(state: HostState<H>, result: TryResult, nowMs: number): boolean {
    const { consecutiveErrors, consecutiveGatewayErrors, consecutiveLocalErrors } = this.#policy;
    const isLocal = result === 'local-error';
    const isGateway = isLocal || result === 'gateway-error';
    state.errors += 1;
    // An answer, even this one, shows that the way to the instance works.
    state.localErrors = isLocal ? state.localErrors + 1 : 0;
    state.gatewayErrors = isGateway ? state.gatewayErrors + 1 : 0;
    // When too many are out already, it is tried again after as many more.
    if (isLocal && isMultiple(state.localErrors, consecutiveLocalErrors))
      return this.#eject(state, `${state.localErrors} tries in a row got no answer`, nowMs);
    if (isGateway && isMultiple(state.gatewayErrors, consecutiveGatewayErrors))
      return this.#eject(state, `${state.gatewayErrors} tries in a row got no answer, or 502, 503 or 504`, nowMs);
    if (isMultiple(state.errors, consecutiveErrors)) return this.#eject(state, `${state.errors} tries in a row failed`, nowMs);
    return false;
  }

  #count(state: HostState<H>, result: TryResult, elapsedMs: number, nowMs: number): void {
    state.requests += 1;
    if (result === 'success') state.latency?.add(elapsedMs);
    else state.failures += 1;
    if (this.#sweepAtMs === Infinity) this.#sweepAtMs = nowMs + this.#policy.intervalMs;
  }

  /** False when it stays in. */
  #eject(state: HostState<H>, reason: string, nowMs: number): boolean {
    const { ejectMs, maxEjectMs } = this.#policy;
    state.reason = reason;
    if (state.host.health !== 'healthy') return false;
    if (this.#ejected >= this.#ejectedMax()) return false;
    if (state.times === 0 || ejectMs * state.times < maxEjectMs) state.times += 1;
    state.untilMs = nowMs + Math.min(ejectMs * state.times, Math.max(ejectMs, maxEjectMs));
    this.#ejected += 1;
    this.#returnAtMs = Math.min(this.#returnAtMs, state.untilMs);
    return true;
  }

  #return(state: HostState<H>, nowMs: number): void {
    if (state.host.health === 'healthy') this.#ejected -= 1;
    state.untilMs = 0;
    state.returnedMs = nowMs;
    state.reason = '';
    state.errors = 0;
    state.gatewayErrors = 0;
    state.localErrors = 0;
    // So that the number of its ejections shrinks.
    if (this.#sweepAtMs === Infinity) this.#sweepAtMs = nowMs + this.#policy.intervalMs;
  }

  #returnSurplus(nowMs: number): boolean {
    const surplus = this.#ejected - this.#ejectedMax();
    if (surplus <= 0) return false;
    const out = [...this.#states.values()].filter(({ host, untilMs }) => untilMs > 0 && host.health === 'healthy');
    out.sort((a, b) => a.untilMs - b.untilMs);
    for (const state of out.slice(0, surplus)) this.#return(state, nowMs);
    return true;
  }

  #sweep(nowMs: number): boolean {
    const { intervalMs } = this.#policy;
    let isBusy = false;
    let changed = false;
    if (this.#looksAtShares) {
      const inside = [...this.#states.values()].filter(({ untilMs, host }) => untilMs === 0 && host.health === 'healthy');
      for (const state of inside) if (state.errors === 0) state.reason = '';
      for (const { counts, reason } of findOutliers(this.#policy, inside)) changed = this.#eject(counts, reason, nowMs) || changed;
    }
    for (const state of this.#states.values()) {
      if (state.requests > 0) isBusy = true;
      if (state.times > 0 && state.untilMs === 0 && nowMs - state.returnedMs >= intervalMs) state.times -= 1;
      if (state.times > 0 && state.untilMs === 0) isBusy = true;
      closeInterval(state);
    }
    this.#sweepAtMs = isBusy ? nowMs + intervalMs : Infinity;
    return changed;
  }

  /** At least one of two or more, unless none may be. */
  #ejectedMax(): number {
    const { maxEjectedPercent } = this.#policy;
    const most = Math.floor((maxEjectedPercent * this.#healthy) / 100);
    return most === 0 && maxEjectedPercent > 0 && this.#healthy >= 2 ? 1 : most;
  }

  #findNextReturn(): void {
    this.#returnAtMs = Infinity;
    for (const { untilMs } of this.#states.values()) if (untilMs > 0 && untilMs < this.#returnAtMs) this.#returnAtMs = untilMs;
  }

  /** Of a host that was replaced by another object too. */
  #stateOf(host: H): HostState<H> | undefined {
    return this.#states.get(host) ?? this.#byAddress.get(addressOf(host));
  }

  #newState(host: H): HostState<H> {
    return new HostState(host, this.#policy.latencyFactor > 0 ? new LatencySketch(LATENCY_STEPS) : undefined);
  }
}

function closeInterval(state: HostState<unknown>): void {
  if (state.requests === 0) return;
  state.successPercent = (100 * (state.requests - state.failures)) / state.requests;
  state.medianMs = state.latency === undefined || state.latency.count === 0 ? undefined : state.latency.quantileMs(0.5);
  state.requests = 0;
  state.failures = 0;
  state.latency?.clear();
}

/** Of a threshold; 0 is none. */
function isMultiple(count: number, threshold: number): boolean {
  return threshold > 0 && count % threshold === 0;
}

function addressOf({ address, port }: BalancedHost): string {
  return `${address} ${port}`;
}
