// Web servers for tests: Node's for HTTP/1.1 and HTTP/2, Python's, and nghttpd. All serve `/small` and `/big`, and answer a POST or PUT with
// its body. Those of Node also do what `respond` says.
import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createSecureServer,
  createServer as createServer2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { type Cleanup, LOOPBACK } from '../../support/planes.ts';
import { untilListening } from './pair.ts';
import { freePort } from '../../support/ports.ts';
import { pathOf, run, start } from './programs.ts';

export const SMALL = 'Grüße aus dem Netz\n';
export const BIG_BYTES = 2_500_000;
/** Looks random, and is the same each time. */
export const BIG = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16)).update(Buffer.alloc(BIG_BYTES));
export const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** Those of Node's HTTP/2 have the same methods. */
type Request = IncomingMessage;
type Response = ServerResponse;
type Respond2 = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** What a Node server got, apart from the body. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly httpVersion: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface WebServer {
  readonly port: number;
  /** Requests so far, without those of health checks. */
  readonly seen: readonly Seen[];
  /** Sends an event to everyone who listens at `/events`. Returns how many there are. */
  emit(data: string): number;
}

class Site {
  readonly seen: Seen[] = [];
  readonly #listeners = new Set<Response>();

  respond(request: Request, response: Response): void {
    const { pathname } = new URL(request.url ?? '/', 'http://site');
    this.seen.push({ method: request.method ?? '', path: request.url ?? '', httpVersion: request.httpVersion, headers: request.headers });
    request.on('error', () => {});
    response.on('error', () => {});
    if (pathname === '/duplex') this.#mirror(request, response);
    else if (request.method === 'POST' || request.method === 'PUT') this.#echo(request, response);
    else if (pathname === '/big') this.#send(request, response, BIG);
    else if (pathname === '/small') this.#send(request, response, Buffer.from(SMALL));
    else if (pathname === '/events') this.#listen(response);
    else if (pathname === '/unsized') this.#sendUnsized(response);
    else if (pathname === '/hints') this.#hint(response);
    else response.writeHead(404, { 'content-type': 'text/plain' }).end(`nothing at ${pathname}`);
  }

  /** Answers when it has read all, for clients that read only when they have written all. */
  #echo(request: Request, response: Response): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(200, { 'content-type': request.headers['content-type'] ?? 'application/octet-stream' });
      response.end(Buffer.concat(chunks));
    });
  }

  /** Goes on reading while it writes. */
  #mirror(request: Request, response: Response): void {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    request.pipe(response);
  }

  #send(request: Request, response: Response, body: Buffer): void {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [from, to] = range === null ? [0, body.length] : [Number(range[1]), Number(range[2]) + 1];
    response.writeHead(range === null ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': to - from,
      'accept-ranges': 'bytes',
      ...(range === null ? {} : { 'content-range': `bytes ${from}-${to - 1}/${body.length}` }),
    });
    if (request.method === 'HEAD') response.end();
    else response.end(body.subarray(from, to));
  }

  #sendUnsized(response: Response): void {
    response.setHeader('trailer', 'x-sum');
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    for (let at = 0; at < BIG.length; at += 1_000_000) response.write(BIG.subarray(at, at + 1_000_000));
    response.addTrailers({ 'x-sum': sha256(BIG) });
    response.end();
  }

  /** RFC 8297. */
  #hint(response: Response): void {
    response.writeEarlyHints({ link: '</small>; rel=preload' });
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.end(SMALL);
  }

  #listen(response: Response): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    this.#listeners.add(response);
    response.on('close', () => this.#listeners.delete(response));
  }

  emit(data: string): number {
    for (const listener of this.#listeners) (listener as ServerResponse).write(`data: ${data}\n\n`);
    return this.#listeners.size;
  }

  /** Refuses what is too big before it is sent (RFC 9110 §10.1.1). */
  onExpect(request: Request, response: Response): void {
    if (request.url === '/refused') {
      this.seen.push({ method: request.method ?? '', path: request.url, httpVersion: request.httpVersion, headers: request.headers });
      response.writeHead(413, { 'content-type': 'text/plain' }).end('too big');
      return;
    }
    response.writeContinue();
    this.respond(request, response);
  }
}

/** By default Node refuses streams once 10 MB wait to be sent on a connection. */
const SESSION_MEGABYTES = 1_000;

/** Node's server for HTTP/1.1 (1) or HTTP/2 with prior knowledge (2). */
export async function nodeServer(cleanup: Cleanup, version: 1 | 2): Promise<WebServer> {
  const site = new Site();
  const respond = (request: Request, response: Response): void => site.respond(request, response);
  const options = { maxSessionMemory: SESSION_MEGABYTES };
  const server = version === 1 ? createServer(respond) : createServer2(options, respond as unknown as Respond2);
  server.on('checkContinue', (request: Request, response: Response) => site.onExpect(request, response));
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on('error', () => {}).on('close', () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => {
    server.close();
    for (const session of sessions) session.destroy();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, seen: site.seen, emit: (data) => site.emit(data) };
}

/** Node's server with a certificate of its own: HTTP/2 or HTTP/1.1, whatever the client prefers. Returns its port. */
export async function secureServer(
  cleanup: Cleanup,
  certificate: { readonly certFile: string; readonly keyFile: string },
): Promise<number> {
  const site = new Site();
  const [cert, key] = await Promise.all([readFile(certificate.certFile), readFile(certificate.keyFile)]);
  const respond = (request: Request, response: Response): void => site.respond(request, response);
  const server = createSecureServer({ cert, key, allowHTTP1: true, maxSessionMemory: SESSION_MEGABYTES }, respond as unknown as Respond2);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('sessionError', () => {});
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** A certificate that vouches for itself, for these names. */
export async function selfSigned(
  directory: string,
  names: readonly string[],
): Promise<{ readonly certFile: string; readonly keyFile: string }> {
  const [certFile, keyFile] = [join(directory, 'own.pem'), join(directory, 'own.key')];
  const altNames = `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`;
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  const made = await run('openssl', ['req', '-x509', ...key, '-out', certFile, '-days', '2', '-subj', '/CN=own', '-addext', altNames]);
  if (made.code !== 0) throw new Error(`openssl: ${made.stderr}`);
  return { certFile, keyFile };
}

/** A folder with what every server has. */
export async function documents(directory: string): Promise<string> {
  const folder = join(directory, 'documents');
  await mkdir(folder);
  await writeFile(join(folder, 'small'), SMALL);
  await writeFile(join(folder, 'big'), BIG);
  return folder;
}

/** Python's http.server, which can also speak HTTP/1.0: bodies without a length, which end with the connection. */
export async function pythonServer(cleanup: Cleanup, folder: string, protocol: 'HTTP/1.0' | 'HTTP/1.1'): Promise<number> {
  const script = join(import.meta.dirname, '../python/web_server.py');
  const { until } = start(cleanup, pathOf('python3'), ['-u', script, protocol], { cwd: folder });
  return Number((await until(/^port (\d+)$/m))[1]);
}

/** nghttpd sends padding and a trailer with everything, to make it harder. */
export async function nghttpServer(cleanup: Cleanup, folder: string): Promise<number> {
  const port = await freePort();
  const args = ['--no-tls', '--address', LOOPBACK, '--htdocs', folder, '--echo-upload', '--padding', '64', '--trailer', 'x-last: word'];
  start(cleanup, 'nghttpd', [...args, String(port)]);
  await untilListening(port);
  return port;
}
