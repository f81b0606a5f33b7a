// A connection into the mesh of another process, in the form that one of this process has: what users of it look at is the same.
import type { Socket } from 'node:net';
import { memoryLink, type MemoryStream } from '@heddle/runtime/inside';

const LOOPBACK = '127.0.0.1';

/** `socket` need not be connected yet; it is the stream's from now on. */
export function bridged(socket: Socket): MemoryStream {
  const { connection, stream } = memoryLink({ remoteAddress: LOOPBACK, remotePort: 0, localAddress: LOOPBACK, localPort: 0 });
  connection.handler = {
    onBytes(bytes) {
      // The application may use its buffer again.
      if (!socket.write(Buffer.from(bytes))) connection.pause();
    },
    onDrained: () => void socket.resume(),
    onEnd: () => void socket.end(),
    onClose: () => void socket.destroy(),
  };
  socket.on('drain', () => connection.resume());
  socket.on('data', (bytes: Buffer) => {
    if (!connection.write(bytes)) socket.pause();
  });
  socket.on('end', () => connection.end());
  socket.on('error', () => connection.reset());
  socket.on('close', () => connection.destroy());
  return stream;
}
