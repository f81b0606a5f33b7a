// Headers as people write them, one a line: `x-user: ann`.

/** Throws an Error that says which line is none. */
export function headersOf(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const [, name, value = ''] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`line ${index + 1} of the headers is not NAME: VALUE`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}
