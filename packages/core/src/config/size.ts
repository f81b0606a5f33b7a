// Sizes as people write them in the mesh file: a whole number with a unit of IEC 80000-13.

const UNITS = { B: 1, KiB: 1_024, MiB: 1_048_576 } as const;
export const SIZE_PATTERN = /^(\d{1,9})(B|KiB|MiB)$/;

/** Bytes, or undefined when it is no size. The number 0 needs no unit. */
export function parseSize(value: unknown): number | undefined {
  if (value === 0) return 0;
  const match = typeof value === 'string' ? SIZE_PATTERN.exec(value) : null;
  return match === null ? undefined : Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
}

/** The shortest exact way to write it: 8192 is `8KiB`. */
export function formatSize(bytes: number): string {
  for (const unit of ['MiB', 'KiB'] as const) {
    if (bytes !== 0 && bytes % UNITS[unit] === 0) return `${bytes / UNITS[unit]}${unit}`;
  }
  return `${bytes}B`;
}
