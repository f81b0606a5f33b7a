// What both parsers share: the way through one message (head, body, trailers), the bytes of a section that came in pieces, and the end of
// a message, where parsing stops until the caller goes on.

import { ChunkedReader } from './chunked.ts';
import { LocalProtocolError, RemoteProtocolError, type ViolationCode } from './errors.ts';
import { KIND } from './field-kind.ts';
import { FieldScanner } from './field-scanner.ts';
import type { BodyHandler } from './handler.ts';
import { Trailers, type Head } from './head.ts';
import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from './limits.ts';
import { FAULT, NEED_MORE, type Scanner, type StartLineScanner } from './scan.ts';

/**
 * Where a parser stands.
 * `idle` (responses only): no request is outstanding. `awaiting`: the next message may begin, no byte of it has come. `head`: a part of the
 * head, or an interim response, has come. `body`: the head was reported, the end was not. `complete`: the end was reported; what follows
 * waits for `next` or `begin`. `tunnel`: the bytes are no HTTP any more. `failed`: after `onError`. `aborted`: after `abort`.
 */
export type ParserState = 'idle' | 'awaiting' | 'head' | 'body' | 'complete' | 'tunnel' | 'failed' | 'aborted';

/** What the next byte belongs to. Several of them are one ParserState. */
type Stage =
  | 'idle'
  | 'before-head'
  | 'start-line'
  | 'fields'
  | 'empty-body'
  | 'length-body'
  | 'chunked-body'
  | 'trailers'
  | 'close-body'
  | 'complete'
  | 'tunnel'
  | 'failed'
  | 'aborted';

const STATE_OF: Readonly<Record<Stage, ParserState>> = {
  idle: 'idle',
  'before-head': 'awaiting',
  'start-line': 'head',
  fields: 'head',
  'empty-body': 'body',
  'length-body': 'body',
  'chunked-body': 'body',
  trailers: 'body',
  'close-body': 'body',
  complete: 'complete',
  tunnel: 'tunnel',
  failed: 'failed',
  aborted: 'aborted',
};

const BODY_STAGE = { none: 'empty-body', length: 'length-body', chunked: 'chunked-body', 'until-close': 'close-body' } as const;

/** RFC 9110 §6.5.1: fields that frame or route a message cannot come after it. */
const FORBIDDEN_TRAILERS = (1 << KIND.contentLength) | (1 << KIND.transferEncoding) | (1 << KIND.host);

const NOTHING = Buffer.alloc(0);
/** Bytes copied before each look, so that little is copied in vain when the rest of the push is body. */
const CARRY_STEP_BYTES = 4_096;

export abstract class MessageParser<H extends Head> {
  readonly head: H;
  protected readonly limits: Http1Limits;
  protected stage: Stage;
  private readonly side: 'request' | 'response';
  private readonly handler: BodyHandler;
  private readonly startLine: StartLineScanner;
  private readonly startLineTooLong: ViolationCode;
  private readonly startLineBytesMax: number;
  private readonly fieldScanner = new FieldScanner();
  private readonly chunks = new ChunkedReader();
  private trailers: Trailers | undefined;
  private remaining = 0;
  /** The section so far, when it did not come at once. */
  private carry: Buffer = NOTHING;
  private carried = 0;

  protected constructor(
    side: 'request' | 'response',
    head: H,
    startLine: StartLineScanner,
    handler: BodyHandler,
    limits: Partial<Http1Limits> | undefined,
  ) {
    this.side = side;
    this.head = head;
    this.startLine = startLine;
    this.handler = handler;
    this.limits = limits === undefined ? DEFAULT_HTTP1_LIMITS : { ...DEFAULT_HTTP1_LIMITS, ...limits };
    const { headBytesMax, requestLineBytesMax } = this.limits;
    const isRequest = side === 'request' && requestLineBytesMax < headBytesMax;
    this.startLineBytesMax = isRequest ? requestLineBytesMax : headBytesMax;
    this.startLineTooLong = isRequest ? 'REQUEST_LINE_TOO_LONG' : 'HEAD_TOO_LARGE';
    this.stage = side === 'request' ? 'before-head' : 'idle';
  }

  get state(): ParserState {
    return STATE_OF[this.stage];
  }

