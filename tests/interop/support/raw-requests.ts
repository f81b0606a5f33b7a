// Requests of HTTP/1.1 as they are written, byte by byte: no library could be asked to send them. One connection, one request at a time.
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { LOOPBACK } from '../../support/planes.ts';

const ANSWER_TIMEOUT_MS = 10_000;

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
}

export interface RawRequest {
  readonly method: string;
  /** As it stands in the request line. */
  readonly target: string;
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A caller with one connection, which is opened again where the server has closed it. */
export class RawCaller {
  readonly #port: number;
  readonly #identity: RawIdentity | undefined;
  readonly #localAddress: string;
  #socket: Socket | undefined;
  #text = '';
  #changed: () => void = () => {};

  /** Without identity: no TLS. */
  constructor(port: number, identity: RawIdentity | undefined, localAddress: string = LOOPBACK) {
    this.#port = port;
    this.#identity = identity;
    this.#localAddress = localAddress;
  }

  /** One at a time. Status 0: the connection ended without an answer. */
  async ask({ method, target, host, headers }: RawRequest): Promise<RawAnswer> {
    const socket = this.#open();
    this.#text = '';
    const lines = [`${method} ${target} HTTP/1.1`, `host: ${host}`, ...headers.map(([name, value]) => `${name}: ${value}`), '', ''];
    socket.write(Buffer.from(lines.join('\r\n'), 'latin1'));
    const timer = setTimeout(() => socket.destroy(), ANSWER_TIMEOUT_MS);
    try {
      for (;;) {
        const answer = answerIn(this.#text, method);
        if (answer !== undefined) {
          if (answer.headers['connection'] === 'close') this.close();
          return answer;
        }
        if (socket.destroyed) return { status: 0, headers: {}, body: this.#text };
        await new Promise<void>((resolve) => (this.#changed = resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Socket {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket;
    const to = { host: LOOPBACK, port: this.#port, localAddress: this.#localAddress };
    const socket =
      this.#identity === undefined
        ? connectPlain(to)
        : connectTls({
            ...to,
            ...{ cert: this.#identity.certificatePem, key: this.#identity.keyPem, ca: this.#identity.rootsPem },
            checkServerIdentity: () => undefined,
          });
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      this.#text += chunk;
      this.#changed();
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#changed());
    this.#socket = socket;
    return socket;
  }
}

/** Undefined: there is not all of it yet. Bodies have a length. */
function answerIn(text: string, method: string): RawAnswer | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const length = method === 'HEAD' ? 0 : Number(headers['content-length'] ?? 0);
  const body = text.slice(end + 4);
  return body.length < length ? undefined : { status: Number(first.split(' ')[1]), headers, body: body.slice(0, length) };
}
