// One try of a request at one instance: from the wait for a connection to the end of the answer. It may outlive the request: the rest of an
// answer that nobody wants is read, as far as it is short, so that its connection can be used again.
import type { AdaptiveLimit, ErrorCode, TryResult } from '@heddle/core';
import type { SpanTry } from '../telemetry/request-span.ts';
import type { ClusterCaller } from '../upstream/callers.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { UpstreamHost } from '../upstream/host.ts';
import type { Pool, PoolUser } from '../upstream/pool.ts';
import type { Context } from './context.ts';
import { Timed } from './deadlines.ts';
import type { UpstreamCall, UpstreamUser } from './ends.ts';
import type { AnyResponseHead, AnyTrailers } from './messages.ts';

/** Whose request it is. */
export interface TryOwner {
  /** A connection is there; nothing has been sent on it. */
  tryReady(one: Try, upstream: UpstreamCall): void;
  /** There will be no connection. */
  tryNotMade(one: Try, code: ErrorCode, detail: string): void;
  /** The connection or stream is gone. `isUntouched`: not a byte of an answer had come. */
  tryBroke(one: Try, code: ErrorCode, detail: string, isUntouched: boolean): void;
  /** Its own time limit has passed without the head of an answer. */
  tryTimedOut(one: Try, nowMs: number): void;
  answerInterim(one: Try, head: AnyResponseHead): void;
  answerHead(one: Try, head: AnyResponseHead, endStream: boolean): void;
  answerSwitched(one: Try, head: AnyResponseHead): void;
  answerBody(one: Try, bytes: Buffer, start: number, end: number, isLast: boolean): void;
  answerEnd(one: Try, trailers: AnyTrailers | undefined): void;
  tunnelEndOf(one: Try): void;
  tryBlocked(one: Try): void;
  tryDrained(one: Try): void;
}

export class Try extends Timed implements UpstreamUser, PoolUser {
  /** Undefined until `begin`, and when it is over. */
  host: UpstreamHost | undefined;
  upstream: UpstreamCall | undefined;
  /** The connection carried requests before. */
  isReused = false;
  /** It went out again to the same instance, since the connection turned out to be closed or full. */
  isSecond = false;
  /** It was refused because the connection had not said yet how little it takes. */
  isSurplus = false;
  /** It was begun beside another one. */
  isHedge = false;
  /** Of a request that is traced. */
  trace: SpanTry | undefined;
  private readonly context: Context;
  private owner: TryOwner | undefined;
  private cluster!: UpstreamCluster;
  private caller!: ClusterCaller;
  /** What has admitted it; the cluster may have another one, or none, when it ends. */
  private adaptive: AdaptiveLimit | undefined;
  private pool: Pool | undefined;
  private startedMs = 0;
  /** Until the head of the answer; -1: there is none yet. */
  private headAfterMs = -1;
  private isDiscarding = false;
  private discardedBytes = 0;

  constructor(context: Context) {
    super();
    this.context = context;
  }

  /** Sends the request to the host as soon as there is a connection, which may be at once. */
  begin(owner: TryOwner, cluster: UpstreamCluster, caller: ClusterCaller, host: UpstreamHost, nowMs: number): void {
    this.owner = owner;
    this.cluster = cluster;
    this.caller = caller;
    this.host = host;
    this.startedMs = nowMs;
    this.headAfterMs = -1;
    this.isSecond = false;
    this.adaptive = cluster.adaptive;
    cluster.started(caller, host, nowMs);
    const pool = host.pool(caller.workload);
    this.pool = pool;
    pool.acquire(this, false);
  }

  /** The same once more. `fresh`: no connection that carried requests before. */
  again(fresh: boolean): void {
    this.isSecond = true;
    const pool = this.host!.pool(this.caller.workload);
    this.pool = pool;
    pool.acquire(this, fresh);
  }

  get isActive(): boolean {
    return this.host !== undefined;
  }

  /** The head of the answer has come: from now on the pace is also the client's. */
  answered(nowMs: number): void {
    this.headAfterMs = nowMs - this.startedMs;
    if (this.deadlineMs !== Infinity) this.context.deadlines.set(this, Infinity);
  }

