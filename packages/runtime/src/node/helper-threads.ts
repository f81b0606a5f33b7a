// The engine's helper threads (compiling, marking) give way to the thread that serves. Where they share a processor with it, those of a process
// that warms up held requests back for 10 to 30 ms. Linux alone has priorities of threads; elsewhere nothing is changed.
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { setFlagsFromString } from 'node:v8';

/** proc_pid_task(5). */
const THREADS = '/proc/self/task';
const HELPER_NAME = 'V8Worker';
/** A tenth of the serving thread's share when both want to run, all of it when only they do. */
const NICENESS = 10;

/** Once, when a process that carries traffic starts. Never throws. */
export function deferHelperThreads(): void {
  try {
    const helpers = readdirSync(THREADS).filter((id) => readFileSync(`${THREADS}/${id}/comm`, 'latin1').includes(HELPER_NAME));
    for (const id of helpers) os.setPriority(Number(id), NICENESS);
    // Else the serving thread would wait for a helper in each collection of new objects, which is short.
    if (helpers.length > 0) setFlagsFromString('--no-parallel-scavenge');
  } catch {
    // No such files, or not allowed: as it was.
  }
}
