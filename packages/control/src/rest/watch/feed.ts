// What a watch of one kind has to say: first everything, in parts, then what has changed since its last message, however long ago that
// was. So a slow reader costs one message and a set of names, and gets the newest state.
import type { WatchKind } from '../schema/watch.ts';

export interface Message {
  readonly event: 'snapshot' | 'changes' | 'resumed' | 'resync' | 'traffic' | 'record' | 'watchers' | 'lost' | 'end';
  /** JSON on one line. */
  readonly data: string;
}

export interface Feed {
  readonly kind: WatchKind | 'tap';
  /** Nothing is left to say: a stream that breaks now can go on from here. */
  readonly settled: boolean;
  /** A part of a snapshot goes out as soon as there is room, changes may wait for others. */
  readonly urgent: boolean;
  /** The next message; undefined when there is nothing to say. */
  next(): Message | undefined;
  close(): void;
}

/** One message has at most so many items and, but for a single large one, characters: a part of a list of 10,000 takes a millisecond. */
const ITEMS_MAX = 500;
const CHARS_MAX = 131_072;

/** A snapshot that is sent in parts. */
export class SnapshotParts<T> {
  readonly #kind: WatchKind;
  readonly #revision: number;
  readonly #items: Iterator<T>;
  readonly #textOf: (item: T) => string;
  #first = true;
  #waiting: IteratorResult<T>;

  constructor(kind: WatchKind, revision: number, items: Iterable<T>, textOf: (item: T) => string) {
    this.#kind = kind;
    this.#revision = revision;
    this.#items = items[Symbol.iterator]();
    this.#textOf = textOf;
    this.#waiting = this.#items.next();
  }

  /** @returns the part, and whether it was the last. */
  next(): { readonly message: Message; readonly last: boolean } {
    const texts: string[] = [];
    let chars = 0;
    while (this.#waiting.done !== true && texts.length < ITEMS_MAX && chars < CHARS_MAX) {
      const text = this.#textOf(this.#waiting.value);
      chars += text.length;
      texts.push(text);
      this.#waiting = this.#items.next();
    }
    const last = this.#waiting.done === true;
    const head = `"kind":"${this.#kind}","revision":${this.#revision},"first":${this.#first},"last":${last}`;
    this.#first = false;
    return { message: { event: 'snapshot', data: `{${head},"items":[${texts.join(',')}]}` }, last };
  }
}

/**
 * Takes names out of `dirty` until a message is full. `look` gives the JSON of an item as it is now, or undefined when it is gone.
 * @returns undefined when there was nothing in it.
 */
export function changesMessage(
  kind: WatchKind,
  revision: number,
  dirty: Set<string>,
  look: (name: string) => string | undefined,
): Message | undefined {
  const changed: string[] = [];
  const removed: string[] = [];
  let chars = 0;
  for (const name of dirty) {
    if (changed.length + removed.length >= ITEMS_MAX || chars >= CHARS_MAX) break;
    dirty.delete(name);
    const text = look(name);
    if (text === undefined) removed.push(name);
    else {
      chars += text.length;
      changed.push(text);
    }
  }
  if (changed.length + removed.length === 0) return undefined;
  const data = `{"kind":"${kind}","revision":${revision},"changed":[${changed.join(',')}],"removed":${JSON.stringify(removed)}}`;
  return { event: 'changes', data };
}

export function resync(kinds: readonly WatchKind[], reason: string): Message {
  return { event: 'resync', data: JSON.stringify({ kinds, reason }) };
}
