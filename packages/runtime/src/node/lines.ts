// Lines to the standard output or to the end of a file. A file that was renamed or removed (logrotate) is made anew, which is looked at before each write.
// Nothing but a plain file is written to, and no symbolic link is followed: who names the file may not be who owns the machine.
import { close, constants, fstat, lstat, open, type Stats, write } from 'node:fs';
import type { LineOutput } from '../ports/lines.ts';

/** Its owner writes it, and those who collect logs may be of its group. */
const MODE = 0o640;
const FLAGS = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

type Done = (error: Error | undefined) => void;

/** @param to `stdout`, or the path of a file. */
export function openLines(to: string): LineOutput {
  return to === 'stdout' ? new StandardOutput() : new LineFile(to);
}

class StandardOutput implements LineOutput {
  write(bytes: Buffer, done: Done): void {
    const { stdout } = process;
    stdout.write(bytes, (error) => {
      // The stream tells it next, to nobody: that would end the process, which may be an application's.
      if (error && stdout.listenerCount('error') === 0) stdout.once('error', () => {});
      done(error ?? undefined);
    });
  }

  close(): void {}
}

class LineFile implements LineOutput {
  private readonly path: string;
  private file: { readonly fd: number; readonly ino: number; readonly dev: number } | undefined;
  private isBusy = false;
  private isClosed = false;

  constructor(path: string) {
    this.path = path;
  }

  write(bytes: Buffer, done: Done): void {
    this.isBusy = true;
    const end: Done = (error) => {
      this.isBusy = false;
      if (this.isClosed) this.letGo();
      done(error);
    };
    const { file } = this;
    if (file === undefined) return this.open(bytes, end);
    lstat(this.path, (error, there) => {
      if (error === null && there.ino === file.ino && there.dev === file.dev) return append(file.fd, bytes, 0, end);
      this.letGo();
      this.open(bytes, end);
    });
  }

  close(): void {
    this.isClosed = true;
    if (!this.isBusy) this.letGo();
  }

  private open(bytes: Buffer, done: Done): void {
    open(this.path, FLAGS, MODE, (error, fd) => {
      if (error !== null) return done(error);
      fstat(fd, (unknown, stats) => {
        const problem = unknown ?? this.problemOf(stats);
        if (problem !== undefined) return close(fd, () => done(problem));
        this.file = { fd, ino: stats.ino, dev: stats.dev };
        append(fd, bytes, 0, done);
      });
    });
  }

  private problemOf(stats: Stats): Error | undefined {
    return stats.isFile() ? undefined : new Error(`${this.path} is no plain file`);
  }

  private letGo(): void {
    if (this.file !== undefined) close(this.file.fd, () => {});
    this.file = undefined;
  }
}

function append(fd: number, bytes: Buffer, from: number, done: Done): void {
  write(fd, bytes, from, bytes.length - from, null, (error, count) => {
    if (error !== null) done(error);
    else if (from + count < bytes.length) append(fd, bytes, from + count, done);
    else done(undefined);
  });
}

/** Of the environment of this process. */
export function variable(name: string): string | undefined {
  return process.env[name];
}
