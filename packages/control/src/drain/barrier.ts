// When an instance that is draining may stop: once no data plane can choose it any more. Pure: told what each configuration stream may still
// use, it says who is waited for, and how it ended. A data plane whose stream broke goes on by what it had, so it is waited for until it is back
// or has been away for so long that it counts as gone.

/** `returned`: the instance is in rotation again, so there is nothing to wait for. */
export type DrainOutcome = 'waiting' | 'complete' | 'timed-out' | 'returned';

/**
 * `unacknowledged`: it was told, or is about to be, and has not answered. `refused`: it keeps what it had. `disconnected`: its stream ended, and
 * has not come back.
 */
export type StragglerReason = 'unacknowledged' | 'refused' | 'disconnected';

export interface Straggler {
  /** Name of the data plane. */
  readonly node: string;
  readonly reason: StragglerReason;
}

export interface DrainProgress {
  readonly outcome: DrainOutcome;
  /** Data planes that might have chosen the instance when it began, or that turned out so since. */
  readonly dataPlanes: number;
  /** Of these, those that have confirmed that they no longer do. */
  readonly acknowledged: number;
  /** And those that ended, or were away for too long. */
  readonly gone: number;
  /** The others, sorted by name. */
  readonly stragglers: readonly Straggler[];
}

interface Member {
  readonly node: string;
  /** Undefined: it is not waited for any more. */
  open: StragglerReason | undefined;
  hasConfirmed: boolean;
  /** With `disconnected`: when it counts as gone. */
  untilMs: number;
}

export interface DrainBarrierOptions {
  /** On the clock of all `nowMs`. */
  readonly nowMs: number;
  /** How long data planes are waited for. */
  readonly timeoutMs: number;
}

/** `Id`: what tells one configuration stream from another; a data plane may have had several. */
export class DrainBarrier<Id> {
  readonly deadlineMs: number;
  readonly #members = new Map<Id, Member>();
  /** Those that count as gone at some time: few, if any. */
  readonly #timed = new Set<Id>();
  #openCount = 0;
  #hasBegun = false;
  #outcome: DrainOutcome = 'waiting';

  constructor({ nowMs, timeoutMs }: DrainBarrierOptions) {
    this.deadlineMs = nowMs + timeoutMs;
  }

  get outcome(): DrainOutcome {
    return this.#outcome;
  }

  /** Everybody that is connected has been looked at: from now on nobody left means complete. */
  begin(): void {
    this.#hasBegun = true;
    this.#decide();
  }

  /** Whether the stream is waited for. */
  awaits(id: Id): boolean {
    return this.#members.get(id)?.open !== undefined;
  }

  /** The stream's data plane may still choose the instance. */
  holds(id: Id, node: string, reason: Exclude<StragglerReason, 'disconnected'>): void {
    this.#open(id, node, reason, Infinity);
  }

  /** The stream ended, not by the will of its data plane; that may choose the instance until it is back, or until `untilMs`. */
  lost(id: Id, node: string, untilMs: number): void {
    this.#open(id, node, 'disconnected', untilMs);
  }

  /** The stream's data plane can no longer choose the instance, or another stream of it speaks for it. */
  confirmed(id: Id): void {
    this.#close(id, true);
  }

  /** The stream's data plane has ended, or no longer counts. */
  gone(id: Id): void {
    this.#close(id, false);
  }

  /** The instance is in rotation again. */
  returned(): void {
    if (this.#outcome === 'waiting') this.#outcome = 'returned';
  }

  /** When to call `handleTimeout`; undefined when it is over. */
  nextTimeoutMs(): number | undefined {
    if (this.#outcome !== 'waiting') return undefined;
    let nextMs = this.deadlineMs;
    for (const id of this.#timed) nextMs = Math.min(nextMs, this.#members.get(id)?.untilMs ?? Infinity);
    return nextMs;
  }

  handleTimeout(nowMs: number): void {
    for (const id of this.#timed) if ((this.#members.get(id)?.untilMs ?? Infinity) <= nowMs) this.#close(id, false);
    if (this.#outcome === 'waiting' && nowMs >= this.deadlineMs) this.#outcome = 'timed-out';
  }

  progress(): DrainProgress {
    const nodes = new Map<string, { open: StragglerReason | undefined; hasConfirmed: boolean }>();
    for (const { node, open, hasConfirmed } of this.#members.values()) {
      const known = nodes.get(node);
      if (known === undefined) nodes.set(node, { open, hasConfirmed });
      else {
        known.open ??= open;
        known.hasConfirmed ||= hasConfirmed;
      }
    }
    const stragglers: Straggler[] = [];
    let acknowledged = 0;
    for (const [node, { open, hasConfirmed }] of nodes) {
      if (open !== undefined) stragglers.push({ node, reason: open });
      else if (hasConfirmed) acknowledged += 1;
    }
    stragglers.sort((a, b) => (a.node < b.node ? -1 : 1));
    return {
      outcome: this.#outcome,
      dataPlanes: nodes.size,
      acknowledged,
      gone: nodes.size - acknowledged - stragglers.length,
      stragglers,
    };
  }

  #open(id: Id, node: string, reason: StragglerReason, untilMs: number): void {
    if (this.#outcome !== 'waiting') return;
    const member = this.#members.get(id);
    if (untilMs === Infinity) this.#timed.delete(id);
    else this.#timed.add(id);
    if (member === undefined) {
      this.#members.set(id, { node, open: reason, hasConfirmed: false, untilMs });
      this.#openCount += 1;
      return;
    }
    if (member.open === undefined) this.#openCount += 1;
    member.open = reason;
    member.untilMs = untilMs;
  }

  #close(id: Id, hasConfirmed: boolean): void {
    const member = this.#members.get(id);
    if (this.#outcome !== 'waiting' || member?.open === undefined) return;
    member.open = undefined;
    member.hasConfirmed = hasConfirmed;
    this.#timed.delete(id);
    this.#openCount -= 1;
    this.#decide();
  }

  #decide(): void {
    if (this.#hasBegun && this.#outcome === 'waiting' && this.#openCount === 0) this.#outcome = 'complete';
  }
}
