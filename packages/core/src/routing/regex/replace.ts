// Replaces everything in a text that a pattern matches, as RE2 does (leftmost, first alternative first), in time that grows with the length
// of the text: no place of the program is tried twice at one place of the text. That a try failed stays true for later matches, too.
import { EDGE, edgeOf, holds, OP } from './program.ts';
import type { Program } from './program.ts';

/** Of the notes about what was tried; for larger ones memory is not kept. 64 kB. */
const KEPT_WORDS = 16_384;

/** Texts, and numbers of groups whose content comes there. */
export type Substitution = readonly (string | number)[];

export class Replacer {
  private readonly program: Program;
  /** A bit for each place of the program at each place of the text. */
  private tried = new Uint32Array(64);
  /** Where groups begin and end, -1: not met. */
  private readonly slots: Int32Array;
  private readonly stack: number[] = [];

  constructor(program: Program) {
    this.program = program;
    this.slots = new Int32Array(2 * (program.groups + 1));
  }

  /** Undefined: the result would be longer than `lengthMax`. */
  replaceAll(text: string, substitution: Substitution, lengthMax: number): string | undefined {
    this.prepare(text.length);
    const { slots } = this;
    let result = '';
    /** What is before it is in the result. */
    let done = 0;
    let lastEnd = -1;
    for (let at = 0; at <= text.length; ) {
      if (!this.tryAt(text, at)) {
        at++;
        continue;
      }
      const end = slots[1] as number;
      this.forget(end);
      // An empty match right behind the last one is none.
      if (end === at && at === lastEnd) {
        at++;
        continue;
      }
      result += text.slice(done, at);
      for (const part of substitution) result += typeof part === 'string' ? part : this.group(text, part);
      if (result.length > lengthMax) return undefined;
      done = lastEnd = end;
      at = end === at ? at + 1 : end;
    }
    return result.length + text.length - done > lengthMax ? undefined : result + text.slice(done);
  }

  private group(text: string, number: number): string {
    const start = this.slots[2 * number] as number;
    const end = this.slots[2 * number + 1] as number;
    return start === -1 || end === -1 ? '' : text.slice(start, end);
  }

  private prepare(length: number): void {
    const words = Math.ceil((this.program.length * (length + 1)) / 32);
    if (words > this.tried.length || this.tried.length > KEPT_WORDS) this.tried = new Uint32Array(words);
    else this.tried.fill(0, 0, words);
  }

  /** A match that ended here says nothing about what begins here. */
  private forget(at: number): void {
    const first = at * this.program.length;
    for (let bit = first; bit < first + this.program.length; bit++)
      this.tried[bit >>> 5] = (this.tried[bit >>> 5] as number) & ~(1 << (bit & 31));
  }

  private tryAt(text: string, start: number): boolean {
    const { slots, stack } = this;
    slots.fill(-1);
    stack.length = 0;
    stack.push(0, start);
    while (stack.length > 0) {
      const at = stack.pop() as number;
      const place = stack.pop() as number;
      // Below 0: the slot's content before the way that has failed.
      if (place < 0) slots[-place - 1] = at;
      else if (this.follow(text, place, at)) return true;
    }
    return false;
  }

  /** Follows one way; what else could be tried goes on the stack. */
  private follow(text: string, startPlace: number, start: number): boolean {
    const { op, next, other, sets, length } = this.program;
    const { tried, stack, slots } = this;
    let place = startPlace;
    let at = start;
    for (;;) {
      const bit = at * length + place;
      const mask = 1 << (bit & 31);
      if (((tried[bit >>> 5] as number) & mask) !== 0) return false;
      tried[bit >>> 5] = (tried[bit >>> 5] as number) | mask;
      const argument = other[place] as number;
      switch (op[place]) {
        case OP.code:
          if (at === text.length || sets[argument]?.[Math.min(text.charCodeAt(at), 256)] !== 1) return false;
          at++;
          break;
        case OP.fork:
          if (argument !== next[place]) stack.push(argument, at);
          break;
        case OP.assert:
          if (
            !holds(
              argument,
              at === 0 ? EDGE.none : edgeOf(text.charCodeAt(at - 1)),
              at === text.length ? EDGE.none : edgeOf(text.charCodeAt(at)),
            )
          )
            return false;
          break;
        case OP.save:
          stack.push(-argument - 1, slots[argument] as number);
          slots[argument] = at;
          break;
        default:
          return true;
      }
      place = next[place] as number;
    }
  }
}
