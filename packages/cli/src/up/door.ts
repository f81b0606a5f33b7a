// The way by which other commands reach a running `heddle up`: HTTP on a port of the loopback that the system chooses, with the operator's token.
// One call so far: restart instances, told step by step as lines of JSON.
import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RollingStep } from './rolling.ts';

export interface RestartWish {
  /** Name of a service or of an instance. */
  readonly name: string;
  readonly tellMs: number;
  readonly force: boolean;
}

/** Each a line of the answer: a step, or the end. */
export type RestartLine = RollingStep | { readonly outcome: 'complete' | 'failed' };

export interface UpDoorOptions {
  readonly token: () => string | undefined;
  /** Rejects with a sentence for people when there is nothing of that name, or another restart runs. */
  readonly restart: (wish: RestartWish, onStep: (step: RollingStep) => void) => Promise<boolean>;
}

const BODY_BYTES_MAX = 16_384;
const LOOPBACK = '127.0.0.1';
const TELL_MS_MAX = 600_000;

export class UpDoor {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async open(options: UpDoorOptions): Promise<UpDoor> {
    const server = createServer({ requestTimeout: 10_000 }, (request, response) => void serve(request, response, options));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, LOOPBACK, resolve);
    });
    return new UpDoor(server);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, { token, restart }: UpDoorOptions): Promise<void> {
  try {
    if (!isAuthorized(request, token())) return refuse(response, 401, 'needs the operator token of the state directory');
    if (request.url !== '/restart' || request.method !== 'POST') return refuse(response, 404, 'there is only POST /restart');
    const wish = await readWish(request);
    if (typeof wish === 'string') return refuse(response, 400, wish);
    const tell = (line: RestartLine): void => {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
      response.write(`${JSON.stringify(line)}\n`);
    };
    const isComplete = await restart(wish, tell);
    tell({ outcome: isComplete ? 'complete' : 'failed' });
    response.end();
  } catch (error) {
    if (response.headersSent) response.destroy();
    else refuse(response, 409, (error as Error).message);
  }
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify({ error: reason })}\n`);
}

function isAuthorized(request: IncomingMessage, token: string | undefined): boolean {
  const given = Buffer.from(/^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '');
  const wanted = Buffer.from(token ?? '');
  return wanted.length > 0 && given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** What is wrong with it, where it cannot be used. */
async function readWish(request: IncomingMessage): Promise<RestartWish | string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) return `the body has more than ${BODY_BYTES_MAX} bytes`;
    pieces.push(piece);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch {
    return 'the body is not JSON';
  }
  const { name, tellMs, force } = (value ?? {}) as Partial<Record<keyof RestartWish, unknown>>;
  if (typeof name !== 'string' || typeof force !== 'boolean') return 'the body is not { name, tellMs, force }';
  if (!Number.isInteger(tellMs) || (tellMs as number) < 0 || (tellMs as number) > TELL_MS_MAX)
    return `tellMs is not between 0 and ${TELL_MS_MAX}`;
  return { name, tellMs: tellMs as number, force };
}
