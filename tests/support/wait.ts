// Waiting for a condition with a deadline: what tests do instead of sleeping.
import { setTimeout as delay } from 'node:timers/promises';

/** Thrown by a probe: waiting any longer is in vain. */
export class Hopeless extends Error {}

/** Resolves to the first value that is neither undefined nor false; throws with `what` and the last state when the deadline passes. */
export async function waitFor<T>(what: string, probe: () => T | Promise<T>, deadlineMs = 60_000): Promise<Exclude<T, undefined | false>> {
  const end = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      last = value;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}; last: ${String(last)}`);
    await delay(25);
  }
}
