// "Did you mean …?": the candidate that is nearest to what was written, if it is near enough to be meant.

/** Damerau-Levenshtein distance (adjacent letters swapped count as one); words longer than 64 are not compared. */
export function editDistance(a: string, b: string): number {
  if (a.length > 64 || b.length > 64) return a === b ? 0 : Infinity;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let best = Math.min((previous[column] as number) + 1, (current[column - 1] as number) + 1, (previous[column - 1] as number) + cost);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (beforePrevious[column - 2] as number) + 1);
      }
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] as number;
}

/** The nearest candidate within a third of the word's length (at least one edit), without regard to case; else undefined. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const reach = Math.max(1, Math.floor(word.length / 3));
  let found: string | undefined;
  let foundDistance = reach + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= foundDistance) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < foundDistance) [found, foundDistance] = [candidate, distance];
  }
  return found;
}

/** `"a", "b" or "c"`; of more than `shownMax` the first, and how many more. */
export function listed(words: readonly string[], shownMax = 12): string {
  const quoted = words.slice(0, shownMax).map((word) => `"${word}"`);
  if (words.length > shownMax) return `${quoted.join(', ')} and ${words.length - shownMax} more`;
  return quoted.length < 2 ? quoted.join('') : `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}

/** The DNS label nearest to any text: `Order Service` becomes `order-service`; empty when nothing is left. */
export function asLabel(text: string): string {
  const label = text
    .slice(0, 256)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-');
  return label
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
    .replace(/-+$/, '');
}
