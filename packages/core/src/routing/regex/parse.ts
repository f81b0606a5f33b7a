// Regular expressions as people write them, read into a tree: what RE2 and JavaScript both have and understand alike, over bytes. No
// back-references and no look-around, so that a text is matched in time that grows with its length and no faster.
import { RouteFault } from '../error.ts';

/** Of a pattern: longer ones are hardly readable, and the work to compile one grows with it. */
export const PATTERN_LENGTH_MAX = 1_024;
/** RE2 has the same. */
const REPEAT_MAX = 1_000;

/** 1 at the codes that belong to it; the last place stands for all codes above 255. */
export type CodeSet = Uint8Array;
export const CODES = 257;

export type Assertion = 'start' | 'end' | 'word-edge' | 'no-word-edge';

export type Node =
  | { readonly kind: 'set'; readonly set: CodeSet }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  | { readonly kind: 'either'; readonly items: readonly Node[] }
  | { readonly kind: 'repeat'; readonly item: Node; readonly min: number; readonly max: number; readonly greedy: boolean }
  | { readonly kind: 'group'; readonly item: Node; readonly index: number }
  | { readonly kind: 'assertion'; readonly what: Assertion };

export interface ParsedPattern {
  readonly root: Node;
  /** Groups in parentheses, counted from 1 by their opening. */
  readonly groups: number;
}

/** @throws RouteFault that says at which character and why. */
export function parsePattern(source: string): ParsedPattern {
  if (source === '') throw new RouteFault('the regular expression is empty', 'write ".*" for any text');
  if (source.length > PATTERN_LENGTH_MAX)
    throw new RouteFault(`the regular expression has ${source.length} characters`, `at most ${PATTERN_LENGTH_MAX} are taken`);
  return new Parser(source).parse();
}

const ESCAPED_CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v' };
const SHORTHANDS: Readonly<Record<string, CodeSet>> = {
  d: setOf('0-9'),
  w: setOf('0-9A-Za-z_'),
  s: setOf('\t\n\f\r '),
};

/** What `\w` takes. */
export const WORD: CodeSet = SHORTHANDS.w as CodeSet;

class Parser {
  private readonly source: string;
  private at = 0;
  private groups = 0;
  private ignoreCase = false;

  constructor(source: string) {
    this.source = source;
  }

  parse(): ParsedPattern {
    const root = this.either();
    // Only a parenthesis ends an alternative before the end.
    if (this.at < this.source.length) throw this.fault('")" without "("', 'remove it, or write "\\)"');
    return { root, groups: this.groups };
  }

  private either(): Node {
    const items = [this.sequence()];
    while (this.source[this.at] === '|') {
      this.at++;
      items.push(this.sequence());
    }
    return items.length === 1 ? (items[0] as Node) : { kind: 'either', items };
  }

  private sequence(): Node {
    const items: Node[] = [];
    for (let char = this.source[this.at]; char !== undefined && char !== '|' && char !== ')'; char = this.source[this.at]) {
      const isAssertion = /^(?:[$^]|\\[Bb])/.test(this.source.slice(this.at, this.at + 2));
      const atom = this.atom(char);
      items.push(isAssertion ? this.alone(atom) : this.quantified(atom));
    }
    return items.length === 1 ? (items[0] as Node) : { kind: 'sequence', items };
  }

  private alone(assertion: Node): Node {
    if (this.quantifier() !== undefined) throw this.fault('an assertion is repeated', 'remove the quantifier after it');
    return assertion;
  }

  private quantified(item: Node): Node {
    const bounds = this.quantifier();
    if (bounds === undefined) return item;
    const greedy = this.source[this.at] !== '?';
    if (!greedy) this.at++;
    if (this.source[this.at] === '+' || this.quantifier() !== undefined)
      throw this.fault('a quantifier follows another one', 'put the part before it in "(?:…)", or remove one');
    return { kind: 'repeat', item, ...bounds, greedy };
  }