  /**
   * How much of the body is still to come, in bytes, without what the handler is being told: 0 inside the `onBody` that gives the last piece
   * of a body with Content-Length, and inside `onHead` of a message without body. So its end can be sent along; `onEnd` follows as always.
   * -1 as long as nobody knows: framings `chunked` and `until-close`, and tunnels. 0 between messages.
   */
  get bodyLeft(): number {
    switch (this.stage) {
      case 'length-body':
        return this.remaining;
      case 'chunked-body':
      case 'trailers':
      case 'close-body':
      case 'tunnel':
        return -1;
      default:
        return 0;
    }
  }

  /**
   * Parses bytes[start, length) and tells the handler. Returns the position up to which bytes were consumed: less than `bytes.length` only
   * when a message is complete. The rest belongs to the next message: push it again after `next()` or `begin()`.
   * After an error or `abort` all bytes are discarded. Throws LocalProtocolError when a complete message was not followed by `next()`.
   */
  push(bytes: Buffer, start: number = 0): number {
    let at = start;
    const end = bytes.length;
    while (at < end) {
      switch (this.stage) {
        case 'before-head':
          at = this.skipEmptyLines(bytes, at);
          break;
        case 'start-line':
        case 'fields':
        case 'trailers':
          at = this.readSection(bytes, at);
          break;
        case 'length-body':
          at = this.readLengthBody(bytes, at);
          break;
        case 'chunked-body':
          at = this.readChunkedBody(bytes, at);
          break;
        case 'close-body':
        case 'tunnel':
          this.handler.onBody(bytes, at, end);
          return end;
        case 'failed':
        case 'aborted':
          return end;
        default:
          this.pushedBetweenMessages();
          return end;
      }
      if (this.betweenMessages) return at;
    }
    return at;
  }

  private get betweenMessages(): boolean {
    return this.stage === 'complete' || this.stage === 'before-head';
  }

  /** The peer has ended its direction. Ends a body that lasts until then; anything else unfinished is INCOMPLETE_MESSAGE. A tunnel's end is
   *  not reported: the caller sees it on the connection. */
  end(): void {
    const { state } = this;
    if (this.stage === 'close-body') this.complete(undefined);
    else if (state === 'head' || state === 'body' || (state === 'awaiting' && this.side === 'response')) this.fail('INCOMPLETE_MESSAGE');
  }

  /**
   * From here on the bytes are no HTTP: they go to `onBody` as they are, and no further `onEnd` comes. Allowed inside `onHead` of a message
   * without body, and once a message is complete (an upgrade or CONNECT that was accepted). Throws LocalProtocolError otherwise.
   */
  tunnel(): void {
    if (this.stage !== 'empty-body' && this.stage !== 'complete') {
      throw new LocalProtocolError('WRONG_STATE', `tunnel() is for the end of a message, but the parser is in state ${this.state}.`);
    }
    this.stage = 'tunnel';
  }

  /** The caller has lost interest: no handler method is called any more, further bytes are discarded. */
  abort(): void {
    this.stage = 'aborted';
  }

  /** Reads what the complete head means. Its text and lines are set. */
  protected abstract interpretHead(): ViolationCode | undefined;
  /** Tells the handler. */
  protected abstract emitHead(): void;
  /** Bytes arrived although the last message is complete and no other is expected. */
  protected abstract pushedBetweenMessages(): void;
  /** Consumes empty lines before a start line; leaves the stage at `start-line` when a byte of that was found. */
  protected abstract skipEmptyLines(bytes: Buffer, from: number): number;

  protected beginStartLine(): void {
    this.startLine.begin();
    this.stage = 'start-line';
  }

  protected fail(code: ViolationCode): void {
    this.stage = 'failed';
    this.dropCarry();
    this.handler.onError(new RemoteProtocolError(code, this.side));
  }

  /** A head or a trailer section: from the pushed bytes where it is in one piece, else from the carried copy. */
  private readSection(bytes: Buffer, from: number): number {
    const end = bytes.length;
    if (this.carried === 0) {
      const to = this.scanSection(bytes, from, from, end);
      if (to >= 0) this.endSection(bytes, from, to);
      else if (to === NEED_MORE) this.keep(bytes, from, end);
      return to >= 0 ? to : end;
    }
    for (let at = from; at < end; ) {
      const scannedTo = this.carried;
      const stepEnd = Math.min(end, at + CARRY_STEP_BYTES);
      this.keep(bytes, at, stepEnd);
      const section = this.carry;
      const to = this.scanSection(section, 0, scannedTo, this.carried);
      if (to === FAULT) return end;
      if (to >= 0) {
        this.dropCarry();
        this.endSection(section, 0, to);
        return at + to - scannedTo;
      }
      at = stepEnd;
    }
    return end;
  }

