// Clients of both versions behind one interface, on node:http and node:http2, so that a test is written once for every combination. Tests only.
import http from 'node:http';
import http2 from 'node:http2';

export type Version = 'http1' | 'http2';
export type HeaderMap = Record<string, string | string[]>;

export interface CallOptions {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: HeaderMap;
  /** Pieces that are written one after the other; absent: no body. */
  readonly body?: readonly (Buffer | string)[];
  readonly trailers?: Record<string, string>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, string | string[] | undefined>>;
  readonly interim: readonly { readonly status: number; readonly headers: Readonly<Record<string, unknown>> }[];
}

/** A request that is under way: what has come so far, and the ways to go on or to give up. */
export class Call {
  readonly interim: { status: number; headers: Record<string, unknown> }[] = [];
  readonly chunks: Buffer[] = [];
  status = 0;
  headers: Record<string, string | string[] | undefined> = {};
  trailers: Record<string, string | string[] | undefined> = {};
  receivedBytes = 0;
  /** HTTP/2: of the RST_STREAM that closed it, also with NO_ERROR; -1 while it is open. */
  resetCode = -1;
  error: Error | undefined;
  ended = false;
  write: (bytes: Buffer | string) => boolean = () => false;
  end: (trailers?: Record<string, string>) => void = () => {};
  cancel: () => void = () => {};
  pause: () => void = () => {};
  resume: () => void = () => {};
  /** Bytes of the request that node still holds. */
  heldBytes: () => number = () => 0;
  readonly #done = Promise.withResolvers<Answer>();

  constructor() {
    this.#done.promise.catch(() => {});
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  /** The whole answer. Rejects when it breaks off. */
  get answer(): Promise<Answer> {
    return this.#done.promise;
  }

  take(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.receivedBytes += chunk.length;
  }

  complete(): void {
    this.ended = true;
    const { status, headers, trailers, interim } = this;
    this.#done.resolve({ status, headers, trailers, interim, body: Buffer.concat(this.chunks) });
  }

  fail(error: Error): void {
    this.error ??= error;
    this.#done.reject(error);
  }
}

export abstract class Client {
  abstract readonly version: Version;
  abstract begin(options: CallOptions): Call;
  abstract close(): void;

  /** A whole request and its whole answer. */
  call(options: CallOptions = {}): Promise<Answer> {
    const { body, trailers } = options;
    const call = this.begin(options);
    for (const piece of body ?? []) call.write(piece);
    if (body !== undefined) call.end(trailers);
    return call.answer;
  }
}

class Http1Client extends Client {
  readonly version = 'http1';
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 600 });

  constructor(port: number) {
    super();
    this.#port = port;
  }

  begin({ method = 'GET', path = '/', headers = {}, body, trailers }: CallOptions): Call {
    const call = new Call();
    const sent: HeaderMap = { host: 'orders.mesh.internal', ...headers };
    if (body !== undefined && sent['content-length'] === undefined) sent['transfer-encoding'] = 'chunked';
    if (trailers !== undefined) sent.trailer = Object.keys(trailers).join(', ');
    const request = http.request({ host: '127.0.0.1', port: this.#port, method, path, headers: sent, agent: this.#agent });
    request.on('information', (info) => call.interim.push({ status: info.statusCode, headers: info.headers }));
    request.on('response', (response) => {
      call.status = response.statusCode ?? 0;
      call.headers = response.headers;
      call.pause = () => void response.pause();
      call.resume = () => void response.resume();
      response.on('data', (chunk: Buffer) => call.take(chunk));
      response.on('end', () => {
        call.trailers = response.trailers;
        call.complete();
      });
      response.on('error', (error) => call.fail(error));
    });
    request.on('error', (error) => call.fail(error));
    call.write = (bytes) => request.write(bytes);
    call.end = (last) => {
      if (last !== undefined) request.addTrailers(last);
      request.end();
    };
    call.heldBytes = () => request.writableLength + (request.socket?.writableLength ?? 0);
    call.cancel = () => void request.destroy();
    if (body === undefined) request.end();
    else request.flushHeaders();
    return call;
  }

  close(): void {
    this.#agent.destroy();
  }
}

class Http2Client extends Client {
  readonly version = 'http2';
  readonly session: http2.ClientHttp2Session;

  constructor(port: number, options: http2.ClientSessionOptions = {}) {
    super();
    this.session = http2.connect(`http://127.0.0.1:${port}`, options);
    this.session.on('error', () => {});
  }

  begin({ method = 'GET', path = '/', headers = {}, body, trailers }: CallOptions): Call {
    const call = new Call();
    const { host = 'orders.mesh.internal', ...rest } = headers;
    const stream = this.session.request(
      { ':method': method, ':path': path, ':authority': host, ...rest },
      { endStream: body === undefined, waitForTrailers: trailers !== undefined },
    );
    let isWanted: Record<string, string> | undefined = trailers;
    stream.on('wantTrailers', () => stream.sendTrailers(isWanted ?? {}));
    stream.on('headers', (info) => call.interim.push({ status: info[':status'] ?? 0, headers: info }));
    stream.on('response', (answered) => {
      call.status = answered[':status'] ?? 0;
      call.headers = answered as Call['headers'];
    });
    stream.on('trailers', (last) => void (call.trailers = last as Call['trailers']));
    stream.on('data', (chunk: Buffer) => call.take(chunk));
    stream.on('end', () => {
      if (call.status !== 0) call.complete();
    });
    stream.on('error', (error) => call.fail(error));
    stream.on('close', () => {
      call.resetCode = stream.rstCode;
      if (!call.ended) call.fail(new Error(`the stream was closed (${stream.rstCode})`));
    });
    call.write = (bytes) => stream.write(bytes);
    call.end = (last) => {
      isWanted = last ?? isWanted;
      stream.end();
    };
    call.heldBytes = () => stream.writableLength;
    call.cancel = () => stream.close(http2.constants.NGHTTP2_CANCEL);
    call.pause = () => void stream.pause();
    call.resume = () => void stream.resume();
    return call;
  }

  close(): void {
    this.session.destroy();
  }
}

export function createClient(version: Version, port: number, options?: http2.ClientSessionOptions): Client {
  return version === 'http1' ? new Http1Client(port) : new Http2Client(port, options);
}
