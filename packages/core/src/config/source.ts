// YAML text to plain values, remembering where each one stands. Anchors, aliases and merge keys (`<<`) are followed, but
// bounded: what they expand to counts as if it were written out.
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Alias, Document, Node, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Fault, Path } from './fault.ts';
import { shown } from './fault.ts';
import { syntaxFault, withoutFollowing } from './yaml-faults.ts';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface PlacedFault extends Fault {
  readonly place: Place;
}

/** A parsed file: its value, and where everything in it stands. */
export interface Source {
  readonly value: unknown;
  /** The place of the key or value at a path; of the nearest thing above it when there is none. */
  placeOf(path: Path, on: 'key' | 'value'): Place;
  /** How a number or boolean was written (`1.10`, not 1.1); undefined for anything else. */
  readonly textOf: (path: Path) => string | undefined;
}

export interface ReadResult {
  readonly source?: Source;
  readonly faults: readonly PlacedFault[];
}

/** Values in a file with all aliases written out. A mesh of 1,000 services needs some 30,000. */
const NODES_MAX = 200_000;
/** The mesh file's own structure is six deep. */
const DEPTH_MAX = 32;

export function readYaml(text: string): ReadResult {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  let document: Document.Parsed;
  try {
    // Duplicate keys are found here, with the place of the first; the library compares every key with every other.
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      stringKeys: true,
      resolveKnownTags: false,
      logLevel: 'error',
    });
  } catch (error) {
    return {
      faults: [
        {
          place: { line: 1, column: 1 },
          path: [],
          on: 'value',
          reason: `the YAML in it cannot be read: ${String(error)}`,
          mend: 'simplify the file',
        },
      ],
    };
  }
  const errors = [...document.errors, ...document.warnings];
  if (errors.length > 0) {
    return { faults: withoutFollowing(errors).map((error) => ({ place: place(error.pos[0]), ...syntaxFault(error) })) };
  }
  const reader = new Reader(document, place);
  return reader.read();
}

interface Entry {
  readonly keyOffset: number;
  readonly value: Node | null;
}

class Reader {
  readonly #document: Document.Parsed;
  readonly #place: (offset: number) => Place;
  readonly #faults: PlacedFault[] = [];
  readonly #targets: ReadonlyMap<Alias, Node>;
  readonly #keys = new Map<string, number>();
  readonly #values = new Map<string, number>();
  readonly #texts = new Map<string, string>();
  /** Collections that are being read: an alias to one of them would never end. */
  readonly #open = new Set<Node>();
  #nodes = 0;
  #exhausted = false;

  constructor(document: Document.Parsed, place: (offset: number) => Place) {
    this.#document = document;
    this.#place = place;
    this.#targets = resolveAliases(document);
  }

