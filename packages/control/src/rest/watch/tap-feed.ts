// Live requests as events of a stream.
import type { OpenTap, TapMessage } from '../../telemetry/tap-desk.ts';
import { time } from '../present.ts';
import type { Feed, Message } from './feed.ts';

export class TapFeed implements Feed {
  readonly kind = 'tap';
  /** There is no place to go on from. */
  readonly settled = false;
  readonly urgent = false;
  readonly #tap: OpenTap;
  readonly #onOver: () => void;

  /** @param onOver the last message has gone out. */
  constructor(tap: OpenTap, onOver: () => void) {
    this.#tap = tap;
    this.#onOver = onOver;
  }

  next(): Message | undefined {
    const message = this.#tap.next();
    if (message === undefined && this.#tap.isOver) this.#onOver();
    return message && messageOf(message);
  }

  close(): void {
    this.#tap.close();
  }
}

function messageOf({ kind, ...rest }: TapMessage): Message {
  if (!('record' in rest)) return { event: kind as Exclude<TapMessage['kind'], 'request'>, data: JSON.stringify(rest) };
  const { node, number, record } = rest;
  const { timeMs, headers, ...told } = record;
  const shown = headers.length === 0 ? {} : { headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])) };
  return { event: 'record', data: JSON.stringify({ time: time(timeMs), node, id: String(number), ...told, ...shown }) };
}
