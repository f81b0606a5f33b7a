// Waiting in tests: for a condition, with a deadline, never for a time.
import { setTimeout as pause } from 'node:timers/promises';

/** Resolves with the first value that is neither undefined nor false; throws with `what` after the deadline. */
export async function until<T>(what: string, look: () => T | Promise<T>, deadlineMs = 10_000): Promise<NonNullable<Exclude<T, false>>> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`);
    await pause(5);
  }
}
