// A connection handler that remembers what happened, and waiting for a condition with a deadline instead of sleeping. Tests only.
import type { Connection, ConnectionHandler, NetworkError } from '../ports/network.ts';

export class Recorder implements ConnectionHandler {
  connection: Connection | undefined;
  connected = false;
  received = Buffer.alloc(0);
  receivedBytes = 0;
  drained = 0;
  ended = false;
  closed = 0;
  error: NetworkError | undefined;
  /** Bytes are counted only, not kept. */
  countOnly = false;

  onConnected(): void {
    this.connected = true;
  }

  onBytes(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    if (!this.countOnly) this.received = Buffer.concat([this.received, bytes]);
  }

  onDrained(): void {
    this.drained += 1;
  }

  onEnd(): void {
    this.ended = true;
  }

  onClose(error: NetworkError | undefined): void {
    this.closed += 1;
    this.error = error;
  }

  get text(): string {
    return this.received.toString('latin1');
  }
}

/** Polls once per turn of the event loop. Throws with the description when the deadline passes. */
export async function until(condition: () => boolean, description: string, deadlineMs = 5_000): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
