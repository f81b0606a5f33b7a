// A stream of bytes to a service of the mesh, by CONNECT (RFC 9110 §9.3.6) over a connection into it.
import type { MemoryStream } from '@heddle/runtime/inside';
import type { Mesh } from '../plane/mesh.ts';
import { type ConnectError, connectError } from './mesh-errors.ts';

/** The data plane's own answers are a few lines. */
const HEAD_BYTES_MAX = 16_384;
const HEAD_END = '\r\n\r\n';
const STATUS = /^HTTP\/1\.[01] (\d{3})/;
const ERROR_CODE = /^x-heddle-error: *(.*)$/im;
const CONTENT_LENGTH = /^content-length: *(\d{1,6})$/im;

export interface TunnelEnd {
  /** What came behind the answer can be read. */
  opened(): void;
  failed(error: ConnectError): void;
}

/** Asks for the tunnel; tells its end once. Only once the mesh is ready. Nothing may be read from the stream before. */
export function openTunnel(mesh: Mesh, host: string, port: number, end: TunnelEnd): MemoryStream {
  const stream = mesh.connect();
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  let received = Buffer.alloc(0);

  const stop = (): void => {
    stream.off('readable', read).off('end', closed).off('error', closed).off('close', closed);
  };
  const fail = (code: string, detail: string): void => {
    stop();
    stream.on('error', () => {});
    stream.destroy();
    end.failed(connectError(host, port, code, detail));
  };
  const closed = (): void => fail('CONNECT_FAILED', 'the data plane closed the connection');
  const read = (): void => {
    for (let chunk = take(stream); chunk !== null; chunk = take(stream)) received = Buffer.concat([received, chunk]);
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd === -1) {
      if (received.length > HEAD_BYTES_MAX) fail('UPSTREAM_PROTOCOL', 'the answer to CONNECT does not end');
      return;
    }
    const head = received.toString('latin1', 0, headEnd);
    const rest = received.subarray(headEnd + HEAD_END.length);
    const status = Number(STATUS.exec(head)?.[1] ?? 0);
    if (status >= 200 && status < 300) {
      stop();
      if (rest.length > 0) stream.unshift(rest);
      end.opened();
      return;
    }
    const wanted = Math.min(Number(CONTENT_LENGTH.exec(head)?.[1] ?? 0), HEAD_BYTES_MAX);
    if (rest.length < wanted) return;
    const code = ERROR_CODE.exec(head)?.[1] ?? 'CONNECT_FAILED';
    const text = rest.toString('utf8').trim();
    fail(code, text.startsWith(`${code}: `) ? text.slice(code.length + 2) : text || `answered ${status}`);
  };
  stream.on('readable', read).on('end', closed).on('error', closed).on('close', closed);
  stream.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n\r\n`);
  return stream;
}

function take(stream: MemoryStream): Buffer | null {
  return stream.read() as Buffer | null;
}
