// Which rules the headers of a request leave possible, for rules that ask for a header with exactly some value. Of several headers that a rule
// asks for, the first is looked up; the rule itself looks at the others.
import type { FieldMatch } from '../model/route.ts';
import { addBit, addBits, type Bits } from './bits.ts';
import type { AccessView } from './view.ts';

interface HeaderTable {
  readonly name: string;
  readonly byValue: Map<string, Bits>;
}

export interface HeaderValue {
  readonly name: string;
  readonly value: string;
}

/** The value that a line of the header must have; undefined: none can be named. */
export function headerValue({ name, match, invert }: FieldMatch): HeaderValue | undefined {
  const isExact = match?.kind === 'exact' && match.ignoreCase !== true && invert !== true;
  return isExact ? { name: name.toLowerCase(), value: match.value } : undefined;
}

export class HeaderIndex {
  /** Rules that ask for none. */
  private readonly base: Bits;
  private readonly tables: readonly HeaderTable[];
  private readonly result: Bits;

  constructor(base: Bits, entries: readonly (readonly [header: HeaderValue, rule: number])[]) {
    this.base = base;
    this.result = base.slice();
    const tables = new Map<string, HeaderTable>();
    for (const [{ name, value }, rule] of entries) {
      let table = tables.get(name);
      if (table === undefined) tables.set(name, (table = { name, byValue: new Map() }));
      let bits = table.byValue.get(value);
      if (bits === undefined) table.byValue.set(value, (bits = new Uint32Array(base.length)));
      addBit(bits, rule);
    }
    this.tables = [...tables.values()];
  }

  /** Valid until the next call. */
  find(view: AccessView): Bits {
    if (view.isStream) return this.base;
    this.result.set(this.base);
    for (let index = 0; index < this.tables.length; index++) {
      const { name, byValue } = this.tables[index] as HeaderTable;
      for (let line = 0; ; line++) {
        const value = view.header(name, line);
        if (value === undefined) break;
        const bits = byValue.get(value);
        if (bits !== undefined) addBits(this.result, bits);
      }
    }
    return this.result;
  }
}
