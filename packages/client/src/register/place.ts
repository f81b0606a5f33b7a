// Where the processes of one instance meet: a socket in a directory that only their user can enter. It is found by who the instance is, so that also
// processes that were started before, or by somebody else, find the one that has the instance.
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../plane/environment.ts';

/** Of a socket's path, less its ending, on every system that has them (`sun_path` is 104 bytes on macOS). */
const PATH_BYTES_MAX = 96;

/** Undefined: there is no safe place, and each process stands for itself. */
export function meetingPlace(environment: Environment): string | undefined {
  const who = ['HEDDLE_CONTROL', 'HEDDLE_NAMESPACE', 'HEDDLE_SERVICE', 'HEDDLE_INSTANCE'].map((name) => environment[name] ?? '');
  const user = process.getuid?.() ?? 'user';
  const name = createHash('sha256')
    .update(JSON.stringify([user, ...who]))
    .digest('hex')
    .slice(0, 32);
  if (process.platform === 'win32') return `\\\\.\\pipe\\heddle-${name}`;
  const directory = join(tmpdir(), `heddle-${user}`);
  const path = join(directory, name);
  return isPrivate(directory, user) && Buffer.byteLength(path) <= PATH_BYTES_MAX ? path : undefined;
}

function isPrivate(directory: string, user: number | string): boolean {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const found = lstatSync(directory);
    // Somebody else may have made it, or a link in its place.
    return found.isDirectory() && found.uid === user && (found.mode & 0o077) === 0;
  } catch {
    return false;
  }
}