  read(): ReadResult {
    const value = this.#value(this.#document.contents, [], 0);
    // What was cut off would only give further faults that are none.
    if (this.#exhausted) return { faults: this.#faults };
    const source: Source = {
      value,
      placeOf: (path, on) => this.#place(this.#offset(path, on)),
      textOf: (path) => this.#texts.get(JSON.stringify(path)),
    };
    return { source, faults: this.#faults };
  }

  #offset(path: Path, on: 'key' | 'value'): number {
    for (let length = path.length; length >= 0; length--) {
      const key = JSON.stringify(path.slice(0, length));
      // Something missing is best looked for at the key of what it is missing from.
      const keyFirst = on === 'key' || length < path.length;
      const offset = keyFirst ? (this.#keys.get(key) ?? this.#values.get(key)) : (this.#values.get(key) ?? this.#keys.get(key));
      if (offset !== undefined) return offset;
    }
    return 0;
  }

  #value(node: Node | null, path: Path, offset: number): unknown {
    const id = JSON.stringify(path);
    const start = node?.range?.[0] ?? offset;
    this.#values.set(id, start);
    if (!this.#spend(start)) return undefined;
    if (node === null) return null;
    if (isScalar(node)) return this.#scalar(node, id);
    if (isAlias(node)) {
      const target = this.#target(node, path);
      return target === undefined ? undefined : this.#value(target, path, start);
    }
    if (path.length >= DEPTH_MAX) return this.#fault(start, path, 'is nested too deeply', `keep below ${DEPTH_MAX} levels`);
    this.#open.add(node);
    const value = isMap(node) ? this.#map(node, path) : this.#list(node as YAMLSeq, path);
    this.#open.delete(node);
    return value;
  }

  #scalar(node: Scalar, id: string): unknown {
    if (typeof node.value === 'number' || typeof node.value === 'boolean') this.#texts.set(id, node.source ?? String(node.value));
    return node.value;
  }

  #list(node: YAMLSeq, path: Path): unknown[] {
    const list: unknown[] = [];
    for (const item of node.items) {
      if (this.#exhausted) break;
      // `[a: 1]` is a list with a map of one pair; the library gives the map, never a bare pair.
      if (!isPair(item)) list.push(this.#value(item as Node | null, [...path, list.length], node.range?.[0] ?? 0));
    }
    return list;
  }

  #map(node: YAMLMap, path: Path): Record<string, unknown> {
    // No prototype: a key named `constructor` is a key like any other.
    const value = Object.create(null) as Record<string, unknown>;
    for (const [key, entry] of this.#entries(node, path)) {
      if (this.#exhausted) break;
      const inside = [...path, key];
      this.#keys.set(JSON.stringify(inside), entry.keyOffset);
      value[key] = this.#value(entry.value, inside, entry.keyOffset);
    }
    return value;
  }

  /** A map's own entries, then those of the maps merged into it; what is written in the map itself wins. */
  #entries(node: YAMLMap, path: Path): Map<string, Entry> {
    const own = new Map<string, Entry>();
    const merged: Pair[] = [];
    for (const pair of node.items) {
      const key = pair.key as Scalar;
      const name = String(key.value);
      const keyOffset = key.range?.[0] ?? node.range?.[0] ?? 0;
      if (name === '<<' && key.type === 'PLAIN') {
        merged.push(pair);
        continue;
      }
      if (name === '__proto__') {
        this.#fault(keyOffset, [...path, name], 'cannot be used as a key', 'choose another name');
        continue;
      }
      const first = own.get(name);
      if (first !== undefined) {
        const { line } = this.#place(first.keyOffset);
        this.#fault(
          keyOffset,
          [...path, name],
          `the key ${shown(name)} is already used in line ${line}`,
          'remove or rename one of the two',
        );
        continue;
      }
      own.set(name, { keyOffset, value: pair.value as Node | null });
    }
    for (const pair of merged) this.#merge(pair, path, own);
    return own;
  }

  #merge(pair: Pair, path: Path, into: Map<string, Entry>): void {
    const value = pair.value as Node | null;
    const sources = isSeq(value) ? (value.items as Node[]) : [value];
    for (const item of sources) {
      const offset = item?.range?.[0] ?? (pair.key as Scalar).range?.[0] ?? 0;
      const map = isAlias(item) ? this.#target(item, [...path, '<<']) : item;
      if (isAlias(item) && map === undefined) continue;
      if (!isMap(map)) {
        this.#fault(offset, [...path, '<<'], 'can only merge maps', 'let it point to a map, for example "<<: *defaults"');
        continue;
      }
      this.#open.add(map);
      for (const [name, entry] of this.#entries(map, path)) {
        if (!this.#spend(offset)) break;
        if (!into.has(name)) into.set(name, entry);
      }
      this.#open.delete(map);
    }
  }

  #target(alias: Alias, path: Path): Node | undefined {
    const start = alias.range?.[0] ?? 0;
    const target = this.#targets.get(alias);
    if (target === undefined) {
      this.#fault(
        start,
        path,
        `the alias *${alias.source} has no anchor before it`,
        `put "&${alias.source}" in front of the value it stands for`,
      );
    } else if (this.#open.has(target)) {
      this.#fault(start, path, `the alias *${alias.source} contains itself`, 'write the value out');
      return undefined;
    }
    return target;
  }

  #spend(offset: number): boolean {
    this.#nodes++;
    if (this.#nodes <= NODES_MAX) return true;
    if (!this.#exhausted) {
      this.#exhausted = true;
      this.#fault(
        offset,
        [],
        `the file has more than ${NODES_MAX.toLocaleString('en')} values once its aliases are written out`,
        'use fewer or smaller anchors',
      );
    }
    return false;
  }

  #fault(offset: number, path: Path, reason: string, mend: string): undefined {
    this.#faults.push({ place: this.#place(offset), path, on: 'value', reason, mend });
    return undefined;
  }
}

/** An alias stands for the last anchor of its name before it (YAML 1.2.2 §7.1). */
function resolveAliases(document: Document.Parsed): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Alias(_, alias) {
      const target = anchors.get(alias.source);
      if (target !== undefined) targets.set(alias, target);
    },
    Value(_, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}
