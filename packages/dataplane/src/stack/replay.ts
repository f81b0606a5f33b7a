// The part of a request body that is kept: until a connection is there, and afterwards for another try, as long as it is small.

export class ReplayBody {
  /** In memory of their own. */
  readonly chunks: Buffer[] = [];
  bytes = 0;
  /** Something was sent that is not kept: the body cannot be sent again. */
  isLost = false;
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  reset(): void {
    this.forget();
    this.isLost = false;
  }

  /** Before it was sent: must be kept whatever its size. */
  keep(chunk: Buffer): void {
    this.chunks.push(Buffer.from(chunk));
    this.bytes += chunk.length;
  }

  /** After it was sent: kept while everything so far is, and fits. */
  keepIfSmall(chunk: Buffer): void {
    if (this.isLost) return;
    if (this.bytes + chunk.length <= this.bytesMax) this.keep(chunk);
    else this.lose();
  }

  get isFull(): boolean {
    return this.bytes > this.bytesMax;
  }

  /** Everything kept so far has been sent. */
  sent(): void {
    if (this.isFull) this.lose();
  }

  lose(): void {
    this.forget();
    this.isLost = true;
  }

  private forget(): void {
    if (this.bytes === 0) return;
    this.chunks.length = 0;
    this.bytes = 0;
  }
}
