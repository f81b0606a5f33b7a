// A problem on its way: a path in the configuration instead of a line, until the source tells where that is.

export type Path = readonly (string | number)[];

export interface Fault {
  readonly severity?: 'warning';
  readonly path: Path;
  /** Whether the key at the path is at fault, or what stands behind it. */
  readonly on: 'key' | 'value';
  readonly reason: string;
  readonly mend: string;
}

/** `services.orders.uses[0]`; names with other signs are quoted. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[\w-]{1,80}$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${shown(step)}]`;
  }
  return text;
}

/** A value of the file, as it is quoted in a message: short, and on one line. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0 ? 'an empty map' : 'a map';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
