// A text file that others may change while this process runs, read again only when it has changed.
import { readFileSync, statSync } from 'node:fs';

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
