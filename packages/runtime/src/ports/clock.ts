// Time and randomness as arguments: nothing outside `runtime/node` reads a clock or rolls a die by itself.

export interface Timer {
  /** Does nothing when the timer has fired or was cancelled before. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. May jump; for timestamps that people or certificates read. */
  wallMs(): number;
  /** Milliseconds from an arbitrary start, never backwards, with fractions. For measuring and deadlines. */
  nowMs(): number;
  /** Calls once after the delay. The timer does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Cryptographically strong bytes. */
  bytes(length: number): Uint8Array;
}
