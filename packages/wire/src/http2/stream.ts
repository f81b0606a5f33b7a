// One stream as its connection keeps it. The handler gets this object with every call and hangs its own state on `context`.

import { LocalProtocolError } from '../http1/errors.ts';
import { NEXT_STATE, type StreamEvent, type StreamState } from './stream-state.ts';

export class Http2Stream {
  readonly id: number;
  /** For the user of the connection: whatever belongs to this stream. The codec does not look at it. */
  context: unknown;
  /** RFC 9113 §5.1. */
  state: StreamState = 'idle';
  /** Bytes given to `onData` and not yet reported to `consumed`. */
  unconsumed = 0;
  /** @internal What we may send; negative after the peer lowered SETTINGS_INITIAL_WINDOW_SIZE (§6.9.2). */
  sendWindow: number;
  /** @internal What the peer may send. */
  receiveWindow: number;
  /** @internal Consumed, but not yet given back by WINDOW_UPDATE. */
  credit = 0;
  /** @internal Bytes that Content-Length still promises; -1 when nothing was promised. */
  lengthLeft = -1;
  /** @internal The final head (no interim response) was received; was sent. */
  headReceived = false;
  headSent = false;
  /** @internal Client: the request was HEAD; was CONNECT. */
  toHead = false;
  toConnect = false;
  /** @internal Received so far. */
  interimResponses = 0;
  /** @internal `sendData` could not send everything; waits in the queue for the window of the connection. */
  blocked = false;
  queued = false;

  /** @internal */
  constructor(id: number, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  /** The peer has not ended its direction. */
  get isReceiving(): boolean {
    return this.state === 'open' || this.state === 'half-closed-local';
  }

  /** We have not ended our direction. */
  get isSending(): boolean {
    return this.state === 'open' || this.state === 'half-closed-remote';
  }

  get isClosed(): boolean {
    return this.state === 'closed';
  }

  /** @internal Throws LocalProtocolError for what the state does not allow. */
  advance(event: StreamEvent): void {
    const next = NEXT_STATE[this.state][event];
    if (next === undefined) throw new LocalProtocolError('WRONG_STATE', `Stream ${this.id} is ${this.state}: ${event} is not possible.`);
    this.state = next;
  }
}
