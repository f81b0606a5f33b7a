// Follows what the control plane knows: asked anew at every change. While the control plane does not answer, the watcher says so
// and tries again; an old list is never passed off as today's truth.
import { backoffMs, RECONNECT_BACKOFF } from '@heddle/core';
import { plainReason, type Changes, type ControlClient } from './control-client.ts';
import { pause } from './up/poll.ts';

export interface RegistryWatchOptions<T> {
  /** Asked at every (re)connection: a control plane may come back on another port. May throw. */
  readonly open: () => ControlClient;
  /** Asked at first, and at every change. */
  readonly ask: (client: ControlClient) => Promise<T>;
  readonly onAnswer: (answer: T) => void;
  /** The control plane does not answer; told once for each loss. */
  readonly onLost: (reason: string) => void;
  /** Traffic that was reported is a change, too. Default: false. */
  readonly traffic?: boolean;
  /** The least time between two askings. Default: none. */
  readonly pauseMs?: number;
}

export class RegistryWatch<T> {
  #client: ControlClient | undefined;
  #changes: Changes | undefined;
  #timer: NodeJS.Timeout | undefined;
  #attempt = 0;
  #lost = false;
  #closed = false;
  /** A list is being fetched; `#again`: something changed meanwhile. */
  #fetching = false;
  #again = false;
  /** Of the present connection. */
  #gone = new AbortController();
  readonly #options: RegistryWatchOptions<T>;

  constructor(options: RegistryWatchOptions<T>) {
    this.#options = options;
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #connect(): void {
    if (this.#closed) return;
    try {
      this.#client = this.#options.open();
    } catch (error) {
      return this.#broken((error as Error).message);
    }
    const changes = this.#client.changes(this.#options.traffic);
    this.#changes = changes;
    changes.on('data', () => void this.#fetch());
    changes.on('error', (error) => {
      if (this.#changes === changes) this.#broken(plainReason(error.message));
    });
    changes.on('end', () => {
      if (this.#changes === changes) this.#broken('the control plane ended the stream');
    });
    void this.#fetch();
  }

  async #fetch(): Promise<void> {
    this.#again = true;
    if (this.#fetching) return;
    this.#fetching = true;
    const client = this.#client;
    const { pauseMs = 0 } = this.#options;
    const gone = this.#gone.signal;
    try {
      while (this.#again && client !== undefined && this.#client === client) {
        this.#again = false;
        const answer = await this.#options.ask(client);
        if (this.#client !== client || this.#closed) break;
        this.#attempt = 0;
        this.#lost = false;
        this.#options.onAnswer(answer);
        if (pauseMs > 0) await pause(pauseMs, gone);
      }
    } catch (error) {
      if (this.#client === client) this.#broken((error as Error).message);
    } finally {
      this.#fetching = false;
    }
  }

  #broken(reason: string): void {
    this.#drop();
    if (this.#closed) return;
    if (!this.#lost) this.#options.onLost(reason);
    this.#lost = true;
    this.#timer = setTimeout(() => this.#connect(), backoffMs(RECONNECT_BACKOFF, this.#attempt++, Math.random));
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#gone.abort();
    this.#gone = new AbortController();
    const changes = this.#changes;
    this.#changes = undefined;
    changes?.on('error', () => {});
    changes?.cancel();
    this.#client?.close();
    this.#client = undefined;
  }
}
