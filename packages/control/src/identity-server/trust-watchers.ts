// Which identities follow the roots by `WatchTrust`: their certificates and roots are in files, which other programs read in their own time.

export class TrustWatchers {
  readonly #streams = new Map<string, number>();

  /** SPIFFE ids, each once. */
  get identities(): ReadonlySet<string> {
    return new Set(this.#streams.keys());
  }

  /** Returns what to call once when the stream is over. */
  opened(id: string): () => void {
    this.#streams.set(id, (this.#streams.get(id) ?? 0) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#streams.get(id) ?? 1) - 1;
      if (left > 0) this.#streams.set(id, left);
      else this.#streams.delete(id);
    };
  }
}
