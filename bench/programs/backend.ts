// The application behind the contestants: answers each request with the same bytes as cheaply as it can. Arguments: the port, `http1`,
// `http2` (prior knowledge) or `grpc`, and the bytes of the body.
import { listenHttp1 } from './backend-http1.ts';
import { listenHttp2 } from './backend-http2.ts';

const [, , port, protocol, bytes] = process.argv;
const body = Buffer.alloc(Number(bytes), 'x');
if (protocol === 'http1') listenHttp1(Number(port), body);
else listenHttp2(Number(port), body, protocol === 'grpc');
