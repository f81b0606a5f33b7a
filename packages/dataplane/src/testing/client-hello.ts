// A real ClientHello, as node's TLS sends it. Tests only.
import { Duplex } from 'node:stream';
import tls from 'node:tls';

/** @param serverName SNI; undefined: none is sent. */
export function clientHello(serverName: string | undefined): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        resolve(chunk);
        done();
      },
    });
    const socket = tls.connect({ socket: wire, ...(serverName === undefined ? {} : { servername: serverName }) });
    socket.on('error', () => {});
  });
}
