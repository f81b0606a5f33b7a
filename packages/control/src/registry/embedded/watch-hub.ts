// Who watches what. A watcher first gets the history it asked for, then every committed batch; it never sees a revision
// twice, out of order, or in pieces. Handlers run synchronously after the commit, before its promise resolves.
import { StoreError } from '../store.ts';
import type { StoreEvent, StoreWatch } from '../store.ts';

export interface Batch {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

interface Watcher {
  readonly prefix: string;
  readonly onEvents: (events: readonly StoreEvent[], revision: number) => void;
  readonly onError: (error: StoreError) => void;
  readonly onCaughtUp: ((revision: number) => void) | undefined;
  /** Batches below this revision are not for it (any more). */
  nextRevision: number;
  /** False until the history has been replayed. */
  live: boolean;
  closed: boolean;
}

/** What there is at the moment. */
export interface ReadHistory {
  readonly revision: number;
  /** The last one that is no longer in the history. */
  readonly compacted: number;
  /** Ascending. */
  readonly batches: Iterable<Batch>;
}

export class WatchHub {
  readonly #readHistory: (fromRevision: number) => ReadHistory;
  readonly #watchers = new Set<Watcher>();

  constructor(readHistory: (fromRevision: number) => ReadHistory) {
    this.#readHistory = readHistory;
  }

  add(
    prefix: string,
    fromRevision: number,
    onEvents: Watcher['onEvents'],
    onError: Watcher['onError'],
    onCaughtUp?: (revision: number) => void,
  ): StoreWatch {
    const watcher: Watcher = { prefix, onEvents, onError, onCaughtUp, nextRevision: fromRevision, live: false, closed: false };
    this.#watchers.add(watcher);
    // Later, so that the caller holds the handle before the first event; what commits meanwhile is in the history.
    queueMicrotask(() => this.#replay(watcher));
    return {
      close: () => {
        watcher.closed = true;
        this.#watchers.delete(watcher);
      },
    };
  }

  publish(batch: Batch): void {
    for (const watcher of [...this.#watchers]) if (watcher.live) deliver(watcher, batch);
  }

  /** Ends all watchers with the error. */
  closeAll(error: StoreError): void {
    for (const watcher of [...this.#watchers]) this.#fail(watcher, error);
  }

  #replay(watcher: Watcher): void {
    if (watcher.closed) return;
    const from = watcher.nextRevision;
    try {
      const { revision, compacted, batches } = this.#readHistory(from);
      if (from <= compacted) {
        const message = `the history no longer reaches back to revision ${from}; list again, then watch from there`;
        this.#fail(watcher, new StoreError('COMPACTED', message, undefined, compacted));
        return;
      }
      watcher.live = true;
      for (const batch of batches) deliver(watcher, batch);
      if (!watcher.closed) watcher.onCaughtUp?.(revision);
    } catch (error) {
      this.#fail(watcher, error instanceof StoreError ? error : new StoreError('UNAVAILABLE', 'the history cannot be read', error));
    }
  }

  #fail(watcher: Watcher, error: StoreError): void {
    if (watcher.closed) return;
    watcher.closed = true;
    this.#watchers.delete(watcher);
    watcher.onError(error);
  }
}

function deliver(watcher: Watcher, batch: Batch): void {
  if (watcher.closed || batch.revision < watcher.nextRevision) return;
  watcher.nextRevision = batch.revision + 1;
  const events = batch.events.filter((event) => (event.kind === 'put' ? event.entry.key : event.key).startsWith(watcher.prefix));
  if (events.length === 0) return;
  try {
    watcher.onEvents(events, batch.revision);
  } catch (error) {
    // A bug of the watcher: it must surface, but neither the other watchers nor the writer may pay for it.
    queueMicrotask(() => {
      throw error;
    });
  }
}
