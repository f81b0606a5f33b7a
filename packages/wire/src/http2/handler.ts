// What a connection tells. Methods are called synchronously inside `push` and `end`, in the order of the frames. A handler may send, reset
// and consume from inside, but not push. Nothing more is told of a stream after `onReset`.

import type { Http2ProtocolError, StreamViolationCode } from './errors.ts';
import type { Http2RequestHead, Http2ResponseHead, Http2Trailers } from './head.ts';
import type { LoadAnswer } from './load.ts';
import type { Http2Settings } from './settings.ts';
import type { Http2Stream } from './stream.ts';

export interface Http2Handler {
  /** Content: bytes[start, end) of what was pushed, never copied; empty only with `endStream`. Every byte is to be reported to `consumed`
   *  once it needs no memory any more, also when the stream was closed in between. */
  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, endStream: boolean): void;
  /** The peer ended the stream with trailers, which are valid during the call. */
  onTrailers(stream: Http2Stream, trailers: Http2Trailers): void;
  /** The stream is closed before its time. REFUSED_STREAM: the peer did nothing with it, it may be tried again (RFC 9113 §8.7). `violation`:
   *  we closed it because the peer broke this rule. */
  onReset(stream: Http2Stream, errorCode: number, violation: StreamViolationCode | undefined): void;
  /** After `sendData` took only a part: more can go now. */
  onWindow(stream: Http2Stream): void;
  /** A stream that the peer wanted to open was refused before anybody heard of it. */
  onRefused(streamId: number, violation: StreamViolationCode): void;
  /** The settings of the peer, each time they change. */
  onSettings(settings: Readonly<Http2Settings>): void;
  /** The peer opens and takes no more streams. Clients: those above `lastStreamId` were reset with REFUSED_STREAM before this call. */
  onGoaway(lastStreamId: number, errorCode: number, debug: string): void;
  /** The answer to `ping`: eight bytes at `start`, valid during the call. */
  onPingAck(bytes: Buffer, start: number): void;
  /** Servers that answer such: how loaded are you? `answerLoad` with the same number, at once or later. */
  onLoadQuestion(number: number): void;
  /** Clients: the answer to `askLoad`. */
  onLoadAnswer(answer: LoadAnswer): void;
  /** The peer broke the protocol, at most once, and nothing follows. All streams were reset before. Write what `take` gives, then close. */
  onError(error: Http2ProtocolError): void;
}

export interface Http2ServerHandler extends Http2Handler {
  /** A request. `head` is valid during the call, unless it is kept (`head.keep()`, later `head.release()`). */
  onHeaders(stream: Http2Stream, head: Http2RequestHead, endStream: boolean): void;
}

export interface Http2ClientHandler extends Http2Handler {
  /** A 1xx response; the final one follows. `head` is valid during the call. */
  onInterim(stream: Http2Stream, head: Http2ResponseHead): void;
  /** The final response. `head` is valid during the call, unless it is kept (`head.keep()`). */
  onHeaders(stream: Http2Stream, head: Http2ResponseHead, endStream: boolean): void;
}
