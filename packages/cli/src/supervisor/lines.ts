// Bytes to lines. Long lines are cut at a bound, and what has no line end yet can be flushed; no character is torn apart.
import { StringDecoder } from 'node:string_decoder';

/** A line above this is shown in pieces: a service that writes without line ends must not fill the memory. */
export const LINE_LENGTH_MAX = 8_192;

export class LineSplitter {
  #partial = '';
  readonly #decoder = new StringDecoder('utf8');
  readonly #emit: (line: string) => void;
  readonly #lengthMax: number;

  constructor(emit: (line: string) => void, lengthMax = LINE_LENGTH_MAX) {
    this.#emit = emit;
    this.#lengthMax = lengthMax;
  }

  get pending(): boolean {
    return this.#partial !== '';
  }

  push(bytes: Uint8Array): void {
    const text = this.#partial + this.#decoder.write(bytes as Buffer);
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      this.#line(text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end));
      start = end + 1;
    }
    this.#partial = text.slice(start);
    while (this.#partial.length > this.#lengthMax) this.#partial = this.#cut(this.#partial);
  }

  /** Shows what has no line end yet. */
  flush(): void {
    if (this.#partial === '') return;
    const line = this.#partial;
    this.#partial = '';
    this.#line(line);
  }

  end(): void {
    this.#partial += this.#decoder.end();
    this.flush();
  }

  #line(line: string): void {
    let rest = line;
    while (rest.length > this.#lengthMax) rest = this.#cut(rest);
    this.#emit(rest);
  }

  /** Emits as much as is allowed and returns the rest. */
  #cut(text: string): string {
    // Never between the two halves of a surrogate pair.
    const last = text.charCodeAt(this.#lengthMax - 1);
    const at = last >= 0xd800 && last <= 0xdbff ? this.#lengthMax - 1 : this.#lengthMax;
    this.#emit(text.slice(0, at));
    return text.slice(at);
  }
}
