// What a mesh file changes, for people: a line for each thing, and below it what it was and what it is.
import type { admin } from '@heddle/api';
import type { Palette } from './palette.ts';

type Difference = admin.DifferenceMessage;

const MARKS = { added: '+', changed: '~', removed: '-' } as const;
const VALUE_CHARS_MAX = 80;
const UNITS: readonly (readonly [number, string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
];

/** With a line end; empty: there is no difference. */
export function differencesText(differences: readonly Difference[], palette: Palette): string {
  return differences.map((one) => differenceText(one, palette)).join('');
}

/** As programs get them: values as they are. */
export function differenceData({ kind, change, name, rule, summary, fields }: Difference): object {
  const side = (key: 'before' | 'after', json: string): object => (json === '' ? {} : { [key]: JSON.parse(json) as unknown });
  return {
    ...{ kind, change, name },
    ...(rule === '' ? {} : { rule }),
    ...(summary === '' ? {} : { summary }),
    fields: fields.map(({ path, before, after }) => ({ path, ...side('before', before), ...side('after', after) })),
  };
}

/** `3 changes: 1 added, 2 changed`. */
export function countText(differences: readonly Difference[]): string {
  const counts = (['added', 'changed', 'removed'] as const).flatMap((change) => {
    const count = differences.filter((one) => one.change === change).length;
    return count === 0 ? [] : [`${count} ${change}`];
  });
  return `${differences.length} ${differences.length === 1 ? 'change' : 'changes'}: ${counts.join(', ')}`;
}

function differenceText({ kind, change, name, rule, summary, fields }: Difference, palette: Palette): string {
  const color = { added: palette.good, changed: palette.warn, removed: palette.bad }[change as keyof typeof MARKS] ?? palette.warn;
  const subject = [kind.replaceAll('-', ' '), plainName(name), rule].filter((part) => part !== '').join(' ');
  const head = color(`${MARKS[change as keyof typeof MARKS] ?? '~'} ${subject}${summary === '' ? '' : `: ${summary}`}`);
  return `${[head, ...fields.map(fieldText)].join('\n')}\n`;
}

function plainName(name: string): string {
  return name.startsWith('default/') ? name.slice('default/'.length) : name;
}

function fieldText({ path, before, after }: Difference['fields'][number]): string {
  const isTime = /[a-z]Ms$/.test(path);
  const label = path.replace(/^action\./, '').replace(/([a-z])Ms$/, '$1');
  return `    ${label}: ${valueText(before, isTime)} → ${valueText(after, isTime)}`;
}

function valueText(json: string, isTime: boolean): string {
  if (json === '') return 'none';
  const value = JSON.parse(json) as unknown;
  const text =
    typeof value === 'string' && /^[\w./:-]+$/.test(value) ? value : isTime && typeof value === 'number' ? duration(value) : json;
  return text.length <= VALUE_CHARS_MAX ? text : `${text.slice(0, VALUE_CHARS_MAX - 1)}…`;
}

/** As it stands in a mesh file. */
function duration(ms: number): string {
  const [unitMs, unit] = UNITS.find(([size]) => ms > 0 && ms % size === 0) ?? [1, 'ms'];
  return `${ms / unitMs}${unit}`;
}
