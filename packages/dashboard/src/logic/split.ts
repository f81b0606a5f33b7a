// Shares of a split, as a slider changes them. Weights are whole numbers that are relative to their sum.

/** In percent. */
export function sharesOf(weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => (sum === 0 ? 0 : (weight / sum) * 100));
}

/** One share is set, in percent; the others keep their proportions, and all together are 100. */
export function withShare(shares: readonly number[], index: number, share: number): number[] {
  const wanted = Math.min(100, Math.max(0, Math.round(share)));
  const others = shares.reduce((sum, one, at) => (at === index ? sum : sum + one), 0);
  const left = 100 - wanted;
  const next = shares.map((one, at) => (at === index ? wanted : others === 0 ? left / (shares.length - 1) : (one / others) * left));
  return wholes(next, index);
}

/** Whole numbers with the same sum of 100; what is over goes to the others, the largest remainder first. */
function wholes(shares: readonly number[], fixed: number): number[] {
  const floors = shares.map(Math.floor);
  let over = 100 - floors.reduce((sum, one) => sum + one, 0);
  const order = shares
    .map((share, at) => ({ at, rest: share - Math.floor(share) }))
    .filter(({ at }) => at !== fixed)
    .sort((a, b) => b.rest - a.rest);
  for (const { at } of order) {
    if (over <= 0) break;
    floors[at] = (floors[at] ?? 0) + 1;
    over -= 1;
  }
  return floors;
}
