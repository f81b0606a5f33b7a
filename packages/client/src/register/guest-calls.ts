// Calls of a process whose instance another process has: HTTP/2 over one connection to that one, which is in the mesh.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { DirectCall, DirectCallError, DirectCalls, DirectRequest, DirectUser, FlatHeaders } from '@heddle/dataplane/direct';

/** Of HTTP/1.1's connections, not of requests (RFC 9113 §8.2.2). */
const NOT_SENT = new Set(['connection', 'host', 'http2-settings', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
/** Many calls at once share the connection; each has as much as a data plane gives it. */
const WINDOW_BYTES = 1_048_576;
const CALLS_AT_FULL_SPEED = 16;
/** Whom the session is with does not matter: each call says whom it is for. */
const AUTHORITY = 'http://mesh.internal';

export class GuestCalls implements DirectCalls {
  private readonly open: () => Duplex;
  private session: ClientHttp2Session | undefined;

  /** @param open a connection into the mesh, with each call of it */
  constructor(open: () => Duplex) {
    this.open = open;
  }

  begin(request: DirectRequest, isComplete: boolean, user: DirectUser, soon: (run: () => void) => void): DirectCall {
    const stream = this.connected().request(headersOf(request), { endStream: isComplete, waitForTrailers: !isComplete });
    return new GuestCall(stream, isComplete, user, soon);
  }

  close(): void {
    this.session?.close();
    this.session = undefined;
  }

  private connected(): ClientHttp2Session {
    const present = this.session;
    if (present !== undefined && !present.closed && !present.destroyed) return present;
    const session = connect(AUTHORITY, { createConnection: () => this.open(), settings: { initialWindowSize: WINDOW_BYTES } });
    session.once('connect', () => session.setLocalWindowSize(CALLS_AT_FULL_SPEED * WINDOW_BYTES));
    // What went wrong is told to each of its calls. One that is to be used no more (GOAWAY) is closed by Node.
    session.on('error', () => {});
    session.unref();
    this.session = session;
    return session;
  }
}

class GuestCall implements DirectCall {
  private readonly stream: ClientHttp2Stream;
  private readonly user: DirectUser;
  private readonly soon: (run: () => void) => void;
  private hasHead = false;
  /** Of the request. */
  private hasEnded: boolean;
  private isOver = false;
  private trailers: FlatHeaders | undefined;
  private error: Error | undefined;
  /** After the body. */
  private sent: Record<string, string | string[]> = {};

  constructor(stream: ClientHttp2Stream, isComplete: boolean, user: DirectUser, soon: (run: () => void) => void) {
    this.stream = stream;
    this.hasEnded = isComplete;
    this.user = user;
    this.soon = soon;
    stream.on('headers', (headers) => this.tell(() => user.onInterim(statusOf(headers), flat(headers))));
    stream.on('response', (headers) => {
      this.hasHead = true;
      this.tell(() => user.onHead(statusOf(headers), flat(headers)));
    });
    stream.on('data', (bytes: Buffer) => this.tell(() => user.onBody(bytes)));
    stream.on('trailers', (headers) => {
      this.trailers = flat(headers);
    });
    stream.on('drain', () => this.tell(() => user.onDrained()));
    stream.on('error', (error) => {
      this.error = error;
    });
    stream.on('end', () => {
      if (this.hasHead && stream.rstCode === constants.NGHTTP2_NO_ERROR) this.finish(() => user.onEnd(this.trailers));
    });
    stream.on('close', () => this.broke());
    stream.on('wantTrailers', () => stream.sendTrailers(this.sent));
  }

  write(bytes: Uint8Array, isLast: boolean): boolean {
    if (this.hasEnded || this.stream.destroyed) return true;
    const hasRoom = this.stream.write(bytes);
    if (isLast) this.end();
    return hasRoom;
  }

  end(trailers?: FlatHeaders): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    if (trailers !== undefined) this.sent = folded(trailers);
    this.stream.end();
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  cancel(): void {
    this.isOver = true;
    this.stream.close(constants.NGHTTP2_CANCEL);
  }

  private tell(what: () => void): void {
    this.soon(() => {
      if (!this.isOver) what();
    });
  }

  private finish(how: () => void): void {
    this.soon(() => {
      if (this.isOver) return;
      this.isOver = true;
      how();
    });
  }

  private broke(): void {
    const reason = `the process that has the instance broke the call off${this.error === undefined ? '' : `: ${this.error.message}`}`;
    this.finish(() => {
      if (this.hasHead) {
        this.user.onError(
          Object.assign(new Error(reason), { name: 'DirectCallError', code: 'UPSTREAM_RESET' as const }) as DirectCallError,
        );
        return;
      }
      this.user.onHead(503, ['content-type', 'text/plain', 'x-heddle-error', 'CONNECT_FAILED']);
      this.user.onBody(Buffer.from(`${reason}\n`));
      this.user.onEnd(undefined);
    });
  }
}

function headersOf({ method, authority, path, headers }: DirectRequest): Record<string, string | string[]> {
  return { ':method': method, ':scheme': 'http', ':authority': authority, ':path': path, ...folded(headers) };
}

function folded(headers: FlatHeaders): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = {};
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase();
    if (NOT_SENT.has(name) || (name === 'te' && headers[at + 1] !== 'trailers')) continue;
    const before = all[name];
    const value = headers[at + 1]!;
    all[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return all;
}

function flat(headers: IncomingHttpHeaders): FlatHeaders {
  const all: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) all.push(name, one);
  }
  return all;
}

function statusOf(headers: IncomingHttpHeaders): number {
  return Number((headers as Record<string, unknown>)[':status']);
}
