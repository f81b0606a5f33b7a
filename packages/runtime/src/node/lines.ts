// Lines to the standard output or to the end of a file. A file that was renamed or removed (logrotate) is made anew, which is looked at before each write.
// Nothing but a plain file is written to, and no symbolic link is followed: who names the file may not be who owns the machine.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import type { LineOutput } from '../ports/lines.ts';

/** Its owner writes it, and those who collect logs may be of its group. */
const MODE = 0o640;
const FLAGS = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** @param to `stdout`, or the path of a file. */
export function openLines(to: string): LineOutput {
  return to === 'stdout' ? new StandardOutput() : new LineFile(to);
}

class StandardOutput implements LineOutput {
  write(bytes: Buffer, done: (error: Error | undefined) => void): void {
    process.stdout.write(bytes, (error) => done(error ?? undefined));
  }

  close(): void {}
}

class LineFile implements LineOutput {
  private readonly path: string;
  private handle: FileHandle | undefined;
  private last: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }

  write(bytes: Buffer, done: (error: Error | undefined) => void): void {
    this.last = this.append(bytes).then(
      () => done(undefined),
      (error: unknown) => done(error as Error),
    );
  }

  close(): void {
    void this.last.then(() => this.letGo());
  }

  private async append(bytes: Buffer): Promise<void> {
    if (!(await this.isInPlace())) await this.reopen();
    await this.handle!.appendFile(bytes);
  }

  private async isInPlace(): Promise<boolean> {
    if (this.handle === undefined) return false;
    const [there, own] = await Promise.all([lstat(this.path).catch(() => undefined), this.handle.stat()]);
    return there !== undefined && there.ino === own.ino && there.dev === own.dev;
  }

  private async reopen(): Promise<void> {
    await this.letGo();
    const handle = await open(this.path, FLAGS, MODE);
    if (!(await handle.stat()).isFile()) {
      await handle.close();
      throw new Error(`${this.path} is no plain file`);
    }
    this.handle = handle;
  }

  private async letGo(): Promise<void> {
    const { handle } = this;
    this.handle = undefined;
    await handle?.close();
  }
}

/** Of the environment of this process. */
export function variable(name: string): string | undefined {
  return process.env[name];
}
