// One hop with node:http and node:http2, written the usual way: a server, an agent or session that keeps connections, and pipes.
// Argument: a file with the hop.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type tls from 'node:tls';
import type { Hop } from '../contestants/contestant.ts';

const hop = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Hop & { certificates: string; identity: string };
const { listen, upstream, certificates, identity } = hop;
const own = {
  cert: readFileSync(`${certificates}/${identity}.crt`),
  key: readFileSync(`${certificates}/${identity}.key`),
  ca: readFileSync(`${certificates}/roots.pem`),
  minVersion: 'TLSv1.3',
} as const;
const PEER = 'URI:spiffe://shop.test/ns/default/svc/orders';

type Incoming = http.IncomingMessage | http2.Http2ServerRequest;
type Outgoing = http.ServerResponse | http2.Http2ServerResponse;
type Headers = Record<string, string | string[] | undefined>;

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings', 'host']);

function endToEnd(headers: http.IncomingHttpHeaders | http2.IncomingHttpHeaders): Headers {
  const kept: Headers = {};
  for (const name in headers) if (!name.startsWith(':') && !HOP_BY_HOP.has(name)) kept[name] = headers[name];
  return kept;
}

function requestHeaders(request: Incoming): Headers {
  const headers = endToEnd(request.headers);
  headers['x-request-id'] ??= randomUUID();
  headers['x-forwarded-for'] = request.socket.remoteAddress;
  headers['x-forwarded-proto'] = listen.tls === undefined ? 'http' : 'https';
  return headers;
}

const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 256 });

function forwardHttp1(request: Incoming, response: Outgoing): void {
  const headers = { ...requestHeaders(request), host: request.headers[':authority'] ?? request.headers.host } as http.OutgoingHttpHeaders;
  const call = http.request(
    { agent, host: '127.0.0.1', port: upstream.port, method: request.method, path: request.url, headers },
    (answer) => {
      (response as http.ServerResponse).writeHead(answer.statusCode ?? 502, endToEnd(answer.headers) as http.OutgoingHttpHeaders);
      answer.pipe(response as http.ServerResponse);
    },
  );
  call.on('error', () => fail(response));
  request.pipe(call);
}

let session: http2.ClientHttp2Session | undefined;

function upstreamSession(): http2.ClientHttp2Session {
  if (session !== undefined && !session.closed && !session.destroyed) return session;
  const options: http2.SecureClientSessionOptions = upstream.tls === undefined ? {} : { ...own, checkServerIdentity };
  session = http2.connect(`${upstream.tls === undefined ? 'http' : 'https'}://127.0.0.1:${upstream.port}`, options);
  session.on('error', () => {});
  return session;
}

function checkServerIdentity(_name: string, { subjectaltname }: tls.PeerCertificate): Error | undefined {
  return subjectaltname === PEER ? undefined : new Error(`the peer is ${subjectaltname}`);
}

function forwardHttp2(request: Incoming, response: Outgoing): void {
  const call = upstreamSession().request({
    ...requestHeaders(request),
    ':method': request.method,
    ':path': request.url,
    ':authority': (request.headers[':authority'] as string | undefined) ?? request.headers.host,
  });
  call.on('response', (headers) => {
    (response as http.ServerResponse).writeHead(headers[':status'] ?? 502, endToEnd(headers) as http.OutgoingHttpHeaders);
    call.pipe(response as http.ServerResponse);
  });
  call.on('trailers', (trailers) => {
    response.addTrailers(trailers as http.OutgoingHttpHeaders);
  });
  call.on('error', () => fail(response));
  request.pipe(call);
}

function fail(response: Outgoing): void {
  if (!response.headersSent) (response as http.ServerResponse).writeHead(502);
  response.end();
}

function createServer(handle: (request: Incoming, response: Outgoing) => void): http.Server | http2.Http2Server {
  const secure = { ...own, requestCert: listen.tls === 'mutual', rejectUnauthorized: listen.tls === 'mutual' };
  if (listen.http === 'http1') return listen.tls === undefined ? http.createServer(handle) : https.createServer(secure, handle);
  return listen.tls === undefined ? http2.createServer(handle) : http2.createSecureServer(secure, handle);
}

const server = createServer(upstream.http === 'http1' ? forwardHttp1 : forwardHttp2);
if ('keepAliveTimeout' in server) server.keepAliveTimeout = 300_000;
server.listen(listen.port, '127.0.0.1');
