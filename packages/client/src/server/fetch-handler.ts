// Handlers in the style of fetch (`(request) => response`) behind a server of Node: one Request and one Response of the web for each of Node's.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { meshOf } from './mesh-of.ts';

/** What a handler gets besides the request, as with `@hono/node-server`. */
export interface NodeBindings {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

export type FetchHandler = (request: Request, bindings: NodeBindings) => Response | Promise<Response>;

/** What has a `fetch` method: an app of hono, or a module as other runtimes serve it. */
export interface FetchApp {
  fetch(request: Request, bindings: NodeBindings): Response | Promise<Response>;
}

/** A header that HTTP/1.1 knows and Node writes by itself. */
const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding']);

/** The request's `signal` is aborted when the caller goes. What the handler throws becomes a 500 and an 'error' in the log of the process. */
export function listenerOf(app: FetchApp): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  return (incoming, outgoing) => {
    answer(app, incoming, outgoing).catch((error: unknown) => failed(outgoing, error));
  };
}

async function answer(app: FetchApp, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const request = requestOf(incoming, outgoing);
  if (request === undefined) {
    outgoing.writeHead(400).end();
    return;
  }
  await send(await app.fetch(request, { incoming, outgoing }), incoming, outgoing);
}

/** Undefined: its target or host is none. */
function requestOf(incoming: IncomingMessage, outgoing: ServerResponse): Request | undefined {
  const { method = 'GET', url = '/', headers, rawHeaders } = incoming;
  const target = url.startsWith('/') ? `http://${headers.host ?? 'localhost'}${url}` : url;
  if (!URL.canParse(target)) return undefined;
  const fields = new Headers();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (!name.startsWith(':')) fields.append(name, rawHeaders[at + 1]!);
  }
  const init: RequestInit & { duplex?: 'half' } = { method, headers: fields, signal: meshOf(incoming, outgoing).signal };
  if (method !== 'GET' && method !== 'HEAD') {
    init.body = Readable.toWeb(incoming) as ReadableStream<Uint8Array>;
    init.duplex = 'half';
  }
  return new Request(target, init);
}

async function send(response: Response, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  if (outgoing.headersSent || outgoing.destroyed) {
    await response.body?.cancel();
    return;
  }
  const fields: string[] = [];
  for (const [name, value] of response.headers) if (!OF_THE_CONNECTION.has(name)) fields.push(name, value);
  outgoing.writeHead(response.status, response.statusText || undefined, fields);
  const { body } = response;
  if (body === null || incoming.method === 'HEAD') {
    await body?.cancel();
    outgoing.end();
    return;
  }
  const reader = body.getReader();
  const onClose = (): void => void reader.cancel().catch(() => {});
  outgoing.once('close', onClose);
  for (;;) {
    const { done, value } = await reader.read();
    if (done || outgoing.destroyed) break;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  outgoing.off('close', onClose);
  outgoing.end();
}

function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      outgoing.off('drain', go).off('close', go);
      resolve();
    };
    outgoing.once('drain', go).once('close', go);
  });
}

/** After the head nothing can be said any more than that the response is not whole. */
function failed(outgoing: ServerResponse, error: unknown): void {
  if (outgoing.destroyed) return;
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  if (outgoing.headersSent) outgoing.destroy();
  else outgoing.writeHead(500).end();
}
