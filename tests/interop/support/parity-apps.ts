// Applications that say what they got and behave as they are told: `x-do` lists, try by try, what is to be done; the last word holds for all
// tries that follow. Tries are counted for each name in `x-case` over all applications together.
//   200, 503, …      that status, with what was got as body; `503+retry-after=1` with more headers
//   late:300         the same with 200 after so many milliseconds
//   hang             no answer
//   reset            the connection is broken before an answer
//   partial          … after the head of one
//   grpc:14          for gRPC: that status, without a message before it
//   grpc:0           one empty message, then status 0
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { type Cleanup, LOOPBACK } from '../../support/planes.ts';
import { CASE_HEADER, type Got, pairs } from './parity.ts';

const DO_HEADER = 'x-do';

export class Applications {
  readonly #cleanup: Cleanup;
  readonly #cases = new Map<string, Got[]>();

  constructor(cleanup: Cleanup) {
    this.#cleanup = cleanup;
  }

  /** What the applications got of a request, in the order of arrival. */
  triesOf(name: string): readonly Got[] {
    return this.#cases.get(name) ?? [];
  }

  /** Returns the port. */
  async http(name: string): Promise<number> {
    const server = createServer((incoming, response) => {
      let body = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => void (body += chunk));
      incoming.on('error', () => {}).on('end', () => this.#answer(name, incoming, body, response));
    });
    const port = await this.#listen(server);
    this.#cleanup.add(() => server.closeAllConnections());
    return port;
  }

  /** Speaks HTTP/2 with prior knowledge. Returns the port. */
  async grpc(name: string): Promise<number> {
    const server = createHttp2Server();
    const sessions = new Set<ServerHttp2Session>();
    server.on('session', (session) => void sessions.add(session));
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.on('error', () => {});
      stream.resume().on('end', () => {
        const fields = Object.entries(headers).map(([field, value]) => [field, String(value)] as const);
        const got = { name, method: 'POST', path: String(headers[':path']), headers: fields, body: '' };
        answerCall(stream, this.#count(String(headers[CASE_HEADER]), String(headers[DO_HEADER] ?? 'grpc:0'), got));
      });
    });
    const port = await this.#listen(server);
    this.#cleanup.add(() => {
      for (const session of sessions) session.destroy();
    });
    return port;
  }

  async #listen(server: Server): Promise<number> {
    await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
    this.#cleanup.add(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  #count(key: string, words: string, got: Got): string {
    const tries = this.#cases.get(key) ?? [];
    this.#cases.set(key, [...tries, got]);
    const all = words.split(',');
    return all[tries.length] ?? all.at(-1) ?? '200';
  }

  #answer(name: string, incoming: IncomingMessage, body: string, response: ServerResponse): void {
    const got: Got = { name, method: incoming.method ?? '', path: incoming.url ?? '', headers: pairs(incoming.rawHeaders), body };
    const { headers } = incoming;
    const todo = this.#count(String(headers[CASE_HEADER]), String(headers[DO_HEADER] ?? '200'), got);
    const [word = '', ...more] = todo.split('+');
    // On a kept connection the data plane beside the application may take a break for a late close, and ask again by itself.
    response.setHeader('connection', 'close');
    if (word === 'hang') return;
    if (word === 'reset') return void incoming.socket.destroy();
    const say = (status: number): void => {
      response.setHeader('x-echo', 'yes');
      response.setHeader('content-type', 'application/json');
      response.setHeader('x-kept', ['one', 'two']);
      for (const field of more) response.setHeader(...(field.split('=') as [string, string]));
      response.writeHead(status).end(JSON.stringify(got));
    };
    if (word === 'partial') {
      response.writeHead(200, { 'content-length': '100', connection: 'close' }).write('some');
      setImmediate(() => incoming.socket.destroy());
    } else if (word.startsWith('late:')) setTimeout(say, Number(word.slice(5)), 200);
    else say(Number(word));
  }
}

function answerCall(stream: ServerHttp2Stream, word: string): void {
  if (word === 'hang') return;
  if (word === 'reset') return stream.close(2);
  const status = word.replace('grpc:', '');
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  if (status !== '0') return stream.respond({ ...head, 'grpc-status': status, 'grpc-message': 'as asked' }, { endStream: true });
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.from([0, 0, 0, 0, 0]));
}
