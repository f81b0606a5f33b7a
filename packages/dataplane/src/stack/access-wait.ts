// A request whose decision needs an answer from elsewhere: keys of an issuer, an introspection, an outside authorizer, a token to send. It waits
// for one answer at a time, for a bounded time, as one of a bounded number; then it is decided again, knowing that answer.
import type { Timer } from '@heddle/runtime';
import type { Later, SupplyAnswer, TokenAnswer } from './access-gate.ts';
import type { AuthorizerAnswer } from './authorizer.ts';
import type { Clearance, Destination } from './exchange.ts';
import type { Forwarding } from './forwarding.ts';
import type { LocalAnswer } from './local-answer.ts';
import type { AnyRequestHead } from './messages.ts';
import type { ReplayBody } from './replay.ts';
import type { Context } from './context.ts';

/** What was found out about a request so far. */
export interface KnownAnswers {
  /** Whose answers these are; a configuration that says something else asks anew. */
  readonly of: object;
  readonly token?: TokenAnswer;
  readonly external?: AuthorizerAnswer;
  readonly supply?: SupplyAnswer;
}

/** Counts who waits in one data plane. */
export interface WaitingRoom {
  waiting: number;
  /** Of the bodies that authorizers are to see. */
  heldBytes: number;
}

/** A question whose answer one field of `KnownAnswers` takes. */
export interface AccessQuestion {
  /** The first bytes of the body that go along; 0: it is asked at once. */
  readonly bodyBytes: number;
  /** For those bytes; the question is asked with what has come by then. */
  readonly bodyTimeoutMs: number;
  ask(body: Buffer | undefined, isPartial: boolean): Later<KnownAnswers>;
  /** What is known when no answer comes in time. */
  unanswered(reason: string): KnownAnswers;
}

/** Who decides again. */
export interface Decider {
  decideAgain(head: AnyRequestHead, known: KnownAnswers, forwarding: Forwarding, complete: boolean): Destination | LocalAnswer;
}

export class AccessWait implements Clearance {
  private readonly context: Context;
  private readonly room: WaitingRoom;
  private readonly question: AccessQuestion;
  private readonly decider: Decider;
  private onReady: (() => void) | undefined;
  private body: ReplayBody | undefined;
  private known: KnownAnswers | undefined;
  private timer: Timer | undefined;
  private stop: (() => void) | undefined;
  /** What it has of the bytes that are held. */
  private heldBytes = 0;

  constructor(context: Context, room: WaitingRoom, question: AccessQuestion, decider: Decider) {
    this.context = context;
    this.room = room;
    this.question = question;
    this.decider = decider;
  }

  /** For a stream of bytes, which has no body. */
  beginStream(onReady: () => void): void {
    this.enter(onReady);
    this.ask(undefined, false);
  }

  begin(body: ReplayBody, isComplete: boolean, onReady: () => void): void {
    const { bodyBytes, bodyTimeoutMs } = this.question;
    this.enter(onReady);
    if (bodyBytes === 0) return this.ask(undefined, false);
    this.body = body;
    this.timer = this.context.clock.after(bodyTimeoutMs, () => this.askWith(false));
    this.bodyCame(isComplete);
  }

  get wantsMore(): boolean {
    const { body, context, room } = this;
    const { accessWaitsMax, bodyReplayBytesMax } = context.limits;
    return body !== undefined && body.bytes <= this.question.bodyBytes && room.heldBytes < accessWaitsMax * bodyReplayBytesMax;
  }

  bodyCame(isComplete: boolean): void {
    const { body } = this;
    if (body === undefined) return;
    this.room.heldBytes += body.bytes - this.heldBytes;
    this.heldBytes = body.bytes;
    if (isComplete || body.bytes > this.question.bodyBytes || (body.isFull && !this.wantsMore)) this.askWith(isComplete);
  }

  cancel(): void {
    this.leave();
  }

  /** What the answer was. */
  get answers(): KnownAnswers {
    return this.known!;
  }

  settle(head: AnyRequestHead, forwarding: Forwarding, complete: boolean): Destination | LocalAnswer {
    return this.decider.decideAgain(head, this.answers, forwarding, complete);
  }

  private enter(onReady: () => void): void {
    this.onReady = onReady;
    this.room.waiting += 1;
  }

  private askWith(isComplete: boolean): void {
    const { bodyBytes } = this.question;
    const all = Buffer.concat(this.body!.chunks);
    this.body = undefined;
    this.timer?.cancel();
    this.ask(all.subarray(0, bodyBytes), !isComplete || all.length > bodyBytes);
  }

  private ask(body: Buffer | undefined, isPartial: boolean): void {
    const { limits, clock } = this.context;
    const { accessWaitTimeoutMs } = limits;
    this.timer = clock.after(accessWaitTimeoutMs, () => this.ready(this.question.unanswered(`no answer within ${accessWaitTimeoutMs} ms`)));
    const stop = this.question.ask(body, isPartial).wait((known) => this.ready(known));
    if (this.onReady === undefined) stop();
    else this.stop = stop;
  }

  private ready(known: KnownAnswers): void {
    const { onReady } = this;
    if (onReady === undefined) return;
    this.known = known;
    this.leave();
    onReady();
  }

  private leave(): void {
    if (this.onReady === undefined) return;
    this.onReady = undefined;
    this.room.waiting -= 1;
    this.room.heldBytes -= this.heldBytes;
    this.heldBytes = 0;
    this.body = undefined;
    this.timer?.cancel();
    this.stop?.();
    this.stop = undefined;
  }
}
