// Whether what a command wrote looks like what a page shows: the columns of a table are the same, and each line that is shown has one that begins
// alike. Numbers, times and ports may differ; `…` stands for anything.

const WORDS_COMPARED = 3;

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

/** The first words, without the name of the process before a line of output, and as far as `…`; every number, time or address is the same to us. */
function beginning(line: string): string[] {
  const words = line
    .replace(/^\S+ +\| /, '')
    .replace(/^\d+ (ms|s|min|h|d) /, '')
    .split(/\s+/)
    .slice(0, WORDS_COMPARED);
  const open = words.findIndex((word) => word.includes('…'));
  return words.slice(0, open === -1 ? undefined : open + 1).map((word) => word.replace(/\d+(\.\d+)*/g, '0'));
}

function alike(shown: string, seen: string): boolean {
  const open = shown.indexOf('…');
  return open === -1 ? shown === seen : seen.startsWith(shown.slice(0, open));
}
