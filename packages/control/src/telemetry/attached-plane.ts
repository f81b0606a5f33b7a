// One data plane that is attached: what it tells is checked and passed on, and what it is to be told waits its turn. Who floods is cut off.
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { telemetry } from '@heddle/api';
import type { Caller } from '../server/caller.ts';
import { PacedWriter } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';

/** A report and the decisions of an interval; records of live requests come more often. */
const MESSAGES_PER_SECOND_MAX = 50;
const MESSAGES_AT_ONCE_MAX = 500;
/** What waits for a data plane that does not read: questions and taps, which people ask for. */
const WAITING_MAX = 100;

export type AttachCall = ServerDuplexStream<telemetry.ReadRequest, telemetry.AttachResponse>;

export class AttachedPlane {
  readonly node: string;
  readonly version: string;
  readonly caller: Caller;
  /** By which right it is attached: a SPIFFE id, or the operator's token. */
  readonly identity: string;
  readonly #writer: PacedWriter<telemetry.AttachResponse>;
  readonly #waiting: telemetry.ToDataPlane[] = [];
  #budget = MESSAGES_AT_ONCE_MAX;
  #atMs: number;
  hasLeft = false;

  constructor(call: AttachCall, caller: Caller, { node, version }: { node: string; version: string }, nowMs: number) {
    this.node = node;
    this.version = version;
    this.caller = caller;
    this.identity = caller.kind === 'anonymous' ? '' : caller.uri;
    this.#atMs = nowMs;
    this.#writer = new PacedWriter(call as ServerDuplexStream<never, telemetry.AttachResponse>, () => {
      const message = this.#waiting.shift();
      return message === undefined ? undefined : { message };
    });
  }

  /** False: it is not told, as too much waits for it already, or it is gone. */
  tell(message: telemetry.ToDataPlane): boolean {
    if (this.hasLeft || this.#writer.ended || this.#waiting.length >= WAITING_MAX) return false;
    this.#waiting.push(message);
    this.#writer.poke();
    return true;
  }

  /** Throws CallError. */
  count(nowMs: number): void {
    if (this.hasLeft) throw new CallError(status.ABORTED, 'another stream speaks for this data plane by now');
    this.#budget = Math.min(MESSAGES_AT_ONCE_MAX, this.#budget + (Math.max(0, nowMs - this.#atMs) / 1_000) * MESSAGES_PER_SECOND_MAX);
    this.#atMs = nowMs;
    if (this.#budget < 1)
      throw new CallError(
        status.RESOURCE_EXHAUSTED,
        `more than ${MESSAGES_PER_SECOND_MAX} messages a second came for longer than a moment`,
      );
    this.#budget -= 1;
  }

  fail(error: object): void {
    this.#writer.fail(error);
  }

  end(): void {
    this.#writer.end();
  }

  stop(): void {
    this.#writer.stop();
  }
}
