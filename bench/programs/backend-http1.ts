// HTTP/1.1 for the backend: a response for every end of a head. Requests have no body.
import net from 'node:net';

const END = '\r\n\r\n';

export function listenHttp1(port: number, body: Buffer): void {
  const head = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\ncontent-type: text/plain\r\n\r\n`;
  const answer = Buffer.concat([Buffer.from(head), body]);
  net
    .createServer({ noDelay: true }, (socket) => {
      let rest = '';
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        const text = rest + bytes.toString('latin1');
        let at = 0;
        for (let end = text.indexOf(END); end !== -1; end = text.indexOf(END, at)) {
          at = end + END.length;
          socket.write(answer);
        }
        rest = text.slice(at);
      });
    })
    .listen({ port, host: '127.0.0.1', backlog: 4096 });
}
