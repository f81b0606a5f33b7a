// Requests as a server reads them. One message at a time: after `onEnd` the parser stops until `next()`, so that a proxy takes
// pipelined requests in order (RFC 9112 §9.3.2).

import { CR, LF } from '../bytes/chars.ts';
import { LocalProtocolError, type ViolationCode } from './errors.ts';
import { KIND } from './field-kind.ts';
import { hasMember, readConnection, readFraming } from './framing.ts';
import type { RequestHandler } from './handler.ts';
import { RequestHead } from './head.ts';
import type { Http1Limits } from './limits.ts';
import { MessageParser } from './parser.ts';
import { RequestLineScanner } from './request-line.ts';
import { isAuthority, readTarget } from './target.ts';

/** Shared strings: comparing them is comparing pointers, and no request allocates its method. */
const COMMON_METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE'] as const;

export class RequestParser extends MessageParser<RequestHead> {
  private readonly requestHandler: RequestHandler;
  private readonly line: RequestLineScanner;
  private emptyLines = 0;
  private afterCr = false;

  /** `limits`: what differs from DEFAULT_HTTP1_LIMITS. */
  constructor(handler: RequestHandler, limits?: Partial<Http1Limits>) {
    const line = new RequestLineScanner();
    super('request', new RequestHead(), line, handler, limits);
    this.line = line;
    this.requestHandler = handler;
  }

  /** Go on to the next request of the connection; the head object is free to be overwritten. Allowed inside `onEnd`. */
  next(): void {
    if (this.stage !== 'complete') {
      throw new LocalProtocolError('WRONG_STATE', `next() follows a complete request, but the parser is in state ${this.state}.`);
    }
    this.emptyLines = 0;
    this.stage = 'before-head';
  }

  /** RFC 9112 §2.2: empty lines before a request line are ignored, within reason. */
  protected override skipEmptyLines(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (!this.afterCr) {
        if (byte !== CR) {
          this.beginStartLine();
          return at;
        }
        this.afterCr = true;
      } else {
        this.afterCr = false;
        if (byte !== LF) return this.refuse('BARE_CR', bytes);
        if (++this.emptyLines > this.limits.emptyLinesMax) return this.refuse('TOO_MANY_EMPTY_LINES', bytes);
      }
    }
    return bytes.length;
  }

  protected override interpretHead(): ViolationCode | undefined {
    const { head, line } = this;
    head.method = methodOf(head.text, line.methodEnd);
    head.minorVersion = line.minorVersion;
    return readTarget(head, line.targetStart, line.targetEnd) ?? this.readHost() ?? this.readRest();
  }

  protected override emitHead(): void {
    this.requestHandler.onHead(this.head);
  }

  protected override pushedBetweenMessages(): void {
    throw new LocalProtocolError('WRONG_STATE', 'The request is complete: call next() before pushing the bytes that follow it.');
  }

  /** RFC 9112 §3.2: exactly one valid Host in 1.1, at most one in 1.0; §3.2.2: an authority in the target goes before it. */
  private readHost(): ViolationCode | undefined {
    const { head } = this;
    const bit = 1 << KIND.host;
    head.authorityIsHost = false;
    if ((head.fields.seen & bit) === 0) return head.minorVersion === 1 ? 'MISSING_HOST' : undefined;
    if ((head.fields.repeated & bit) !== 0) return 'REPEATED_HOST';
    const at = head.fields.first[KIND.host]! * 4;
    const start = head.fields.offsets[at + 2]!;
    const end = head.fields.offsets[at + 3]!;
    // An empty Host is what a client sends when the target has no authority.
    if (start !== end && !isAuthority(head.text, start, end, false)) return 'BAD_HOST';
    const host = head.text.slice(start, end);
    if (head.form === 'origin' || head.form === 'asterisk') head.authority = host;
    head.authorityIsHost = head.authority === host;
    return undefined;
  }

  private readRest(): ViolationCode | undefined {
    const { head } = this;
    const fault = readFraming(head) ?? readConnection(head, this.limits.connectionOptionsMax);
    if (fault !== undefined) return fault;
    if (head.isConnect && head.framing !== 'none') {
      // Some clients send `Content-Length: 0` with CONNECT; that is no content.
      if (head.contentLength !== 0) return 'CONNECT_WITH_BODY';
      head.framing = 'none';
    }
    // RFC 9110 §10.1.1: a 1.0 client does not know 100 (Continue); without a body there is nothing to wait for.
    head.expectContinue = head.minorVersion === 1 && head.framing !== 'none' && hasMember(head, KIND.expect, '100-continue');
    head.acceptsTrailers = hasMember(head, KIND.te, 'trailers');
    return undefined;
  }

  private refuse(code: ViolationCode, bytes: Buffer): number {
    this.fail(code);
    return bytes.length;
  }
}

function methodOf(text: string, end: number): string {
  for (const method of COMMON_METHODS) if (method.length === end && text.startsWith(method)) return method;
  return text.slice(0, end);
}
