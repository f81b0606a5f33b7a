// The state of one active health check: when to probe, when to give up on a probe, and after how many results in a row the
// verdict turns. Sends nothing itself: the data plane asks `handleTimeout` what to do and reports how the probe ended.
import type { HealthCheckPolicy } from '../model/service.ts';

export type CheckState = 'starting' | 'healthy' | 'unhealthy';

export type CheckAction =
  /** Send a probe now and report its end with this id. */
  | { readonly kind: 'probe'; readonly id: number }
  /** The probe took too long and has been counted as failed: drop it, do not report it. */
  | { readonly kind: 'abandon'; readonly id: number };

export interface ActiveCheckOptions {
  readonly policy: HealthCheckPolicy;
  /** Uniform in [0, 1); keeps the checks of many instances from falling together. */
  readonly random: () => number;
  /** The first probe is due at once. */
  readonly nowMs: number;
  /** How long an instance that has never passed counts as starting rather than unhealthy. Default 60 s. */
  readonly startGraceMs?: number;
}

/** While starting, probes come at least so often, so that a new instance gets traffic soon. */
export const STARTING_INTERVAL_MS = 250;
export const START_GRACE_MS = 60_000;
/** Intervals are shortened by up to this share, never lengthened: the stated detection time holds. */
const JITTER = 0.1;

export class ActiveCheck {
  #state: CheckState = 'starting';
  #passesInRow = 0;
  #failuresInRow = 0;
  #lastFailure = '';
  #probeId = 0;
  #probing = false;
  #probeDeadlineMs = 0;
  #nextProbeMs: number;
  readonly #graceEndsMs: number;
  readonly #policy: HealthCheckPolicy;
  readonly #random: () => number;

  constructor(options: ActiveCheckOptions) {
    this.#policy = options.policy;
    this.#random = options.random;
    this.#nextProbeMs = options.nowMs;
    this.#graceEndsMs = options.nowMs + (options.startGraceMs ?? START_GRACE_MS);
  }

  get state(): CheckState {
    return this.#state;
  }

  /** In words for people. Changes only when the state does or when probes begin to fail in another way. */
  get reason(): string {
    if (this.#state === 'healthy') return 'checks pass';
    if (this.#state === 'unhealthy') return `checks fail: ${this.#lastFailure}`;
    return this.#lastFailure === '' ? 'no check has ended yet' : `no check has passed yet: ${this.#lastFailure}`;
  }

  /** When to call `handleTimeout`, on the clock of `nowMs`. */
  nextTimeoutMs(): number {
    return this.#probing ? this.#probeDeadlineMs : this.#nextProbeMs;
  }

  /** To be called at `nextTimeoutMs` or later; undefined when it was too early. */
  handleTimeout(nowMs: number): CheckAction | undefined {
    if (nowMs < this.nextTimeoutMs()) return undefined;
    if (this.#probing) {
      this.#probing = false;
      this.#failed(nowMs, `no answer within ${this.#policy.timeoutMs} ms`);
      return { kind: 'abandon', id: this.#probeId };
    }
    this.#probing = true;
    this.#probeId++;
    this.#probeDeadlineMs = nowMs + this.#policy.timeoutMs;
    this.#nextProbeMs = nowMs + this.#intervalMs();
    return { kind: 'probe', id: this.#probeId };
  }

  /**
   * A probe ended. Results of probes that were abandoned are ignored.
   * @param failure undefined when it passed, else why not, for people ("connection refused", "answered 503").
   */
  probeEnded(id: number, nowMs: number, failure: string | undefined): void {
    if (!this.#probing || id !== this.#probeId) return;
    this.#probing = false;
    if (failure === undefined) this.#passed();
    else this.#failed(nowMs, failure);
  }

  #passed(): void {
    this.#failuresInRow = 0;
    this.#passesInRow++;
    // The first pass of a new instance is enough; one that was ill must prove itself.
    if (this.#state === 'starting' || (this.#state === 'unhealthy' && this.#passesInRow >= this.#policy.healthyAfter))
      this.#state = 'healthy';
  }

  #failed(nowMs: number, failure: string): void {
    this.#passesInRow = 0;
    this.#failuresInRow++;
    this.#lastFailure = failure;
    const starting = this.#state === 'starting' && nowMs < this.#graceEndsMs;
    if (!starting && this.#failuresInRow >= this.#policy.unhealthyAfter) this.#state = 'unhealthy';
  }

  #intervalMs(): number {
    const { intervalMs } = this.#policy;
    const wantedMs = this.#state === 'starting' ? Math.min(intervalMs, STARTING_INTERVAL_MS) : intervalMs;
    return wantedMs * (1 - JITTER * this.#random());
  }
}

/** The longest time from an instance's death to the verdict `unhealthy`: what the documentation calls the detection window. */
export function detectionWindowMs(policy: HealthCheckPolicy): number {
  return policy.unhealthyAfter * Math.max(policy.intervalMs, policy.timeoutMs) + policy.timeoutMs;
}

/** Whether the answer to an `http` check passes. */
export function statusPasses({ statuses }: HealthCheckPolicy, status: number): boolean {
  if (statuses === undefined) return status >= 200 && status <= 299;
  for (const [from, to] of statuses) if (status >= from && status <= to) return true;
  return false;
}
