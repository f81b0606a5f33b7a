// What a data plane refused of one kind. A response is applied whole or not at all, so one bad resource would block all the others that
// travel with it: what was refused is kept apart and offered again in ever smaller groups, until what is bad stands alone. Each is offered
// once for each reason to try, until it is taken or gone.

/** A rejection is shown to people; a peer must not fill the control plane's memory with it. */
const REASON_LENGTH_MAX = 4_096;
/** Resources refused for a reason of their own: enough to see a pattern; of more, only the newest reason is kept. */
const REASONS_MAX = 64;
/** Refusals in a row that are believed when they name what is bad; then groups are halved, which surely comes to an end soon. */
const NAMINGS_MAX = 8;

interface Refusal {
  /** The version that was refused; undefined: its removal was. */
  readonly offered: string | undefined;
  /** To be offered again although it has not changed, until that is answered. */
  isDue: boolean;
  /** It is in one of the groups and has not been sent again. */
  isQueued: boolean;
  /** Empty: it was not kept. */
  readonly reason: string;
}

export class Refusals {
  /** Newest last. */
  readonly #byName = new Map<string, Refusal>();
  /** Names to be offered together. Those of halves come first, so that there are never more than a few besides single names. */
  #groups: string[][] = [];
  /** A response that changed nothing was refused. */
  #hasRefusedNothing = false;
  #newestReason = '';
  #namings = 0;

  get isNone(): boolean {
    return this.#byName.size === 0 && !this.#hasRefusedNothing;
  }

  /** Something may wait to be offered again. */
  get hasGroups(): boolean {
    return this.#groups.length > 0;
  }

  /** Names with what was refused of them, the oldest refusal first. */
  entries(): Iterable<[name: string, refusal: Readonly<Refusal>]> {
    return this.#byName;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  get(name: string): Readonly<Refusal> | undefined {
    return this.#byName.get(name);
  }

  /** What waits to be offered again, group by group. */
  *groups(): Generator<readonly string[]> {
    while (this.#groups.length > 0 && this.#groups[0]?.some((name) => this.#isWaiting(name)) === false) this.#groups.shift();
    for (const group of this.#groups) yield group.filter((name) => this.#isWaiting(name));
  }

  #isWaiting(name: string): boolean {
    return this.#byName.get(name)?.isQueued === true;
  }

  /**
   * A response was refused that changed `size` resources, among them `offers` (name → version, undefined for a removal). Those that the
   * reason names are kept apart, each to be tried alone; the rest may go together once more, so that a state-of-the-world response does not
   * have to be built up again from one resource. A reason without names makes all of them suspect, and each half is to be tried.
   */
  add(offers: ReadonlyMap<string, string | undefined>, size: number, reason: string): void {
    this.#newestReason = reason.slice(0, REASON_LENGTH_MAX) || 'refused without a reason';
    if (size === 0) this.#hasRefusedNothing = true;
    const all = [...offers.keys()];
    const named = size > 1 && this.#namings < NAMINGS_MAX ? all.filter((name) => this.#newestReason.includes(name)) : [];
    if (named.length > 0) this.#namings += 1;
    // Removals first: they can free what the others need.
    const suspects = (named.length > 0 ? named : all).toSorted(
      (left, right) => Number(offers.get(left) !== undefined) - Number(offers.get(right) !== undefined),
    );
    const isDue = size > 1;
    for (const name of suspects) {
      this.#byName.delete(name);
      const kept = this.#byName.size < REASONS_MAX ? this.#newestReason : '';
      this.#byName.set(name, { offered: offers.get(name), isDue, isQueued: isDue, reason: kept });
    }
    if (!isDue) return;
    if (named.length === 0) this.#groups.unshift(...halves(suspects));
    else {
      for (const name of suspects) this.#groups.push([name]);
      // Those that were suspect before, and are not what is bad about a group of such: together once more.
      const bad = new Set(named);
      this.#queue(all.filter((name) => !bad.has(name)));
    }
  }

  /** A response with it is under way. */
  sent(name: string): void {
    const refusal = this.#byName.get(name);
    if (refusal !== undefined) refusal.isQueued = false;
  }

  /** A response that changed `size` resources was taken. */
  settle(names: Iterable<string>, size: number): void {
    for (const name of names) this.#byName.delete(name);
    this.#hasRefusedNothing = false;
    if (size > 1 || this.#byName.size === 0) this.#namings = 0;
  }

  forget(name: string): void {
    this.#byName.delete(name);
  }

  /** It is to be offered again: alone. */
  markDue(name: string): void {
    this.#queue([name]);
  }

  #queue(names: readonly string[]): void {
    const group: string[] = [];
    for (const name of names) {
      const refusal = this.#byName.get(name);
      if (refusal === undefined) continue;
      refusal.isDue = true;
      if (!refusal.isQueued) group.push(name);
      refusal.isQueued = true;
    }
    if (group.length > 0) this.#groups.push(group);
  }

  /** Everything is to be offered once more, unless that is still going on. True when a response without changes is to be sent, too. */
  retry(): boolean {
    if (![...this.#byName.values()].some(({ isDue }) => isDue)) for (const name of this.#byName.keys()) this.markDue(name);
    return this.#hasRefusedNothing;
  }

  /** Of what was refused last and still is; empty when nothing is. */
  reason(): string {
    if (this.isNone) return '';
    let last: Refusal | undefined;
    for (const refusal of this.#byName.values()) last = refusal;
    return last?.reason || this.#newestReason;
  }
}

function halves(names: string[]): string[][] {
  if (names.length < 2) return names.length === 0 ? [] : [names];
  const middle = names.length >> 1;
  return [names.slice(0, middle), names.slice(middle)];
}
