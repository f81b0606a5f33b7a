// The tokens that go out with calls, one supply for each OutboundToken: those in the caller's own name (RFC 6749 §4.4), of which there is one, and those on
// behalf of somebody (RFC 8693), of which there is one for each token that applications pass on.
import { checkOutboundToken, headerToken, NOT_A_TOKEN, TOKEN_METRICS } from '@heddle/core';
import type { OutboundToken, RequestView } from '@heddle/core';
import type { Counter, Gauge } from '@heddle/runtime';
import type { HeaderEffect, Later, SupplyAnswer, TokenSupplies, TokenSupply } from '../stack/access-gate.ts';
import type { Context } from '../stack/context.ts';
import type { AuthnDeps } from './authn.ts';
import { HttpsClient } from '../asking/https-client.ts';
import { IssuedToken } from './issued-token.ts';
import { askAsClient, OAuthError } from './oauth.ts';
import { digestOf, TokenCache } from './token-cache.ts';
import { Turnstile } from './turnstile.ts';

export function createTokenSupplies(context: Context): TokenSupplies {
  return suppliesOf({ ...context, client: new HttpsClient(context) });
}

export function suppliesOf(deps: AuthnDeps): TokenSupplies {
  return new Supplies(deps);
}

type Supply = TokenSupply & { close(): void };

class Supplies implements TokenSupplies {
  private readonly deps: AuthnDeps;
  private readonly supplies = new Map<string, Supply>();

  constructor(deps: AuthnDeps) {
    this.deps = deps;
  }

  supplyFor(token: OutboundToken): TokenSupply {
    const key = JSON.stringify(token);
    let supply = this.supplies.get(key);
    if (supply === undefined) {
      supply = token.grant === 'token-exchange' ? new ExchangedTokens(this.deps, token) : new OwnToken(this.deps, token);
      this.supplies.set(key, supply);
    }
    return supply;
  }

  retain(tokens: readonly OutboundToken[]): void {
    const keys = new Set(tokens.map((token) => JSON.stringify(token)));
    for (const [key, supply] of this.supplies) {
      if (keys.has(key)) continue;
      supply.close();
      this.supplies.delete(key);
    }
  }

  close(): void {
    this.retain([]);
  }
}

const AUTHORIZATION = 'authorization';
const BEARER = 'Bearer ';

/** What both grants have in common. */
class Source {
  private readonly deps: AuthnDeps;
  private readonly token: OutboundToken;
  private readonly turnstile: Turnstile;
  private readonly header: string;
  private readonly drop: readonly string[];
  private readonly count: (result: 'issued' | 'refused' | 'failed') => void;
  private readonly refusals: Counter;
  private readonly isMissing: Gauge;
  private problem = '';

  /** @param alsoDropped in lower case. @throws AccessPolicyError */
  constructor(deps: AuthnDeps, token: OutboundToken, alsoDropped: readonly string[]) {
    checkOutboundToken(token);
    this.deps = deps;
    this.token = token;
    this.turnstile = new Turnstile(deps.limits);
    this.header = token.header.toLowerCase();
    this.drop = [...new Set([this.header, ...alsoDropped])];
    const counters = Object.fromEntries(
      (['issued', 'refused', 'failed'] as const).map((result) => [
        result,
        deps.metrics.counter(TOKEN_METRICS.outbound, { token: token.name, result }),
      ]),
    );
    this.count = (result) => counters[result]!.add(1);
    this.refusals = deps.metrics.counter(TOKEN_METRICS.outboundRefusals, { token: token.name });
    this.isMissing = deps.metrics.gauge(TOKEN_METRICS.outboundMissing, { token: token.name });
    this.isMissing.set(0);
  }

  /** Nobody is left whom a missing token could alarm. */
  close(): void {
    this.isMissing.set(0);
  }

  /** @param parameters those of the grant. */
  issue(parameters: Readonly<Record<string, string>>): IssuedToken {
    const { deps, token, drop, header } = this;
    return new IssuedToken({
      deps,
      ask: () => this.turnstile.pass(() => askAsClient(deps, token, { ...parameters, ...wishes(token) })),
      headers: (text) => ({ drop, set: [[header, `${BEARER}${text}`]] }) satisfies HeaderEffect,
      refusal: (error) => this.refusal(error),
      onEnd: (error) => this.ended(error),
      onRefused: () => this.refusals.add(1),
    });
  }

