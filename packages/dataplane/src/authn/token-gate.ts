// The tokens that come with requests, for one TokenPolicy: finds the one that counts, and says whether it is valid. What was found valid before is
// answered at once; all else needs its signature checked, keys fetched, or its issuer asked. In doubt a token is not valid.
import { checkTokenPolicy, NOT_A_TOKEN, placeOf, readTokenForm, tokenAt, tokenEndMs } from '@heddle/core';
import type { JsonObject, RequestView, SignedToken, TokenIssuer, TokenPolicy, TokenSource } from '@heddle/core';
import type { HeaderEffect, Later, TokenAnswer, TokenGate } from '../stack/access-gate.ts';
import { reasonOf } from './authn.ts';
import type { AuthnDeps } from './authn.ts';
import { CheckCounts } from './check-counts.ts';
import { Introspector } from './introspection.ts';
import type { IntrospectedIssuer } from './introspection.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import { LaterAnswer, mapped } from './later.ts';
import type { PolicyIssuer } from './policy-issuer.ts';
import { checkSignature, findTerms } from './signed-check.ts';
import { digestOf, TokenCache } from './token-cache.ts';
import { TokenHeaders } from './token-headers.ts';
import type { Carried } from './token-headers.ts';

type ValidAnswer = Extract<TokenAnswer, { kind: 'valid' }>;
type Refusal = Extract<TokenAnswer, { kind: 'invalid' | 'unavailable' }>;

/** A valid token: its answer, as long as the keys by which it was checked count. */
interface Known {
  readonly issuer: PolicyIssuer;
  readonly answer: ValidAnswer;
  readonly generation: number;
}

const NO_TOKEN: TokenAnswer = { kind: 'none' };
/** Of a kept token besides its claims: objects and the digest. */
const KEPT_OVERHEAD_BYTES = 500;
/** Claims as objects need about so much more than their text. */
const KEPT_BYTES_PER_CHARACTER = 3;

export class PolicyGate implements TokenGate {
  readonly always: HeaderEffect;
  private readonly deps: AuthnDeps;
  private readonly issuers: readonly PolicyIssuer[];
  /** All places where a token of any issuer may be, in the order of the policy. */
  private readonly sources: readonly TokenSource[];
  private readonly headers: TokenHeaders;
  private readonly counts: CheckCounts;
  private readonly known: TokenCache<Known>;
  /** By their issuers, when asked. */
  private readonly refused: TokenCache<{ readonly issuer: string; readonly answer: Refusal }>;
  private readonly checking = new Map<string, LaterAnswer<Known | Refusal>>();

  /** @param keysOf the keys of an issuer, shared by all who need them. @throws AccessPolicyError */
  constructor(deps: AuthnDeps, policy: TokenPolicy, keysOf: (issuer: TokenIssuer) => IssuerKeys) {
    const { limits } = deps;
    const { issuers } = policy;
    checkTokenPolicy(policy);
    const sources = new Map<string, TokenSource>();
    for (const source of issuers.flatMap((issuer) => issuer.sources)) sources.set(placeOf(source), inLowerCase(source));
    const places = [...sources.keys()];
    this.deps = deps;
    this.sources = [...sources.values()];
    this.issuers = issuers.map((config) => ({
      config,
      places: new Set(config.sources.map((source) => places.indexOf(placeOf(source)))),
      keys: keysOf(config),
      introspector: config.introspection && new Introspector(deps, config as IntrospectedIssuer),
    }));
    this.headers = new TokenHeaders(issuers, this.sources, deps.tellsClaims === true);
    this.always = this.headers.always;
    this.counts = new CheckCounts(
      deps.metrics,
      issuers.map(({ name }) => name),
    );
    this.known = new TokenCache(limits.tokensKeptMax, limits.tokensKeptBytesMax);
    this.refused = new TokenCache(limits.tokensRefusedKeptMax, limits.tokensKeptBytesMax);
  }

  check(request: RequestView, wallMs: number): TokenAnswer | Later<TokenAnswer> {
    const { sources } = this;
    for (let place = 0; place < sources.length; place++) {
      const token = tokenAt(sources[place]!, request);
      if (token === NOT_A_TOKEN) {
        this.counts.add('', 'invalid');
        return { kind: 'invalid', error: 'invalid_request', reason: 'something else than one token stands where a token belongs' };
      }
      if (token !== undefined) return this.judge(token, place, request, wallMs);
    }
    return NO_TOKEN;
  }

  private judge(token: string, place: number, request: RequestView, wallMs: number): TokenAnswer | Later<TokenAnswer> {
    const digest = digestOf(token, place);
    const known = this.known.get(digest, wallMs);
    if (known !== undefined && known.generation === known.issuer.keys.generation) {
      this.counts.add(known.issuer.config.name, 'known');
      return this.answerWith(known, place, this.headers.carriedBy(request, place));
    }
    const refused = this.refused.get(digest, wallMs);
    if (refused !== undefined) {
      this.counts.add(refused.issuer, 'invalid');
      return refused.answer;
    }
    const check = this.checking.get(digest) ?? this.begin(token, place, digest, wallMs);
    if (check.kind !== 'later') return check;
    const carried = this.headers.carriedBy(request, place);
    return mapped(check, (end) => ('answer' in end ? this.answerWith(end, place, carried) : end));
  }

