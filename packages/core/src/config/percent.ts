// Percentages as people write them in the mesh file: `20%`, or the number alone.

export const PERCENT_PATTERN = /^(\d{1,3}(?:\.\d{1,6})?)%$/;

/** 0 to 100, or undefined when it is no percentage. A number alone is 0 or at least 1: `0.2` could mean 20 %, so that it needs its sign. */
export function parsePercent(value: unknown): number | undefined {
  if (typeof value === 'number') return value === 0 || (value >= 1 && value <= 100) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = PERCENT_PATTERN.exec(value);
  if (match === null) return undefined;
  const percent = Number(match[1]);
  return percent <= 100 ? percent : undefined;
}
