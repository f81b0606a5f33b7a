// Requests of the data plane itself, to issuers of tokens and to collectors of traces: few, small and with limits on time and size. One connection
// each, over TLS unless the server is on this machine or holds no secrets. Nothing of the environment changes the way, and redirects are not followed:
// the server is where the configuration says.
import { ipBytes } from '@heddle/core';
import type { Limits } from '@heddle/core';
import type { Clock, Connection, ConnectionHandler, Network, NetworkError, Timer, TlsContext } from '@heddle/runtime';
import { renderRequest, ResponseParser } from '@heddle/wire';
import type { RemoteProtocolError, ResponseHandler, ResponseHead } from '@heddle/wire';

export interface HttpQuestion {
  readonly url: string;
  /** Of authorities that the server is trusted by besides those of the platform. */
  readonly rootsPem: string | undefined;
  /** Sent as `application/x-www-form-urlencoded` by POST. Absent: GET. */
  readonly form?: URLSearchParams;
  /** Sent by POST in place of a form. */
  readonly post?: HttpContent;
  /** Value of `authorization`. */
  readonly authorization?: string;
  /** Default: the limit `issuerTimeoutMs`. */
  readonly timeoutMs?: number;
}

export interface HttpContent {
  readonly contentType: string;
  /** Not copied: they must stay as they are until there is an answer, or none. */
  readonly bytes: Uint8Array;
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Without TLS to other machines, too. */
  readonly mayBeRead: boolean;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** How long it holds, as the server says (RFC 9111 §5.2.2.1); undefined: it does not say. */
  readonly maxAgeMs: number | undefined;
  /** Value of `retry-after`. */
  readonly retryAfter: string | undefined;
}

/** There was no answer, or none that could be taken. The message completes "<url> ". */
export class NoAnswerError extends Error {}

/** TLS contexts are kept, since the authorities of the platform take some 10 ms to load; more hosts than this begin anew. */
const CONTEXTS_MAX = 64;

export interface HttpsClientDeps {
  readonly network: Network;
  readonly clock: Pick<Clock, 'after'>;
  readonly limits: Pick<Limits, 'issuerTimeoutMs' | 'issuerAnswerBytesMax'>;
}

export class HttpsClient {
  private readonly deps: HttpsClientDeps;
  private readonly contexts = new Map<string, TlsContext>();

  constructor(deps: HttpsClientDeps) {
    this.deps = deps;
  }

  /** Throws NoAnswerError. An answer of any status is one, but for redirects. */
  async ask(question: HttpQuestion): Promise<HttpAnswer> {
    const { network, clock, limits } = this.deps;
    const url = parseUrl(question.url, question.post?.mayBeRead === true);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const tls = url.protocol === 'https:' ? this.contextFor(host, question.rootsPem) : undefined;
    const timeoutMs = question.timeoutMs ?? limits.issuerTimeoutMs;
    const port = url.port === '' ? (tls === undefined ? 80 : 443) : Number(url.port);
    const request = { method: methodOf(question), bytes: requestOf(url, question), body: question.post?.bytes };
    return new Promise((resolve, reject) => {
      const exchange = new OneExchange(request, limits.issuerAnswerBytesMax, (end) => {
        timer.cancel();
        if (end instanceof Error) reject(end);
        else resolve(end);
      });
      const timer: Timer = clock.after(timeoutMs, () => exchange.fail(`did not answer within ${timeoutMs} ms`));
      exchange.connection = network.connect({ address: host, port, timeoutMs, ...(tls && { tls }) }, exchange);
    });
  }

  private contextFor(host: string, rootsPem: string | undefined): TlsContext {
    const key = `${host} ${rootsPem ?? ''}`;
    let context = this.contexts.get(key);
    if (context === undefined) {
      if (this.contexts.size >= CONTEXTS_MAX) this.contexts.clear();
      const roots = rootsPem === undefined ? {} : { rootsPem, withPlatformRoots: true as const };
      context = this.deps.network.clientTls({ ...roots, peerIds: [], serverName: host, alpn: ['http/1.1'] });
      this.contexts.set(key, context);
    }
    return context;
  }
}

/** Throws NoAnswerError for what must not be asked. */
function parseUrl(text: string, mayBeRead: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new NoAnswerError('is no URL');
  if (url.username !== '' || url.password !== '') throw new NoAnswerError('holds credentials, which would end up in logs');
  if (url.protocol === 'https:' || (url.protocol === 'http:' && (mayBeRead || isLoopback(url)))) return url;
  throw new NoAnswerError('is not asked: only https is, and http on this machine');
}

/** Names of this machine, over which nothing leaves it. */
export function isLoopback({ hostname }: Pick<URL, 'hostname'>): boolean {
  if (hostname === 'localhost' || hostname === '[::1]') return true;
  return ipBytes(hostname)?.[0] === 127 && ipBytes(hostname)?.length === 4;
}

