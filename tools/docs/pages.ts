// What a page of the documentation tells its reader to do, as steps that can be carried out: files to write, commands to run, and what is seen
// then. Fences marked `sh` or `console` hold commands. Comments in the page, which readers do not see, say what else a run needs to know:
//
//   <!-- run in shop -->                 whole page: with the mesh of the example running; `empty`: in an empty folder; `clone`: in a fresh clone
//   <!-- run needs PROGRAM -->           whole page: not run where the program is missing
//   <!-- run not: REASON -->             the next fence is not run; `run not of "TEXT": REASON`: only those of its commands that hold the text
//   <!-- run exit 1 -->                  the last command ends with this code (0); `of "TEXT"` chooses another command, here and below
//   <!-- run beside until "TEXT" -->     it goes on beside the following ones, which begin when it has written the text
//   <!-- run to "TEXT" -->               it gets a Ctrl-C when it has written the text
//   <!-- run again until "TEXT" -->      it is repeated until it writes the text
//   <!-- run with "A" as "B" -->         B stands for A in the next fence
//   <!-- run sees /PATTERN/ -->          what the next fence's commands write fits the pattern
//   <!-- run shown -->                   the next fence shows what the commands before it write
//   <!-- run shown beside "TEXT" -->     what the one that goes on beside, and holds the text, writes some time
//   <!-- run file PATH -->               the next fence is the text of a file. A first line that is a comment with nothing but a path says so too
//   <!-- run add PATH -->                the next fence is added to the end of a file
//   <!-- run stop "TEXT" -->             the one that goes on beside, and holds the text, gets a Ctrl-C and ends
//   <!-- run NEWLINE COMMANDS -->        commands that the page does not show
import { splitCommands } from './shell-lines.ts';

/** Where the commands of a page are run. */
export const PLACES = ['shop', 'empty', 'clone'] as const;
export type Place = (typeof PLACES)[number];

export interface PageCommand {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  /** Lines of output that a `console` fence shows below it. */
  shown: string[];
  readonly exit: number;
  readonly mode: 'once' | 'beside' | 'again' | 'interrupt';
  /** For the modes other than `once`. */
  readonly until: string;
  /** Why it is not run; undefined: it is. */
  readonly excuse: string | undefined;
}

export type Step =
  | { readonly kind: 'file'; readonly line: number; readonly path: string; readonly text: string; readonly isAdded: boolean }
  | {
      readonly kind: 'commands';
      readonly line: number;
      readonly commands: readonly PageCommand[];
      readonly sees: readonly RegExp[];
      /** In a later fence, with its language. */
      shown: { readonly lines: readonly string[]; readonly language: string } | undefined;
    }
  | { readonly kind: 'written'; readonly line: number; readonly holds: string; readonly lines: readonly string[] }
  | { readonly kind: 'stop'; readonly line: number; readonly holds: string };

export interface Page {
  readonly path: string;
  /** Undefined: the page does not say. */
  readonly place: Place | undefined;
  /** Programs without which it is not run. */
  readonly needs: readonly string[];
  readonly steps: readonly Step[];
  /** What is wrong with the page itself: `PATH:LINE: …`. */
  readonly problems: readonly string[];
}

interface Directive {
  readonly line: number;
  readonly text: string;
}

