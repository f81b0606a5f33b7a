// A text that may be longer than one value: in parts, under keys of their own, written in one transaction.

/** Well below what a value may have. */
const PART_CHARS = 200_000;

/** @param keyOf of the part with this number, from 0; keys sort as their numbers do. */
export function inParts(text: string, keyOf: (part: number) => string): Map<string, string> {
  const parts = new Map<string, string>();
  for (let from = 0; from < text.length; from += PART_CHARS) parts.set(keyOf(parts.size), text.slice(from, from + PART_CHARS));
  return parts;
}

/** JSON in which everything beyond ASCII is escaped, so that no part of it begins or ends in the middle of a character. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
