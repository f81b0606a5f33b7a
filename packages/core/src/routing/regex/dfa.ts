// Whether a whole text matches: the machine's states are made deterministic as texts need them, so that a character costs one look into a
// table. The table is bounded and begun anew when full; the worst that a text can cause is then a walk over the program per character.
import { CODES, WORD } from './parse.ts';
import { EDGE, edgeOf, holds, OP } from './program.ts';
import type { Edge, Program } from './program.ts';

/** About 1 MB for the largest program; usual patterns have fewer than 20. */
const STATES_MAX = 500;

const STATES_FIRST = 16;

const UNKNOWN = 0;
const DEAD = 1;
const FIRST = 2;

/** Places of the program before it has looked at the next character. */
interface State {
  readonly places: Uint16Array;
  readonly before: Edge;
  /** Whether the text may end here; undefined: not looked at yet. */
  accepts: boolean | undefined;
}

export class Dfa {
  private readonly program: Program;
  /** Codes that no set tells apart are of one class. */
  private readonly classOf: Uint8Array;
  /** Of each class, one code of it. */
  private readonly codeOf: readonly number[];
  private readonly hasAssertions: boolean;
  /** Of each state a row with the next one for each class; grows with them. */
  private transitions: Uint16Array;
  private states: State[] = [];
  private readonly numbers = new Map<string, number>();
  private readonly marks: Uint32Array;
  private mark = 0;
  private readonly pending: Uint16Array;

  constructor(program: Program) {
    this.program = program;
    const { classOf, codeOf } = classesOf(program);
    this.classOf = classOf;
    this.codeOf = codeOf;
    this.hasAssertions = program.op.includes(OP.assert);
    this.transitions = new Uint16Array(STATES_FIRST * codeOf.length);
    this.marks = new Uint32Array(program.length);
    this.pending = new Uint16Array(3 * program.length + 2);
    this.begin();
  }

  /** @param text one character per byte; other characters are all alike. */
  matches(text: string): boolean {
    const { classOf } = this;
    const classes = this.codeOf.length;
    let state = FIRST;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const kind = classOf[code < CODES ? code : CODES - 1] as number;
      let next = this.transitions[state * classes + kind] as number;
      if (next === UNKNOWN) next = this.step(state, kind);
      if (next === DEAD) return false;
      state = next;
    }
    return this.accepts(this.states[state - FIRST] as State);
  }

  private step(from: number, kind: number): number {
    const { op, next, other, sets, length } = this.program;
    const state = this.states[from - FIRST] as State;
    const code = this.codeOf[kind] as number;
    const reached = this.reach(state, edgeOf(code));
    const after: number[] = [];
    for (let place = 0; place < length; place++) {
      if (this.marks[place] !== reached || op[place] !== OP.code) continue;
      if (sets[other[place] as number]?.[code] === 1) after.push(next[place] as number);
    }
    if (after.length === 0) {
      this.transitions[from * this.codeOf.length + kind] = DEAD;
      return DEAD;
    }
    const states = this.states;
    const number = this.number(Uint16Array.from(new Set(after)).sort(), this.hasAssertions ? edgeOf(code) : EDGE.none);
    // Not when the table was begun anew meanwhile: the number means another state now.
    if (states === this.states) this.transitions[from * this.codeOf.length + kind] = number;
    return number;
  }

  private accepts(state: State): boolean {
    if (state.accepts === undefined) {
      const reached = this.reach(state, EDGE.none);
      state.accepts = this.marks[this.program.length - 1] === reached;
    }
    return state.accepts;
  }

  /** Marks the places that can be reached without a character, and gives back the mark. */
  private reach({ places, before }: State, after: Edge): number {
    const { op, next, other } = this.program;
    const { marks, pending } = this;
    if (++this.mark === 0xffff_ffff) {
      marks.fill(0);
      this.mark = 1;
    }
    let count = 0;
    for (const place of places) pending[count++] = place;
    while (count > 0) {
      const place = pending[--count] as number;
      if (marks[place] === this.mark) continue;
      marks[place] = this.mark;
      switch (op[place]) {
        case OP.fork:
          pending[count++] = next[place] as number;
          pending[count++] = other[place] as number;
          break;
        case OP.save:
          pending[count++] = next[place] as number;
          break;
        case OP.assert:
          if (holds(other[place] as number, before, after)) pending[count++] = next[place] as number;
          break;
        default:
      }
    }
    return this.mark;
  }

  /** The table with nothing but the state in which every text begins. */
  private begin(): void {
    this.states = [];
    this.numbers.clear();
    this.transitions.fill(UNKNOWN);
    this.number(Uint16Array.of(0), EDGE.none);
  }

  private number(places: Uint16Array, before: Edge): number {
    const key = String.fromCharCode(before, ...places);
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    if (this.states.length === STATES_MAX) this.begin();
    const number = this.states.push({ places, before, accepts: undefined }) - 1 + FIRST;
    if ((number + 1) * this.codeOf.length > this.transitions.length) {
      const larger = new Uint16Array(this.transitions.length * 2);
      larger.set(this.transitions);
      this.transitions = larger;
    }
    this.numbers.set(key, number);
    return number;
  }
}

function classesOf(program: Program): { readonly classOf: Uint8Array; readonly codeOf: readonly number[] } {
  const sets = program.op.includes(OP.assert) ? [...program.sets, WORD] : program.sets;
  const numbers = new Map<string, number>();
  const classOf = new Uint8Array(CODES);
  const codeOf: number[] = [];
  for (let code = 0; code < CODES; code++) {
    const key = sets.map((set) => set[code]).join('');
    let number = numbers.get(key);
    if (number === undefined) {
      number = codeOf.push(code) - 1;
      numbers.set(key, number);
    }
    classOf[code] = number;
  }
  return { classOf, codeOf };
}
