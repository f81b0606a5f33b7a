// Lower-case field names for HTTP/2 out of the text of an HTTP/1.1 head. The same names come back with every message, so the strings are
// shared: one look-up instead of two new strings, and the encoder compares pointers.

/** Names remembered. Real traffic has some hundreds; a peer that invents names fills the memory once and then pays for its own. */
const NAMES_MAX = 1_024;
const NAME_CHARS_MAX = 48;

const known = new Map<string, string>();

/** The name at text[start, end), in any letter case. */
export function lowerName(text: string, start: number, end: number): string {
  const name = text.slice(start, end);
  return known.get(name) ?? remember(name);
}

function remember(name: string): string {
  const lower = name.toLowerCase();
  if (known.size < NAMES_MAX && name.length <= NAME_CHARS_MAX) {
    // A slice would keep the whole text of its head in memory.
    const key = Buffer.from(name, 'latin1').toString('latin1');
    known.set(key, key === lower ? key : Buffer.from(lower, 'latin1').toString('latin1'));
  }
  return lower;
}
