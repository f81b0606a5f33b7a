// Received bytes to whole messages. Each is copied once, into a buffer of its own size: what is kept of it holds no more memory than that.
import { GRPC_STATUS, GRPC_VIOLATIONS, type GrpcHandler, GrpcReader, type GrpcViolationCode } from '@heddle/wire/grpc';
import { GrpcError } from '../../ports/grpc-client.ts';

const EMPTY = Buffer.alloc(0);

export class MessageReader implements GrpcHandler {
  readonly #reader: GrpcReader;
  readonly #bytesMax: number;
  readonly #take: (message: Buffer) => void;
  #message = EMPTY;
  #filled = 0;
  #error: GrpcError | undefined;

  constructor(bytesMax: number, take: (message: Buffer) => void) {
    this.#reader = new GrpcReader(this, bytesMax);
    this.#bytesMax = bytesMax;
    this.#take = take;
  }

  /** Why the call cannot go on; then nothing more is taken in. */
  push(bytes: Buffer): GrpcError | undefined {
    if (this.#error !== undefined) return this.#error;
    const violation = this.#reader.push(bytes);
    // A compressed message is the earlier fault.
    this.#error ??= violation === undefined ? undefined : this.#explain(violation);
    return this.#error;
  }

  /** The peer's direction has ended. */
  end(): GrpcError | undefined {
    const violation = this.#reader.end();
    return this.#error ?? (violation === undefined ? undefined : this.#explain(violation));
  }

  onMessage(length: number, compressed: boolean): void {
    // What was asked for is `identity`: nothing else was offered.
    if (compressed)
      this.#error ??= new GrpcError(GRPC_STATUS.UNIMPLEMENTED, 'the peer sent a compressed message, and no compression was offered');
    this.#filled = 0;
    // Of what does not come no page is touched.
    this.#message = this.#error === undefined ? Buffer.allocUnsafeSlow(length) : EMPTY;
  }

  onData(bytes: Buffer, start: number, end: number): void {
    if (this.#error !== undefined) return;
    bytes.copy(this.#message, this.#filled, start, end);
    this.#filled += end - start;
  }

  onMessageEnd(): void {
    const message = this.#message;
    this.#message = EMPTY;
    if (this.#error === undefined) this.#take(message);
  }

  #explain(violation: GrpcViolationCode): GrpcError {
    const { grpcStatus, rule } = GRPC_VIOLATIONS[violation];
    return new GrpcError(grpcStatus, violation === 'MESSAGE_TOO_LARGE' ? `${rule} The limit is ${this.#bytesMax} bytes.` : rule);
  }
}
