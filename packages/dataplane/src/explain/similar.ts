// Names that may have been meant. By the pairs of letters that two names have in common (Dice's coefficient), so that parts of long host
// names are found as well as slips of the finger.

const SIMILAR_MIN = 0.5;
const SIMILAR_MAX = 3;
/** Longer ones are no names. */
const CHARS_MAX = 300;

/** At most three, the most alike first. */
export function similarNames(word: string, names: Iterable<string>): string[] {
  if (word.length > CHARS_MAX) return [];
  const asked = pairsOf(word.toLowerCase());
  const scored: { readonly name: string; readonly score: number }[] = [];
  for (const name of new Set(names)) {
    const score = likeness(asked, pairsOf(name.toLowerCase()));
    if (score >= SIMILAR_MIN) scored.push({ name, score });
  }
  return scored
    .sort((a, b) => b.score - a.score || a.name.length - b.name.length)
    .slice(0, SIMILAR_MAX)
    .map(({ name }) => name);
}

/** Beginning and end count as letters: short names have few others. */
function pairsOf(text: string): string[] {
  const marked = `^${text}$`;
  return Array.from({ length: marked.length - 1 }, (_, at) => marked.slice(at, at + 2));
}

function likeness(a: readonly string[], b: readonly string[]): number {
  const left = [...b];
  let common = 0;
  for (const pair of a) {
    const at = left.indexOf(pair);
    if (at === -1) continue;
    left.splice(at, 1);
    common++;
  }
  return (2 * common) / (a.length + b.length);
}
