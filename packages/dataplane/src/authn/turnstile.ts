// How many questions are under way to one issuer at once, so that a flood of tokens does not become one of connections. Some of the others wait in line; the
// rest is told at once that it is too much.
import type { Limits } from '@heddle/core';
import { NoAnswerError } from '../asking/https-client.ts';

export class Turnstile {
  private readonly limits: Pick<Limits, 'introspectionsMax' | 'tokenChecksMax'>;
  private readonly waiting: (() => void)[] = [];
  private running = 0;

  constructor(limits: Pick<Limits, 'introspectionsMax' | 'tokenChecksMax'>) {
    this.limits = limits;
  }

  /** Throws what the question throws, or NoAnswerError. */
  async pass<T>(question: () => Promise<T>): Promise<T> {
    const { introspectionsMax, tokenChecksMax } = this.limits;
    if (this.running < introspectionsMax) this.running += 1;
    else if (this.waiting.length >= tokenChecksMax)
      throw new NoAnswerError(`was not asked: ${tokenChecksMax} questions wait for it already`);
    else await new Promise<void>((resolve) => void this.waiting.push(resolve));
    try {
      return await question();
    } finally {
      // Its place goes to the next.
      const next = this.waiting.shift();
      if (next === undefined) this.running -= 1;
      else next();
    }
  }
}
