// Whether what a command wrote looks like what a page shows: the columns of a table are the same, and each line that is shown has one that begins
// alike. Numbers, times and ports may differ; `…` stands for anything.

/** What is shown and was not seen; empty: it looks alike. `language` is that of the fence: of JSON, the names of fields are compared. */
export function differences(shown: readonly string[], seen: string, language = ''): string[] {
  if (language === 'json') {
    const names = shown.flatMap((line) => [...line.matchAll(/"([\w-]+)":/g)].map(([, name = '']) => name));
    return [...new Set(names)].filter((name) => !new RegExp(`"${name}"\\s*:`).test(seen)).map((name) => `no field "${name}"`);
  }
  const lines = seen.split('\n').map((line) => line.trim());
  return shown
    .map((line) => line.trim())
    .filter(
      (line) => line !== '' && line !== '…' && !lines.some((one) => (isHeading(line) ? sameColumns(line, one) : beginsAlike(line, one))),
    );
}

function isHeading(line: string): boolean {
  return /^[A-Z][A-Z ]+( {2,}[A-Z][A-Z /]*)+$/.test(line) || /^[A-Z]+( {2,}[A-Z][A-Z /]*)+$/.test(line);
}

function sameColumns(shown: string, seen: string): boolean {
  return shown.split(/ {2,}/).join('|') === seen.split(/ {2,}/).join('|');
}

function beginsAlike(shown: string, seen: string): boolean {
  const [words, others] = [beginning(shown), beginning(seen)];
  return words.every((word, index) => alike(word, others[index] ?? ''));
}

/** The first word; of numbers, times and durations the word behind them, too. */
function beginning(line: string): string[] {
  const words = line
    .replace(/^\d+ (ms|s|min|h|d) /, '')
    .trim()
    .split(/\s+/);
  const [first = '', second = ''] = words.map((word) => word.replace(/[0-9]+/g, '0'));
  return /[A-Za-z]{2,}|…/.test(first) || second === '' ? [first] : [first, second];
}

function alike(shown: string, seen: string): boolean {
  if (!shown.includes('…')) return shown === seen;
  const [before = '', after = ''] = shown.split('…');
  return seen.startsWith(before) && seen.endsWith(after);
}
