// The network of a calling data plane, in which a test sees each request that goes out to an instance, retries included, and may lead its
// connections through a relay.
import type { Connection, Network } from '@heddle/runtime';
import { nodeNetwork } from '@heddle/runtime/node';

/** RFC 9113 §3.4, §4.1, §6.2. */
const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const HEADERS_FRAME = 1;

export class WatchedNetwork implements Network {
  /** Ports to which connections go in place of others. */
  readonly relays = new Map<number, number>();
  readonly #tries = new Map<number, number[]>();

  /** When requests went out to the port, by `performance.now`. */
  triesTo(port: number): readonly number[] {
    return this.#timesOf(port);
  }

  connect(...[options, handler]: Parameters<Network['connect']>): Connection {
    const { port } = options;
    const connection = nodeNetwork.connect({ ...options, port: this.relays.get(port) ?? port }, handler);
    const times = this.#timesOf(port);
    const frames = new FrameReader((type) => void (type === HEADERS_FRAME && times.push(performance.now())));
    const write = connection.write.bind(connection);
    connection.write = (bytes) => {
      frames.read(bytes);
      return write(bytes);
    };
    return connection;
  }

  afterEvents(...args: Parameters<Network['afterEvents']>): void {
    nodeNetwork.afterEvents(...args);
  }

  listen(...args: Parameters<Network['listen']>): ReturnType<Network['listen']> {
    return nodeNetwork.listen(...args);
  }

  secure(...args: Parameters<Network['secure']>): void {
    nodeNetwork.secure(...args);
  }

  serverTls(...args: Parameters<Network['serverTls']>): ReturnType<Network['serverTls']> {
    return nodeNetwork.serverTls(...args);
  }

  clientTls(...args: Parameters<Network['clientTls']>): ReturnType<Network['clientTls']> {
    return nodeNetwork.clientTls(...args);
  }

  #timesOf(port: number): number[] {
    let times = this.#tries.get(port);
    if (times === undefined) this.#tries.set(port, (times = []));
    return times;
  }
}

/** Tells the types of the frames of one direction of an HTTP/2 connection, in whatever pieces they come. */
class FrameReader {
  readonly #onFrame: (type: number) => void;
  readonly #head: number[] = [];
  #skip = PREFACE_BYTES;

  constructor(onFrame: (type: number) => void) {
    this.#onFrame = onFrame;
  }

  read(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      const head = this.#head;
      head.push(bytes[at++]!);
      if (head.length < FRAME_HEAD_BYTES) continue;
      this.#skip = (head[0]! << 16) | (head[1]! << 8) | head[2]!;
      this.#onFrame(head[3]!);
      head.length = 0;
    }
  }
}
