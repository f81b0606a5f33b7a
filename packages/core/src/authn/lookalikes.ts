// Names of headers that are another one to some applications.

/** Names have few dashes; of those with more, only the form with no dash at all is told. */
const DASHES_MAX = 6;

/**
 * Names that some applications cannot tell from the given ones: CGI, WSGI and others write `-` and `_` as the same character. Without the names
 * themselves. @param names in lower case.
 */
export function lookalikes(names: readonly string[]): string[] {
  const found = new Set<string>();
  for (const name of names) {
    const parts = name.split(/[-_]/);
    const gaps = parts.length - 1;
    if (gaps > DASHES_MAX) {
      found.add(parts.join('_'));
      continue;
    }
    for (let bits = 0; bits < 2 ** gaps; bits++) {
      found.add(parts.reduce((joined, part, at) => `${joined}${(bits & (1 << (at - 1))) === 0 ? '-' : '_'}${part}`));
    }
  }
  for (const name of names) found.delete(name);
  return [...found];
}
