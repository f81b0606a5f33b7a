// One watch as server-sent events (HTML Standard, "Server-sent events"). The next message is made when the last has left: the stream is
// pulled. Messages that complete a state carry an id, from which a stream that broke off goes on.
import type { Clock, Timer } from '@heddle/runtime';
import type { Feed, Message } from './feed.ts';
import type { Turns } from './turns.ts';

/** Changes closer together than this are told as one. */
const CHANGES_PAUSE_MS = 50;
/** So often something is sent, so that both sides notice when the other has gone, and no one between them forgets the connection. */
const HEARTBEAT_MS = 15_000;
/** How long a browser waits before it connects again. */
const RETRY_MS = 1_000;

export const STREAM_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // Sent as it comes, also by proxies on the way that would rather gather it.
  'transfer-encoding': 'chunked',
  'x-accel-buffering': 'no',
  // When it ends, so does the control plane, and a connection that waits for more would hold it up.
  connection: 'close',
};

export interface WatchStreamOptions {
  /** Makes the feeds; they call `poke`. */
  readonly feeds: (poke: () => void) => readonly Feed[];
  /** Said first. */
  readonly preamble: readonly Message[];
  /** The id of the state when everything has been told. */
  readonly stateId: () => string;
  readonly turns: Turns;
  readonly clock: Clock;
  /** It is over, however it ended. */
  readonly onEnd: () => void;
}

export class WatchStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #options: WatchStreamOptions;
  readonly #feeds: readonly Feed[];
  readonly #preamble: Message[];
  readonly #encoder = new TextEncoder();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Resolves the pull that waits for something to say. */
  #waiting: (() => void) | undefined;
  #heartbeat: Timer | undefined;
  #pause: Timer | undefined;
  #begun = false;
  #ended = false;

  constructor(options: WatchStreamOptions) {
    this.#options = options;
    this.#preamble = [...options.preamble];
    this.#feeds = options.feeds(() => this.#poke());
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => this.#stop(),
      },
      // Nothing is made before it is asked for.
      { highWaterMark: 0 },
    );
  }

  /** Ends the stream after what is under way. */
  end(): void {
    if (this.#ended) return;
    this.#controller?.close();
    this.#stop();
  }

  async #pull(): Promise<void> {
    if (this.#feeds.some(({ urgent }) => urgent)) await this.#options.turns.next();
    if (this.#ended || this.#say() || this.#ended) return;
    this.#heartbeat = this.#options.clock.after(HEARTBEAT_MS, () => this.#write(': keep-alive\n\n'));
    await new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** There may be something to say, to somebody who waits for it: to nobody once feeds are being closed. */
  #poke(): void {
    if (!this.#ended && this.#waiting !== undefined) this.#say();
  }

  /** Whether there was something to say. */
  #say(): boolean {
    const message = this.#preamble.shift() ?? this.#next();
    if (message === undefined && this.#begun) return false;
    const head = this.#begun ? '' : `retry: ${RETRY_MS}\n\n`;
    this.#begun = true;
    this.#write(message === undefined ? head : head + this.#format(message));
    return true;
  }

  #next(): Message | undefined {
    for (const feed of this.#feeds) {
      if (!feed.urgent && this.#pause !== undefined) continue;
      const message = feed.next();
      if (message === undefined) continue;
      if (message.event === 'changes' && this.#feeds.every(({ settled }) => settled)) this.#rest();
      return message;
    }
    return undefined;
  }

  #rest(): void {
    this.#pause = this.#options.clock.after(CHANGES_PAUSE_MS, () => {
      this.#pause = undefined;
      this.#poke();
    });
  }

  #format({ event, data }: Message): string {
    const complete = this.#preamble.length === 0 && this.#feeds.every(({ settled }) => settled);
    return `event: ${event}\n${complete ? `id: ${this.#options.stateId()}\n` : ''}data: ${data}\n\n`;
  }

  #write(text: string): void {
    this.#heartbeat?.cancel();
    this.#controller?.enqueue(this.#encoder.encode(text));
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  #stop(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#heartbeat?.cancel();
    this.#pause?.cancel();
    for (const feed of this.#feeds) feed.close();
    this.#waiting?.();
    this.#waiting = undefined;
    this.#options.onEnd();
  }
}
