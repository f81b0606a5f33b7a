// Header changes of routes and clusters, made ready when the configuration is compiled: names to drop, and fields to write behind the rest.
import type { HeaderChanges } from '../model/route.ts';
import { RouteFault } from './error.ts';

/** What values may speak of. Data planes keep one such object and fill it in again. */
export interface HeaderFacts {
  /** Value of `x-request-id` as it is sent. */
  readonly requestId: string;
  /** SPIFFE id of the calling service; empty: not known. */
  readonly sourceIdentity: string;
  /** Of the client in front of the first data plane; empty: not known. */
  readonly sourceAddress: string;
}

const VALUE_LENGTH_MAX = 4_096;
/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Who changes them changes where a message begins, ends or goes to (RFC 9110 §7.6.1), or what data planes say to one another. */
const UNTOUCHABLE: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const OWN_PREFIX = 'x-heddle-';

/** @throws RouteFault for names that are none, or must not be changed. Gives back the name in lower case. */
export function checkChangeable(name: string): string {
  if (name.startsWith(':')) throw new RouteFault(`"${name}" is not a header`, 'rewrite the path or the host instead');
  if (!TOKEN.test(name)) throw new RouteFault(`"${name}" is not the name of a header`, 'write the name alone, in letters, digits and "-"');
  const lower = name.toLowerCase();
  if (lower === 'host')
    throw new RouteFault(`the header "${name}" is the authority and may not be changed as a header`, 'rewrite the host instead');
  if (UNTOUCHABLE.has(lower))
    throw new RouteFault(
      `the header "${name}" may not be changed, because data planes write it as each connection needs it`,
      'remove the change',
    );
  if (lower.startsWith(OWN_PREFIX))
    throw new RouteFault(
      `the header "${name}" may not be changed, because others rely on what the mesh says in it`,
      'use a name of your own',
    );
  return lower;
}

/** A value with what it speaks of put in. */
export class HeaderValue {
  /** The whole value, where it is always the same. */
  readonly fixed: string | undefined;
  private readonly parts: readonly string[];
  private readonly isFact: readonly boolean[];

  /** @throws RouteFault for unknown names between percent signs, and what no header may hold. */
  constructor(template: string) {
    if (!/^[\t\x20-\x7e]*$/.test(template))
      throw new RouteFault(
        `"${printable(template)}" cannot be the value of a header: it holds control characters, or others that are not ASCII`,
        'write it in ASCII, in one line',
      );
    if (template.length > VALUE_LENGTH_MAX)
      throw new RouteFault(`a header value has ${template.length} characters`, `at most ${VALUE_LENGTH_MAX} are taken`);
    const pieces = template.trim().split('%');
    if (pieces.length % 2 === 0)
      throw new RouteFault(`"${template}" has a percent sign without a second one`, 'write "%%" for the sign itself');
    // Every second piece stands between two percent signs.
    const parts: string[] = [];
    const isFact: boolean[] = [];
    pieces.forEach((piece, index) => {
      const named = index % 2 === 1 && piece !== '';
      if (named && !Object.hasOwn(FACT_NAMES, piece)) {
        throw new RouteFault(
          `"%${piece}%" in "${template}" is not known`,
          `${Object.keys(FACT_NAMES)
            .map((name) => `%${name}%`)
            .join(', ')} are, and "%%" is the sign itself`,
        );
      }
      if (index % 2 === 0 && piece === '') return;
      parts.push(index % 2 === 1 && piece === '' ? '%' : piece);
      isFact.push(named);
    });
    this.parts = parts;
    this.isFact = isFact;
    this.fixed = isFact.includes(true) ? undefined : parts.join('');
  }

  render(facts: HeaderFacts): string {
    if (this.fixed !== undefined) return this.fixed;
    let value = '';
    for (let index = 0; index < this.parts.length; index++) {
      const part = this.parts[index] as string;
      value += this.isFact[index] === true ? safe(facts[FACT_NAMES[part as keyof typeof FACT_NAMES]]) : part;
    }
    return value;
  }
}

const FACT_NAMES = { REQUEST_ID: 'requestId', SOURCE_IDENTITY: 'sourceIdentity', SOURCE_ADDRESS: 'sourceAddress' } as const;

/** Facts come from heads that were checked, certificates and sockets; that none of them ends a line is made sure of here as well. */
function safe(fact: string): string {
  for (let at = 0; at < fact.length; at++) {
    const code = fact.charCodeAt(at);
    if (code < 0x20 || code > 0x7e) return fact.replace(/[^\x20-\x7e]/g, '');
  }
  return fact;
}

export interface HeaderField {
  /** In lower case. */
  readonly name: string;
  readonly value: HeaderValue;
}

export interface CompiledHeaderChanges {
  /** Received headers that are not passed on: those that are removed, and those that are set. In lower case. */
  readonly drop: readonly string[];
  /** Written behind the others, in this order. */
  readonly fields: readonly HeaderField[];
}

/**
 * Several changes as one, as if they were made one after the other: what a later one sets or removes, an earlier one has not said.
 * Undefined: nothing changes.
 * @param changes the most general first, so that the most specific has the last word.
 * @throws RouteFault
 */
export function compileHeaderChanges(...changes: readonly (HeaderChanges | undefined)[]): CompiledHeaderChanges | undefined {
  const drop = new Set<string>();
  let fields: HeaderField[] = [];
  for (const change of changes) {
    if (change === undefined) continue;
    const { removed, set, added } = readChanges(change);
    const gone = new Set([...removed, ...set.map(({ name }) => name)]);
    for (const name of gone) drop.add(name);
    fields = [...fields.filter(({ name }) => !gone.has(name)), ...set, ...added];
  }
  return drop.size === 0 && fields.length === 0 ? undefined : { drop: [...drop], fields };
}

function readChanges(changes: HeaderChanges): { removed: readonly string[]; set: readonly HeaderField[]; added: readonly HeaderField[] } {
  const removed = changes.remove.map(checkChangeable);
  const seen = new Set(removed);
  const read = (values: Readonly<Record<string, string>>, what: string): readonly HeaderField[] => {
    const own = new Set<string>();
    return Object.entries(values).map(([name, value]) => {
      const lower = checkChangeable(name);
      if (own.has(lower)) throw new RouteFault(`the header "${name}" is ${what} twice`, 'names are the same in any case');
      if (seen.has(lower) && what === 'set') throw new RouteFault(`the header "${name}" is both set and removed`, 'decide for one');
      if (removed.includes(lower)) throw new RouteFault(`the header "${name}" is both added and removed`, '"set" replaces what was there');
      own.add(lower);
      return { name: lower, value: new HeaderValue(value) };
    });
  };
  return { removed, set: read(changes.set, 'set'), added: read(changes.add, 'added') };
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '\u00b7');
}
