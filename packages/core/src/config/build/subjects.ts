// What subjects of rules mean together: both of two, one of many, and whether one takes all that another takes.
import { ipBytes } from '../../identity/ip.ts';
import type { ClaimMatch, IdentityMatch, Subject, TokenMatch } from '../../model/security.ts';

/** Of one list in a subject, and of the subjects of one rule. What is more is said by namespace or role. */
export const SUBJECT_PARTS_MAX = 1_024;

/** How many callers are listed. */
export function partsOf(subjects: readonly Subject[]): number {
  return Math.max(subjects.length, ...subjects.flatMap(({ identities = [], networks = [] }) => [identities.length, networks.length]));
}

/** Everybody who is in one of the first and in one of the others; what nobody can be is left out. */
export function both(some: readonly Subject[], others: readonly Subject[]): Subject[] {
  return some.flatMap((one) => others.flatMap((other) => intersection(one, other) ?? []));
}

function intersection(one: Subject, other: Subject): Subject | undefined {
  const identities = shared(one.identities, other.identities, commonIdentities);
  const networks = shared(one.networks, other.networks, commonNetworks);
  const token = one.token && other.token ? commonToken(one.token, other.token) : (one.token ?? other.token ?? undefined);
  if (identities?.length === 0 || networks?.length === 0 || (token === undefined && one.token !== undefined)) return undefined;
  return { ...(identities && { identities }), ...(networks && { networks }), ...(token && { token }) };
}

function shared<T>(
  one: readonly T[] | undefined,
  other: readonly T[] | undefined,
  commonOf: (a: readonly T[], b: readonly T[]) => readonly T[],
): readonly T[] | undefined {
  return one === undefined || other === undefined ? (one ?? other) : commonOf(one, other);
}

function commonIdentities(some: readonly IdentityMatch[], others: readonly IdentityMatch[]): IdentityMatch[] {
  return common(some, others, identityKey);
}

function commonNetworks(some: readonly string[], others: readonly string[]): string[] {
  return common(some, others, networkKey);
}

/** The narrower of each two of which one takes all that the other takes; two others have nothing in common. */
function common<T>(some: readonly T[], others: readonly T[], keyOf: (item: T) => string): T[] {
  const [inSome, inOthers] = [new Beginnings(some.map(keyOf)), new Beginnings(others.map(keyOf))];
  return distinct([...some.filter((one) => inOthers.begin(keyOf(one))), ...others.filter((one) => inSome.begin(keyOf(one)))]);
}

function commonToken(one: TokenMatch, other: TokenMatch): TokenMatch | undefined {
  const isAny = one.issuers.length === 0 || other.issuers.length === 0;
  const issuers = isAny ? [...one.issuers, ...other.issuers] : one.issuers.filter((name) => other.issuers.includes(name));
  if (!isAny && issuers.length === 0) return undefined;
  return { issuers, claims: distinct([...one.claims, ...other.claims]) };
}

/** The same in fewer subjects: those that differ in their identities only, or only in their networks, are one. */
export function together(subjects: readonly Subject[]): Subject[] {
  return merged(merged(subjects, 'identities'), 'networks');
}

function merged(subjects: readonly Subject[], key: 'identities' | 'networks'): Subject[] {
  const alike = new Map<string, [Subject, ...Subject[]]>();
  for (const subject of subjects) {
    const others = JSON.stringify(without(subject, key));
    const known = alike.get(others);
    if (known === undefined) alike.set(others, [subject]);
    else known.push(subject);
  }
  return [...alike.values()].map((group): Subject => {
    const [first] = group;
    if (group.length === 1) return first;
    // Where one of them takes all, all of them together do.
    if (group.some((subject) => subject[key] === undefined)) return without(first, key);
    return { ...first, [key]: distinct(group.flatMap((subject) => [...(subject[key] as readonly unknown[])])) };
  });
}

function without(subject: Subject, key: 'identities' | 'networks'): Subject {
  const { [key]: _, ...rest } = subject;
  return rest;
}

function distinct<T>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()];
}

/** Whether everybody whom the inner one takes is taken by the outer one. */
export function coversSubject(outer: Subject, inner: Subject): boolean {
  if (outer.token !== undefined && (inner.token === undefined || !coversToken(outer.token, inner.token))) return false;
  return coversAll(outer.identities, inner.identities, identityKey) && coversAll(outer.networks, inner.networks, networkKey);
}

function coversAll<T>(outer: readonly T[] | undefined, inner: readonly T[] | undefined, keyOf: (item: T) => string): boolean {
  if (outer === undefined) return true;
  const beginnings = new Beginnings(outer.map(keyOf));
  return inner?.every((one) => beginnings.begin(keyOf(one))) === true;
}

/** What takes more has a key with which the keys of all that it takes begin. */
function identityKey(identity: IdentityMatch): string {
  if (identity.kind === 'any') return '';
  return identity.kind === 'prefix' ? identity.prefix : `${identity.id}\n`;
}

/** The same, of a network or an address that is known to be one: its bits. An IPv4 address in an IPv6 one is the IPv4 address. */
function networkKey(text: string): string {
  const [address = '', length] = text.split('/');
  const bits = Array.from(ipBytes(address) ?? [], (byte) => byte.toString(2).padStart(8, '0')).join('');
  const network = bits.slice(0, length === undefined ? bits.length : Number(length));
  if (network.startsWith(MAPPED)) return `4:${network.slice(MAPPED.length)}`;
  return `${bits.length === 32 ? 4 : 6}:${network}`;
}

/** RFC 4291 §2.5.5.2. */
const MAPPED = '0'.repeat(80) + '1'.repeat(16);

/** Texts, looked up by what begins with them: long lists cost little, as there are few lengths. */
class Beginnings {
  readonly #texts: ReadonlySet<string>;
  readonly #lengths: ReadonlySet<number>;

  constructor(texts: readonly string[]) {
    this.#texts = new Set(texts);
    this.#lengths = new Set(texts.map(({ length }) => length));
  }

  /** Whether one of them begins the text, or is it. */
  begin(text: string): boolean {
    for (const length of this.#lengths) if (length <= text.length && this.#texts.has(text.slice(0, length))) return true;
    return false;
  }
}

function coversToken(outer: TokenMatch, inner: TokenMatch): boolean {
  const coversIssuers =
    outer.issuers.length === 0 || (inner.issuers.length > 0 && inner.issuers.every((name) => outer.issuers.includes(name)));
  return coversIssuers && outer.claims.every((claim) => inner.claims.some((given) => coversClaim(claim, given)));
}

function coversClaim(outer: ClaimMatch, inner: ClaimMatch): boolean {
  return JSON.stringify(outer.claim) === JSON.stringify(inner.claim) && inner.values.every((value) => outer.values.includes(value));
}
