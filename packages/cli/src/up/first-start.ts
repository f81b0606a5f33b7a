// The first start of one of Heddle's own processes. If it ends before it has ever served, it would end again: nothing is tried
// twice then, and its own words become the error. Its output is held back until one or the other is known.
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { CliError } from '../errors.ts';

/** Held back at most for each stream; then the process waits until it is decided. */
const HELD_BYTES_MAX = 65_536;

export class FirstStart {
  /** Undefined once it is decided. */
  #held: Readable[] | undefined = [];
  readonly #what: string;
  readonly #show: (stream: Readable) => void;

  /** @param what for people: `the control plane`. @param show what is done with output that need not be held back. */
  constructor(what: string, show: (stream: Readable) => void) {
    this.#what = what;
    this.#show = show;
  }

  get decided(): boolean {
    return this.#held === undefined;
  }

  output(stream: Readable): void {
    if (this.#held === undefined) return this.#show(stream);
    // Node drops what nobody has begun to read when the process ends.
    const held = new PassThrough({ highWaterMark: HELD_BYTES_MAX });
    stream.on('error', () => held.end());
    this.#held.push(stream.pipe(held));
  }

  /** It serves, or nobody waits any longer: its output is shown from now on, with what has been held back. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const stream of held) this.#show(stream);
  }

  /** It has ended: shows what it wrote before its error, and returns that error. */
  async failed(): Promise<CliError> {
    const held = this.#held ?? [];
    this.#held = undefined;
    const written = (await Promise.all(held.map((stream) => text(stream).catch(() => '')))).join('');
    const { before, message, mend } = lastError(written);
    if (before !== '') this.#show(Readable.from([Buffer.from(before)]));
    return new CliError(`${this.#what} could not be started: ${message ?? 'it ended without a word about why'}`, mend);
  }
}

/** The error that a command of Heddle ends with (see `formatError`), and what it wrote before. */
export function lastError(written: string): { before: string; message: string | undefined; mend: string | undefined } {
  const at = `\n${written}`.lastIndexOf('\nerror: ');
  if (at === -1) return { before: written, message: undefined, mend: undefined };
  const [message = '', mend] = written.slice(at + 'error: '.length).split('\n  mend: ', 2);
  return { before: written.slice(0, at), message: message.trim(), mend: mend?.split('\n', 1)[0] };
}