  /** Goes on scanning; reports a fault itself. */
  private scanSection(bytes: Buffer, base: number, from: number, end: number): number {
    let at = from;
    if (this.stage === 'start-line') {
      at = this.scanPart(this.startLine, bytes, base, at, end, this.startLineBytesMax, this.startLineTooLong);
      if (at < 0) return at;
      this.stage = 'fields';
      this.head.linesStart = at - base;
      this.fieldScanner.begin(this.head.fields, this.limits.headersMax, 'TOO_MANY_HEADERS');
    }
    if (this.stage === 'fields') return this.scanPart(this.fieldScanner, bytes, base, at, end, this.limits.headBytesMax, 'HEAD_TOO_LARGE');
    return this.scanPart(this.fieldScanner, bytes, base, at, end, this.limits.trailerBytesMax, 'TRAILERS_TOO_LARGE');
  }

  private scanPart(
    scanner: Scanner,
    bytes: Buffer,
    base: number,
    from: number,
    end: number,
    bytesMax: number,
    tooLong: ViolationCode,
  ): number {
    const limit = base + bytesMax;
    const to = scanner.scan(bytes, base, from, end < limit ? end : limit);
    if (to >= 0) return to;
    if (to === FAULT) this.fail(scanner.fault);
    else if (end >= limit) this.fail(tooLong);
    else return NEED_MORE;
    return FAULT;
  }

  private endSection(bytes: Buffer, from: number, to: number): void {
    if (this.stage === 'trailers') return this.endTrailers(bytes, from, to);
    const { head } = this;
    head.text = bytes.toString('latin1', from, to);
    head.linesEnd = to - from - 2;
    const fault = this.interpretHead();
    if (fault !== undefined) return this.fail(fault);
    this.beginBody();
    this.emitHead();
    // Not so when the handler has called `tunnel` or `abort`, or when an interim response was followed by the next start line.
    if (this.stage === 'empty-body') this.complete(undefined);
  }

  private beginBody(): void {
    const { framing, contentLength } = this.head;
    this.stage = BODY_STAGE[framing];
    if (framing === 'length') {
      this.remaining = contentLength;
      if (contentLength === 0) this.stage = 'empty-body';
    } else if (framing === 'chunked') {
      this.chunks.begin(this.limits.chunkExtensionBytesMax);
    }
  }

  private readLengthBody(bytes: Buffer, from: number): number {
    const to = Math.min(bytes.length, from + this.remaining);
    this.remaining -= to - from;
    this.handler.onBody(bytes, from, to);
    if (this.remaining === 0 && this.stage === 'length-body') this.complete(undefined);
    return to;
  }

  private readChunkedBody(bytes: Buffer, from: number): number {
    const { chunks } = this;
    const at = chunks.skipFraming(bytes, from);
    if (chunks.fault !== undefined) {
      this.fail(chunks.fault);
      return bytes.length;
    }
    if (chunks.atTrailers) {
      this.beginTrailers();
      return at;
    }
    if (at === bytes.length) return at;
    const to = Math.min(bytes.length, at + chunks.remaining);
    chunks.consume(to - at);
    this.handler.onBody(bytes, at, to);
    return to;
  }

  private beginTrailers(): void {
    this.trailers ??= new Trailers();
    this.fieldScanner.begin(this.trailers.fields, this.limits.trailersMax, 'TOO_MANY_TRAILERS');
    this.stage = 'trailers';
  }

  private endTrailers(bytes: Buffer, from: number, to: number): void {
    const trailers = this.trailers!;
    if (trailers.count === 0) return this.complete(undefined);
    if ((trailers.fields.seen & FORBIDDEN_TRAILERS) !== 0) return this.fail('FORBIDDEN_TRAILER');
    trailers.text = bytes.toString('latin1', from, to);
    trailers.linesEnd = to - from - 2;
    this.complete(trailers);
  }

  private complete(trailers: Trailers | undefined): void {
    this.stage = 'complete';
    this.handler.onEnd(trailers);
  }

  private keep(bytes: Buffer, from: number, to: number): void {
    const needed = this.carried + to - from;
    if (needed > this.carry.length) {
      const grown = Buffer.allocUnsafe(Math.max(1_024, needed * 2));
      this.carry.copy(grown, 0, 0, this.carried);
      this.carry = grown;
    }
    bytes.copy(this.carry, this.carried, from, to);
    this.carried = needed;
  }

  private dropCarry(): void {
    this.carry = NOTHING;
    this.carried = 0;
  }
}
