// What the shop's HTTP services share: a JSON server that stops gracefully, and calls that give up in time.
// Nothing here knows about Heddle: services get HOST, PORT and <NAME>_URL from the environment, as anywhere else.
import { createServer, type IncomingMessage, type Server } from 'node:http';

export interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body: unknown;
}

export type Handler = (request: IncomingMessage, url: URL) => Promise<Answer> | Answer;

/** An error with the status to answer. Anything else that a handler throws becomes 500. */
export class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const instance = process.env['HEDDLE_INSTANCE'] ?? `local-${process.pid}`;

/** A request body above this is refused: no service of the shop needs more. */
const BODY_BYTES_MAX = 16 * 1024;
/** No call inside the shop should take longer. */
const CALL_TIMEOUT_MS = 2_000;

/** Listens on HOST:PORT, answers `/healthz` itself, and stops on SIGTERM or SIGINT once running requests are answered. */
export function serve(name: string, handler: Handler): Promise<Server> {
  let stopping = false;
  const server = createServer((request, response) => {
    void answer(handler, request).then(({ status = 200, type = 'application/json', body }) => {
      const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
      response.writeHead(status, {
        'content-type': type,
        'content-length': Buffer.byteLength(text),
        'x-instance': instance,
        // A connection that stays open would keep the process from ending.
        ...(stopping ? { connection: 'close' } : {}),
      });
      response.end(text);
    });
  });
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    console.log(`${name} stops`);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(process.env['PORT'] ?? 0), process.env['HOST'] ?? '127.0.0.1', () => {
      const address = server.address();
      console.log(`${name} listens on ${typeof address === 'object' ? `${address?.address}:${address?.port}` : address}`);
      resolve(server);
    });
  });
}

async function answer(handler: Handler, request: IncomingMessage): Promise<Answer> {
  const url = URL.parse(request.url ?? '/', 'http://shop.invalid');
  if (url === null) return { status: 400, body: { error: 'not a valid path' } };
  if (url.pathname === '/healthz') return { body: { status: 'ok' } };
  try {
    return await handler(request, url);
  } catch (error) {
    if (error instanceof HttpError) return { status: error.status, body: { error: error.message } };
    console.error(`${request.method} ${url.pathname} failed: ${error instanceof Error ? error.message : String(error)}`);
    return { status: 500, body: { error: 'internal error' } };
  }
}

export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) throw new HttpError(413, `a body may have ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the same answer as a body that is JSON but no object.
  }
  throw new HttpError(400, 'the body must be a JSON object');
}

/** Calls another service. Throws with the status where the answer is not 2xx: retrying is the mesh's work. */
export async function call<T>(url: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(CALL_TIMEOUT_MS), ...init });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}`);
  }
  return (await response.json()) as T;
}

/** The result, or the fallback when the called service does not answer: part of a page is better than none. */
export async function orElse<T>(result: Promise<T>, fallback: T): Promise<T> {
  try {
    return await result;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return fallback;
  }
}

/** Where another service is reached, from the environment that the mesh (or anything else) provides. */
export function serviceUrl(name: string): string | undefined {
  return process.env[`${name.toUpperCase()}_URL`];
}
