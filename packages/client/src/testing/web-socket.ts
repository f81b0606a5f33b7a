// The server's side of WebSocket, as far as one short message goes (RFC 6455). Tests only.
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT = 0x81;
const CLOSE = 0x88;

/** Says back what it hears, and closes when it is closed. */
export function acceptWebSocket(request: IncomingMessage, socket: Duplex): void {
  const accept = createHash('sha1')
    .update(`${String(request.headers['sec-websocket-key'])}${GUID}`)
    .digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
  socket.on('error', () => {});
  let received = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    while (received.length >= 6 && received.length >= 6 + (received[1]! & 0x7f)) {
      const length = received[1]! & 0x7f;
      const mask = received.subarray(2, 6);
      const payload = received.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]!);
      const opcode = received[0]! & 0x0f;
      received = received.subarray(6 + length);
      socket.write(Buffer.concat([Buffer.from([opcode === 8 ? CLOSE : TEXT, length]), payload]));
      if (opcode === 8) socket.end();
    }
  });
}
