// One `heddle up` per state directory. The lock is the kernel's (through SQLite, which has it on every system): it ends with the
// process that holds it, however that ends, so there are no stale locks to be guessed about.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CliError } from '../errors.ts';

/** What a running `heddle up` tells other commands. */
export interface UpInfo {
  readonly pid: number;
  readonly proxyPort: number;
  readonly adminPort: number;
  /** Where other commands reach it, on the loopback; absent until it serves. */
  readonly doorPort?: number;
}

const INFO_FILE = 'up.json';
/** SQLITE_BUSY */
const BUSY = 5;

export class UpLock {
  readonly #directory: string;
  readonly #database: DatabaseSync;

  private constructor(directory: string, database: DatabaseSync) {
    this.#directory = directory;
    this.#database = database;
  }

  /** Throws CliError when another process holds it. */
  static take(directory: string, info: UpInfo): UpLock {
    const database = new DatabaseSync(join(directory, 'up.lock'), { timeout: 0 });
    try {
      database.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      if ((error as { errcode?: number }).errcode !== BUSY)
        throw new CliError(
          `the lock in ${directory} cannot be taken: ${(error as Error).message}`,
          'choose another directory with --state-dir',
        );
      const holder = readUpInfo(directory)?.pid;
      const who = holder === undefined ? 'another `heddle up`' : `another \`heddle up\` (process ${holder})`;
      throw new CliError(
        `${who} runs with the state directory ${directory}`,
        'stop it with Ctrl-C, or give this one a directory and ports of its own (--state-dir, --control-port, --proxy-port, --admin-port, --rest-port, --dns-port)',
      );
    }
    const lock = new UpLock(directory, database);
    lock.tell(info);
    return lock;
  }

  /** What other commands are told from now on. */
  tell(info: UpInfo): void {
    writeFileSync(join(this.#directory, INFO_FILE), `${JSON.stringify(info)}\n`, { mode: 0o600 });
  }

  release(): void {
    rmSync(join(this.#directory, INFO_FILE), { force: true });
    this.#database.close();
  }
}

/** Undefined when no `heddle up` has left its mark in the directory. It may have been killed since. */
export function readUpInfo(directory: string): UpInfo | undefined {
  try {
    const { pid, proxyPort, adminPort, doorPort } = JSON.parse(readFileSync(join(directory, INFO_FILE), 'utf8')) as Partial<UpInfo>;
    return typeof pid === 'number' && typeof proxyPort === 'number' && typeof adminPort === 'number'
      ? { pid, proxyPort, adminPort, ...(typeof doorPort === 'number' && { doorPort }) }
      : undefined;
  } catch {
    return undefined;
  }
}
