// A collector that takes everything and looks at nothing. Argument: the port.
import { createServer } from 'node:http';

createServer((request, response) => {
  request.resume().on('end', () => response.writeHead(200).end());
}).listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 1024 });
