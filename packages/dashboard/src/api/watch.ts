// One stream of server-sent events, kept open: read by `fetch`, begun again with growing pauses when it breaks, where it left off.
import { ApiError, type Api } from './http.ts';
import { EventParser, type ServerSentEvent } from './events.ts';

export type Connection =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  /** `error`: why it broke. The next try is made at `retryMs` on the clock. */
  | { readonly state: 'waiting'; readonly error: string; readonly retryMs: number };

/** Time and dice of the browser. */
export interface Machine {
  nowMs(): number;
  after(ms: number, run: () => void): { cancel(): void };
  random(): number;
}

export interface WatchOptions {
  readonly api: Pick<Api, 'stream'>;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly machine: Machine;
  readonly onEvent: (event: ServerSentEvent) => void;
  readonly onConnection: (connection: Connection) => void;
}

const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 10_000;
/** The control plane says something every 15 s; without a word for longer than that, twice, the way to it is gone. */
const SILENCE_MAX_MS = 35_000;

/** Before the next try after so many that failed: doubled each time, and spread, so that many pages do not come back at once. */
export function pauseMs(failures: number, random: number): number {
  const full = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** Math.min(failures, 10));
  return full * (0.5 + random / 2);
}

export class Watch {
  readonly #options: WatchOptions;
  #abort: AbortController | undefined;
  #timer: { cancel(): void } | undefined;
  #lastId = '';
  #failures = 0;
  #closed = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#connect();
  }

  /** Does not wait for the end of a pause. */
  retryNow(): void {
    if (this.#timer === undefined || this.#closed) return;
    this.#timer.cancel();
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#abort?.abort();
  }

  #connect(): void {
    this.#timer = undefined;
    this.#options.onConnection({ state: 'connecting' });
    const abort = (this.#abort = new AbortController());
    this.#read(abort).then(
      () => this.#broken(abort, 'the control plane ended the stream'),
      (error: unknown) => this.#failed(abort, error),
    );
  }

  async #read(abort: AbortController): Promise<void> {
    const { api, path, query, machine, onEvent, onConnection } = this.#options;
    const headers: Record<string, string> = this.#lastId === '' ? {} : { 'last-event-id': this.#lastId };
    const response = await api.stream(path, query, { signal: abort.signal, headers });
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    const parser = new EventParser();
    const decoder = new TextDecoder();
    let silence: { cancel(): void } | undefined;
    try {
      for (;;) {
        silence = machine.after(SILENCE_MAX_MS, () => abort.abort(new Error('nothing was heard of the control plane')));
        const { done, value } = await reader.read();
        silence.cancel();
        if (done) return;
        if (this.#failures >= 0) onConnection({ state: 'live' });
        this.#failures = -1;
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          if (event.lastId !== '') this.#lastId = event.lastId;
          onEvent(event);
        }
      }
    } finally {
      silence?.cancel();
    }
  }

  #failed(abort: AbortController, error: unknown): void {
    // Who is not let in is asked for a token; trying again with this one helps nobody.
    if (error instanceof ApiError && error.status === 401) this.close();
    this.#broken(abort, error instanceof Error ? error.message : String(error));
  }

  #broken(abort: AbortController, error: string): void {
    if (this.#closed || abort !== this.#abort) return;
    const { machine, onConnection } = this.#options;
    this.#failures = Math.max(0, this.#failures + 1);
    const ms = pauseMs(this.#failures, machine.random());
    onConnection({ state: 'waiting', error, retryMs: machine.nowMs() + ms });
    this.#timer = machine.after(ms, () => this.#connect());
  }
}
