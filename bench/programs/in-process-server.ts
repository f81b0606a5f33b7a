// An application as people write it: node:http, or grpc-js. Arguments: the port, `http` or `grpc`, the bytes of an answer, and the file by which
// a data plane inside it is configured, if there is to be one.
import { createServer } from 'node:http';
import grpc from '@grpc/grpc-js';
import { joinServers } from '@heddle/client/server';
import { ECHO } from '../../tests/support/grpc-echo.ts';
import { startInside } from './in-process-mesh.ts';

const [, , portText = '', kind = '', bytes = '', specFile] = process.argv;
const port = Number(portText);
const body = Buffer.alloc(Number(bytes), 'x');
if (specFile !== undefined) joinServers(await startInside(specFile, undefined), { port });

if (kind === 'http') {
  createServer((_request, response) => {
    response.setHeader('content-type', 'application/octet-stream');
    response.end(body);
  }).listen(port, '127.0.0.1');
} else {
  const server = new grpc.Server();
  server.addService(ECHO, {
    echo: (_call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => done(null, body),
  });
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error !== null) throw error;
  });
}
