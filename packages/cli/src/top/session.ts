// What keys do to `heddle top`: a state machine of its own, which a terminal feeds and draws.
import { type Choice, type Section, sections, SORTS, type Traffic, VIEWS } from './model.ts';
import type { Frame } from './screen.ts';

export const WINDOWS = [
  ['10s', 10_000],
  ['1m', 60_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
] as const;

const FILTER_MAX = 60;

export class TopSession {
  #choice: Choice;
  #window: number;
  #cursor = 0;
  #isTyping = false;
  #traffic: Traffic | undefined;
  #problem = '';

  constructor(choice: Choice, windowMs: number) {
    this.#choice = choice;
    this.#window = Math.max(
      0,
      WINDOWS.findIndex(([, ms]) => ms === windowMs),
    );
  }

  /** What is to be asked for. */
  get question(): { readonly windowMs: number; readonly service: string } {
    return { windowMs: WINDOWS[this.#window]![1], service: this.#choice.service ?? '' };
  }

  take(traffic: Traffic): void {
    this.#traffic = traffic;
    this.#problem = '';
  }

  /** The control plane does not answer; what was there stays. */
  fail(problem: string): void {
    this.#problem = problem;
  }

  frame(): Frame {
    const shown = this.#sections();
    const count = shown.reduce((sum, { rows }) => sum + rows.length, 0);
    this.#cursor = Math.min(Math.max(0, this.#cursor), Math.max(0, count - 1));
    return {
      choice: this.#choice,
      sections: shown,
      cursor: count === 0 ? -1 : this.#cursor,
      window: WINDOWS[this.#window]![0],
      updated: this.#traffic?.graph.updated ?? '',
      isTyping: this.#isTyping,
      problem: this.#problem,
    };
  }

  /** @param key as `readline` names it, or the character. `quit`: it is over; `ask`: something else is to be asked for. */
  press(key: string): 'quit' | 'ask' | 'draw' {
    if (key === 'ctrl-c') return 'quit';
    if (this.#isTyping) return this.#type(key);
    const view = VIEWS[Number(key) - 1];
    const sort = SORTS.find((each) => each[0] === key);
    if (view !== undefined) return this.#choose({ view, service: undefined });
    if (sort !== undefined) return this.#choose({ sort });
    switch (key) {
      case 'q':
        return 'quit';
      case 'tab':
        return this.#choose({ view: VIEWS[(VIEWS.indexOf(this.#choice.view) + 1) % VIEWS.length]!, service: undefined });
      case 'down':
      case 'j':
        this.#cursor += 1;
        return 'draw';
      case 'up':
      case 'k':
        this.#cursor -= 1;
        return 'draw';
      case 'w':
        this.#window = (this.#window + 1) % WINDOWS.length;
        return 'ask';
      case '/':
        this.#isTyping = true;
        return 'draw';
      case 'return': {
        const row = this.#sections().flatMap(({ rows }) => rows)[this.#cursor];
        return row?.service === undefined ? 'draw' : this.#choose({ service: row.service, filter: '' });
      }
      case 'escape':
      case 'backspace':
        return this.#choose(this.#choice.filter === '' ? { service: undefined } : { filter: '' });
      default:
        return 'draw';
    }
  }

  #type(key: string): 'draw' {
    const { filter } = this.#choice;
    if (key === 'return') this.#isTyping = false;
    else if (key === 'escape') {
      this.#isTyping = false;
      this.#choice = { ...this.#choice, filter: '' };
    } else if (key === 'backspace') this.#choice = { ...this.#choice, filter: filter.slice(0, -1) };
    else if (key.length === 1 && filter.length < FILTER_MAX) this.#choice = { ...this.#choice, filter: filter + key };
    this.#cursor = 0;
    return 'draw';
  }

  #choose(to: Partial<Choice>): 'ask' | 'draw' {
    const isOther = 'service' in to && to.service !== this.#choice.service;
    this.#choice = { ...this.#choice, ...to };
    this.#cursor = 0;
    return isOther ? 'ask' : 'draw';
  }

  #sections(): Section[] {
    return this.#traffic === undefined ? [] : sections(this.#traffic, this.#choice);
  }
}
