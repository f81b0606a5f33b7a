// Text files that others may change while this process runs.
import { constants, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** Gives the text as it is now; the same string while the file is unchanged; undefined while it is not there or cannot be read. */
export function followTextFile(path: string): () => string | undefined {
  let stamp = '';
  let text: string | undefined;
  return () => {
    try {
      const { mtimeMs, size, ino } = statSync(path);
      const now = `${mtimeMs} ${size} ${ino}`;
      if (now !== stamp) {
        text = readFileSync(path, 'utf8');
        stamp = now;
      }
    } catch {
      stamp = '';
      text = undefined;
    }
    return text;
  };
}

/** Undefined when there is no such file. Rejects with the system's error, and for what has more bytes or is no file: devices have no end, and pipes may never have one. */
export async function readSmallFile(path: string, bytesMax: number): Promise<string | undefined> {
  try {
    // Opening a pipe would wait for somebody to write.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw new Error('it is no file');
      if (stats.size > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(bytesMax), 0, bytesMax, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
