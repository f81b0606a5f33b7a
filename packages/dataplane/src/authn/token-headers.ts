// What applications get of tokens: headers made of claims, and the token itself only where that is wanted. Where a policy knows several places for tokens, only the one that
// was checked is passed on, so that no application can take another one for checked.
import { claimHeadersOf, tokenAt, withoutCookie } from '@heddle/core';
import type { JsonObject, RequestView, TokenIssuer, TokenSource } from '@heddle/core';
import { lookalikes } from '../stack/access-gate.ts';
import type { HeaderEffect } from '../stack/access-gate.ts';
import { CLAIMS_HEADER } from '../stack/forwarding.ts';
import type { OwnHeader } from '../stack/header-rewrite.ts';

/** What of a request is needed when its token is found to be valid. */
export interface Carried {
  /** Bits: the other places where something stands that looks like a token. */
  readonly others: number;
  /** All cookies, where one of them may be a token. */
  readonly cookies: string | undefined;
}

const COOKIE = 'cookie';
const NOTHING_ELSE: Carried = { others: 0, cookies: undefined };
/** Lists of names are kept by those who use them; requests have few combinations of places. */
const LISTS_MAX = 64;
/** As JSON. Node takes 16 KiB of headers by default, and the token itself may be among them. */
const CLAIMS_BYTES_MAX = 4_096;

export class TokenHeaders {
  /** For every request: what only we may say is not passed on. */
  readonly always: HeaderEffect;
  private readonly sources: readonly TokenSource[];
  private readonly hasCookies: boolean;
  private readonly tellsClaims: boolean;
  private readonly lists = new Map<number, readonly string[]>();

  /** @param tellsClaims all of them, in a header of ours */
  constructor(issuers: readonly TokenIssuer[], sources: readonly TokenSource[], tellsClaims = false) {
    const names = [...new Set(issuers.flatMap(({ claimHeaders }) => claimHeaders.map(({ header }) => header.toLowerCase())))];
    const places = sources.filter(({ kind }) => kind === 'header').map(({ name }) => name);
    // What reads like the place of a token was not checked.
    this.always = {
      drop: [...new Set([...names, ...lookalikes([...names, ...places])])].filter((name) => !places.includes(name)),
      set: [],
    };
    this.sources = sources;
    this.tellsClaims = tellsClaims;
    this.hasCookies = sources.some(({ kind }) => kind === COOKIE);
  }

  /** @param place where the token is. */
  carriedBy(request: Pick<RequestView, 'header'>, place: number): Carried {
    const { sources } = this;
    if (sources.length === 1 && !this.hasCookies) return NOTHING_ELSE;
    let others = 0;
    for (let at = 0; at < sources.length; at++) if (at !== place && tokenAt(sources[at]!, request) !== undefined) others |= 1 << at;
    return { others, cookies: this.hasCookies ? request.header(COOKIE) : undefined };
  }

  /** Of a valid token, where nothing else of the request matters. */
  plain(claims: JsonObject, issuer: TokenIssuer, place: number): HeaderEffect {
    const { kind } = this.sources[place]!;
    const taken = issuer.forward || kind === COOKIE ? 0 : 1 << place;
    const set = claimHeadersOf(claims, issuer.claimHeaders);
    return { drop: this.dropOf(taken), set: this.tellsClaims ? [...set, ...wholeClaims(claims)] : set };
  }

  /** `plain` with what is taken out of this request besides. */
  effect(plain: HeaderEffect, issuer: TokenIssuer, place: number, { others, cookies }: Carried): HeaderEffect {
    const taken = others | (issuer.forward ? 0 : 1 << place);
    const takesCookie = cookies !== undefined && this.sources.some(({ kind }, at) => kind === COOKIE && (taken & (1 << at)) !== 0);
    if (others === 0 && !takesCookie) return plain;
    if (!takesCookie) return { drop: this.dropOf(taken), set: plain.set };
    const rest = this.cookiesWithout(cookies, taken);
    const set: readonly OwnHeader[] = rest === undefined ? plain.set : [...plain.set, [COOKIE, rest]];
    return { drop: this.dropOf(taken), set };
  }

  private cookiesWithout(cookies: string, taken: number): string | undefined {
    let rest: string | undefined = cookies;
    for (const [at, { kind, name }] of this.sources.entries())
      if (kind === COOKIE && (taken & (1 << at)) !== 0) rest = rest === undefined ? undefined : withoutCookie(rest, name);
    return rest;
  }

  private dropOf(taken: number): readonly string[] {
    let list = this.lists.get(taken);
    if (list === undefined) {
      const names = this.sources
        .filter((_, at) => (taken & (1 << at)) !== 0)
        .map(({ kind, name }) => (kind === COOKIE ? COOKIE : name.toLowerCase()));
      list = [...new Set(names)];
      if (this.lists.size >= LISTS_MAX) this.lists.clear();
      this.lists.set(taken, list);
    }
    return list;
  }
}

/** Empty where they are too large to be told. */
function wholeClaims(claims: JsonObject): readonly OwnHeader[] {
  const json = Buffer.from(JSON.stringify(claims), 'utf8');
  return json.length > CLAIMS_BYTES_MAX ? [] : [[CLAIMS_HEADER, json.toString('base64url')]];
}
