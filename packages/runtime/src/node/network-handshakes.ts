// TLS handshakes of clients: each ends with a connection whose peer is proven, or with a reason, which the peer is told by an alert.
import type net from 'node:net';
import type tls from 'node:tls';
import { DEFAULT_LIMITS } from '@heddle/core';
import { NetworkError, NOBODY } from '../ports/network.ts';
import type { OnConnection, OnRefused, TlsRefusal } from '../ports/network.ts';
import { NodeConnection } from './network-connection.ts';
import { handshakeRefusal } from './network-errors.ts';
import type { ServerTls } from './network-tls.ts';
import { forgetHandshakeSecret, keepHandshakeSecret, refuseWithAlert } from './tls-alerts.ts';

/** Takes a socket on which nothing was written. */
export type Admission = (socket: net.Socket) => void;

/** Where the peer was, once its socket is destroyed and does not know any more. */
const PEER = Symbol('peer');

type PeerSocket = net.Socket & { [PEER]?: { readonly remoteAddress: string; readonly remotePort: number } };

export function handshakes(context: ServerTls, onConnection: OnConnection, onRefused: OnRefused): Admission {
  const server = context.server();
  const refused = (socket: net.Socket, reason: TlsRefusal, detail: string): void => {
    const { remoteAddress = '', remotePort = 0 } = (socket as PeerSocket)[PEER] ?? socket;
    onRefused({ reason, detail, remoteAddress, remotePort });
  };
  server.on('keylog', (line: Buffer, socket: tls.TLSSocket) => keepHandshakeSecret(socket, 'SERVER_TRAFFIC_SECRET_0', line));
  server.on('secureConnection', (socket: tls.TLSSocket) => {
    context.handshakes -= 1;
    let peerId: string;
    try {
      peerId = context.verify(socket);
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      const reason = error.refusal ?? 'other';
      refused(socket, reason, error.message);
      refuseWithAlert(socket, reason);
      return;
    }
    forgetHandshakeSecret(socket);
    const connection = new NodeConnection(socket, NOBODY, socket.remoteAddress ?? '', socket.remotePort ?? 0);
    connection.alpn = socket.alpnProtocol || '';
    connection.proven(peerId, context.guard);
    onConnection(connection);
    connection.open();
  });
  // Emitted exactly once for each handshake that does not end in `secureConnection`, timeouts and early hang-ups included.
  server.on('tlsClientError', (error: Error, socket: tls.TLSSocket) => {
    context.handshakes -= 1;
    refused((socket as unknown as { _parent?: net.Socket })._parent ?? socket, handshakeRefusal(error), error.message);
    socket.destroy();
  });
  return (socket) => {
    (socket as PeerSocket)[PEER] = { remoteAddress: socket.remoteAddress ?? '', remotePort: socket.remotePort ?? 0 };
    if (context.handshakes >= DEFAULT_LIMITS.handshakesPerListenerMax) {
      refused(socket, 'overload', `${context.handshakes} TLS handshakes are under way already`);
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    context.handshakes += 1;
    server.emit('connection', socket);
  };
}
