// When a data plane doubts what it was told: connections to endpoints that it believes healthy fail again and again. It first asks for the
// endpoints of that cluster anew, and, if the doubt outlives the answer by far, compares everything it holds with the control plane. A
// service that is simply down must not make every caller ask all the time: pauses double, and the comparison waits until leases have ended.
import { backoffBoundMs } from '../resilience/backoff.ts';
import type { Backoff } from '../resilience/backoff.ts';

export interface DistrustPolicy {
  /** So many failed connections to one cluster within `windowMs` are evidence. */
  readonly failures: number;
  readonly windowMs: number;
  /** Between asking for the endpoints of one cluster. */
  readonly askPause: Backoff;
  /** Evidence that goes on for so long after the first asking cannot be an instance that has just died. */
  readonly compareAfterMs: number;
  /** Between two comparisons, whatever the cluster. */
  readonly comparePause: Backoff;
  /** Without a failure for so long a cluster is trusted again. */
  readonly forgetMs: number;
}

/**
 * An instance that dies with its machine is out of the registry 10 s later, when its lease ends: only what goes on for 15 s counts against the
 * whole state. 1,000 data planes that call a dead service cost the control plane some 200 small answers a second at first, and 17 after two minutes.
 */
export const DISTRUST: DistrustPolicy = Object.freeze({
  failures: 5,
  windowMs: 10_000,
  askPause: Object.freeze({ baseMs: 5_000, maxMs: 60_000 }),
  compareAfterMs: 15_000,
  comparePause: Object.freeze({ baseMs: 30_000, maxMs: 600_000 }),
  forgetMs: 60_000,
});

interface Doubt {
  failures: number;
  windowEndMs: number;
  lastMs: number;
  asks: number;
  nextAskMs: number;
  compareAtMs: number;
}

/** `ask`: for the endpoints of this cluster. `compare`: everything. */
export type DistrustAction = 'ask' | 'compare' | undefined;

export class Distrust {
  readonly #policy: DistrustPolicy;
  readonly #random: () => number;
  readonly #doubts = new Map<string, Doubt>();
  #compares = 0;
  #nextCompareMs = 0;

  /** `random`: uniform in [0, 1). */
  constructor(random: () => number, policy: DistrustPolicy = DISTRUST) {
    this.#random = random;
    this.#policy = policy;
  }

  /** Connections to endpoints of the cluster, all believed healthy, have failed `count` times. */
  failed(cluster: string, count: number, nowMs: number): DistrustAction {
    const doubt = this.#doubtOf(cluster, nowMs);
    doubt.failures += count;
    doubt.lastMs = nowMs;
    if (doubt.failures < this.#policy.failures) return undefined;
    if (doubt.asks > 0 && nowMs >= Math.max(doubt.compareAtMs, this.#nextCompareMs)) {
      doubt.failures = 0;
      this.#nextCompareMs = nowMs + this.#spread(backoffBoundMs(this.#policy.comparePause, this.#compares));
      this.#compares += 1;
      return 'compare';
    }
    if (nowMs < doubt.nextAskMs) return undefined;
    doubt.failures = 0;
    doubt.nextAskMs = nowMs + this.#spread(backoffBoundMs(this.#policy.askPause, doubt.asks));
    if (doubt.asks === 0) doubt.compareAtMs = nowMs + this.#spread(this.#policy.compareAfterMs);
    doubt.asks += 1;
    return 'ask';
  }

  #doubtOf(cluster: string, nowMs: number): Doubt {
    const { windowMs, forgetMs } = this.#policy;
    let doubt = this.#doubts.get(cluster);
    if (doubt !== undefined && nowMs - doubt.lastMs >= forgetMs) doubt = undefined;
    if (doubt === undefined) {
      this.#forgetOld(nowMs);
      doubt = { failures: 0, windowEndMs: nowMs + windowMs, lastMs: nowMs, asks: 0, nextAskMs: 0, compareAtMs: 0 };
      this.#doubts.set(cluster, doubt);
    }
    if (nowMs >= doubt.windowEndMs) {
      doubt.failures = 0;
      doubt.windowEndMs = nowMs + windowMs;
    }
    return doubt;
  }

  /** Clusters come and go; what is remembered of them does not grow. */
  #forgetOld(nowMs: number): void {
    let isCalm = true;
    for (const [cluster, { lastMs }] of this.#doubts) {
      if (nowMs - lastMs >= this.#policy.forgetMs) this.#doubts.delete(cluster);
      else isCalm = false;
    }
    if (isCalm && nowMs >= this.#nextCompareMs) this.#compares = 0;
  }

  /** Data planes that began to doubt together shall not go on together: the pause or up to a half more. */
  #spread(pauseMs: number): number {
    return pauseMs * (1 + this.#random() / 2);
  }
}
