// A pattern as instructions of a non-deterministic machine: the common form that matching (dfa.ts) and replacing (replace.ts) run.
import { RouteFault } from '../error.ts';
import { CODES, parsePattern, WORD } from './parse.ts';
import type { Assertion, CodeSet, Node } from './parse.ts';

/** Bounds the work for each character of a text. Counted repetitions are written out: `[a-z]{1,63}` takes 126. */
export const INSTRUCTIONS_MAX = 1_000;
/** Nodes visited to write out repetitions, also of nothing. */
const STEPS_MAX = 20_000;

export const OP = { code: 0, fork: 1, assert: 2, save: 3, match: 4 } as const;
const ASSERTIONS: readonly Assertion[] = ['start', 'end', 'word-edge', 'no-word-edge'];

/** What stands beside a place in the text. */
export const EDGE = { none: 0, word: 1, other: 2 } as const;
export type Edge = (typeof EDGE)[keyof typeof EDGE];

export interface Program {
  readonly source: string;
  readonly groups: number;
  readonly length: number;
  readonly op: Uint8Array;
  /** Where it goes on; of a fork first here, then at `other`. */
  readonly next: Uint16Array;
  /** Of `code` the number of its set, of `assert` of the assertion, of `save` of the slot: 2 × group, and 1 more for its end. */
  readonly other: Uint16Array;
  readonly sets: readonly CodeSet[];
}

/** @throws RouteFault */
export function compileProgram(source: string): Program {
  const { root, groups } = parsePattern(source);
  return new Writer(source, groups).write(root);
}

/** Whether an assertion holds between two neighbours. */
export function holds(assertion: number, before: Edge, after: Edge): boolean {
  switch (ASSERTIONS[assertion]) {
    case 'start':
      return before === EDGE.none;
    case 'end':
      return after === EDGE.none;
    case 'word-edge':
      return (before === EDGE.word) !== (after === EDGE.word);
    default:
      return (before === EDGE.word) === (after === EDGE.word);
  }
}

export function edgeOf(code: number): Edge {
  return WORD[Math.min(code, CODES - 1)] === 1 ? EDGE.word : EDGE.other;
}

class Writer {
  private readonly source: string;
  private readonly groups: number;
  private readonly op: number[] = [];
  private readonly next: number[] = [];
  private readonly other: number[] = [];
  private readonly sets: CodeSet[] = [];
  private readonly setNumbers = new Map<string, number>();
  private steps = 0;

  constructor(source: string, groups: number) {
    this.source = source;
    this.groups = groups;
  }

  write(root: Node): Program {
    this.emit(OP.save, 1, 0);
    this.node(root);
    this.emit(OP.save, this.op.length + 1, 1);
    this.emit(OP.match, 0, 0);
    return {
      source: this.source,
      groups: this.groups,
      length: this.op.length,
      op: Uint8Array.from(this.op),
      next: Uint16Array.from(this.next),
      other: Uint16Array.from(this.other),
      sets: this.sets,
    };
  }

  /** Instructions that go on behind their last one. */
  private node(node: Node): void {
    if (++this.steps > STEPS_MAX) throw this.tooLarge();
    switch (node.kind) {
      case 'set':
        this.emit(OP.code, this.op.length + 1, this.setNumber(node.set));
        return;
      case 'assertion':
        this.emit(OP.assert, this.op.length + 1, ASSERTIONS.indexOf(node.what));
        return;
      case 'group':
        this.emit(OP.save, this.op.length + 1, 2 * node.index);
        this.node(node.item);
        this.emit(OP.save, this.op.length + 1, 2 * node.index + 1);
        return;
      case 'sequence':
        for (const item of node.items) this.node(item);
        return;
      case 'either':
        this.either(node.items);
        return;
      case 'repeat':
        this.repeat(node);
    }
  }

  private either(items: readonly Node[]): void {
    const jumps: number[] = [];
    items.forEach((item, index) => {
      const isLast = index === items.length - 1;
      const fork = isLast ? -1 : this.emit(OP.fork, this.op.length + 1, 0);
      this.node(item);
      if (isLast) return;
      jumps.push(this.jump());
      this.other[fork] = this.op.length;
    });
    for (const jump of jumps) this.next[jump] = this.other[jump] = this.op.length;
  }

  private repeat({ item, min, max, greedy }: Extract<Node, { kind: 'repeat' }>): void {
    for (let time = 0; time < min; time++) this.node(item);
    if (max === Infinity) {
      const fork = this.emit(OP.fork, 0, 0);
      this.node(item);
      const back = this.jump();
      this.next[back] = this.other[back] = fork;
      this.aim(fork, fork + 1, this.op.length, greedy);
      return;
    }
    const forks: number[] = [];
    for (let time = min; time < max; time++) {
      forks.push(this.emit(OP.fork, 0, 0));
      this.node(item);
    }
    for (const fork of forks) this.aim(fork, fork + 1, this.op.length, greedy);
  }

  private aim(fork: number, into: number, past: number, greedy: boolean): void {
    this.next[fork] = greedy ? into : past;
    this.other[fork] = greedy ? past : into;
  }

  /** A fork with one way. */
  private jump(): number {
    return this.emit(OP.fork, 0, 0);
  }

  private emit(op: number, next: number, other: number): number {
    if (this.op.length >= INSTRUCTIONS_MAX) throw this.tooLarge();
    this.op.push(op);
    this.next.push(next);
    this.other.push(other);
    return this.op.length - 1;
  }

  private setNumber(set: CodeSet): number {
    const key = set.join('');
    let number = this.setNumbers.get(key);
    if (number === undefined) {
      number = this.sets.push(set) - 1;
      this.setNumbers.set(key, number);
    }
    return number;
  }

  private tooLarge(): RouteFault {
    return new RouteFault(
      `the regular expression "${this.source}" is too large once its repetitions are written out: more than ${INSTRUCTIONS_MAX} steps`,
      'use smaller numbers, or "*" and "+"',
    );
  }
}
