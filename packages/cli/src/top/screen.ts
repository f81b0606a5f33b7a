// `heddle top` as lines of text: for a screen of so many columns and rows, or as one table. Every line fits, so that nothing scrolls.
import type { Palette } from '../output/palette.ts';
import { type Choice, type Section, VIEWS } from './model.ts';

export interface Frame {
  readonly choice: Choice;
  readonly sections: readonly Section[];
  /** Of all rows that can be chosen; -1: none is. */
  readonly cursor: number;
  readonly window: string;
  /** When the window ends. */
  readonly updated: string;
  readonly isTyping: boolean;
  /** What is wrong; empty: nothing. */
  readonly problem: string;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const KEYS = '1-4 views  enter look into  esc back  r e p n sort  / filter  w window  q quit';
const NAME_MIN = 12;

/** Exactly `rows` lines. */
export function screen(frame: Frame, { columns, rows }: Size, palette: Palette): string[] {
  const { choice, updated, problem, isTyping } = frame;
  const where = choice.service === undefined ? VIEWS.map((view, at) => tab(view, at, choice)).join('  ') : `[${choice.service}]`;
  const title = `heddle top  ${where}`;
  const facts = `sorted by ${choice.sort}, last ${frame.window}, ${updated === '' ? 'waiting' : updated.slice(11, 19)}`;
  const filter = isTyping || choice.filter !== '' ? `  filter: ${choice.filter}${isTyping ? '_' : ''}` : '';
  const head = [palette.bold(cut(title, columns)), palette.dim(cut(`${facts}${filter}`, columns))];
  const foot = problem === '' ? palette.dim(cut(KEYS, columns)) : palette.bad(cut(problem, columns));
  const room = Math.max(0, rows - head.length - 1);
  const { lines, cursorLine } = body(frame, columns, palette);
  // The row that is chosen stays in sight, and the first line too while there is room.
  const from = Math.min(Math.max(0, cursorLine - room + 1), Math.max(0, lines.length - room));
  const shown = lines.slice(from, from + room);
  return [...head, ...shown, ...Array.from({ length: room - shown.length }, () => ''), foot].slice(-rows);
}

/** All of it, for what is no terminal. */
export function table(all: readonly Section[], palette: Palette): string {
  const lines = all.flatMap((section) => sectionLines(section, 120, palette, -1, 0).lines);
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function tab(view: string, at: number, { view: chosen }: Choice): string {
  return view === chosen ? `[${at + 1} ${view}]` : `${at + 1} ${view}`;
}

function body({ sections, cursor }: Frame, columns: number, palette: Palette): { lines: string[]; cursorLine: number } {
  const lines: string[] = [];
  let cursorLine = 0;
  let before = 0;
  for (const section of sections) {
    const made = sectionLines(section, columns, palette, cursor, before);
    if (made.cursorLine >= 0) cursorLine = lines.length + made.cursorLine;
    lines.push(...made.lines);
    before += section.rows.length;
  }
  if (before === 0)
    lines.push(cut('nothing here in this window; send a request, widen the window with w, or end the filter with esc', columns));
  return { lines, cursorLine };
}

function sectionLines(
  { title, titles, rows }: Section,
  columns: number,
  palette: Palette,
  cursor: number,
  before: number,
): { lines: string[]; cursorLine: number } {
  const widths = titles.map((text, at) =>
    Math.max(text.length, ...rows.map(({ name, cells }) => (at === 0 ? name : cells[at - 1]!).length)),
  );
  // The name gives way first; then columns are left out from the right.
  const rest = widths.slice(1).reduce((sum, width) => sum + 2 + width, 0);
  const nameWidth = Math.min(widths[0]!, Math.max(NAME_MIN, columns - rest));
  let used = nameWidth;
  let count = 1;
  while (count < titles.length && used + 2 + widths[count]! <= columns) used += 2 + widths[count++]!;
  const line = (name: string, cells: readonly string[]): string =>
    cut(
      [cut(name, nameWidth).padEnd(nameWidth), ...cells.slice(0, count - 1).map((cell, at) => cell.padStart(widths[at + 1]!))].join('  '),
      columns,
    );
  const lines = title === '' ? [] : ['', palette.bold(cut(title, columns))];
  lines.push(palette.dim(line(titles[0]!, titles.slice(1))));
  let cursorLine = -1;
  rows.forEach((row, at) => {
    const text = line(row.name, row.cells);
    const colour = row.mood === 'bad' ? palette.bad : row.mood === 'good' ? palette.good : palette.dim;
    if (before + at === cursor) cursorLine = lines.length;
    lines.push(before + at === cursor ? palette.chosen(text.padEnd(columns)) : colour(text));
  });
  return { lines, cursorLine };
}

/** C0, DEL and C1: what a name may not order a terminal. */
const UNSAFE = /[\0-\x1f\x7f-\x9f]/g;

function cut(text: string, width: number): string {
  const plain = text.replace(UNSAFE, '?');
  return plain.length <= width ? plain : `${plain.slice(0, Math.max(0, width - 1))}…`.slice(0, Math.max(0, width));
}
