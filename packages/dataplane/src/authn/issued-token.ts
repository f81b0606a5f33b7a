// One token that this data plane gets from an issuer: asked for when it is needed, kept, and renewed before it ends while it is in use, or once it was refused where it was
// sent. The old one serves as long as it lives while a new one cannot be had; questions that fail are repeated later and later.
import { mayRenewRefused, memberOf, nextTryMs, tokenTimes } from '@heddle/core';
import type { JsonObject, TokenTimes } from '@heddle/core';
import type { HeaderEffect, Later, SuppliedToken, SupplyAnswer } from '../stack/access-gate.ts';
import type { AuthnDeps } from './authn.ts';
import { NoAnswerError } from '../asking/https-client.ts';
import { LaterAnswer } from './later.ts';

export interface IssuedTokenOptions {
  readonly deps: Pick<AuthnDeps, 'clock' | 'random' | 'limits'>;
  /** Asks the issuer for one. Throws Error. */
  readonly ask: () => Promise<JsonObject>;
  /** What a call with this token gets. */
  readonly headers: (token: string) => HeaderEffect;
  /** The answer without one. */
  readonly refusal: (error: Error) => SupplyAnswer;
  /** Of each question: undefined: there is a token. */
  readonly onEnd: (error: Error | undefined) => void;
  /** A called side did not take the token. */
  readonly onRefused: () => void;
}

/** One that was issued, as long as calls may go out with it. */
class Held implements SuppliedToken {
  readonly kind = 'token';
  readonly headers: HeaderEffect;
  readonly times: TokenTimes;
  private readonly of: IssuedToken;

  constructor(of: IssuedToken, headers: HeaderEffect, times: TokenTimes) {
    this.of = of;
    this.headers = headers;
    this.times = times;
  }

  refused(): void {
    this.of.refused(this);
  }

  get successor(): SuppliedToken | Later<SupplyAnswer> | undefined {
    return this.of.successorOf(this);
  }
}

export class IssuedToken {
  private readonly options: IssuedTokenOptions;
  private held: Held | undefined;
  private asking: LaterAnswer<SupplyAnswer> | undefined;
  private refusal: SupplyAnswer | undefined;
  private failures = 0;
  private tryMs = 0;
  /** When a refused token was last the reason for a question. */
  private refusedMs: number | undefined;
  /** The question that is under way is for such a reason: calls wait for the new one. */
  private isStale = false;

  constructor(options: IssuedTokenOptions) {
    this.options = options;
  }

  /** @param wallMs Unix time: a machine that slept has no valid tokens when it wakes. */
  get(wallMs: number): SupplyAnswer | Later<SupplyAnswer> {
    const { held } = this;
    const isHeld = held !== undefined && wallMs < held.times.endMs;
    if (isHeld && wallMs < held.times.renewMs && !this.isStale) return held;
    this.askIfDue();
    if (isHeld && !this.isStale) return held;
    return this.asking ?? this.refusal!;
  }

  /** The called side has refused this one. Whoever refuses always causes a question now and then, and no more. */
  refused(token: Held): void {
    const { options } = this;
    options.onRefused();
    const nowMs = options.deps.clock.nowMs();
    if (token !== this.held || !mayRenewRefused(this.refusedMs, nowMs)) return;
    this.refusedMs = nowMs;
    this.askIfDue();
    this.isStale = this.asking !== undefined;
  }

  successorOf(token: Held): SuppliedToken | Later<SupplyAnswer> | undefined {
    if (token !== this.held) return this.held;
    return this.isStale ? this.asking : undefined;
  }

  private askIfDue(): void {
    if (this.asking === undefined && this.options.deps.clock.nowMs() >= this.tryMs) this.asking = new LaterAnswer(this.renew());
  }

  private async renew(): Promise<SupplyAnswer> {
    const { ask, headers, refusal, onEnd, deps } = this.options;
    const { clock, random, limits } = deps;
    const askedMs = clock.wallMs();
    try {
      const { token, lifeMs } = readToken(await ask(), limits.tokenBytesMax);
      this.held = new Held(
        this,
        headers(token),
        tokenTimes(askedMs, lifeMs, () => random.next()),
      );
      this.failures = 0;
      this.refusal = undefined;
      onEnd(undefined);
      return this.held;
    } catch (error) {
      this.failures += 1;
      this.tryMs = nextTryMs(clock.nowMs(), this.failures, () => random.next());
      this.refusal = refusal(error as Error);
      onEnd(error as Error);
      // What was refused once may have been so for another reason: better it than none.
      const { held } = this;
      return held !== undefined && clock.wallMs() < held.times.endMs ? held : this.refusal;
    } finally {
      this.asking = undefined;
      this.isStale = false;
    }
  }
}

/** RFC 6750 §2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** RFC 6749 §5.1, RFC 8693 §2.2.1. */
function readToken(answer: JsonObject, lengthMax: number): { readonly token: string; readonly lifeMs: number | undefined } {
  const token = memberOf(answer, 'access_token');
  const type = memberOf(answer, 'token_type');
  if (typeof token !== 'string' || !TOKEN.test(token) || token.length > lengthMax)
    throw new NoAnswerError('answered without a token that can be sent');
  // RFC 6749 §7.1: what is of another type must not be used as a bearer token.
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') throw new NoAnswerError('answered with a token that is no bearer token');
  const seconds = Number(memberOf(answer, 'expires_in') ?? Number.NaN);
  return { token, lifeMs: seconds > 0 ? seconds * 1_000 : undefined };
}
