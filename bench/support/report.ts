// A result as a table for the terminal, and everything about it as JSON. No input or output.
import type { Row } from '../rows/row.ts';
import { ratios, type Spread, spread, spreadText } from './figures.ts';
import type { Measure, Result, Standing } from './result.ts';

/** What the others are measured by: ours divided by theirs. */
const REFERENCES = ['haproxy', 'envoy'];
const OURS = 'heddle';

type Titles = Pick<Row, 'name' | 'title' | 'load'>;

interface Ratio {
  readonly measure: string;
  readonly to: string;
  readonly spread: Spread;
}

export function table(row: Row, { measures, standings, compared = [measures[0]!.key] }: Result): string {
  const lines = standings.map(({ name, rounds, absent }) => [
    name,
    ...(rounds.length === 0
      ? [`n/a: ${absent ?? 'not measured'}`]
      : measures.map(({ key, digits }) => spreadText(spread(rounds.map((round) => round[key]!)), digits))),
  ]);
  const heads = ['', ...measures.map(({ label }) => label)];
  const full = lines.filter((cells) => cells.length === heads.length);
  const widths = heads.map((head, column) => Math.max(head.length, ...full.map((cells) => cells[column]!.length), column === 0 ? 9 : 0));
  const text = [heads, ...lines].map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const comparisons = allRatios(
    measures.filter(({ key }) => compared.includes(key)),
    standings,
  ).map(({ measure, to, spread }) => `${OURS} / ${to}, ${measures.find(({ key }) => key === measure)!.label}: ${spreadText(spread, 2)}`);
  return [`\n${row.title}`, row.load, 'median (least – most)', ...text, ...comparisons].join('\n');
}

/** Of each measure, ours to each reference, round by round. */
export function allRatios(measures: readonly Measure[], standings: readonly Standing[]): Ratio[] {
  const roundsOf = (name: string) => standings.find((standing) => standing.name === name)?.rounds ?? [];
  const ours = roundsOf(OURS);
  return measures.flatMap(({ key }) =>
    REFERENCES.flatMap((to) => {
      const theirs = roundsOf(to);
      if (ours.length === 0 || theirs.length === 0) return [];
      const values = ratios(
        ours.map((round) => round[key]!),
        theirs.map((round) => round[key]!),
      );
      return [{ measure: key, to, spread: rounded(spread(values), 3) }];
    }),
  );
}

export interface Circumstances {
  readonly command: string;
  readonly machine: object;
  readonly versions: Readonly<Record<string, string>>;
}

export function json(row: Titles, { measures, standings }: Result, circumstances: Circumstances): string {
  const summed = standings.map(({ name, rounds, absent }) => ({
    name,
    ...(absent !== undefined && { absent }),
    ...(rounds.length > 0 && {
      figures: Object.fromEntries(
        measures.map(({ key, digits }) => [
          key,
          {
            ...rounded(spread(rounds.map((round) => round[key]!)), digits + 1),
            rounds: rounds.map((round) => roundTo(round[key]!, digits + 1)),
          },
        ]),
      ),
    }),
  }));
  const { name, title, load } = row;
  return `${JSON.stringify({ name, title, load, ...circumstances, measures, contestants: summed, ratios: allRatios(measures, standings) }, undefined, 2)}\n`;
}

function rounded({ median, min, max }: Spread, digits: number): Spread {
  return { median: roundTo(median, digits), min: roundTo(min, digits), max: roundTo(max, digits) };
}

function roundTo(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
