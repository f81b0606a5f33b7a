// One token that this data plane gets from an issuer: asked for when it is needed, kept, and renewed before it ends while it is in use. The old one serves as long as it
// lives while a new one cannot be had; questions that fail are repeated later and later.
import { memberOf, nextTryMs, tokenTimes } from '@heddle/core';
import type { JsonObject, TokenTimes } from '@heddle/core';
import type { SupplyAnswer } from '../stack/access-gate.ts';
import type { AuthnDeps } from './authn.ts';
import { NoAnswerError } from './https-client.ts';
import { LaterAnswer } from './later.ts';

export interface IssuedTokenOptions {
  readonly deps: Pick<AuthnDeps, 'clock' | 'random' | 'limits'>;
  /** Asks the issuer for one. Throws Error. */
  readonly ask: () => Promise<JsonObject>;
  /** The answer with this token. */
  readonly answer: (token: string) => SupplyAnswer;
  /** The answer without one. */
  readonly refusal: (error: Error) => SupplyAnswer;
  /** Of each question: undefined: there is a token. */
  readonly onEnd: (error: Error | undefined) => void;
}

interface Held {
  readonly answer: SupplyAnswer;
  readonly times: TokenTimes;
}

export class IssuedToken {
  private readonly options: IssuedTokenOptions;
  private held: Held | undefined;
  private asking: LaterAnswer<SupplyAnswer> | undefined;
  private refusal: SupplyAnswer | undefined;
  private failures = 0;
  private tryMs = 0;

  constructor(options: IssuedTokenOptions) {
    this.options = options;
  }

  /** @param wallMs Unix time: a machine that slept has no valid tokens when it wakes. */
  get(wallMs: number): SupplyAnswer | LaterAnswer<SupplyAnswer> {
    const { held } = this;
    const isHeld = held !== undefined && wallMs < held.times.endMs;
    if (isHeld && wallMs < held.times.renewMs) return held.answer;
    const mayAsk = this.options.deps.clock.nowMs() >= this.tryMs;
    if (this.asking === undefined && mayAsk) this.asking = new LaterAnswer(this.renew());
    if (isHeld) return held.answer;
    return this.asking ?? this.refusal!;
  }

  private async renew(): Promise<SupplyAnswer> {
    const { ask, answer, refusal, onEnd, deps } = this.options;
    const { clock, random, limits } = deps;
    const askedMs = clock.wallMs();
    try {
      const { token, lifeMs } = readToken(await ask(), limits.tokenBytesMax);
      this.held = { answer: answer(token), times: tokenTimes(askedMs, lifeMs, () => random.next()) };
      this.failures = 0;
      this.refusal = undefined;
      onEnd(undefined);
      return this.held.answer;
    } catch (error) {
      this.failures += 1;
      this.tryMs = nextTryMs(clock.nowMs(), this.failures, () => random.next());
      this.refusal = refusal(error as Error);
      onEnd(error as Error);
      return this.refusal;
    } finally {
      this.asking = undefined;
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
