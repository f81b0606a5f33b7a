// The Datagram port on node:dgram.
import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { BindOptions, Datagrams, DatagramSocket, DatagramTalk, TalkOptions } from '../ports/datagram.ts';
import { listenError, toNetworkError } from './network-errors.ts';

/** For bursts while this process does something else; the kernel doubles it and caps it at net.core.rmem_max. */
const RECEIVE_BUFFER_BYTES = 1_048_576;

class NodeDatagramSocket implements DatagramSocket {
  readonly address: string;
  readonly port: number;
  readonly #socket: dgram.Socket;
  #closed: Promise<void> | undefined;

  constructor(socket: dgram.Socket) {
    const bound = socket.address();
    this.address = bound.address;
    this.port = bound.port;
    this.#socket = socket;
  }

  send(bytes: Uint8Array, address: string, port: number): void {
    if (this.#closed === undefined) this.#socket.send(bytes, port, address, ignore);
  }

  close(): Promise<void> {
    return (this.#closed ??= new Promise((resolve) => void this.#socket.close(resolve)));
  }
}

function bind(options: BindOptions): Promise<DatagramSocket> {
  const { address, port, shared } = options;
  const type = isIPv6(address) ? 'udp6' : 'udp4';
  const socket = dgram.createSocket({ type, ipv6Only: type === 'udp6' && address !== '::', reusePort: shared === true });
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.close();
      reject(listenError(error, options));
    };
    socket.once('error', fail);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', fail);
      // Errors of single datagrams (a peer that has gone, a full queue): the socket goes on.
      socket.on('error', ignore);
      socket.on('message', (bytes, from) => options.onMessage(bytes, from.address, from.port));
      try {
        socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
      } catch {
        // It works with the system's own size too.
      }
      resolve(new NodeDatagramSocket(socket));
    });
  });
}

class NodeTalk implements DatagramTalk {
  readonly #socket: dgram.Socket;
  #waiting: Uint8Array[] | undefined = [];
  #closed = false;

  constructor(options: TalkOptions) {
    const { address, port } = options;
    const socket = dgram.createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    this.#socket = socket;
    let failed = false;
    const fail = (error: Error): void => {
      if (failed || this.#closed) return;
      failed = true;
      options.onError(toNetworkError(error));
    };
    socket.on('error', fail);
    socket.on('message', (bytes) => {
      if (!this.#closed) options.onMessage(bytes);
    });
    // From here on the kernel drops what others send to this port, and reports what ICMP says about the peer.
    socket.connect(port, address, (error?: Error) => {
      if (this.#closed) return;
      if (error !== undefined && error !== null) return fail(error);
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const bytes of waiting) this.send(bytes);
    });
  }

  send(bytes: Uint8Array): void {
    if (this.#closed) return;
    if (this.#waiting !== undefined) this.#waiting.push(bytes);
    else this.#socket.send(bytes, (error) => error && this.#socket.emit('error', error));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

function ignore(): void {}

export const nodeDatagrams: Datagrams = { bind, talk: (options) => new NodeTalk(options) };
