// Which lives the registry has had: each start of a control plane gives it a new name for what follows. A revision that was told under a
// name that the store does not know, or beyond the point at which the next began, is of a life that was lost when older data came back.

export interface History {
  readonly id: string;
  /** The revision at which it began. */
  readonly from: number;
}

/** Starts of the control plane that a watcher may have missed. */
export const HISTORIES_MAX = 100;

/** Whether what was told at the revision, under that name, is part of what the registry is now. */
export function isPast(histories: readonly History[], id: string, revision: number): boolean {
  const index = histories.findIndex((history) => history.id === id);
  const history = histories[index];
  if (history === undefined || revision < history.from) return false;
  const next = histories[index + 1];
  return next === undefined || revision <= next.from;
}

/** Anything unreadable is as good as none: watchers begin anew. */
export function readHistories(text: string | undefined): History[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(value) ? value.filter(isHistory).slice(-HISTORIES_MAX) : [];
  } catch {
    return [];
  }
}

export function withHistory(histories: readonly History[], begun: History): History[] {
  return [...histories, begun].slice(-HISTORIES_MAX);
}

function isHistory(value: unknown): value is History {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as History).id === 'string' &&
    Number.isSafeInteger((value as History).from)
  );
}
