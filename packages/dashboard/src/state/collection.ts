// Items by name, each a signal of its own: who shows one item is told when that one changes, and who shows a list when something came or went.
import { type ReadonlySignal, type Signal, batch, signal } from '@preact/signals';

export class Collection<T> {
  readonly #items = new Map<string, Signal<T>>();
  readonly #nameOf: (item: T) => string;
  readonly #names = signal<readonly string[]>([]);
  readonly #complete = signal(false);
  /** Names of a snapshot that is coming in parts; undefined: none is. */
  #seen: Set<string> | undefined;

  constructor(nameOf: (item: T) => string) {
    this.#nameOf = nameOf;
  }

  /** Sorted. */
  get names(): ReadonlySignal<readonly string[]> {
    return this.#names;
  }

  /** Whether everything has been told once. */
  get complete(): ReadonlySignal<boolean> {
    return this.#complete;
  }

  /** Undefined: there is none of the name. Told of changes of the item only; of its coming and going `names` tells. */
  item(name: string): ReadonlySignal<T> | undefined {
    return this.#items.get(name);
  }

  /** As they are now, for who wants to be told of any change. */
  all(): T[] {
    return this.#names.value.flatMap((name) => this.#items.get(name)?.value ?? []);
  }

  /** A part of everything there is: with `first` it begins, with `last` what was not in it is gone. */
  snapshot(items: readonly T[], { first, last }: { readonly first: boolean; readonly last: boolean }): void {
    if (first) this.#seen = new Set();
    const seen = (this.#seen ??= new Set());
    for (const item of items) seen.add(this.#nameOf(item));
    const gone = last ? [...this.#items.keys()].filter((name) => !seen.has(name)) : [];
    this.change(items, gone);
    if (!last) return;
    this.#seen = undefined;
    this.#complete.value = true;
  }

  change(changed: readonly T[], removed: readonly string[]): void {
    batch(() => {
      let isListChanged = false;
      for (const item of changed) {
        const name = this.#nameOf(item);
        const known = this.#items.get(name);
        if (known === undefined) {
          this.#items.set(name, signal(item));
          isListChanged = true;
        } else if (!isSame(known.peek(), item)) known.value = item;
      }
      for (const name of removed) isListChanged = this.#items.delete(name) || isListChanged;
      if (isListChanged) this.#names.value = [...this.#items.keys()].sort();
    });
  }

  clear(): void {
    this.change([], [...this.#items.keys()]);
    this.#complete.value = false;
  }
}

/** Plain data. What is told again as it was, as after a restart of the control plane, is no change. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => isSame((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]))
  );
}