  /** Moves past a quantifier if one is there. A brace that begins none is a brace. */
  private quantifier(): { readonly min: number; readonly max: number } | undefined {
    const char = this.source[this.at];
    if (char === '*' || char === '+' || char === '?') {
      this.at++;
      return { min: char === '+' ? 1 : 0, max: char === '?' ? 1 : Infinity };
    }
    if (char !== '{') return undefined;
    const [text, from, comma, to] = /^\{(\d+)(,?)(\d*)\}/.exec(this.source.slice(this.at, this.at + 16)) ?? [];
    if (text === undefined || from === undefined || (comma === '' && to !== '')) return undefined;
    const min = Number(from);
    const max = comma === '' ? min : to === '' ? Infinity : Number(to);
    if (min > REPEAT_MAX || (max !== Infinity && max > REPEAT_MAX))
      throw this.fault(`"${text}" repeats more than ${REPEAT_MAX} times`, 'write a smaller number, or "*"');
    if (max < min) throw this.fault(`"${text}" ends before it begins`, 'write the smaller number first');
    this.at += text.length;
    return { min, max };
  }

  private atom(char: string): Node {
    switch (char) {
      case '(':
        return this.group();
      case '[':
        return { kind: 'set', set: this.bracketed() };
      case '.':
        this.at++;
        return { kind: 'set', set: complement(setOf('\n\r')) };
      case '^':
      case '$':
        this.at++;
        return { kind: 'assertion', what: char === '^' ? 'start' : 'end' };
      case '*':
      case '+':
      case '?':
        throw this.fault(`"${char}" has nothing before it that it could repeat`, `write "\\${char}" for the character`);
      case '\\':
        return this.escape();
      default:
        this.at++;
        return { kind: 'set', set: this.folded(this.single(char)) };
    }
  }

  private group(): Node {
    const outer = this.ignoreCase;
    const opening = this.at;
    let index = 0;
    if (this.source.startsWith('(?:', this.at)) this.at += 3;
    else if (this.source.startsWith('(?i:', this.at)) {
      this.at += 4;
      this.ignoreCase = true;
    } else if (this.source.startsWith('(?', this.at)) throw this.unknownGroup();
    else {
      this.at++;
      index = ++this.groups;
    }
    const item = this.either();
    if (this.source[this.at] !== ')') {
      this.at = opening;
      throw this.fault('"(" without ")"', 'close it, or write "\\("');
    }
    this.at++;
    this.ignoreCase = outer;
    return index === 0 ? item : { kind: 'group', item, index };
  }

  private unknownGroup(): RouteFault {
    if (/^\(\?<?[=!]/.test(this.source.slice(this.at, this.at + 4)))
      return this.fault('look-around is not supported, because no matching in linear time has it', 'match what must be there instead');
    return this.fault('this kind of group is not supported', '"(…)", "(?:…)" and "(?i:…)" are');
  }

  private escape(): Node {
    const char = this.source[this.at + 1];
    if (char === 'b' || char === 'B') {
      this.at += 2;
      return { kind: 'assertion', what: char === 'b' ? 'word-edge' : 'no-word-edge' };
    }
    return { kind: 'set', set: this.folded(this.escapedSet()) };
  }

  /** What follows a backslash, in brackets too. */
  private escapedSet(): CodeSet {
    const char = this.source[this.at + 1];
    if (char === undefined) throw this.fault('it ends with a backslash', 'write "\\\\" for the character');
    const shorthand = Object.hasOwn(SHORTHANDS, char.toLowerCase()) ? SHORTHANDS[char.toLowerCase()] : undefined;
    if (shorthand !== undefined) {
      this.at += 2;
      return char === char.toLowerCase() ? shorthand : complement(shorthand);
    }
    if (Object.hasOwn(ESCAPED_CONTROLS, char)) {
      this.at += 2;
      return this.single(ESCAPED_CONTROLS[char] as string);
    }
    if (char === 'x') {
      const digits = this.source.slice(this.at + 2, this.at + 4);
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) throw this.fault('"\\x" needs two hexadecimal digits', 'write "\\x2f", for example');
      this.at += 4;
      return this.single(String.fromCharCode(Number.parseInt(digits, 16)), 255);
    }
    if (/[1-9]/.test(char))
      throw this.fault('back-references are not supported, because no matching in linear time has them', 'write out what is meant');
    if (/[0-9A-Za-z]/.test(char))
      throw this.fault(`"\\${char}" is not supported`, '\\d, \\w, \\s, \\b, \\t, \\n, \\r, \\f, \\v, \\xHH and escaped signs are');
    this.at += 2;
    return this.single(char);
  }