  private refusal(error: Error): SupplyAnswer {
    const { name, url, grant } = this.token;
    const isCallers = isRefusedSubject(grant, error);
    return {
      kind: 'failed',
      code: isCallers ? 'TOKEN_INVALID' : 'AUTHORIZER_UNAVAILABLE',
      detail: isCallers ? `the token to be exchanged for "${name}" was refused` : `the token "${name}" for this call cannot be had`,
      reason: `${url} ${error.message}`,
    };
  }

  private ended(error: Error | undefined): void {
    const { deps, token } = this;
    const isCallers = error !== undefined && isRefusedSubject(token.grant, error);
    this.count(error === undefined ? 'issued' : isCallers ? 'refused' : 'failed');
    if (isCallers) return;
    const problem = error === undefined ? '' : `${token.url} ${error.message}`;
    this.isMissing.set(error === undefined ? 0 : 1);
    if (problem !== this.problem) {
      if (problem === '') deps.logger.info({ token: token.name }, 'the token for calls can be had again');
      else
        deps.logger.warn(
          { token: token.name, reason: problem },
          'a token for calls cannot be had; calls that need it are refused when the last one ends',
        );
    }
    this.problem = problem;
  }
}

/** RFC 8693 §2.2.2: what was to be exchanged is not valid, or not for this. Where nothing is exchanged, the same codes are a fault of the configuration. */
function isRefusedSubject(grant: OutboundToken['grant'], error: Error): boolean {
  return (
    grant === 'token-exchange' && error instanceof OAuthError && ['invalid_request', 'invalid_grant', 'invalid_target'].includes(error.code)
  );
}

/** Parameters that say which token is wanted. An audience that is an address is a resource for issuers that know no audiences (RFC 8707 §2). */
function wishes({ scopes, audience }: OutboundToken): Record<string, string> {
  return {
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    ...(audience !== undefined && { audience }),
    ...(audience !== undefined && URL.canParse(audience) && !audience.includes('#') && { resource: audience }),
  };
}

/** `client-credentials`. */
class OwnToken implements Supply {
  private readonly source: Source;
  private readonly token: IssuedToken;

  constructor(deps: AuthnDeps, token: OutboundToken) {
    this.source = new Source(deps, token, []);
    this.token = this.source.issue({ grant_type: 'client_credentials' });
  }

  close(): void {
    this.source.close();
  }

  tokenFor(_request: RequestView, wallMs: number): SupplyAnswer | Later<SupplyAnswer> {
    return this.token.get(wallMs);
  }
}

/** Of each caller's token; exchanged ones end by themselves. */
const SUBJECT_KEPT_MS = 3_600_000;
/** The token that is asked with, and the one that is had, as they may be at most on average. */
const SUBJECT_BYTES = 4_000;

/** `token-exchange`: on behalf of the token that the application passes on in `authorization`. */
class ExchangedTokens implements Supply {
  private readonly deps: AuthnDeps;
  private readonly source: Source;
  private readonly tokens: TokenCache<IssuedToken>;

  constructor(deps: AuthnDeps, token: OutboundToken) {
    const { tokensKeptMax, tokensKeptBytesMax } = deps.limits;
    this.deps = deps;
    // It is for the caller, and nobody else is to have it.
    this.source = new Source(deps, token, [AUTHORIZATION]);
    this.tokens = new TokenCache(tokensKeptMax, tokensKeptBytesMax);
  }

  close(): void {
    this.source.close();
  }

  tokenFor(request: RequestView, wallMs: number): SupplyAnswer | Later<SupplyAnswer> {
    const line = request.header(AUTHORIZATION, 0);
    const subject = line === undefined ? undefined : headerToken(line, BEARER);
    if (subject === undefined) return { kind: 'none' };
    const { tokenBytesMax } = this.deps.limits;
    if (subject === NOT_A_TOKEN || subject.length > tokenBytesMax || request.header(AUTHORIZATION, 1) !== undefined) return NO_SUBJECT;
    const digest = digestOf(subject, '');
    let token = this.tokens.get(digest, wallMs);
    if (token === undefined) {
      token = this.source.issue(exchangeOf(subject));
      this.tokens.set(digest, token, wallMs + SUBJECT_KEPT_MS, SUBJECT_BYTES + subject.length);
    }
    return token.get(wallMs);
  }
}

const NO_SUBJECT: SupplyAnswer = {
  kind: 'failed',
  code: 'TOKEN_INVALID',
  detail: 'what stands in "authorization" is not one token that could be exchanged',
  reason: 'the application has sent something else than one token to be exchanged',
};

/** RFC 8693 §2.1. */
function exchangeOf(subject: string): Record<string, string> {
  return {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: subject,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  };
}
