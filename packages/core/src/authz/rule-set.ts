// Rules of one effect in their order, with an index: each property of a request (who, from where, with which token, how, where to, with which headers) leaves a set
// of rules possible; only those in all of the sets are asked, one by one. The sets are made when the policy is compiled.
import type { IdentityMatch } from '../model/security.ts';
import { addBit, allBits, type Bits, noBits } from './bits.ts';
import type { Facts } from './facts.ts';
import { HeaderIndex, headerValue, type HeaderValue } from './header-index.ts';
import { NetworkIndex } from './network.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { CompiledRule } from './rule.ts';
import { TokenIndex } from './token-index.ts';

export class RuleSet {
  readonly rules: readonly CompiledRule[];
  private readonly denies: boolean;
  private readonly all: Bits;
  private readonly identities: IdentityIndex | undefined;
  private readonly networks: NetworkIndex | undefined;
  private readonly tokens: TokenIndex | undefined;
  private readonly methods: MethodIndex | undefined;
  private readonly paths: PrefixIndex | undefined;
  private readonly headers: HeaderIndex | undefined;
  /** Rules that ask for no path. */
  private readonly pathless: Bits;

  constructor(rules: readonly CompiledRule[], denies: boolean) {
    this.rules = rules;
    this.denies = denies;
    this.all = allBits(rules.length);
    const asked = <T>(of: (rule: CompiledRule) => readonly T[] | undefined): Asked<T> => askedFor(rules, of);
    const identities = asked(({ subjects }) => union(subjects, ({ config }) => config.identities));
    const networks = asked(({ subjects }) => union(subjects, (subject) => subject.networks));
    const tokens = asked(({ subjects }) => union(subjects, ({ config }) => config.token && [config.token]));
    const methods = asked(({ permissions }) => union(permissions, (permission) => permission.methods));
    const paths = asked(({ permissions }) => union(permissions, literals));
    const headers = asked(({ permissions }) => union(permissions, firstHeader));
    this.identities = identities.entries.length === 0 ? undefined : new IdentityIndex(identities);
    this.networks = networks.entries.length === 0 ? undefined : new NetworkIndex(networks.base, networks.entries);
    this.tokens = tokens.entries.length === 0 ? undefined : new TokenIndex(tokens.base, tokens.entries);
    this.methods = methods.entries.length === 0 ? undefined : new MethodIndex(methods, denies);
    this.paths = paths.entries.length === 0 ? undefined : new PrefixIndex(paths.base, paths.entries);
    this.headers = headers.entries.length === 0 ? undefined : new HeaderIndex(headers.base, headers.entries);
    this.pathless = paths.base;
  }

  /** The first rule that fits; undefined: none does. */
  first(facts: Facts, assumeToken = false): CompiledRule | undefined {
    return this.rules.length === 0 ? undefined : this.rules[this.next(facts, 0, assumeToken)];
  }

  /** The number of the first rule from this one on that fits; -1: none does. */
  next(facts: Facts, from: number, assumeToken: boolean): number {
    const { all, rules } = this;
    const { view } = facts;
    const who = this.identities === undefined ? all : this.identities.find(view.sourceIdentity);
    const how = this.methods === undefined ? all : this.methods.find(view.isStream ? '' : view.method);
    const where = this.paths === undefined ? all : this.possiblePaths(this.paths, facts);
    const whence = this.networks === undefined ? all : this.possibleNetworks(this.networks, facts);
    const token = this.tokens === undefined || assumeToken ? all : this.tokens.find(view);
    const said = this.headers === undefined ? all : this.headers.find(view);
    let mask = -1 << (from & 31);
    for (let word = from >>> 5; word < all.length; word++) {
      let left = (who[word] as number) & (whence[word] as number) & (token[word] as number) & mask;
      left &= (how[word] as number) & (where[word] as number) & (said[word] as number);
      mask = -1;
      while (left !== 0) {
        const number = (word << 5) + 31 - Math.clz32(left & -left);
        if ((rules[number] as CompiledRule).fits(facts, assumeToken)) return number;
        left &= left - 1;
      }
    }
    return -1;
  }

