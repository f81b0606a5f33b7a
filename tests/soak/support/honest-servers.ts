// Instances that do what they should, made of Node's own servers: what a request sends comes back. The answer names the request, so that a
// mix-up of answers shows.
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';

export const ID_HEADER = 'x-soak-id';
/** `/bytes/N` answers with so many at most. */
const BYTES_MAX = 1 << 20;

export interface HonestServer {
  readonly port: number;
  close(): void;
}

/** Closes its connections together with the server. */
async function listen(server: Server): Promise<HonestServer> {
  const sockets = new Set<Socket>();
  // With TLS there are two for each: the one below may be left when its handshake never ends.
  for (const event of ['connection', 'secureConnection'] as const) {
    server.on(event, (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    });
  }
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export function startHttp1(): Promise<HonestServer> {
  // Requests may be slow, as many of their senders are.
  const server = createHttp({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 60_000 }, echo);
  server.on('clientError', (_error, socket) => void socket.destroy());
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    socket.pipe(socket);
  });
  return listen(server);
}

export function startHttp2(): Promise<HonestServer> {
  // The many share one session, so what hostile clients do not read must not make it refuse the requests of others.
  const server = createHttp2({ maxSessionMemory: 1_000, settings: { enableConnectProtocol: true } }, echo);
  server.on('sessionError', () => {}).on('streamError', () => {});
  return listen(server);
}

export function startTcp(): Promise<HonestServer> {
  return listen(
    createTcp({ noDelay: true, allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    }),
  );
}

export function startTls(material: { cert: string; key: string }): Promise<HonestServer> {
  // Shorter than two minutes, for clients that end before they have said hello.
  const server = createTls({ ...material, allowHalfOpen: true, handshakeTimeout: 5_000 }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.on('tlsClientError', (_error, socket) => void socket.destroy());
  return listen(server);
}

function echo(request: IncomingMessage | Http2ServerRequest, both: ServerResponse | Http2ServerResponse): void {
  const response = both as ServerResponse;
  request.on('error', () => {});
  response.on('error', () => {});
  const id = request.headers[ID_HEADER];
  if (typeof id === 'string') response.setHeader(ID_HEADER, id);
  const bytes = /^\/bytes\/(\d+)$/.exec(request.url ?? '')?.[1];
  if (bytes !== undefined) {
    request.resume();
    response.end(Buffer.alloc(Math.min(Number(bytes), BYTES_MAX), 'x'));
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (!response.destroyed) response.end(Buffer.concat(chunks));
  });
}
