// Lists sorted by id, of which one entry changes: copied, not sorted again.

interface WithId {
  readonly id: string;
}

/** The list with the item in the place of the one with its id, or added. */
export function changedAt<T extends WithId>(list: readonly T[], item: T): readonly T[] {
  const at = placeOf(list, item.id);
  const copy = list.slice();
  copy.splice(at, list[at]?.id === item.id ? 1 : 0, item);
  return copy;
}

/** The list without the item of the id; itself when there is none. */
export function withoutAt<T extends WithId>(list: readonly T[], id: string): readonly T[] {
  const at = placeOf(list, id);
  if (list[at]?.id !== id) return list;
  const copy = list.slice();
  copy.splice(at, 1);
  return copy;
}

/** The first place whose id is not below. */
function placeOf(list: readonly WithId[], id: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]!.id < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