  private bracketed(): CodeSet {
    const opening = this.at++;
    const inverted = this.source[this.at] === '^';
    if (inverted) this.at++;
    const set = new Uint8Array(CODES);
    if (this.source[this.at] === ']') throw this.fault('the brackets are empty', 'write "\\]" for the character');
    while (this.source[this.at] !== ']') {
      if (this.at >= this.source.length) {
        this.at = opening;
        throw this.fault('"[" without "]"', 'close it, or write "\\["');
      }
      if (this.source.startsWith('[:', this.at)) throw this.fault('classes such as "[:alpha:]" are not supported', 'write "A-Za-z"');
      this.bracketItem(set);
    }
    this.at++;
    // Folded before it is turned round: `[^a]` without case takes neither "a" nor "A".
    return inverted ? complement(this.folded(set)) : this.folded(set);
  }

  private bracketItem(set: CodeSet): void {
    const start = this.at;
    const first = this.bracketSet();
    if (this.source[this.at] !== '-' || this.source[this.at + 1] === ']' || this.at + 1 >= this.source.length) {
      unite(set, first);
      return;
    }
    this.at++;
    const last = this.bracketSet();
    const [from, to] = [onlyCode(first), onlyCode(last)];
    if (from === undefined || to === undefined || to < from) {
      const range = this.source.slice(start, this.at);
      throw this.fault(`"${range}" is not a range`, 'write the smaller character first, and "\\-" for the sign');
    }
    set.fill(1, from, to + 1);
  }

  private bracketSet(): CodeSet {
    if (this.source[this.at] === '\\') {
      if (this.source[this.at + 1] === 'b') throw this.fault('"\\b" in brackets is not supported', 'write "\\x08"');
      return this.escapedSet();
    }
    return this.single(this.source[this.at++] as string);
  }

  private single(char: string, max: number = 126): CodeSet {
    const code = char.charCodeAt(0);
    if (code > max)
      throw this.fault('it holds a character that is not ASCII', 'percent-encode it, as requests do, or write its bytes as "\\xHH"');
    const set = new Uint8Array(CODES);
    set[code] = 1;
    return set;
  }

  private folded(set: CodeSet): CodeSet {
    if (!this.ignoreCase) return set;
    const folded = set.slice();
    for (let upper = 65; upper <= 90; upper++) if (set[upper] === 1 || set[upper + 32] === 1) folded[upper] = folded[upper + 32] = 1;
    return folded;
  }

  private fault(reason: string, mend: string): RouteFault {
    return new RouteFault(`the regular expression "${this.source}" cannot be used: at character ${this.at + 1}, ${reason}`, `${mend}`);
  }
}

function setOf(ranges: string): CodeSet {
  const set = new Uint8Array(CODES);
  for (let at = 0; at < ranges.length; at++) {
    const isRange = ranges[at + 1] === '-' && at + 2 < ranges.length;
    set.fill(1, ranges.charCodeAt(at), ranges.charCodeAt(isRange ? at + 2 : at) + 1);
    if (isRange) at += 2;
  }
  return set;
}

function complement(set: CodeSet): CodeSet {
  return set.map((member) => 1 - member);
}

function unite(into: CodeSet, other: CodeSet): void {
  for (let code = 0; code < CODES; code++) if (other[code] === 1) into[code] = 1;
}

function onlyCode(set: CodeSet): number | undefined {
  const code = set.indexOf(1);
  return code !== -1 && set.indexOf(1, code + 1) === -1 ? code : undefined;
}