const COMMAND_LANGUAGES = new Set(['sh', 'console', 'bash', 'shell']);
const FILE_COMMENT = /^(?:#|\/\/) ([\w.-]+(?:\/[\w.-]+)*\.\w+)$/;
const QUOTED = '"([^"]+)"';
const OF = `(?: of ${QUOTED})?`;

/** `text` is Markdown. Never throws: what cannot be understood is among the problems. */
export function readPage(path: string, text: string): Page {
  const reader = new PageReader(path);
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    const fence = /^(\s*)```(\w*)/.exec(line);
    if (fence !== null) {
      const end = lines.findIndex((other, at) => at > index && other.trim() === '```');
      const last = end === -1 ? lines.length : end;
      const indent = fence[1]?.length ?? 0;
      reader.fence(
        index + 1,
        fence[2] ?? '',
        lines.slice(index + 1, last).map((one) => one.slice(indent)),
      );
      index = last;
    } else if (/^\s*<!-- run\b/.test(line)) {
      const end = lines.findIndex((other, at) => at >= index && other.includes('-->'));
      const whole = lines.slice(index, (end === -1 ? lines.length : end) + 1).join('\n');
      const inner = whole
        .trim()
        .replace(/^<!-- /, '')
        .replace(/\s*-->$/, '');
      reader.directive({ line: index + 1, text: inner });
      index = end === -1 ? lines.length : end;
    }
  }
  return reader.end();
}

class PageReader {
  readonly #path: string;
  readonly #steps: Step[] = [];
  readonly #problems: string[] = [];
  #place: Place | undefined;
  readonly #needs: string[] = [];
  /** Those that wait for the next fence. */
  #waiting: Directive[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  directive(directive: Directive): void {
    const { line, text } = directive;
    const place = /^run in (\w+)$/.exec(text)?.[1];
    const program = /^run needs (\S+)$/.exec(text)?.[1];
    const stop = new RegExp(`^run stop ${QUOTED}$`).exec(text)?.[1];
    if (text.startsWith('run\n')) {
      this.#commands(line, splitCommands(text.slice(4).split('\n'), line + 1), this.#waiting);
      this.#waiting = [];
    } else if (program !== undefined) this.#needs.push(program);
    else if (stop !== undefined) this.#steps.push({ kind: 'stop', line, holds: stop });
    else if (place !== undefined) {
      this.#place = PLACES.find((one) => one === place);
      if (this.#place === undefined) this.#problem(line, `there is no place ${place} to run in; there are ${PLACES.join(', ')}`);
    } else this.#waiting.push(directive);
  }

  fence(line: number, language: string, lines: readonly string[]): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const added = this.#take(waiting, /^run add (\S+)$/)?.[1];
    const file = added ?? this.#take(waiting, /^run file (\S+)$/)?.[1] ?? FILE_COMMENT.exec(lines[0] ?? '')?.[1];
    const beside = this.#take(waiting, new RegExp(`^run shown beside ${QUOTED}$`))?.[1];
    if (beside !== undefined) this.#steps.push({ kind: 'written', line, holds: beside, lines });
    else if (COMMAND_LANGUAGES.has(language) && file === undefined) this.#commandFence(line, language, lines, waiting);
    else if (this.#take(waiting, /^run shown$/) !== undefined) this.#shown(line, language, lines);
    else if (file !== undefined)
      this.#steps.push({ kind: 'file', line, path: file, text: `${lines.join('\n')}\n`, isAdded: added !== undefined });
    else if (lines.some((one) => /^(\$|(\S+=\S+ )*(\.{0,2}\/)?heddle|npm run) /.test(one)) && language === '')
      this.#problem(line, 'the fence holds commands: mark it as sh or console');
    for (const left of waiting) this.#problem(left.line, `"${left.text}" says nothing about the fence below it`);
  }

