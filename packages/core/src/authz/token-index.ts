// Which rules a token leaves possible. Of several claims that a rule asks for, the first is looked up; the rule itself looks at the others.
import { claimAt, isScopeClaim, scopeWords } from '../authn/claims.ts';
import type { JsonObject } from '../authn/unique-json.ts';
import type { ClaimMatch, TokenMatch } from '../model/security.ts';
import { addBit, addBits, type Bits } from './bits.ts';
import type { AccessView } from './view.ts';

interface ClaimTable {
  readonly claim: readonly string[];
  readonly byValue: Map<unknown, Bits>;
}

export class TokenIndex {
  /** Rules for which no token is needed. */
  private readonly base: Bits;
  /** With those for which any token will do, as far as its claims go. */
  private readonly withToken: Bits;
  private readonly claims = new Map<string, ClaimTable>();
  private readonly tables: readonly ClaimTable[];
  private readonly result: Bits;

  constructor(base: Bits, entries: readonly (readonly [match: TokenMatch, rule: number])[]) {
    this.base = base;
    this.withToken = base.slice();
    for (const [{ claims }, rule] of entries) {
      const [first] = claims;
      if (first === undefined) addBit(this.withToken, rule);
      else this.add(first, rule);
    }
    this.tables = [...this.claims.values()];
    this.result = base.slice();
  }

  private add({ claim, values }: ClaimMatch, rule: number): void {
    const key = JSON.stringify(claim);
    let table = this.claims.get(key);
    if (table === undefined) this.claims.set(key, (table = { claim, byValue: new Map() }));
    for (const value of values) {
      let bits = table.byValue.get(value);
      if (bits === undefined) table.byValue.set(value, (bits = new Uint32Array(this.base.length)));
      addBit(bits, rule);
    }
  }

  /** Valid until the next call. */
  find({ claims: token }: AccessView): Bits {
    if (token === undefined) return this.base;
    if (this.tables.length === 0) return this.withToken;
    this.result.set(this.withToken);
    for (let index = 0; index < this.tables.length; index++) this.look(this.tables[index] as ClaimTable, token.claims);
    return this.result;
  }

  /** As `claimFits` does. */
  private look({ claim, byValue }: ClaimTable, claims: JsonObject): void {
    const value = claimAt(claims, claim);
    if (Array.isArray(value)) {
      for (let index = 0; index < value.length; index++) this.take(byValue.get(value[index]));
      return;
    }
    this.take(byValue.get(value));
    if (typeof value === 'string' && isScopeClaim(claim)) for (const word of scopeWords(value)) this.take(byValue.get(word));
  }

  private take(bits: Bits | undefined): void {
    if (bits !== undefined) addBits(this.result, bits);
  }
}
