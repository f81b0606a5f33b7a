// A file of lines that is only ever added to: what has been added is on the disk when `append` resolves. When it has grown enough it becomes
// `<path>.1`, that one `<path>.2`, and so on; the oldest goes. `<path>.reserve` holds room for what must still be written when the disk is full.
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { syncDirectory } from './crypto/secret-files.ts';

export interface AppendFileOptions {
  /** With so many bytes the file is set aside. */
  readonly bytesMax: number;
  /** How many that were set aside are kept. */
  readonly kept: number;
  /** What can be written on a full disk, until there is room again. 0: nothing. */
  readonly reserveBytes: number;
}

export class AppendFile {
  readonly #path: string;
  readonly #options: AppendFileOptions;
  #handle: FileHandle;
  #bytes: number;
  /** The last write may have left a part of a line. */
  #isTorn: boolean;
  #hasReserve = false;

  private constructor(path: string, options: AppendFileOptions, handle: FileHandle, bytes: number, isTorn: boolean) {
    this.#path = path;
    this.#options = options;
    this.#handle = handle;
    this.#bytes = bytes;
    this.#isTorn = isTorn;
  }

  /** Made, readable by its owner only, when it is not there; taken from everybody else when it is. Rejects with the system's error. */
  static async open(path: string, options: AppendFileOptions): Promise<AppendFile> {
    const { handle, bytes } = await openForAppend(path);
    const file = new AppendFile(path, options, handle, bytes, bytes > 0 && !(await endsWithNewline(path, bytes)));
    try {
      await file.makeReserve();
    } catch (error) {
      if (!isFull(error)) {
        await handle.close();
        throw error;
      }
    }
    return file;
  }

  /** False: the disk was full, and what was kept for that is used. */
  get hasReserve(): boolean {
    return this.#hasReserve;
  }

  /** Not to be called before the last call, and the last `append`, has ended. Rejects with the system's error. */
  async makeReserve(): Promise<void> {
    const { reserveBytes } = this.#options;
    if (this.#hasReserve) return;
    const handle = await open(reserveOf(this.#path), 'w', 0o600);
    try {
      await handle.writeFile(Buffer.alloc(reserveBytes));
      await handle.datasync();
    } finally {
      await handle.close();
    }
    this.#hasReserve = true;
  }

  /** Not to be called before the last call has resolved. Rejects with the system's error: what is in the file then, nobody knows. */
  async append(text: string): Promise<void> {
    try {
      await this.#write(text);
    } catch (error) {
      if (!this.#hasReserve || !isFull(error)) throw error;
      this.#hasReserve = false;
      await rm(reserveOf(this.#path));
      await this.#write(text);
    }
  }

  async #write(text: string): Promise<void> {
    if (this.#bytes >= this.#options.bytesMax) await this.#setAside();
    // What follows half a line must not be added to it.
    const whole = this.#isTorn ? `\n${text}` : text;
    this.#isTorn = true;
    await this.#handle.appendFile(whole);
    await this.#handle.datasync();
    this.#isTorn = false;
    this.#bytes += Buffer.byteLength(whole);
  }

  /** All lines that there are, oldest first, those of files that were set aside too. */
  async *lines(): AsyncIterable<string> {
    const paths = [this.#path];
    for (let index = 1; index <= this.#options.kept; index += 1) paths.unshift(`${this.#path}.${index}`);
    for (const path of paths) {
      if (!(await exists(path))) continue;
      yield* createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity });
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #setAside(): Promise<void> {
    const { kept } = this.#options;
    // It is not there when that was done before, and only the new one could not be made.
    if (await exists(this.#path)) {
      for (let index = kept - 1; index >= 1; index -= 1)
        if (await exists(`${this.#path}.${index}`)) await rename(`${this.#path}.${index}`, `${this.#path}.${index + 1}`);
      await rename(this.#path, `${this.#path}.1`);
    }
    const old = this.#handle;
    const { handle, bytes } = await openForAppend(this.#path);
    this.#handle = handle;
    this.#bytes = bytes;
    await old.close();
  }
}

/** The disk, or what this user may have of it. */
function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function reserveOf(path: string): string {
  return `${path}.reserve`;
}

async function openForAppend(path: string): Promise<{ readonly handle: FileHandle; readonly bytes: number }> {
  const handle = await open(path, 'a', 0o600);
  const { size, mode } = await handle.stat();
  if ((mode & 0o077) !== 0) await handle.chmod(0o600);
  // Its name must last too, and those of files that were set aside before it was made.
  if (size === 0) await syncDirectory(dirname(path));
  return { handle, bytes: size };
}

async function endsWithNewline(path: string, bytes: number): Promise<boolean> {
  const handle = await open(path, 'r');
  try {
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, bytes - 1);
    return buffer[0] === 0x0a;
  } finally {
    await handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
