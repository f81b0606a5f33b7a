// The application behind the contestants: answers every request head at once with the same 64 bytes. Argument: the port.
import net from 'node:net';

const BODY = 'hello from the backend, sixty-four bytes of plain text in a body';
const ANSWER = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${BODY.length}\r\ncontent-type: text/plain\r\n\r\n${BODY}`);
const END = '\r\n\r\n';

net
  .createServer({ noDelay: true }, (socket) => {
    let rest = '';
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const text = rest + bytes.toString('latin1');
      let at = 0;
      for (let end = text.indexOf(END); end !== -1; end = text.indexOf(END, at)) {
        at = end + END.length;
        socket.write(ANSWER);
      }
      rest = text.slice(at);
    });
  })
  .listen(Number(process.argv[2]), '127.0.0.1');
