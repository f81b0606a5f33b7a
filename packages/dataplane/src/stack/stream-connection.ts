// An HTTP/2 stream after CONNECT, seen as a connection: its DATA are the bytes, END_STREAM ends a direction (RFC 9113 §8.5).
import { NetworkError } from '@heddle/runtime';
import type { Connection, ConnectionHandler } from '@heddle/runtime';
import { HTTP2_ERROR } from '@heddle/wire';
import type { Http2Trailers, StreamViolationCode } from '@heddle/wire';
import { StreamEnd } from './stream-end.ts';

export abstract class StreamConnection extends StreamEnd implements Connection {
  handler: ConnectionHandler;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number = 0;
  readonly alpn: string = '';
  readonly peerId: string = '';
  readonly holdsBytes = undefined;
  readonly copiesWrites = true;
  private holds = false;
  /** Received while paused; no more than the window of the stream. */
  private readonly held: Buffer[] = [];
  private heldEnd = false;
  private hasReceivedEnd = false;
  private hasSentEnd = false;
  private isClosed = false;

  constructor(handler: ConnectionHandler, remoteAddress: string, remotePort: number) {
    super();
    this.handler = handler;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  write(bytes: Uint8Array): boolean {
    const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (buffer.length > 0) this.send(buffer, 0, buffer.length, false);
    return !this.isBlocked;
  }

  /** The connection below gathers by itself. */
  cork(): void {}

  uncork(): void {}

  pause(): void {
    this.holds = true;
    this.pauseReceiving();
  }

  resume(): void {
    if (!this.holds) return;
    this.holds = false;
    while (this.held.length > 0 && !this.holds) this.handler.onBytes(this.held.shift()!);
    if (this.holds) return;
    if (this.heldEnd) this.receivedEnd();
    this.resumeReceiving();
  }

  end(): void {
    this.sendEnd(undefined);
  }

  destroy(): void {
    this.reset(HTTP2_ERROR.cancel);
    this.close(undefined);
  }

  /** @param errorCode default: what RFC 9113 §8.5 has for TCP's RST. */
  override reset(errorCode: number = HTTP2_ERROR.connectError): void {
    super.reset(errorCode);
    this.close(undefined);
  }

  override receiveTrailers(_trailers: Http2Trailers): void {
    this.receiveEnd();
  }

  /** The peer has ended its direction. */
  protected receiveEnd(): void {
    if (this.holds) this.heldEnd = true;
    else this.receivedEnd();
  }

  protected override onReceived(bytes: Buffer, start: number, end: number, endStream: boolean): void {
    if (end > start) {
      const piece = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
      if (this.holds) this.held.push(Buffer.from(piece));
      else this.handler.onBytes(piece);
    }
    if (endStream) this.receiveEnd();
  }

  protected override onSendDrained(): void {
    if (!this.isClosed) this.handler.onDrained();
  }

  protected override onEndSent(): void {
    this.hasSentEnd = true;
    this.closeIfEnded();
  }

  protected override onReset(errorCode: number, violation: StreamViolationCode | undefined): void {
    this.close(
      new NetworkError(
        'reset',
        violation === undefined ? `the stream was reset (HTTP/2 error ${errorCode})` : `the peer broke HTTP/2: ${violation}`,
      ),
    );
  }

  /** Tells the handler, once. */
  protected close(error: NetworkError | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.handler.onClose(error);
  }

  private receivedEnd(): void {
    this.heldEnd = false;
    this.hasReceivedEnd = true;
    this.handler.onEnd();
    this.closeIfEnded();
  }

  private closeIfEnded(): void {
    if (!this.hasReceivedEnd || !this.hasSentEnd) return;
    this.detach();
    this.close(undefined);
  }
}
