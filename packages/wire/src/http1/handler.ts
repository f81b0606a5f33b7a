// What a parser tells. Methods are called synchronously inside `push` and `end`, in message order. A handler may call the parser's
// `tunnel`, `abort`, `next` or `begin` from inside, but not `push`.

import type { RemoteProtocolError } from './errors.ts';
import type { RequestHead, ResponseHead, Trailers } from './head.ts';

export interface BodyHandler {
  /** Content of the body, without framing: bytes[start, end) of what was pushed, never empty, never copied. After `tunnel`: raw bytes. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The message is complete. Trailers only when there are any. */
  onEnd(trailers: Trailers | undefined): void;
  /** The peer broke the protocol; at most once, and nothing follows. */
  onError(error: RemoteProtocolError): void;
}

export interface RequestHandler extends BodyHandler {
  /** `head` is the parser's, valid until `next()`. */
  onHead(head: RequestHead): void;
}

export interface ResponseHandler extends BodyHandler {
  /** A 1xx response other than 101; the final one follows (RFC 9110 §15.2). `head` is valid during the call. */
  onInterim(head: ResponseHead): void;
  /** The final response, or 101. `head` is the parser's, valid until `begin()`. */
  onHead(head: ResponseHead): void;
}
