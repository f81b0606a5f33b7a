// The circuit breaker of one upstream at one data plane: how many requests may be under way and how many may wait, so that a service that
// has become slow does not take its callers along. Counts, and says why not; O(1). Connections to one instance are its pool's affair.
import type { BreakerPolicy } from '../model/resilience.ts';

/** `admitted`, or the field of the policy whose limit is reached. */
export type BreakerVerdict = 'admitted' | 'requests' | 'pending';

/** Envoy counts retries in a limit of their own (`max_retries`); here the retry budget bounds them. */
export class Breaker {
  #policy: BreakerPolicy;
  #requests = 0;
  #pending = 0;
  /** Refused since the beginning, for metrics. */
  #refused = 0;

  constructor(policy: BreakerPolicy) {
    this.#policy = policy;
  }

  /** What is under way stays, even when it is more than the new policy allows. */
  setPolicy(policy: BreakerPolicy): void {
    this.#policy = policy;
  }

  get requests(): number {
    return this.#requests;
  }

  get pending(): number {
    return this.#pending;
  }

  get refused(): number {
    return this.#refused;
  }

  /**
   * A request wants to go out. When admitted it counts until `requestEnded`: once, however often it is retried; each hedge is one more.
   */
  admitRequest(): BreakerVerdict {
    const { requests } = this.#policy;
    if (requests > 0 && this.#requests >= requests) {
      this.#refused += 1;
      return 'requests';
    }
    this.#requests += 1;
    return 'admitted';
  }

  requestEnded(): void {
    this.#requests -= 1;
  }

  /** An admitted request finds no connection with room for it. When admitted it counts until `waitEnded`. */
  admitWait(): BreakerVerdict {
    const { pending } = this.#policy;
    if (pending > 0 && this.#pending >= pending) {
      this.#refused += 1;
      return 'pending';
    }
    this.#pending += 1;
    return 'admitted';
  }

  /** It got a connection, or was given up. */
  waitEnded(): void {
    this.#pending -= 1;
  }

  /** The detail of CIRCUIT_OPEN, for people. */
  describe(verdict: 'requests' | 'pending', service: string): string {
    return verdict === 'requests'
      ? `requests to ${service} under way: ${this.#requests}; breaker.requests allows ${this.#policy.requests}`
      : `requests to ${service} that wait for a connection: ${this.#pending}; breaker.pending allows ${this.#policy.pending}`;
  }
}
