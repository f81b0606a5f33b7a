// Where the lines of many processes come together: each with its name in front, on one stream that sets the pace. When the
// terminal or pipe behind it is slow, the processes are made to wait instead of filling the memory.
import type { Readable, Writable } from 'node:stream';
import type { Palette } from '../output/palette.ts';
import { LineSplitter } from './lines.ts';

/** A line without end is shown after this time: prompts and progress dots would stay unseen. */
const FLUSH_AFTER_MS = 200;
/** Names longer than this shift their own lines only. */
const NAME_WIDTH_MAX = 24;

export class Output {
  #nameWidth = 6;
  #colorNext = 0;
  #held = false;
  readonly #stream: Writable;
  readonly #palette: Palette;
  readonly #colors = new Map<string, (text: string) => string>();
  readonly #sources = new Set<Readable>();

  constructor(stream: Writable, palette: Palette) {
    this.#stream = stream;
    this.#palette = palette;
  }

  /** Reserves the width of the name, so that columns stand still from the first line on. */
  expect(name: string): void {
    this.#nameWidth = Math.max(this.#nameWidth, Math.min(name.length, NAME_WIDTH_MAX));
  }

  line(name: string, text: string): void {
    this.expect(name);
    this.raw(`${this.#color(name)(`${name.padEnd(this.#nameWidth)} |`)} ${text}\n`);
  }

  raw(text: string): void {
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    if (this.#stream.write(text) || this.#held) return;
    this.#held = true;
    for (const source of this.#sources) source.pause();
    this.#stream.once('drain', () => {
      this.#held = false;
      for (const source of this.#sources) source.resume();
    });
  }

  /** Shows every line of the stream under the name, or drops it unseen when `quiet`. */
  attach(source: Readable, name: string, quiet = false): void {
    source.on('error', () => {});
    if (quiet) {
      source.resume();
      return;
    }
    const splitter = new LineSplitter((line) => this.line(name, line));
    let flushing: NodeJS.Timeout | undefined;
    this.#sources.add(source);
    source.on('data', (bytes: Buffer) => {
      clearTimeout(flushing);
      splitter.push(bytes);
      if (splitter.pending) flushing = setTimeout(() => splitter.flush(), FLUSH_AFTER_MS).unref();
    });
    source.once('close', () => {
      clearTimeout(flushing);
      this.#sources.delete(source);
      splitter.end();
    });
    if (this.#held) source.pause();
  }

  #color(name: string): (text: string) => string {
    let color = this.#colors.get(name);
    if (color === undefined) {
      color = this.#palette.names[this.#colorNext++ % this.#palette.names.length]!;
      this.#colors.set(name, color);
    }
    return color;
  }
}
