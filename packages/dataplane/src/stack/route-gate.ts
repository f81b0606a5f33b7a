// What a route asks of a request before it is passed on: a token of each rate limit, and the failures that a rule injects. Buckets outlive a change of
// configuration that does not touch their limit: else every change of anything would fill them.
import { CompiledMatch, RateLimiter, takeOfEach } from '@heddle/core';
import type { RequestView, Route, RouteRateLimit } from '@heddle/core';
import { injectedFault, rateLimited } from './local-answer.ts';
import type { LocalAnswer } from './local-answer.ts';

interface Limit {
  readonly limiter: RateLimiter;
  /** Whose requests need a token; undefined: all. */
  readonly match: CompiledMatch | undefined;
  readonly key: string;
}

export class RouteGate {
  private readonly limits: readonly Limit[];
  /** Those that hold for the request that is looked at, and its key for each. */
  private readonly holding: RateLimiter[] = [];
  private readonly keys: (string | undefined)[] = [];
  private readonly delay: { readonly share: number; readonly delayMs: number } | undefined;
  private readonly abort: { readonly share: number; readonly answer: LocalAnswer } | undefined;

  /** Undefined: every request passes. @param before what the route had in the configuration before. @throws RouteFault */
  static of({ rateLimits = [], fault }: Route, nowMs: number, before: RouteGate | undefined): RouteGate | undefined {
    return rateLimits.length === 0 && fault === undefined ? undefined : new RouteGate(rateLimits, fault, nowMs, before);
  }

  private constructor(rateLimits: readonly RouteRateLimit[], fault: Route['fault'], nowMs: number, before: RouteGate | undefined) {
    const kept = [...(before?.limits ?? [])];
    this.limits = rateLimits.map((limit) => {
      const { match, ...rate } = limit;
      const key = JSON.stringify(limit);
      const at = kept.findIndex((other) => other.key === key);
      const limiter = at === -1 ? new RateLimiter(rate, nowMs) : kept.splice(at, 1)[0]!.limiter;
      return { limiter, key, match: match && new CompiledMatch(match) };
    });
    const { delay, abort } = fault ?? {};
    this.delay = delay && { share: delay.percent / 100, delayMs: delay.delayMs };
    this.abort = abort && { share: abort.percent / 100, answer: injectedFault(abort.status) };
  }

  /** Takes a token of each limit that holds for the request; undefined: there were some. @param identity of the caller; empty: not known. */
  limit(request: RequestView, identity: string, nowMs: number): LocalAnswer | undefined {
    const { limits, holding, keys } = this;
    holding.length = 0;
    keys.length = 0;
    for (let at = 0; at < limits.length; at++) {
      const { limiter, match } = limits[at]!;
      if (match !== undefined && !match.fits(request)) continue;
      const { by } = limiter.limit;
      holding.push(limiter);
      keys.push(by.kind === 'identity' ? identity : by.kind === 'header' ? request.header(by.name) : undefined);
    }
    const refusing = takeOfEach(holding, keys, nowMs);
    if (refusing === -1) return undefined;
    const limiter = holding[refusing]!;
    return rateLimited(limiter.limit, limiter.retryAfterMs(keys[refusing], nowMs));
  }

  /** How long the request is held back; 0: not at all. @param random uniform in [0, 1). */
  drawDelayMs(random: () => number): number {
    const { delay } = this;
    return delay !== undefined && random() < delay.share ? delay.delayMs : 0;
  }

  /** What it is answered in place of the service; undefined: nothing. */
  drawAbort(random: () => number): LocalAnswer | undefined {
    const { abort } = this;
    return abort !== undefined && random() < abort.share ? abort.answer : undefined;
  }
}
