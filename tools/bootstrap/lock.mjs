// One start at a time prepares the clone; the others wait and then find it prepared. The lock is a file with the holder's pid and
// that of the npm it runs (which may outlive it), made by link(2) so that it appears complete; it counts as left behind when
// both are gone, or when it has not been refreshed for long.
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { explain, say } from './report.mjs';

const REFRESH_MS = 2_000;
/** For holders on another host that shares the folder, whose processes cannot be seen. Several refreshes may be missed by a busy one. */
const ABANDONED_MS = 60_000;
/** A holder that has not refreshed for so long is another process that got the same pid by now, or hangs. */
const HANGING_MS = 600_000;
const POLL_MS = 100;

/**
 * Runs `work` while holding the lock. `work` names a process that it starts by `hold(pid)`: the lock then lasts until that one
 * has ended too, even when we are killed.
 * @template T @param {string} path @param {(hold: (pid: number) => void) => Promise<T>} work @returns {Promise<T>}
 */
export async function withLock(path, work) {
  await acquire(path);
  const refresh = setInterval(() => touch(path), REFRESH_MS);
  const release = () => rmSync(path, { force: true });
  process.once('exit', release);
  try {
    return await work((pid) => replace(path, [process.pid, pid]));
  } finally {
    clearInterval(refresh);
    process.removeListener('exit', release);
    release();
  }
}

/** @param {string} path */
async function acquire(path) {
  let told = false;
  for (;;) {
    const holder = tryAcquire(path);
    if (holder === undefined) return;
    if (!told) say(`another start (process ${holder}) is preparing this clone; waiting for it`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Undefined when the lock is ours now, else who holds it. @param {string} path @returns {string | undefined} */
export function tryAcquire(path) {
  const mine = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(mine, lockText([process.pid]));
  } catch (error) {
    throw explain(`cannot write in ${dirname(path)}`, String(error));
  }
  try {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      try {
        linkSync(mine, path);
        return undefined;
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST')
          throw explain(`cannot write in ${dirname(path)}`, String(error));
      }
      const holder = readHolder(path);
      if (holder === undefined) continue;
      if (!holder.abandoned) return String(holder.pids[0]);
      // Two starts may find the same leftover: each takes it away by renaming, and whoever took a fresh lock instead gives it back.
      removeLeftover(path, mine, holder.text);
    }
    return 'unknown';
  } finally {
    rmSync(mine, { force: true });
  }
}

/** @param {readonly number[]} pids */
function lockText(pids) {
  return JSON.stringify({ pids, host: hostname() });
}

/** @param {string} path @param {readonly number[]} pids */
function replace(path, pids) {
  try {
    const mine = `${path}.${process.pid}.hold`;
    writeFileSync(mine, lockText(pids));
    renameSync(mine, path);
  } catch {
    // The lock as it was protects well enough while we live.
  }
}

/** @param {string} path @param {string} mine @param {string} expected */
function removeLeftover(path, mine, expected) {
  const aside = `${mine}.left`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') !== expected) linkSync(aside, path);
  } catch {
    // Someone else was quicker; the next attempt sees what is there now.
  } finally {
    rmSync(aside, { force: true });
  }
}

/** @param {string} path @returns {{ pids: number[], text: string, abandoned: boolean } | undefined} */
function readHolder(path) {
  try {
    const text = readFileSync(path, 'utf8');
    const { pids, host } = JSON.parse(text);
    const ageMs = Date.now() - statSync(path).mtimeMs;
    return { pids, text, abandoned: host === hostname() ? ageMs > HANGING_MS || !pids.some(isAlive) : ageMs > ABANDONED_MS };
  } catch {
    return undefined;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} path */
function touch(path) {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // Taken away by hand: the work goes on, and what it leaves is put in place atomically.
  }
}
