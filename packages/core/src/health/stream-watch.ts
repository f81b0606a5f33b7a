// Whether the peer of a stream still lives, as a function of when it was heard: a peer that says nothing is asked something that it must
// answer, and one that does not answer is given up. Unlike keepalive of the transport this also notices a process whose connection is
// fine and whose handler has stopped.

export interface StreamWatchPolicy {
  /** From the beginning of the connection to the first word. */
  readonly connectMs: number;
  /** Silence after which the peer is asked. */
  readonly quietMs: number;
  /** For the answer. */
  readonly answerMs: number;
}

/**
 * A stream that died is replaced within quietMs + answerMs = 4.5 s, a connection that never came about after 3 s; with the first pause of
 * reconnecting (at most 200 ms) and a handshake that stays below 5 s. Shorter times would take a control plane that collects garbage, or
 * answers 1,000 data planes at once, for dead, and make its work more.
 */
export const STREAM_WATCH: StreamWatchPolicy = Object.freeze({ connectMs: 3_000, quietMs: 2_000, answerMs: 2_500 });

/** A timer that is this late means that our own process stood still: what the peer said may lie unread in the socket. */
const STALL_MS = 250;
/** What it gets then, once. */
const STALL_GRACE_MS = 1_000;

export class StreamWatch {
  readonly #policy: StreamWatchPolicy;
  #phase: 'connecting' | 'heard' | 'asked' = 'connecting';
  #dueMs: number;
  #isGraced = false;

  constructor(policy: StreamWatchPolicy, nowMs: number) {
    this.#policy = policy;
    this.#dueMs = nowMs + policy.connectMs;
  }

  /** When `handleTimeout` is to be called, in the time of `nowMs`. It only moves away, save by `asked`. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** The peer has said something. */
  heard(nowMs: number): void {
    this.#phase = 'heard';
    this.#dueMs = nowMs + this.#policy.quietMs;
    this.#isGraced = false;
  }

  /** It was asked something that it must answer. What is asked before the first answer has no more time than that. */
  asked(nowMs: number): void {
    if (this.#phase !== 'heard') return;
    this.#phase = 'asked';
    this.#dueMs = nowMs + this.#policy.answerMs;
  }

  /** `ask`: now, and say `asked`. `replace`: the stream is dead. Undefined: look again at `dueMs`. */
  handleTimeout(nowMs: number): 'ask' | 'replace' | undefined {
    const lateMs = nowMs - this.#dueMs;
    if (lateMs < 0) return undefined;
    if (this.#phase === 'heard') return 'ask';
    if (lateMs < STALL_MS || this.#isGraced) return 'replace';
    this.#isGraced = true;
    this.#dueMs = nowMs + STALL_GRACE_MS;
    return undefined;
  }
}

/** Doubled no further than this. */
const FACTOR_MAX = 8;
/** A stream that was answered for so long is one of quiet times. */
const CALM_MS = 15_000;

/**
 * How long to wait for a peer that may only be busy. The first silence ends a stream as fast as the policy says; those that follow soon give
 * the peer twice as long each time, so that 1,000 who left a busy control plane do not keep it busy by coming back.
 */
export class Patience {
  readonly #base: StreamWatchPolicy;
  #factor = 1;

  constructor(base: StreamWatchPolicy = STREAM_WATCH) {
    this.#base = base;
  }

  get factor(): number {
    return this.#factor;
  }

  /** The time for connecting stays: who tries beside a try that waits loses nothing. */
  get policy(): StreamWatchPolicy {
    return { ...this.#base, answerMs: this.#base.answerMs * this.#factor };
  }

  /** The peer did not answer in time. */
  lapsed(): void {
    this.#factor = Math.min(FACTOR_MAX, this.#factor * 2);
  }

  /** The peer has answered on a stream that has been up for `upMs`. True when that changes the policy. */
  calmed(upMs: number): boolean {
    if (this.#factor === 1 || upMs < CALM_MS) return false;
    this.#factor = 1;
    return true;
  }
}
