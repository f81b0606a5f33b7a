// Readings of a file again that SIGHUP asks for.

export class Reloads {
  #reload: (() => Promise<void>) | undefined;
  #isAskedEarly = false;
  #last: Promise<void> = Promise.resolve();

  /** Each waits for the one before it. Before `begin` there is nothing to reload yet, but the file may have changed since it was read. */
  readonly ask = (): void => {
    if (this.#reload === undefined) this.#isAskedEarly = true;
    else this.#last = this.#last.then(this.#reload);
  };

  /** From now on. @param reload never rejects. */
  begin(reload: () => Promise<void>): void {
    this.#reload = reload;
    if (this.#isAskedEarly) this.ask();
  }

  /** Those that were asked for. */
  get done(): Promise<void> {
    return this.#last;
  }
}
