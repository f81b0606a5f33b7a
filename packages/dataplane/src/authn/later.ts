// An answer that comes later, for as many as wait for it. Who stops waiting is not told.
import type { Later } from '../stack/access-gate.ts';

export class LaterAnswer<T> implements Later<T> {
  readonly kind = 'later';
  private readonly answer: Promise<T>;

  /** @param answer never rejects. */
  constructor(answer: Promise<T>) {
    this.answer = answer;
  }

  wait(done: (answer: T) => void): () => void {
    let isWaiting = true;
    void this.answer.then((answer) => {
      if (isWaiting) done(answer);
    });
    return () => {
      isWaiting = false;
    };
  }
}

/** The same answer in other words for one who waits. */
export function mapped<T, U>(later: Later<T>, as: (answer: T) => U): Later<U> {
  return { kind: 'later', wait: (done) => later.wait((answer) => done(as(answer))) };
}
