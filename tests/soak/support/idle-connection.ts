// A connection that makes a request now and then and is silent in between; as little as possible on our side, since there are ten thousand.
import { connect, type Socket } from 'node:net';
import { CLIENT_PREFACE, FLAG, FRAME } from '../../../packages/wire/src/http2/frame.ts';
import { GET, headers, settings } from '../../../packages/wire/src/http2/testing/frames.ts';

const HTTP1_REQUEST = Buffer.from('GET /orders/17?x=1 HTTP/1.1\r\nhost: orders.test\r\n\r\n');
const HTTP2_START = Buffer.concat([CLIENT_PREFACE, settings()]);

export class IdleConnection {
  private readonly socket: Socket;
  private readonly how: 'http1' | 'http2';
  private received: Buffer = Buffer.alloc(0);
  private stream = -1;
  private finish: ((answered: boolean) => void) | undefined;

  constructor(port: number, how: 'http1' | 'http2') {
    this.how = how;
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('error', () => {});
    this.socket.on('data', (bytes: Buffer) => this.read(bytes));
    this.socket.on('close', () => this.done(false));
    if (how === 'http2') this.socket.write(HTTP2_START);
  }

  /** True: answered with 200, and whole. False: not, or the connection is closed. */
  ask(): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) return resolve(false);
      this.finish = resolve;
      this.received = Buffer.alloc(0);
      this.stream += 2;
      this.socket.write(this.how === 'http1' ? HTTP1_REQUEST : headers(this.stream, GET));
    });
  }

  get isOpen(): boolean {
    return !this.socket.destroyed;
  }

  close(): void {
    this.socket.destroy();
  }

  private done(answered: boolean): void {
    const { finish } = this;
    this.finish = undefined;
    this.received = Buffer.alloc(0);
    finish?.(answered);
  }

  private read(bytes: Buffer): void {
    if (this.finish === undefined) return;
    this.received = Buffer.concat([this.received, bytes]);
    if (this.how === 'http1') this.readHttp1();
    else this.readHttp2();
  }

  private readHttp1(): void {
    const text = this.received.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    const length = /\ncontent-length: *(\d+)/i.exec(text)?.[1];
    if (end !== -1 && length !== undefined && text.length >= end + 4 + Number(length)) this.done(text.startsWith('HTTP/1.1 200 '));
  }

  /** Its stream has ended by END_STREAM, whatever came before. */
  private readHttp2(): void {
    let { received } = this;
    while (received.length >= 9) {
      const end = 9 + received.readUIntBE(0, 3);
      if (received.length < end) break;
      const [type, flags] = [received[3]!, received[4]!];
      received = received.subarray(end);
      if ((type === FRAME.data || type === FRAME.headers) && (flags & FLAG.endStream) !== 0) return this.done(true);
      if (type === FRAME.rstStream || type === FRAME.goaway) return this.done(false);
    }
    this.received = received;
  }
}
