// A stream onto a file descriptor that never blocks the event loop: `process.stdout` may do so on a terminal or pipe that nobody
// reads, and then a supervisor could neither restart nor stop anything.
import { write } from 'node:fs';
import { Writable } from 'node:stream';

/** Another process may have made the descriptor non-blocking; then writing is tried again after this. */
const RETRY_MS = 10;

export class FdStream extends Writable {
  readonly #fd: number;

  constructor(fd: number) {
    super({ decodeStrings: true });
    this.#fd = fd;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    write(this.#fd, chunk, (error, written) => {
      if (error?.code === 'EAGAIN') setTimeout(() => this._write(chunk, _encoding, done), RETRY_MS);
      else if (error !== null) done(error);
      else if (written < chunk.length) this._write(chunk.subarray(written), _encoding, done);
      else done();
    });
  }
}
