// A file of lines that is only ever added to: what has been added is on the disk when `append` resolves. When it has grown enough it becomes
// `<path>.1`, that one `<path>.2`, and so on; the oldest goes.
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';

export interface AppendFileOptions {
  /** With so many bytes the file is set aside. */
  readonly bytesMax: number;
  /** How many that were set aside are kept. */
  readonly kept: number;
}

export class AppendFile {
  readonly #path: string;
  readonly #options: AppendFileOptions;
  #handle: FileHandle;
  #bytes: number;
  /** The last write may have left a part of a line. */
  #isTorn: boolean;

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
    return new AppendFile(path, options, handle, bytes, bytes > 0 && !(await endsWithNewline(path, bytes)));
  }

  /** Not to be called before the last call has resolved. Rejects with the system's error: what is in the file then, nobody knows. */
  async append(text: string): Promise<void> {
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
    for (let index = kept - 1; index >= 1; index -= 1)
      if (await exists(`${this.#path}.${index}`)) await rename(`${this.#path}.${index}`, `${this.#path}.${index + 1}`);
    await rename(this.#path, `${this.#path}.1`);
    const old = this.#handle;
    const { handle, bytes } = await openForAppend(this.#path);
    this.#handle = handle;
    this.#bytes = bytes;
    await old.close();
  }
}

async function openForAppend(path: string): Promise<{ readonly handle: FileHandle; readonly bytes: number }> {
  const handle = await open(path, 'a', 0o600);
  const { size, mode } = await handle.stat();
  if ((mode & 0o077) !== 0) await handle.chmod(0o600);
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
