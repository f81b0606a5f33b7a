// Files that must be there whole or not at all, even after a power cut, and that only their owner may read.
import { randomBytes } from 'node:crypto';
import { appendFile, chmod, link, mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface WriteOptions {
  /** Default 0o600. */
  readonly mode?: number;
}

/** Replaces the file in one step. Errors are those of the file system, with `path` in their message. */
export async function writeFileAtomic(path: string, text: string, options: WriteOptions = {}): Promise<void> {
  await viaTemporary(path, text, options, async (temporary) => {
    await rename(temporary, path);
  });
}

/** Creates the file whole, or leaves an existing one as it is: false then. Of several processes exactly one gets true. */
export async function createFileAtomic(path: string, text: string, options: WriteOptions = {}): Promise<boolean> {
  let created = true;
  await viaTemporary(path, text, options, async (temporary) => {
    try {
      await link(temporary, path); // Unlike rename, fails when the name is taken.
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      created = false;
    }
  });
  return created;
}

async function viaTemporary(path: string, text: string, options: WriteOptions, place: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', options.mode ?? 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(temporary);
    await syncDirectory(dirname(path)); // The new name itself must last, too.
  } finally {
    await rm(temporary, { force: true });
  }
}

/** What was made, moved or removed in it lasts from then on. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The file's time of modification, Unix time. */
export async function fileTimeMs(path: string): Promise<number> {
  return (await stat(path)).mtimeMs;
}

/** Sets the file's time of modification. */
export async function setFileTimeMs(path: string, unixMs: number): Promise<void> {
  await utimes(path, unixMs / 1_000, unixMs / 1_000);
}

/** Undefined when there is no such file; other errors are thrown. */
export async function readTextFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Adds to the file's end; made, readable by the owner only, when it is not there. When it resolves the text is on the disk, and a power cut
 * leaves it. A crash before that may leave a part of it.
 */
export async function appendDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'a', 0o600);
  try {
    const isNew = (await file.stat()).size === 0;
    await file.appendFile(text);
    await file.datasync();
    if (isNew) await syncDirectory(dirname(path));
  } finally {
    await file.close();
  }
}

/** The same without waiting for the disk. */
export async function appendTextFile(path: string, text: string): Promise<void> {
  await appendFile(path, text, { mode: 0o600 });
}

/** Replaces what is at `to`, in one step that lasts. False when there is nothing at `from`. */
export async function moveFile(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  await syncDirectory(dirname(to));
  return true;
}

export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** Creates the directory, with its parents, readable by the owner only. One that exists is left as it is. */
export async function privateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/** Takes the file from everybody but its owner. True when others had access before. */
export async function restrictToOwner(path: string): Promise<boolean> {
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return false;
  await chmod(path, 0o600);
  return true;
}
