// Asking an issuer about a token that only it understands (RFC 7662).
import { checkAudience, checkTimes, memberOf } from '@heddle/core';
import type { IntrospectionPolicy, JsonObject, TokenIssuer } from '@heddle/core';
import type { AuthnDeps } from './authn.ts';
import { askAsClient } from './oauth.ts';
import { Turnstile } from './turnstile.ts';

export type IntrospectedIssuer = TokenIssuer & { readonly introspection: IntrospectionPolicy };

/** `refused`: it is not valid, for this reason. */
export type Introspected = { readonly claims: JsonObject } | { readonly refused: string };

export class Introspector {
  readonly issuer: IntrospectedIssuer;
  private readonly deps: AuthnDeps;
  private readonly turnstile: Turnstile;

  constructor(deps: AuthnDeps, issuer: IntrospectedIssuer) {
    this.deps = deps;
    this.issuer = issuer;
    this.turnstile = new Turnstile(deps.limits);
  }

  /** Throws when there was no answer; the message completes "<url> ". */
  async ask(token: string): Promise<Introspected> {
    return this.judge(await this.turnstile.pass(() => this.question(token)));
  }

  private question(token: string): Promise<JsonObject> {
    const { introspection, rootsPem } = this.issuer;
    const client = { ...introspection, ...(rootsPem !== undefined && { rootsPem }) };
    return askAsClient(this.deps, client, { token, token_type_hint: 'access_token' });
  }

  private judge(answer: JsonObject): Introspected {
    const { issuer, audiences, skewMs } = this.issuer;
    if (memberOf(answer, 'active') !== true) return { refused: 'its issuer says that it is not valid' };
    const iss = memberOf(answer, 'iss');
    if (iss !== undefined && iss !== issuer) return { refused: 'its issuer says that it is of another issuer' };
    const fault = checkAudience(memberOf(answer, 'aud'), audiences) ?? checkTimes(answer, skewMs, this.deps.clock.wallMs());
    return fault === undefined ? { claims: answer } : { refused: fault };
  }
}
