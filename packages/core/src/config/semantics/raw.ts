// What the checks of meaning are made of. They look at raw values, so that a file with faults of form shows those of meaning too: anything
// may be missing or of another kind. Settings without effect are errors: nothing is silently ignored.
import { parseDuration } from '../duration.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { parsePercent } from '../percent.ts';
import { RouteFault } from '../../routing/error.ts';

export type Raw = Record<string, unknown>;

export interface RawAt {
  readonly value: unknown;
  readonly path: Path;
}

export function keyFault(path: Path, reason: string, mend: string): Fault {
  return { path, on: 'key', reason, mend };
}

export function valueFault(path: Path, reason: string, mend: string): Fault {
  return { path, on: 'value', reason, mend };
}

export function warning(fault: Fault): Fault {
  return { ...fault, severity: 'warning' };
}

/** @param why after "has no effect: ". */
export function noEffect(path: Path, why: string, mend = 'remove it'): Fault {
  return keyFault(path, `has no effect: ${why}`, mend);
}

export function recordOf(value: unknown): Raw {
  return isRecord(value) ? value : {};
}

export function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** What may stand alone or in a list, each with its path. Nothing where there is nothing. */
export function items(value: unknown, path: Path): RawAt[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value.map((item: unknown, index) => ({ value: item, path: [...path, index] })) : [{ value, path }];
}

/** Those of the keys that the map has. */
export function present(map: Raw, keys: readonly string[]): string[] {
  return keys.filter((key) => map[key] !== undefined && map[key] !== null);
}

/** Texts and numbers that the list has already. */
export function checkTwice(list: unknown, path: Path): Fault[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: unknown, index): Fault[] =>
    typeof item !== 'object' && list.indexOf(item) < index
      ? [valueFault([...path, index], `${shown(item)} is listed twice`, 'remove one of the two')]
      : [],
  );
}

/** Exactly one of the keys must be there: the second is at fault, or the map when there is none. */
export function checkExactlyOne(map: Raw, keys: readonly string[], path: Path, example: string): Fault[] {
  const [first, second] = present(map, keys);
  const named = keys.length === 2 ? keys.map((key) => `"${key}"`).join(' or ') : `one of ${keys.map((key) => `"${key}"`).join(', ')}`;
  if (first === undefined) return [valueFault(path, `needs ${named}`, `for example "${example}"`)];
  if (second === undefined) return [];
  return [keyFault([...path, second], `stands beside "${first}", and only one of them can count`, 'remove one of the two')];
}

/** Both as they are written; nothing is said about what is no duration. */
export function isLonger(one: unknown, other: unknown): boolean {
  const [oneMs, otherMs] = [parseDuration(one), parseDuration(other)];
  return oneMs !== undefined && otherMs !== undefined && oneMs > otherMs;
}

/** It may be meant: a fault or a mirror that is switched off for a while. */
export function checkShare(map: unknown, path: Path, what: string): Fault[] {
  if (!isRecord(map) || parsePercent(map['percent']) !== 0) return [];
  return [warning(valueFault([...path, 'percent'], `at 0% ${what}`, 'remove it, or choose a share above 0%'))];
}

/** What the data plane would say about a part of a route, which it checks when it compiles it. */
export function compileFault(path: Path, compile: () => unknown): Fault[] {
  try {
    compile();
    return [];
  } catch (error) {
    if (!(error instanceof RouteFault)) throw error;
    return [valueFault(path, error.reason, error.mend)];
  }
}
