// What the tests of the supervisor share: waiting for a condition with a deadline, and a stream that remembers its lines.
import { Writable } from 'node:stream';
import { DEFAULT_RESTART_POLICY, type RestartPolicy } from '@heddle/core';
import { processStart } from './process-info.ts';

/** Longer than anything takes on a machine that does much else. */
const DEADLINE_MS = 60_000;

/** Polls until the value is there; throws with the description when it does not come. */
export async function until<T>(what: string, probe: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadlineMs) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export class Recorder extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

/** The real policy with waits that a test can bear. */
export const QUICK_RESTART: RestartPolicy = {
  ...DEFAULT_RESTART_POLICY,
  backoff: { baseMs: 10, maxMs: 50 },
  crashLoopDelayMs: 100,
  stableAfterMs: 60_000,
};

/** Zombies are dead. */
export function alive(pid: number): boolean {
  return processStart(pid) !== undefined;
}
