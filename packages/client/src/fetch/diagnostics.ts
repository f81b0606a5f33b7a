// What undici tells on its diagnostics channels, by which tracing follows calls and adds its headers. Without a subscriber nothing is made.
import { channel } from 'node:diagnostics_channel';
import type { Duplex } from 'node:stream';
import type { RequestParts } from './request-parts.ts';

const created = channel('undici:request:create');
const headersSent = channel('undici:client:sendHeaders');
const bodySent = channel('undici:request:bodySent');
const chunkSent = channel('undici:request:bodyChunkSent');
const headersCame = channel('undici:request:headers');
const chunkCame = channel('undici:request:bodyChunkReceived');
const trailersCame = channel('undici:request:trailers');
const failed = channel('undici:request:error');

/** Stands for the socket, which subscribers ask for addresses. */
const NO_SOCKET = Object.freeze({ remoteAddress: '127.0.0.1', remotePort: 0, localAddress: '127.0.0.1', localPort: 0 });

/** The request, as subscribers see it. */
export class RequestRecord {
  readonly origin: string;
  readonly path: string;
  readonly method: string;
  /** Names and values in turn. */
  readonly headers: string[];
  completed = false;
  aborted = false;
  private readonly parts: RequestParts;

  constructor(origin: string, path: string, method: string, parts: RequestParts) {
    this.origin = origin;
    this.path = path;
    this.method = method;
    this.headers = parts.headers;
    this.parts = parts;
  }

  addHeader(name: string, value: string): this {
    this.parts.add(name, value);
    return this;
  }
}

/** Undefined: nobody listens. */
export function recordOf(origin: string, path: string, method: string, parts: RequestParts): RequestRecord | undefined {
  if (!created.hasSubscribers) return undefined;
  const request = new RequestRecord(origin, path, method, parts);
  created.publish({ request });
  return request;
}

export const tell = {
  headersSent(request: RequestRecord, socket: Duplex | undefined): void {
    let headers = `${request.method} ${request.path} HTTP/1.1\r\n`;
    for (let at = 0; at + 1 < request.headers.length; at += 2) headers += `${request.headers[at]}: ${request.headers[at + 1]}\r\n`;
    headersSent.publish({ request, headers, socket: socket ?? NO_SOCKET });
  },
  chunkSent(request: RequestRecord, chunk: Uint8Array): void {
    chunkSent.publish({ request, chunk });
  },
  bodySent(request: RequestRecord): void {
    bodySent.publish({ request });
  },
  headersCame(request: RequestRecord, statusCode: number, headers: readonly Buffer[], statusText: string): void {
    headersCame.publish({ request, response: { statusCode, headers, statusText } });
  },
  chunkCame(request: RequestRecord, chunk: Buffer): void {
    chunkCame.publish({ request, chunk });
  },
  ended(request: RequestRecord, trailers: readonly Buffer[]): void {
    request.completed = true;
    trailersCame.publish({ request, trailers });
  },
  failed(request: RequestRecord, error: Error): void {
    request.aborted = true;
    failed.publish({ request, error });
  },
};
