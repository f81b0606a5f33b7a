// An application that does what the path of a request says. Tests only.
import type http from 'node:http';
import { gzipSync } from 'node:zlib';

/** Requests whose connection was given up, by path. */
const givenUp = new Map<string, PromiseWithResolvers<void>>();

/** Resolves when a request to this path has come to its end without an answer. */
export function untilGivenUp(path: string): Promise<void> {
  return entryOf(path).promise;
}

function entryOf(path: string): PromiseWithResolvers<void> {
  const entry = givenUp.get(path) ?? Promise.withResolvers<void>();
  givenUp.set(path, entry);
  return entry;
}

export interface Echo {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** How many bytes of unfinished uploads have come, by path. */
export const uploaded = new Map<string, number>();

export const echoApplication: http.RequestListener = (request, response) => {
  const path = request.url ?? '';
  const [, what = ''] = /^\/(\w*)/.exec(path) ?? [];
  response.on('close', () => {
    if (!response.writableFinished) entryOf(path).resolve();
  });
  const answer = ANSWERS[what] ?? echo;
  answer(request, response);
};

type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

const ANSWERS: Readonly<Record<string, Answer>> = {
  never: (request) => void request.resume(),
  begin: (request, response) => {
    request.resume();
    response.write('begun');
  },
  breaks: (_request, response) => {
    response.write('begun');
    setImmediate(() => response.destroy());
  },
  pipe: (request, response) => void request.pipe(response),
  stalls: (request) => {
    request.once('readable', () => uploaded.set(request.url!, request.readableLength));
  },
  big: (_request, response) => void response.end(Buffer.alloc(3_000_000, 7)),
  gzip: (_request, response) => {
    response.setHeader('content-encoding', 'gzip');
    response.end(gzipSync('squeezed'));
  },
  redirect: (_request, response) => void response.writeHead(302, { location: '/after' }).end(),
  hints: (_request, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.end('hinted');
  },
  trailers: (_request, response) => {
    response.setHeader('trailer', 'x-sum');
    response.write('a');
    response.addTrailers({ 'x-sum': '42' });
    response.end('b');
  },
  nothing: (_request, response) => void response.writeHead(204).end(),
  early: (_request, response) => void response.end('enough'),
  events: (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('event: tick\ndata: one\n\n');
  },
};

const echo: Answer = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { method, url, headers, rawHeaders } = request;
    response.setHeader('content-type', 'application/json');
    response.setHeader('set-cookie', ['a=1', 'b=2']);
    response.end(JSON.stringify({ method, path: url, headers, rawHeaders, body: Buffer.concat(chunks).toString('latin1') }));
  });
};
