// A CONNECT stream over an HTTP/2 connection (RFC 9113 §8.5), seen as a connection of its own: whoever uses it does not know that others share
// the socket. Refusals of the far side arrive as network errors, before a byte has moved, so that another endpoint can be tried.
import { ERROR_HEADER, ERRORS } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import { NetworkError } from '@heddle/runtime';
import type { ConnectionHandler } from '@heddle/runtime';
import { Http2RequestHead } from '@heddle/wire';
import type { Http2ResponseHead } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import { StreamConnection } from '../stack/stream-connection.ts';
import type { ClientStream } from './http2-call.ts';
import type { Http2PoolUser, Http2Upstream } from './http2-upstream.ts';

/** Why a tunnel was not opened, in the words of who did not open it. */
export class TunnelRefused extends NetworkError {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super('refused', message);
    this.code = code;
  }
}

/** Where a tunnel waits for a connection. */
export interface TunnelPool {
  cancelTunnel(tunnel: Tunnel): void;
}

export class Tunnel extends StreamConnection implements Http2PoolUser, ClientStream {
  private readonly context: Context;
  private readonly pool: TunnelPool;
  private readonly authority: string;
  private readonly timeoutMs: number;
  private upstream: Http2Upstream | undefined;
  private isOpen = false;

  /** `authority`: `host:port`. @param timeoutMs for the connection and the answer together. */
  constructor(context: Context, pool: TunnelPool, authority: string, handler: ConnectionHandler, timeoutMs: number) {
    super(handler, '', 0);
    this.context = context;
    this.pool = pool;
    this.authority = authority;
    this.timeoutMs = timeoutMs;
    context.deadlines.set(this, context.clock.nowMs() + timeoutMs);
  }

  onConnection(upstream: Http2Upstream): void {
    const head = new Http2RequestHead();
    head.method = 'CONNECT';
    head.authority = this.authority;
    upstream.requests += 1;
    const stream = upstream.codec.request(head, false);
    if (stream === undefined) return this.close(new NetworkError('other', 'the connection takes no more streams'));
    this.upstream = upstream;
    this.attach(upstream, stream);
    upstream.streamOpened();
    upstream.touch();
  }

  onNoConnection(code: ErrorCode, detail: string): void {
    this.close(new TunnelRefused(code, detail));
  }

  receiveInterim(): void {}

  receiveHead(head: Http2ResponseHead, endStream: boolean): void {
    if (head.status >= 300 || endStream) {
      const told = head.get(ERROR_HEADER);
      const code = told !== undefined && Object.hasOwn(ERRORS, told) ? (told as ErrorCode) : 'CONNECT_FAILED';
      this.fail(new TunnelRefused(code, `the data plane there answered ${head.status}${told === undefined ? '' : ` ${told}`}`));
      return;
    }
    this.isOpen = true;
    this.context.deadlines.remove(this);
    this.handler.onConnected?.();
  }

  override onDeadline(): void {
    this.fail(new NetworkError('timeout', `no tunnel within ${this.timeoutMs} ms`));
    this.context.turn.end();
  }

  protected override close(error: NetworkError | undefined): void {
    if (!this.isOpen) {
      this.context.deadlines.remove(this);
      this.pool.cancelTunnel(this);
    }
    super.close(error);
    const { upstream } = this;
    this.upstream = undefined;
    upstream?.streamClosed();
  }

  private fail(error: NetworkError): void {
    // Without telling the handler, which learns why.
    const { stream, link } = this;
    this.detach();
    if (stream !== undefined) {
      link.resets += 1;
      link.codec.reset(stream);
      link.touch();
    }
    this.close(error);
  }
}