  /** How it ends, as a trace tells it; the first word counts. @param outcome see SpanTry. */
  traced(nowMs: number, outcome: string): void {
    const { trace } = this;
    if (trace === undefined) return;
    this.trace = undefined;
    trace.endMs = nowMs;
    trace.outcome = outcome;
  }

  /** It is over; how it ended is told once. */
  end(result: TryResult, nowMs: number): void {
    const { host } = this;
    if (this.filedTick !== -1) this.context.deadlines.remove(this);
    this.host = undefined;
    this.upstream = undefined;
    this.isHedge = false;
    if (this.trace !== undefined) this.traced(nowMs, 'cancelled');
    if (host === undefined) return;
    const elapsedMs = this.headAfterMs < 0 ? nowMs - this.startedMs : this.headAfterMs;
    if (this.adaptive !== undefined) this.adaptive.ended(result, elapsedMs, nowMs);
    this.cluster.finished(this.caller, host, result, elapsedMs, nowMs);
  }

  /** Lets go of whatever it waits for, or breaks off what is under way. */
  drop(result: TryResult, nowMs: number): void {
    const { upstream } = this;
    this.pool?.cancel(this);
    this.pool = undefined;
    this.end(result, nowMs);
    upstream?.abort();
  }

  /**
   * The answer, of which the head alone has come, is not wanted. The object belongs to nobody any more.
   * @param isSent the request has gone out whole: else the connection is of no use.
   */
  discard(head: AnyResponseHead, isSent: boolean, result: TryResult, nowMs: number): void {
    const { upstream, context } = this;
    this.end(result, nowMs);
    if (!isSent || head.contentLength > context.limits.discardedBytesMax) {
      upstream!.abort();
      return;
    }
    this.owner = undefined;
    this.upstream = upstream;
    this.isDiscarding = true;
    context.deadlines.set(this, nowMs + context.limits.discardTimeoutMs);
    upstream!.resumeReading();
  }

  override onDeadline(nowMs: number): void {
    if (this.isDiscarding) this.endDiscarding(false);
    else this.owner?.tryTimedOut(this, nowMs);
    this.context.turn.end();
  }

  // --- from the pool

  onReady(upstream: UpstreamCall, reused: boolean): void {
    this.pool = undefined;
    this.upstream = upstream;
    this.isReused = reused;
    this.owner!.tryReady(this, upstream);
  }

  onNoConnection(code: ErrorCode, detail: string): void {
    this.pool = undefined;
    this.owner!.tryNotMade(this, code, detail);
  }

  // --- from upstream

  onInterim(head: AnyResponseHead): void {
    this.owner?.answerInterim(this, head);
  }

  onResponseHead(head: AnyResponseHead, endStream: boolean): void {
    this.owner?.answerHead(this, head, endStream);
  }

  onSwitched(head: AnyResponseHead): void {
    this.owner?.answerSwitched(this, head);
  }

  onResponseBody(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.owner !== undefined) return this.owner.answerBody(this, bytes, start, end, isLast);
    this.discardedBytes += end - start;
    if (this.discardedBytes > this.context.limits.discardedBytesMax) this.endDiscarding(false);
  }

  onResponseEnd(trailers: AnyTrailers | undefined): void {
    if (this.owner === undefined) this.endDiscarding(true);
    else this.owner.answerEnd(this, trailers);
  }

  onTunnelEnd(): void {
    this.owner?.tunnelEndOf(this);
  }

  onUpstreamBlocked(): void {
    this.owner?.tryBlocked(this);
  }

  onUpstreamDrained(): void {
    this.owner?.tryDrained(this);
  }

  onUpstreamFailed(code: ErrorCode, detail: string): void {
    const isUntouched = this.upstream?.gotBytes === false;
    this.isSurplus = this.upstream?.isSurplus === true;
    this.upstream = undefined;
    if (this.owner === undefined) this.endDiscarding(false);
    else this.owner.tryBroke(this, code, detail, isUntouched);
  }

  private endDiscarding(isWhole: boolean): void {
    const { upstream } = this;
    this.isDiscarding = false;
    this.upstream = undefined;
    this.context.deadlines.remove(this);
    if (isWhole) upstream?.release(true);
    else upstream?.abort();
  }
}
