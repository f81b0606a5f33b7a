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
  /** Batches below this revision are not for it (any more). */
  nextRevision: number;
  /** False until the history has been replayed. */
  live: boolean;
  closed: boolean;
}

/** Batches from the revision on, ascending; undefined when the history does not reach back so far. */
export type ReadHistory = (fromRevision: number) => Iterable<Batch> | undefined;

export class WatchHub {
  readonly #readHistory: ReadHistory;
  readonly #watchers = new Set<Watcher>();

  constructor(readHistory: ReadHistory) {
    this.#readHistory = readHistory;
  }

  add(prefix: string, fromRevision: number, onEvents: Watcher['onEvents'], onError: Watcher['onError']): StoreWatch {
    const watcher: Watcher = { prefix, onEvents, onError, nextRevision: fromRevision, live: false, closed: false };
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
    let batches: Iterable<Batch> | undefined;
    try {
      batches = this.#readHistory(watcher.nextRevision);
    } catch (error) {
      this.#fail(watcher, error instanceof StoreError ? error : new StoreError('UNAVAILABLE', 'the history cannot be read', error));
      return;
    }
    if (batches === undefined) {
      this.#fail(
        watcher,
        new StoreError(
          'COMPACTED',
          `the history no longer reaches back to revision ${watcher.nextRevision}; list again, then watch from there`,
        ),
      );
      return;
    }
    watcher.live = true;
    for (const batch of batches) deliver(watcher, batch);
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
