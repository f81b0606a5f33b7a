// For tests: a sink that keeps what is written, and refuses calls that a connection would not understand.

import type { ByteSink } from '../../bytes/output.ts';

export class CollectingSink implements ByteSink {
  readonly pieces: Uint8Array[] = [];
  /** What `write` answers, one by one; true when there is none. */
  readonly answers: boolean[] = [];
  corks = 0;
  /** The memory of what was written may be used again at once: then it is copied here. */
  readonly holdsBytes: boolean;
  private corked = false;

  constructor(holdsBytes: boolean = true) {
    this.holdsBytes = holdsBytes;
  }

  cork(): void {
    if (this.corked) throw new Error('cork() twice');
    this.corked = true;
    this.corks++;
  }

  uncork(): void {
    if (!this.corked) throw new Error('uncork() without cork()');
    this.corked = false;
  }

  write(bytes: Uint8Array): boolean {
    if (bytes.length === 0) throw new Error('an empty write');
    if (this.pieces.length > 0 && this.corks > 0 && !this.corked) throw new Error('a write after uncork()');
    this.pieces.push(this.holdsBytes ? bytes : Buffer.from(bytes));
    return this.answers.shift() ?? true;
  }

  /** Everything so far, as a copy. */
  bytes(): Buffer {
    if (this.corked) throw new Error('uncork() is missing');
    return Buffer.concat(this.pieces);
  }
}
