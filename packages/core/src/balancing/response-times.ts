// What a caller knows of response times by itself (peak EWMA, as in Finagle): an estimate for each host that jumps up to every longer time at
// once and comes down with time, also when the host is not asked, so that it is tried again. Failures cost extra, or a host that fails fast
// would look like the best. Requests that wait longer than expected count before they end.
import type { BalancedHost, TryResult } from './balancer.ts';
import type { Member } from './member.ts';

/** In such a time an estimate that nothing confirms falls to 1 / e. */
const DECAY_MS = 2_000;
/** Response times count up to here: streams that last for hours end, too. */
const OBSERVED_MAX_MS = 60_000;
/** Of the mean that enters with each response. */
const MEAN_SHARE = 1 / 64;
/** First failure, in means; each further one doubles what is left, a success halves it. */
const PENALTY_MIN = 10;
const PENALTY_MAX = 1_000;
/** A request that gets no answer counts for at most so many means: it may be a stream on which nothing happens. */
const STALL_MAX = 10;
/** Estimates do not fall below this share of the mean, so that requests in flight always count. */
const ESTIMATE_MIN = 0.1;
/** In place of a mean, before the first response. */
const UNKNOWN_MS = 1;

export class ResponseTimes<H extends BalancedHost> {
  /** Of the successful responses of all hosts; 0: there was none. */
  private meanMs = 0;

  observe(member: Member<H>, result: TryResult, elapsedMs: number, nowMs: number): void {
    if (result === 'cancelled') return;
    const sampleMs = Math.min(elapsedMs, OBSERVED_MAX_MS);
    if (result === 'success') {
      this.meanMs += this.meanMs === 0 ? sampleMs : (sampleMs - this.meanMs) * MEAN_SHARE;
      member.penaltyMs /= 2;
    } else {
      const mean = this.mean();
      member.penaltyMs = Math.min(PENALTY_MAX * mean, Math.max(PENALTY_MIN * mean, 2 * penaltyMs(member, nowMs)));
      member.penaltyAtMs = nowMs;
    }
    const ageMs = Math.max(0, nowMs - member.latencyAtMs);
    const decay = Math.exp(-ageMs / DECAY_MS);
    const isPeak = sampleMs > member.latencyMs * decay;
    // A fast failure says nothing of how fast answers are.
    if (result !== 'success' && !isPeak) return;
    member.latencyMs = isPeak || member.latencyMs === 0 ? sampleMs : member.latencyMs * decay + sampleMs * (1 - decay);
    member.latencyAtMs = nowMs;
  }

  /**
   * What a request to the host would take. A host of which nothing is known is tried: what is known of the others comes down with time, and it
   * would never be as good. Until it has answered, it is like the others.
   */
  expectedMs(member: Member<H>, nowMs: number): number {
    const mean = this.mean();
    const unknownMs = member.inFlight === 0 ? 0 : mean;
    const knownMs = member.latencyMs === 0 ? unknownMs : member.latencyMs * Math.exp(-Math.max(0, nowMs - member.latencyAtMs) / DECAY_MS);
    // How long a request is without an answer there, at least.
    const stallMs = member.inFlight === 0 ? 0 : Math.min(nowMs - member.quietSinceMs, STALL_MAX * mean);
    return Math.max(knownMs, ESTIMATE_MIN * mean, stallMs);
  }

  private mean(): number {
    return this.meanMs > 0 ? this.meanMs : UNKNOWN_MS;
  }
}

/** What is added for failures of late. */
export function penaltyMs<H extends BalancedHost>(member: Member<H>, nowMs: number): number {
  return member.penaltyMs === 0 ? 0 : member.penaltyMs * Math.exp(-Math.max(0, nowMs - member.penaltyAtMs) / DECAY_MS);
}