  private possiblePaths(paths: PrefixIndex, facts: Facts): Bits {
    const { path } = facts;
    if (path === undefined) return this.denies && !facts.view.isStream ? this.all : this.pathless;
    if (!this.denies) return paths.find(path);
    return facts.bare === facts.wide ? paths.find(facts.wide) : this.all;
  }

  private possibleNetworks(networks: NetworkIndex, { address }: Facts): Bits {
    return this.denies && address.version === 0 ? this.all : networks.find(address);
  }
}

/** `base`: rules that fit whatever the property is, as far as it goes; of the others, what they ask for. */
interface Asked<T> {
  readonly base: Bits;
  readonly entries: readonly (readonly [value: T, rule: number])[];
}

function askedFor<T>(rules: readonly CompiledRule[], of: (rule: CompiledRule) => readonly T[] | undefined): Asked<T> {
  const base = noBits(rules.length);
  const entries: (readonly [value: T, rule: number])[] = [];
  for (const [number, rule] of rules.entries()) {
    const values = of(rule);
    if (values === undefined) addBit(base, number);
    else for (const value of values) entries.push([value, number]);
  }
  return { base, entries };
}

/** What one of the parts asks for; undefined: one of them asks for nothing, or there are none. */
function union<P, T>(parts: readonly P[], of: (part: P) => readonly T[] | undefined): readonly T[] | undefined {
  const values: T[] = [];
  for (const part of parts) {
    const own = of(part);
    if (own === undefined) return undefined;
    values.push(...own);
  }
  return parts.length === 0 ? undefined : values;
}

/** What paths that fit begin with; undefined: all may fit. */
function literals({ paths }: CompiledRule['permissions'][number]): readonly string[] | undefined {
  return paths === undefined || paths.some(({ literal, isAll }) => isAll || literal === '')
    ? undefined
    : paths.map(({ literal }) => literal);
}

function firstHeader({ config }: CompiledRule['permissions'][number]): readonly HeaderValue[] | undefined {
  for (const header of config.headers ?? []) {
    const value = headerValue(header);
    if (value !== undefined) return [value];
  }
  return undefined;
}

class IdentityIndex {
  private readonly nobody: Bits;
  private readonly known = new Map<string, Bits>();
  private readonly prefixes: PrefixIndex;

  constructor({ base, entries }: Asked<IdentityMatch>) {
    this.nobody = base;
    const anybody = base.slice();
    for (const [match, rule] of entries) if (match.kind === 'any') addBit(anybody, rule);
    const prefixes = entries.flatMap(([match, rule]) => (match.kind === 'prefix' ? [[match.prefix, rule] as const] : []));
    this.prefixes = new PrefixIndex(anybody, prefixes);
    for (const [match, rule] of entries) {
      if (match.kind !== 'exact') continue;
      let bits = this.known.get(match.id);
      if (bits === undefined) this.known.set(match.id, (bits = this.prefixes.find(match.id).slice()));
      addBit(bits, rule);
    }
  }

  find(id: string): Bits {
    return id === '' ? this.nobody : (this.known.get(id) ?? this.prefixes.find(id));
  }
}

class MethodIndex {
  private readonly base: Bits;
  private readonly byName = new Map<string, Bits>();
  private readonly anyCase: boolean;

  constructor({ base, entries }: Asked<string>, anyCase: boolean) {
    this.base = base;
    this.anyCase = anyCase;
    for (const [method, rule] of entries) {
      let bits = this.byName.get(method);
      if (bits === undefined) this.byName.set(method, (bits = base.slice()));
      addBit(bits, rule);
    }
  }

  find(method: string): Bits {
    return this.byName.get(this.anyCase ? method.toUpperCase() : method) ?? this.base;
  }
}
