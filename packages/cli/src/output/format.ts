// Results for people (tables) and for programs (JSON, YAML). Programs get every field under a stable name, people what matters.
import Table from 'cli-table3';
import { stringify } from 'yaml';
import type { OutputFormat } from './formats.ts';
import type { Palette } from './palette.ts';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
}

/** Columns with two blanks between them and no frame: easy to read, and to cut with other tools. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], palette: Palette): string {
  const none = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
  };
  const inner = { left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' };
  const table = new Table({
    chars: { ...none, ...inner },
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 0 },
    head: columns.map(({ title }) => palette.bold(title)),
  });
  for (const row of rows) table.push(columns.map(({ cell }) => cell(row)));
  // The last column needs no blanks after it.
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

/** JSON of several lines, or of one where results follow one another (`--watch`). */
export function formatData(value: unknown, format: Exclude<OutputFormat, 'table'>, oneOfMany = false): string {
  if (format === 'json') return `${oneOfMany ? JSON.stringify(value) : JSON.stringify(value, null, 2)}\n`;
  return `${oneOfMany ? '---\n' : ''}${stringify(value)}`;
}

const UNITS: readonly (readonly [number, string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** A length of time in the largest unit that makes it at least 1: `3 min`. */
export function formatAge(ms: number): string {
  const [unitMs, unit] = UNITS.find(([size]) => ms >= size) ?? [1_000, 's'];
  return `${Math.max(0, Math.floor(ms / unitMs))} ${unit}`;
}
