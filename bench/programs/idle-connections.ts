// Connections that stay open and silent. Arguments: port, connections. Opens them, each with one request, then prints a line; for each
// line on standard input it asks once more on every connection, and prints how many answered.
import net from 'node:net';
import { createInterface } from 'node:readline';

const [port = 0, connections = 0] = process.argv.slice(2).map(Number);
const REQUEST = 'GET /orders/17 HTTP/1.1\r\nhost: orders.test\r\n\r\n';
/** Requests under way at a time. */
const AT_ONCE = 100;

async function ask(socket: net.Socket): Promise<boolean> {
  return new Promise((resolve) => {
    let received = '';
    const onData = (bytes: Buffer): void => {
      received += bytes.toString('latin1');
      const end = received.indexOf('\r\n\r\n');
      const length = /\ncontent-length: *(\d+)/i.exec(received);
      if (end === -1 || length === null || received.length < end + 4 + Number(length[1])) return;
      finish(received.startsWith('HTTP/1.1 200 '));
    };
    const onClose = (): void => finish(false);
    const finish = (answered: boolean): void => {
      socket.off('data', onData).off('close', onClose);
      resolve(answered);
    };
    socket.on('data', onData).on('close', onClose);
    if (socket.destroyed) finish(false);
    else socket.write(REQUEST);
  });
}

async function askAll(sockets: () => Generator<net.Socket>): Promise<number> {
  const rest = sockets();
  let answered = 0;
  const worker = async (): Promise<void> => {
    for (let next = rest.next(); !next.done; next = rest.next()) if (await ask(next.value)) answered += 1;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return answered;
}

const open: net.Socket[] = [];
const answered = await askAll(function* () {
  for (let index = 0; index < connections; index++) {
    const socket = net.connect({ port, host: '127.0.0.1' }).on('error', () => {});
    open.push(socket);
    yield socket;
  }
});
console.log(String(answered));
for await (const _line of createInterface(process.stdin)) console.log(String(await askAll(() => open.values() as Generator<net.Socket>)));
