// The part of a call that its handler holds.
import type { Controller } from './types.ts';

export interface Controlled {
  readonly isPaused: boolean;
  fail(error: Error): void;
  pause(): void;
  resume(): void;
  aborted(): Error;
}

export class MeshController implements Controller {
  rawHeaders: readonly string[] | null = null;
  rawTrailers: readonly string[] | null = null;
  aborted = false;
  reason: Error | null = null;
  private readonly of: Controlled;

  constructor(of: Controlled) {
    this.of = of;
  }

  get paused(): boolean {
    return this.of.isPaused;
  }

  abort(reason?: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason ?? this.of.aborted();
    this.of.fail(this.reason);
  }

  pause(): void {
    this.of.pause();
  }

  resume(): void {
    this.of.resume();
  }
}
