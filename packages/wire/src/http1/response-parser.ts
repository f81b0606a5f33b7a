// Responses as a client reads them. A response cannot be read without knowing its request: `begin` says what was asked.

import { LocalProtocolError, type ViolationCode } from './errors.ts';
import { readConnection, readFraming } from './framing.ts';
import type { ResponseHandler } from './handler.ts';
import { ResponseHead } from './head.ts';
import type { Http1Limits } from './limits.ts';
import { MessageParser } from './parser.ts';
import { StatusLineScanner } from './status-line.ts';

export class ResponseParser extends MessageParser<ResponseHead> {
  private readonly responseHandler: ResponseHandler;
  private readonly line: StatusLineScanner;
  private method = '';
  private upgradeAsked = false;
  private interimResponses = 0;

  /** `limits`: what differs from DEFAULT_HTTP1_LIMITS. */
  constructor(handler: ResponseHandler, limits?: Partial<Http1Limits>) {
    const line = new StatusLineScanner();
    super('response', new ResponseHead(), line, handler, limits);
    this.line = line;
    this.responseHandler = handler;
  }

  /**
   * Expect the response to a request that was (or is about to be) sent. Without it any byte is an UNSOLICITED_RESPONSE.
   * `method`: of that request; HEAD and CONNECT change where the response ends. `upgradeAsked`: it had an Upgrade header, so 101 is valid.
   * Allowed when idle or complete, also inside `onEnd`; throws LocalProtocolError otherwise.
   */
  begin(method: string, upgradeAsked: boolean = false): void {
    if (this.stage !== 'idle' && this.stage !== 'complete') {
      throw new LocalProtocolError(
        'WRONG_STATE',
        `begin() needs the last response to be complete, but the parser is in state ${this.state}.`,
      );
    }
    this.method = method;
    this.upgradeAsked = upgradeAsked;
    this.interimResponses = 0;
    this.stage = 'before-head';
  }

  /** Empty lines are not skipped here: RFC 9112 §2.2 speaks of requests only. */
  protected override skipEmptyLines(_bytes: Buffer, from: number): number {
    this.beginStartLine();
    return from;
  }

  protected override interpretHead(): ViolationCode | undefined {
    const { head, line } = this;
    head.status = line.status;
    head.reason = head.text.slice(line.reasonStart, line.reasonEnd);
    head.minorVersion = line.minorVersion;
    const isTunnel = this.method === 'CONNECT' && head.status >= 200 && head.status < 300;
    const fault = readConnection(head, this.limits.connectionOptionsMax);
    if (fault !== undefined) return fault;
    if (isTunnel) {
      // RFC 9110 §9.3.6: framing headers in a 2xx answer to CONNECT are ignored.
      head.framing = 'none';
      head.contentLength = -1;
      return undefined;
    }
    return readFraming(head) ?? this.applyRequest();
  }

  /** RFC 9112 §6.3, rules 1 and 8. */
  private applyRequest(): ViolationCode | undefined {
    const { head } = this;
    const { status } = head;
    if (status < 200) {
      head.framing = 'none';
      if (status === 101) return this.upgradeAsked ? undefined : 'UNEXPECTED_SWITCH';
      return ++this.interimResponses > this.limits.interimResponsesMax ? 'TOO_MANY_INTERIM_RESPONSES' : undefined;
    }
    if (status === 204 || status === 304 || this.method === 'HEAD') {
      head.framing = 'none';
    } else if (head.framing === 'none') {
      head.framing = 'until-close';
      head.keepAlive = false;
    }
    return undefined;
  }

  protected override emitHead(): void {
    const { head } = this;
    if (head.status >= 200 || head.status === 101) {
      this.responseHandler.onHead(head);
    } else {
      // Before the call: the handler must not be able to take this for the end of the message.
      this.beginStartLine();
      this.responseHandler.onInterim(head);
    }
  }

  /** RFC 9112 §9.2: bytes on a connection without an outstanding request make it unusable. */
  protected override pushedBetweenMessages(): void {
    this.fail('UNSOLICITED_RESPONSE');
  }
}
