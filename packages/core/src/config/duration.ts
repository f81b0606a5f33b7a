// Durations as people write them in the mesh file: a number with a unit.

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
export const DURATION_PATTERN = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)$/;

/** Milliseconds, or undefined when it is no duration. The number 0 needs no unit. */
export function parseDuration(value: unknown): number | undefined {
  if (value === 0) return 0;
  if (typeof value !== 'string') return undefined;
  const match = DURATION_PATTERN.exec(value);
  if (match === null) return undefined;
  return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
}

/** The shortest exact way to write it: 1500 is `1500ms`, 120000 is `2m`. */
export function formatDuration(durationMs: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (durationMs !== 0 && durationMs % UNITS[unit] === 0) return `${durationMs / UNITS[unit]}${unit}`;
  }
  return `${durationMs}ms`;
}
