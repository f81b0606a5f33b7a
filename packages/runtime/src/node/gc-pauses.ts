// For how long the garbage collector stops the process, collection by collection.
import { constants, PerformanceObserver } from 'node:perf_hooks';

export type GcKind = 'minor' | 'major' | 'incremental' | 'weak-callbacks' | 'other';

const KINDS = new Map<number, GcKind>([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weak-callbacks'],
]);

/** What Node tells of one. */
interface Collection {
  readonly duration: number;
  readonly detail: { readonly kind: number };
}

/** Until what is returned is called. Does not keep the process alive. */
export function watchGcPauses(onPause: (kind: GcKind, pauseMs: number) => void): () => void {
  const observer = new PerformanceObserver((list) => {
    for (const { duration, detail } of list.getEntries() as unknown as readonly Collection[])
      onPause(KINDS.get(detail.kind) ?? 'other', duration);
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}
