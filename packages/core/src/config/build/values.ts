// The small steps from what is written to what it means.
import { parseDuration } from '../duration.ts';
import type { Path } from '../fault.ts';
import { parsePercent } from '../percent.ts';

/** How a scalar was written in the file; undefined for texts. */
export type TextOf = (path: Path) => string | undefined;

export type Scalar = string | number | boolean;

/** Of a duration that is known to be one. */
export function milliseconds(duration: string | 0): number {
  return parseDuration(duration) as number;
}

/** Of a percentage that is known to be one. */
export function percentOf(percent: string | number): number {
  return parsePercent(percent) as number;
}

/** A number or boolean as it was written. */
export function textAt(value: Scalar, textOf: TextOf, path: Path): string {
  return textOf(path) ?? String(value);
}

export function textsAt(values: Readonly<Record<string, Scalar>>, textOf: TextOf, path: Path): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, textAt(value, textOf, [...path, key])]));
}

/** What may stand alone or in a list, each with the path it has in the file. */
export function listAt<T>(value: T | readonly T[] | undefined, path: Path): { readonly item: T; readonly path: Path }[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return [{ item: value as T, path }];
  return (value as readonly T[]).map((item, index) => ({ item, path: [...path, index] }));
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
