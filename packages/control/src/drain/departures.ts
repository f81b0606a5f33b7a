// Data planes whose configuration stream ended without a word. They go on calling by what they had, so a drain waits for them, until they are
// back or have been away for so long that they count as gone.
import type { DrainStream } from './stream.ts';

/**
 * Heddle's own data planes come back within 5 s of a connection that breaks (back-off of 2 s at most, 3 s for a try). One that is away for
 * three times as long has ended, or is cut off; then it learns of an instance that stopped by its connections to it.
 */
export const DEPARTED_MS = 15_000;
/** As many streams as one control plane serves. */
const NODES_MAX = 5_000;
/** A data plane has one stream, or one for each kind; one that loses more within 15 s is remembered by its name alone. */
const STREAMS_PER_NODE_MAX = 8;

/** What a data plane may still go by; without a stream, nothing is known of it but that it was there. */
export interface Departed {
  readonly node: string;
  readonly stream: DrainStream | undefined;
  readonly untilMs: number;
}

export class Departures {
  readonly #byNode = new Map<string, Departed[]>();

  add(node: string, stream: DrainStream | undefined, nowMs: number): Departed {
    const departed: Departed = { node, stream, untilMs: nowMs + DEPARTED_MS };
    const known = this.#byNode.get(node) ?? [];
    // The last to be added is the last to be forgotten.
    this.#byNode.delete(node);
    const isTooMany = known.length >= STREAMS_PER_NODE_MAX;
    const kept = isTooMany ? { ...departed, stream: undefined } : departed;
    this.#byNode.set(node, isTooMany ? [kept] : [...known, kept]);
    this.forgetOld(nowMs);
    return kept;
  }

  /** Those that still count. */
  *all(nowMs: number): Iterable<Departed> {
    this.forgetOld(nowMs);
    for (const ofNode of this.#byNode.values()) for (const departed of ofNode) if (departed.untilMs > nowMs) yield departed;
  }

  /** Takes out all of the data plane: it is back. */
  take(node: string): readonly Departed[] {
    const known = this.#byNode.get(node);
    if (known === undefined) return NONE;
    this.#byNode.delete(node);
    return known;
  }

  /** Those that count no more. False: nobody is left. */
  forgetOld(nowMs: number): boolean {
    for (const [node, ofNode] of this.#byNode) {
      const isOver = (ofNode.at(-1)?.untilMs ?? 0) <= nowMs;
      if (!isOver && this.#byNode.size <= NODES_MAX) break;
      this.#byNode.delete(node);
    }
    return this.#byNode.size > 0;
  }
}

const NONE: readonly Departed[] = [];