  /** Of a valid token in this request. */
  private answerWith({ answer, issuer }: Known, place: number, carried: Carried): TokenAnswer {
    const headers = this.headers.effect(answer.headers, issuer.config, place, carried);
    return headers === answer.headers ? answer : { ...answer, headers };
  }

  private begin(token: string, place: number, digest: string, wallMs: number): Refusal | LaterAnswer<Known | Refusal> {
    const form = readTokenForm(token, this.deps.limits.tokenBytesMax);
    if (form.kind === 'malformed') return this.invalid('', form.reason);
    const issuers = this.issuers.filter(({ places }) => places.has(place));
    let work: () => Promise<Known | Refusal>;
    if (form.kind === 'signed') {
      const found = findTerms(issuers, form.token, wallMs);
      if ('reason' in found) return this.invalid(found.issuer, found.reason);
      work = () => this.checkSigned(found.issuer, token, form.token, place, digest);
    } else {
      const asked = issuers.filter(({ introspector }) => introspector !== undefined);
      if (asked.length === 0) return this.invalid('', 'it is no JSON Web Token, and no issuer is asked about others');
      work = () => this.introspect(asked, token, place, digest);
    }
    const { tokenChecksMax } = this.deps.limits;
    if (this.checking.size >= tokenChecksMax) return this.unavailable('', `${tokenChecksMax} tokens are being checked already`);
    const answer = work()
      .catch((error: unknown) => this.unavailable('', reasonOf(error)))
      .finally(() => this.checking.delete(digest));
    const check = new LaterAnswer(answer);
    this.checking.set(digest, check);
    return check;
  }

  private async checkSigned(
    issuer: PolicyIssuer,
    text: string,
    token: SignedToken,
    place: number,
    digest: string,
  ): Promise<Known | Refusal> {
    const { keys, config } = issuer;
    await keys.ready();
    if (keys.keys === undefined) return this.unavailable(config.name, `there are no keys of its issuer: ${keys.problem}`);
    const { generation } = keys;
    const fault = await checkSignature(keys, text, token);
    if (fault !== undefined) return this.invalid(config.name, fault);
    return this.remember(issuer, token.claims, generation, place, digest, tokenEndMs(token.claims, config.skewMs), text.length);
  }

  /** The first of these issuers that knows it. */
  private async introspect(issuers: readonly PolicyIssuer[], text: string, place: number, digest: string): Promise<Known | Refusal> {
    const { clock } = this.deps;
    let refusal: Refusal | undefined;
    let refusedBy = '';
    let untilMs = Infinity;
    for (const issuer of issuers) {
      const { config, introspector, keys } = issuer;
      const { url, cacheMs } = introspector!.issuer.introspection;
      try {
        const answer = await introspector!.ask(text);
        const endMs = clock.wallMs() + cacheMs;
        if ('claims' in answer) {
          const claimsEndMs = tokenEndMs(answer.claims, config.skewMs);
          const size = JSON.stringify(answer.claims).length;
          return this.remember(issuer, answer.claims, keys.generation, place, digest, Math.min(endMs, claimsEndMs), size);
        }
        untilMs = Math.min(untilMs, endMs);
        if (refusal !== undefined) continue;
        refusal = this.invalid(config.name, answer.refused);
        refusedBy = config.name;
      } catch (error) {
        // Another one may know it; if none does, it was not found out.
        refusal = this.unavailable(config.name, `${url} ${reasonOf(error)}`);
        this.deps.logger.warn({ issuer: config.name, reason: refusal.reason }, 'the issuer cannot be asked about tokens');
        untilMs = 0;
      }
    }
    if (refusal!.kind === 'invalid') this.refused.set(digest, { issuer: refusedBy, answer: refusal! }, untilMs, KEPT_OVERHEAD_BYTES);
    return refusal!;
  }

  private remember(
    issuer: PolicyIssuer,
    claims: JsonObject,
    generation: number,
    place: number,
    digest: string,
    endMs: number,
    length: number,
  ): Known {
    const { config } = issuer;
    const headers = this.headers.plain(claims, config, place);
    const known: Known = { issuer, generation, answer: { kind: 'valid', token: { issuer: config.name, claims }, headers } };
    this.known.set(digest, known, endMs, KEPT_OVERHEAD_BYTES + length * KEPT_BYTES_PER_CHARACTER);
    this.counts.add(config.name, 'valid');
    return known;
  }

  private invalid(issuer: string, reason: string): Refusal {
    this.counts.add(issuer, 'invalid');
    return { kind: 'invalid', error: 'invalid_token', reason };
  }

  private unavailable(issuer: string, reason: string): Refusal {
    this.counts.add(issuer, 'unavailable');
    return { kind: 'unavailable', reason };
  }
}

/** As headers are asked for. */
function inLowerCase(source: TokenSource): TokenSource {
  return source.kind === 'cookie' ? source : { ...source, name: source.name.toLowerCase() };
}