function methodOf({ form, post }: HttpQuestion): 'GET' | 'POST' {
  return form === undefined && post === undefined ? 'GET' : 'POST';
}

/** All of it, but for what `post` has: large bodies that were copied would grow old, which the whole process feels. */
function requestOf(url: URL, question: HttpQuestion): Buffer {
  const { form, post, authorization } = question;
  const headers: (readonly [string, string])[] = [
    ['accept', post?.contentType ?? 'application/json'],
    ['user-agent', 'heddle'],
  ];
  if (authorization !== undefined) headers.push(['authorization', authorization]);
  if (form !== undefined) headers.push(['content-type', 'application/x-www-form-urlencoded']);
  if (post !== undefined) headers.push(['content-type', post.contentType], ...post.headers);
  return renderRequest({
    method: methodOf(question),
    target: `${url.pathname}${url.search}`,
    host: url.host,
    headers,
    close: true,
    ...(form !== undefined && { body: form.toString() }),
    ...(post !== undefined && { bodyLength: post.bytes.length }),
  });
}

interface Request {
  readonly method: 'GET' | 'POST';
  readonly bytes: Buffer;
  /** What follows them. */
  readonly body: Uint8Array | undefined;
}

/** From the connection to the end of the answer. */
class OneExchange implements ConnectionHandler {
  connection: Connection | undefined;
  private readonly request: Request;
  private readonly bytesMax: number;
  private readonly parser: ResponseParser;
  private done: ((end: HttpAnswer | NoAnswerError) => void) | undefined;
  private readonly chunks: Buffer[] = [];
  private receivedBytes = 0;
  private status = 0;
  private maxAgeMs: number | undefined;
  private retryAfter: string | undefined;

  constructor(request: Request, bytesMax: number, done: (end: HttpAnswer | NoAnswerError) => void) {
    this.request = request;
    this.bytesMax = bytesMax;
    this.done = done;
    this.parser = new ResponseParser(this.asHandler());
    this.parser.begin(request.method);
  }

  fail(reason: string): void {
    this.end(new NoAnswerError(reason));
  }

  onConnected(): void {
    const { bytes, body } = this.request;
    const connection = this.connection!;
    connection.cork();
    connection.write(bytes);
    if (body !== undefined) connection.write(body);
    connection.uncork();
  }

  onBytes(bytes: Buffer): void {
    if (this.done !== undefined) this.parser.push(bytes);
  }

  onDrained(): void {}

  onEnd(): void {
    // The end of a body that has no other; of all else it is none.
    if (this.done !== undefined) this.parser.end();
  }

  onClose(error: NetworkError | undefined): void {
    this.fail(error === undefined ? 'closed the connection without an answer' : `could not be asked: ${error.message}`);
  }

  /** The parser's events, apart from the connection's, since both have an `onEnd`. */
  private asHandler(): ResponseHandler {
    return {
      onInterim: () => {},
      onHead: (head) => this.takeHead(head),
      onBody: (bytes, start, end) => this.takeBody(bytes, start, end),
      onEnd: () => this.end(this.answer()),
      onError: (error: RemoteProtocolError) =>
        this.fail(
          error.code === 'INCOMPLETE_MESSAGE'
            ? 'closed the connection before its answer was complete'
            : `answered with something that is not HTTP: ${error.message}`,
        ),
    };
  }

  private answer(): HttpAnswer {
    const { status, chunks, maxAgeMs, retryAfter } = this;
    return { status, body: Buffer.concat(chunks).toString('utf8'), maxAgeMs, retryAfter };
  }

  private takeHead(head: ResponseHead): void {
    const { status } = head;
    this.status = status;
    this.retryAfter = head.get('retry-after');
    this.maxAgeMs = maxAgeOf(head.list('cache-control') ?? '');
    if (status >= 300 && status < 400) this.fail(`answered with a redirect (${status}); write the address that it leads to`);
    else if (head.has('content-encoding')) this.fail('answered in an encoding that was not asked for');
    else if (head.contentLength > this.bytesMax) this.fail(`answers with ${head.contentLength} bytes, more than ${this.bytesMax}`);
  }

  private takeBody(bytes: Buffer, start: number, end: number): void {
    this.receivedBytes += end - start;
    if (this.receivedBytes > this.bytesMax) return this.fail(`answers with more than ${this.bytesMax} bytes`);
    this.chunks.push(Buffer.from(bytes.subarray(start, end)));
  }

  private end(end: HttpAnswer | NoAnswerError): void {
    const { done } = this;
    this.done = undefined;
    this.connection?.destroy();
    done?.(end);
  }
}

function maxAgeOf(cacheControl: string): number | undefined {
  const seconds = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})"?(?:$|[\s,])/i.exec(cacheControl)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
