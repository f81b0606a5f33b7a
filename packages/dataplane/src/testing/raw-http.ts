// A raw TCP client and server for tests: bytes as written, bytes as read. Tests only.
import { readFileSync } from 'node:fs';
import net from 'node:net';

/**
 * Ports of the loopback that refuse connections. No port that a server of the test has given up: the system may hand that one to another test at once.
 */
export const DEAD_PORTS = [1, 2, 3] as const;

/** What the kernel may hold of a connection: it makes its buffers larger while they are full, up to these bounds. */
export const KERNEL_BYTES_MAX = kernelBytesMax('rmem') + kernelBytesMax('wmem');

/** The last of three figures, on Linux; elsewhere it is less. */
function kernelBytesMax(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/net/ipv4/tcp_${name}`, 'utf8').trim().split(/\s+/)[2]);
  } catch {
    return 8_388_608;
  }
}

export async function until(condition: () => boolean, description: string, deadlineMs = 5_000): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** One side of a connection, with everything that came. */
export class RawPeer {
  readonly socket: net.Socket;
  private readonly chunks: Buffer[] = [];
  receivedBytes = 0;
  ended = false;
  closed = false;
  error: Error | undefined;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.chunks.push(bytes);
      this.receivedBytes += bytes.length;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Waits until the text has come. */
  async expect(text: string | RegExp): Promise<string> {
    const has = () => (typeof text === 'string' ? this.text.includes(text) : text.test(this.text));
    try {
      await until(() => has() || this.closed, 'text');
    } catch {
      // Said below.
    }
    if (!has())
      throw new Error(
        `${this.closed ? 'the connection was closed' : 'waited in vain'}; wanted ${String(text)}, got ${JSON.stringify(this.text.slice(0, 2_000))}`,
      );
    return this.text;
  }

  async gone(): Promise<string> {
    await until(() => this.closed || this.ended, 'the end of the connection');
    return this.text;
  }
}

export function connectRaw(port: number): RawPeer {
  return new RawPeer(net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true }));
}

/** A server whose connections the test drives by hand. */
export class RawServer {
  readonly peers: RawPeer[] = [];
  private readonly server: net.Server;
  onPeer: (peer: RawPeer) => void = () => {};

  private constructor(server: net.Server) {
    this.server = server;
    server.on('connection', (socket) => {
      const peer = new RawPeer(socket);
      this.peers.push(peer);
      this.onPeer(peer);
    });
  }

  static async listen(port = 0): Promise<RawServer> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return new RawServer(server);
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const peer of this.peers) peer.socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
