// Contestants in turn, round by round, so that what else the machine does meets all of them alike.
import { reasonOf } from './field.ts';
import type { Standing } from '../support/result.ts';

type Figures = Readonly<Record<string, number>>;

/** One that fails is out, with its reason; the others go on. */
export async function inTurn<T extends { readonly name: string }>(
  contestants: readonly T[],
  rounds: number,
  measure: (contestant: T) => Promise<Figures>,
): Promise<Standing[]> {
  const figures = new Map<T, Figures[]>(contestants.map((contestant) => [contestant, []]));
  const failed = new Map<T, string>();
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      if (failed.has(contestant)) continue;
      try {
        figures.get(contestant)!.push(await measure(contestant));
      } catch (error) {
        failed.set(contestant, `failed in round ${round}: ${reasonOf(error)}`);
      }
    }
  }
  return contestants.map((contestant) => {
    const absent = failed.get(contestant);
    return { name: contestant.name, rounds: absent === undefined ? figures.get(contestant)! : [], ...(absent !== undefined && { absent }) };
  });
}

/** In the order in which the contestants are listed. */
export function inOrder(names: readonly string[], standings: readonly Standing[]): Standing[] {
  return standings.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}