  end(): Page {
    for (const { line, text } of this.#waiting) this.#problem(line, `"${text}" has no fence below it`);
    for (const step of this.#steps)
      if (step.kind === 'commands' && this.#place === undefined && step.commands.some(({ excuse }) => excuse === undefined))
        this.#problem(step.line, 'commands that are neither run (`<!-- run in PLACE -->`) nor excused (`<!-- run not: REASON -->`)');
    return { path: this.#path, place: this.#place, needs: this.#needs, steps: this.#steps, problems: this.#problems };
  }

  #commandFence(line: number, language: string, lines: readonly string[], waiting: Directive[]): void {
    let replaced = lines;
    for (;;) {
      const found = this.#take(waiting, new RegExp(`^run with ${QUOTED} as "(.*)"$`));
      if (found === undefined) break;
      const [, from = '', to = ''] = found;
      if (!lines.some((one) => one.includes(from))) this.#problem(line, `the fence does not hold "${from}"`);
      replaced = replaced.map((one) => one.replaceAll(from, to));
    }
    const commands = language === 'console' ? prompted(replaced, line + 1) : splitCommands(replaced, line + 1);
    if (commands.length === 0) this.#problem(line, `no command is in the fence${language === 'console' ? ': they begin with "$ "' : ''}`);
    this.#commands(line, commands, waiting);
  }

  #commands(line: number, raw: readonly { line: number; text: string; shown?: string[] }[], waiting: Directive[]): void {
    const commands = raw.map(
      ({ line: at, text, shown = [] }): PageCommand => ({
        ...{ line: at, text, shown: [...shown], exit: 0, mode: 'once', until: '', excuse: undefined },
      }),
    );
    const change = (pattern: string, all: boolean, of: number, with_: (found: RegExpExecArray) => Partial<PageCommand>): void => {
      for (;;) {
        const found = this.#take(waiting, new RegExp(pattern));
        if (found === undefined) return;
        const holds = found[of];
        const chosen = commands.filter(({ text }, index) =>
          holds === undefined ? all || index === commands.length - 1 : text.includes(holds),
        );
        if (chosen.length === 0) this.#problem(line, `no command of the fence holds "${holds}"`);
        for (const one of chosen) Object.assign(one, with_(found));
      }
    };
    change(`^run not${OF}: (\\S[^]*)$`, true, 1, (found) => ({ excuse: found[2] ?? '' }));
    change(`^run exit (\\d+)${OF}$`, false, 2, (found) => ({ exit: Number(found[1]) }));
    change(`^run beside until ${QUOTED}${OF}$`, false, 2, (found) => ({ mode: 'beside', until: found[1] ?? '' }));
    change(`^run to ${QUOTED}${OF}$`, false, 2, (found) => ({ mode: 'interrupt', until: found[1] ?? '' }));
    change(`^run again until ${QUOTED}${OF}$`, false, 2, (found) => ({ mode: 'again', until: found[1] ?? '' }));
    const sees: RegExp[] = [];
    for (;;) {
      const found = this.#take(waiting, /^run sees \/(.+)\/$/);
      if (found === undefined) break;
      sees.push(new RegExp(found[1] ?? '', 'm'));
    }
    this.#steps.push({ kind: 'commands', line, commands, sees, shown: undefined });
  }

  #shown(line: number, language: string, lines: readonly string[]): void {
    const before = this.#steps.findLast((step) => step.kind === 'commands');
    if (before === undefined || before.shown !== undefined) this.#problem(line, 'no commands stand before what is shown');
    else before.shown = { lines, language };
  }

  /** Takes the first of `waiting` that fits away. */
  #take(waiting: Directive[], pattern: RegExp): RegExpExecArray | undefined {
    for (const [index, { text }] of waiting.entries()) {
      const found = pattern.exec(text);
      if (found === null) continue;
      waiting.splice(index, 1);
      return found;
    }
    return undefined;
  }

  #problem(line: number, text: string): void {
    this.#problems.push(`${this.#path}:${line}: ${text}`);
  }
}

/** Commands after `$ `, each with the output below it. */
function prompted(lines: readonly string[], first: number): { line: number; text: string; shown: string[] }[] {
  const commands: { line: number; text: string; shown: string[] }[] = [];
  let open = false;
  for (const [index, line] of lines.entries()) {
    const last = commands.at(-1);
    if (line.startsWith('$ ')) commands.push({ line: first + index, text: line.slice(2), shown: [] });
    else if (open && last !== undefined) last.text += `\n${line}`;
    else last?.shown.push(line);
    open = line.endsWith('\\') && (open || line.startsWith('$ '));
  }
  return commands;
}
