// What a data plane refused of one kind. A response is applied whole or not at all, so one bad resource would block all the others that
// travel with it: what was refused is kept apart and offered again alone, once for each reason to try, until it is taken or gone.

/** A rejection is shown to people; a peer must not fill the control plane's memory with it. */
const REASON_LENGTH_MAX = 4_096;
/** Resources refused for a reason of their own: enough to see a pattern; of more, only the newest reason is kept. */
const REASONS_MAX = 64;
/** Refusals in a row that are believed when they name what is bad; then each resource is tried alone, which surely comes to an end soon. */
const NAMINGS_MAX = 8;

interface Refusal {
  /** The version that was refused; undefined: its removal was. */
  readonly offered: string | undefined;
  /** To be offered again although it has not changed, until that is answered. */
  isDue: boolean;
  /** Empty: it was not kept. */
  readonly reason: string;
}

export class Refusals {
  /** Newest last. */
  readonly #byName = new Map<string, Refusal>();
  /** A response that changed nothing was refused. */
  #hasRefusedNothing = false;
  #newestReason = '';
  #namings = 0;

  get isNone(): boolean {
    return this.#byName.size === 0 && !this.#hasRefusedNothing;
  }

  /** Names with what was refused of them, the oldest refusal first. */
  entries(): Iterable<[name: string, refusal: Readonly<Refusal>]> {
    return this.#byName;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /**
   * A response was refused that changed `size` resources, among them `offers` (name → version, undefined for a removal). Those that the
   * reason names are kept apart, without names all of them, and each is to be tried alone; the rest may go together once more, so that a
   * state-of-the-world response does not have to be built up again from one resource.
   */
  add(offers: ReadonlyMap<string, string | undefined>, size: number, reason: string): void {
    this.#newestReason = reason.slice(0, REASON_LENGTH_MAX) || 'refused without a reason';
    if (size === 0) this.#hasRefusedNothing = true;
    for (const [name, offered] of this.#suspects([...offers], size)) {
      this.#byName.delete(name);
      this.#byName.set(name, { offered, isDue: size > 1, reason: this.#byName.size < REASONS_MAX ? this.#newestReason : '' });
    }
  }

  #suspects<T extends readonly [name: string, offered: string | undefined]>(offers: readonly T[], size: number): T[] {
    let named: T[] = [];
    if (size > 1 && this.#namings < NAMINGS_MAX) named = offers.filter(([name]) => this.#newestReason.includes(name));
    if (named.length > 0) this.#namings += 1;
    const suspects = named.length > 0 ? named : offers;
    // Removals first: they can free what the others need.
    return suspects.toSorted(([, left], [, right]) => Number(left !== undefined) - Number(right !== undefined));
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

  markDue(name: string): void {
    const refusal = this.#byName.get(name);
    if (refusal !== undefined) refusal.isDue = true;
  }

  /** Everything is to be offered once more, unless that is still going on. True when a response without changes is to be sent, too. */
  retry(): boolean {
    const refusals = [...this.#byName.values()];
    if (!refusals.some(({ isDue }) => isDue)) for (const refusal of refusals) refusal.isDue = true;
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
