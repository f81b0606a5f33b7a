// Datagrams (UDP) with one handler each. The node driver is `runtime/node/datagram.ts`; a simulation can stand in its place.
import type { NetworkError } from './network.ts';

export interface BindOptions {
  /** An IPv4 or IPv6 address of this machine. `::` takes IPv4 too, as `::ffff:a.b.c.d`. */
  readonly address: string;
  /** 0: the system chooses; see `DatagramSocket.port`. */
  readonly port: number;
  /** Several sockets may be bound to the same port, each with its share of what arrives (SO_REUSEPORT). Default false. */
  readonly shared?: boolean;
  /** The bytes are the receiver's to keep. */
  onMessage(bytes: Buffer, address: string, port: number): void;
}

/** A socket to which anybody may send. */
export interface DatagramSocket {
  readonly address: string;
  readonly port: number;
  /** Best effort: what the network does not take is lost, as any datagram may be. */
  send(bytes: Uint8Array, address: string, port: number): void;
  /** Resolves when the port is free. */
  close(): Promise<void>;
}

export interface TalkOptions {
  readonly address: string;
  readonly port: number;
  /** Only what comes from that address and port. The bytes are the receiver's to keep. */
  onMessage(bytes: Buffer): void;
  /** At most once: nothing can be sent there, or nobody listens there (ICMP). */
  onError(error: NetworkError): void;
}

/** A socket with a port of its own, which the system has chosen, that exchanges datagrams with one peer. */
export interface DatagramTalk {
  /** May be called at once; what is sent before the socket is ready goes out when it is. */
  send(bytes: Uint8Array): void;
  close(): void;
}

export interface Datagrams {
  /** Throws NetworkError: `address-in-use`, `not-permitted`, or `other`. */
  bind(options: BindOptions): Promise<DatagramSocket>;
  /** Never throws; failures arrive at `onError`. */
  talk(options: TalkOptions): DatagramTalk;
}
