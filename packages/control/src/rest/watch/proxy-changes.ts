// The state of the data planes for all watches together. Every acknowledgement of every data plane is a change, so they are looked at
// twice a second at most, and only while somebody watches.
import type { Clock, Timer } from '@heddle/runtime';
import { presentProxies } from '../present.ts';
import type { ProxySource } from '../sources.ts';

const PAUSE_MS = 500;

export class ProxyChanges {
  readonly #source: ProxySource;
  readonly #clock: Clock;
  readonly #listeners = new Set<(ids: ReadonlySet<string>) => void>();
  /** JSON by id. */
  #known = new Map<string, string>();
  #subscription: { close(): void } | undefined;
  #pause: Timer | undefined;
  #dirty = false;

  constructor(source: ProxySource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** `listener` gets the ids of those that came, changed or went. */
  subscribe(listener: (ids: ReadonlySet<string>) => void): { close(): void } {
    if (this.#subscription === undefined) {
      this.#known = this.#look();
      this.#subscription = this.#source.onProxiesChange(() => this.#changed());
    }
    this.#listeners.add(listener);
    return {
      close: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size === 0) this.close();
      },
    };
  }

  /** JSON of a data plane as last looked at; for subscribers. */
  get(id: string): string | undefined {
    return this.#known.get(id);
  }

  all(): Iterable<string> {
    return this.#known.values();
  }

  close(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#subscription?.close();
    this.#subscription = undefined;
    this.#known = new Map();
    this.#listeners.clear();
  }

  #changed(): void {
    this.#dirty = true;
    if (this.#pause !== undefined) return;
    this.#pause = this.#clock.after(PAUSE_MS, () => {
      this.#pause = undefined;
      if (this.#dirty) this.#tell();
    });
  }

  #tell(): void {
    this.#dirty = false;
    const before = this.#known;
    this.#known = this.#look();
    const ids = new Set<string>();
    for (const [id, text] of this.#known) if (before.get(id) !== text) ids.add(id);
    for (const id of before.keys()) if (!this.#known.has(id)) ids.add(id);
    if (ids.size === 0) return;
    for (const listener of [...this.#listeners]) listener(ids);
  }

  #look(): Map<string, string> {
    return new Map(presentProxies(this.#source).map((proxy) => [proxy.id, JSON.stringify(proxy)]));
  }
}
