// The keys of one issuer as they are now: asked for when the first policy names it, again when they are old, and when a token names one that is not among them.
// The last good ones stay in use while the issuer is away. Keys come from the configured place alone, never from a token.
import { mayAskForUnknownKey, memberOf, nextKeysMs, nextTryMs, parseKeySet, parseUniqueObject, TOKEN_METRICS } from '@heddle/core';
import type { KeySet, TokenIssuer } from '@heddle/core';
import type { Counter, Gauge, Timer } from '@heddle/runtime';
import { reasonOf } from './authn.ts';
import type { AuthnDeps } from './authn.ts';
import { isLoopback, NoAnswerError } from '../asking/https-client.ts';
import type { HttpAnswer } from '../asking/https-client.ts';

/** Issuers that are the same in these have the same keys. `isEager`: they are asked for before a token asks for them. */
export type KeysOfIssuer = Pick<TokenIssuer, 'name' | 'issuer' | 'keys' | 'keysMaxAgeMs' | 'rootsPem'> & { readonly isEager: boolean };

const DISCOVERY_PATH = '/.well-known/openid-configuration';

export class IssuerKeys {
  /** Undefined: none have come yet. */
  keys: KeySet | undefined;
  /** Goes up when a key was taken back: what was checked before counts no more. */
  generation = 0;
  /** Why they could not be had the last time; empty: they could. */
  problem = '';
  private readonly deps: AuthnDeps;
  private readonly issuer: KeysOfIssuer;
  private readonly failed: Counter;
  private readonly isAway: Gauge;
  private fetching: Promise<void> | undefined;
  private timer: Timer | undefined;
  private failures = 0;
  private askedForUnknownMs: number | undefined;
  private isClosed = false;

  constructor(deps: AuthnDeps, issuer: KeysOfIssuer) {
    const { metrics } = deps;
    const labels = { issuer: issuer.name };
    this.deps = deps;
    this.issuer = issuer;
    this.failed = metrics.counter(TOKEN_METRICS.issuerFailures, labels);
    this.isAway = metrics.gauge(TOKEN_METRICS.issuerUnreachable, labels);
    if (issuer.keys.kind === 'inline') this.take(issuer.keys.jwks);
    else if (issuer.isEager) void this.fetch();
  }

  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
    // Nobody is left whom it could alarm.
    this.isAway.set(0);
  }

  /** Resolves when there are keys, or the question that is under way has failed. Never rejects. */
  async ready(): Promise<void> {
    if (this.keys !== undefined) return;
    if (this.fetching === undefined && this.failures === 0 && this.issuer.keys.kind !== 'inline') void this.fetch();
    await this.fetching;
  }

  /** Asks again because a key is not known, unless that was just done. False: it makes no sense to look again. Never rejects. */
  async askAgain(): Promise<boolean> {
    if (this.issuer.keys.kind === 'inline' || this.isClosed) return false;
    if (this.fetching === undefined) {
      const nowMs = this.deps.clock.nowMs();
      if (!mayAskForUnknownKey(this.askedForUnknownMs, nowMs)) return false;
      this.askedForUnknownMs = nowMs;
      void this.fetch();
    }
    await this.fetching;
    return true;
  }

  private fetch(): Promise<void> {
    this.timer?.cancel();
    this.fetching = this.ask().then((end) => {
      this.fetching = undefined;
      if (this.isClosed) return;
      const { clock, random } = this.deps;
      const nowMs = clock.nowMs();
      const isGood = end instanceof Error ? this.miss(end.message) : this.take(end.body);
      const saidMs = end instanceof Error ? undefined : end.maxAgeMs;
      this.failures = isGood ? 0 : this.failures + 1;
      const atMs = isGood
        ? nextKeysMs(nowMs, this.issuer.keysMaxAgeMs, saidMs, () => random.next())
        : nextTryMs(nowMs, this.failures, () => random.next());
      this.timer = clock.after(atMs - nowMs, () => void this.fetch());
    });
    return this.fetching;
  }

  /** The key set as text, or why there is none. */
  private async ask(): Promise<HttpAnswer | Error> {
    try {
      const { keys, issuer } = this.issuer;
      return await this.read(keys.kind === 'url' ? keys.url : await this.discover(issuer));
    } catch (error) {
      return error as Error;
    }
  }

  /** OpenID Connect Discovery 1.0 §4: where the issuer says that its keys are. */
  private async discover(issuer: string): Promise<string> {
    const url = `${issuer.replace(/\/$/, '')}${DISCOVERY_PATH}`;
    const document = parseUniqueObject((await this.read(url)).body);
    const at = document && memberOf(document, 'jwks_uri');
    // §4.3: else another issuer's document could stand in for it.
    if (document === undefined || memberOf(document, 'issuer') !== issuer) throw new Error(`${url} is not the document of ${issuer}`);
    if (typeof at !== 'string' || !URL.canParse(at)) throw new Error(`${url} does not say where the keys are`);
    const jwks = new URL(at);
    if (jwks.protocol !== 'https:' && !isLoopback(new URL(issuer))) throw new Error(`${url} leads to ${at}, which is not https`);
    return at;
  }

  private async read(url: string): Promise<HttpAnswer> {
    try {
      const answer = await this.deps.client.ask({ url, rootsPem: this.issuer.rootsPem });
      if (answer.status !== 200) throw new NoAnswerError(`answered with status ${answer.status}`);
      return answer;
    } catch (error) {
      throw new Error(`${url} ${reasonOf(error)}`, { cause: error });
    }
  }

  private take(text: string): boolean {
    const { logger } = this.deps;
    const { name: issuer } = this.issuer;
    const found = parseKeySet(text);
    if (typeof found === 'string') return this.miss(`the key set cannot be used: ${found}`);
    const before = this.keys?.keys ?? [];
    const texts = new Set(found.keys.map((key) => key.text));
    if (before.some((key) => !texts.has(key.text))) this.generation += 1;
    // Keys that stay keep their objects: they were made ready for use.
    const known = new Map(before.map((key) => [key.text, key]));
    const isNew = found.keys.some((key) => !known.has(key.text));
    this.keys = { ...found, keys: found.keys.map((key) => known.get(key.text) ?? key) };
    this.isAway.set(0);
    if (isNew || this.problem !== '')
      logger.info({ issuer, keys: found.keys.map(({ kid }) => kid ?? ''), ignored: found.ignored }, 'the keys of the issuer are known');
    this.problem = '';
    return true;
  }

  private miss(reason: string): false {
    const { logger } = this.deps;
    this.failed.add(1);
    this.isAway.set(1);
    if (reason !== this.problem) {
      const what = this.keys === undefined ? 'no token of it can be checked' : 'those of before stay in use';
      logger.warn({ issuer: this.issuer.name, reason }, `the keys of the issuer cannot be had; ${what}`);
    }
    this.problem = reason;
    return false;
  }
}
