// The tries of one request: where each goes, how long it may take, whether another one follows or runs beside it. What is common to a request
// and its answers is in the exchange, which stands on this.
import {
  callerTimeoutMs,
  decideHedge,
  decideRetry,
  ERROR_HEADER,
  ERRORS,
  formatRequestTimeout,
  isIdempotent,
  meetsRetryCondition,
  nextHedgeAtMs,
  parseRequestTimeout,
  parseRetryAfter,
  parseRetryPushback,
  remainingMs,
  REQUEST_TIMEOUT_HEADER,
  retryWaitMs,
  tryDeadlineOf,
  tryResultOf,
} from '@heddle/core';
import type { ErrorCode, ForwardAction, RetryInput, RetryVerdict, TryEnd, TryResult } from '@heddle/core';
import type { Timer } from '@heddle/runtime';
import { formatGrpcTimeout, parseGrpcTimeout, readGrpcStatus } from '@heddle/wire';
import type { Http2Trailers } from '@heddle/wire';
import type { RequestSpan } from '../telemetry/request-span.ts';
import type { RequestMetrics } from '../telemetry/requests.ts';
import type { ClusterCaller } from '../upstream/callers.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { UpstreamHost } from '../upstream/host.ts';
import type { SuppliedToken } from './access-gate.ts';
import type { Context } from './context.ts';
import type { Downstream, UpstreamCall } from './ends.ts';
import { GRPC_TIMEOUT_HEADER } from './forwarding.ts';
import type { AnyRequestHead, AnyResponseHead, AnyTrailers } from './messages.ts';
import { ReplayBody } from './replay.ts';
import { Try } from './try.ts';
import type { TryOwner } from './try.ts';

const GRPC_STATUS = 'grpc-status';

export abstract class Tries implements TryOwner {
  /** Part of the response, if only its head, has been passed on. */
  responseStarted = false;
  protected readonly context: Context;
  protected readonly downstream: Downstream;
  protected readonly body: ReplayBody;
  head!: AnyRequestHead;
  protected forward!: ForwardAction;
  protected cluster!: UpstreamCluster;
  protected metrics!: RequestMetrics;
  protected isGrpc = false;
  protected isUpgrade = false;
  protected requestComplete = false;
  protected requestTrailers: Http2Trailers | undefined;
  /** Of the request with all its tries; Infinity: none. */
  protected deadlineMs = Infinity;
  /** Time that the caller gave; undefined: it gave none. */
  protected callerMs: number | undefined;
  /** The one that gets the body, and whose answer is passed on. */
  protected current: Try;
  protected triesMade = 0;
  private hedgesMade = 0;
  /** What the called data plane answered with in place of its application. */
  protected peerError: ErrorCode | undefined;
  /** Of the answer that is passed on. */
  grpcStatus: number | undefined;
  /** Of a request that is traced. */
  span: RequestSpan | undefined;
  /** That answered, or was tried last; empty: none was. */
  instance = '';
  /** The token of ours that it goes out with. */
  protected supplied: SuppliedToken | undefined;
  /** Where the session cookie of the request leads; undefined: it has none that leads anywhere. */
  protected sessionHost: UpstreamHost | undefined;
  private readonly tried: UpstreamHost[] = [];
  private readonly pickRequest: { nowMs: number; hash: number | undefined; avoid: readonly UpstreamHost[] };
  /** Tries under way beside `current`. */
  private readonly rivals: Try[] = [];
  private caller!: ClusterCaller;
  private backoff: Timer | undefined;
  /** Ends the wait for a token. */
  private stopSupply: (() => void) | undefined;
  private hedgeTimer: Timer | undefined;
  private whenHedgeDue: (() => void) | undefined;
  /** What it has of the cluster's breaker. */
  private admitted = 0;
  /** A try beyond the first has begun: it counts against the cluster's limit until the request ends. */
  private isRepeat = false;

  constructor(context: Context, downstream: Downstream) {
    this.context = context;
    this.downstream = downstream;
    this.body = new ReplayBody(context.limits.bodyReplayBytesMax);
    this.current = new Try(context);
    this.pickRequest = { nowMs: 0, hash: undefined, avoid: this.tried };
  }

  /** No further try: answer, or cut the response off. */
  protected abstract giveUp(code: ErrorCode, detail: string, nowMs: number): void;
  abstract answerInterim(one: Try, head: AnyResponseHead): void;
  abstract answerHead(one: Try, head: AnyResponseHead, endStream: boolean): void;
  abstract answerSwitched(one: Try, head: AnyResponseHead): void;
  abstract answerBody(one: Try, bytes: Buffer, start: number, end: number, isLast: boolean): void;
  abstract answerEnd(one: Try, trailers: AnyTrailers | undefined): void;
  abstract tunnelEndOf(one: Try): void;
  abstract tryBlocked(one: Try): void;
  abstract tryDrained(one: Try): void;

  /** @param hash of what consistent hashing looks at. */
  protected beginTries(workload: string, hash: number | undefined, nowMs: number): void {
    const { cluster } = this;
    this.caller = cluster.caller(workload);
    this.pickRequest.hash = hash;
    this.triesMade = 0;
    this.hedgesMade = 0;
    this.peerError = undefined;
    this.grpcStatus = undefined;
    const verdict = cluster.breaker.admitRequest();
    if (verdict !== 'admitted') return this.giveUp('CIRCUIT_OPEN', cluster.refused(verdict), nowMs);
    this.admitted = 1;
    this.sessionHost = cluster.sessions?.hostOf(this.head);
    cluster.retryBudget.countFirst(nowMs);
    this.dispatch(nowMs);
  }

  /** Of whatever is under way or waited for. */
  protected dropTries(result: TryResult, nowMs: number): void {
    this.stopWaiting();
    this.current.drop(result, nowMs);
    this.dropRivals(nowMs);
  }

  /** The request is over. */
  protected forgetTries(): void {
    if (this.isRepeat) this.cluster.repeats -= 1;
    this.isRepeat = false;
    this.tried.length = 0;
    this.sessionHost = undefined;
    this.stopWaiting();
    for (; this.admitted > 0; this.admitted--) this.cluster.breaker.requestEnded();
  }

  /** Its answer is the one: the others are given up. */
  protected settleOn(one: Try): void {
    this.hedgeTimer?.cancel();
    this.hedgeTimer = undefined;
    if (this.span !== undefined) one.traced(this.context.clock.nowMs(), '');
    if (this.rivals.length === 0) return;
    this.instance = one.host?.instance ?? '';
    this.makeCurrent(one);
    this.dropRivals(this.context.clock.nowMs());
    if (one.isHedge) this.metrics.hedgeWon();
  }

  protected get hasRivals(): boolean {
    return this.rivals.length > 0;
  }

  /** How much time the caller gives, and whether it says so to gRPC; what it says in other words limits nothing. */
  protected readCallerTime(head: AnyRequestHead): void {
    const grpc = this.isGrpc ? head.get(GRPC_TIMEOUT_HEADER) : undefined;
    const other = head.get(REQUEST_TIMEOUT_HEADER);
    this.callerMs =
      grpc === undefined && other === undefined
        ? undefined
        : callerTimeoutMs(
            grpc === undefined ? undefined : parseGrpcTimeout(grpc),
            other === undefined ? undefined : parseRequestTimeout(other),
          );
  }

  // --- a try begins

  private dispatch(nowMs: number): void {
    const { cluster } = this;
    this.triesMade += 1;
    const host = this.pick(nowMs);
    if (host === undefined) return this.giveUp('NO_HEALTHY_INSTANCE', cluster.whyNone(), nowMs);
    if (cluster.adaptive?.admit() === false) return this.giveUp('OVERLOADED', cluster.refused('concurrency'), nowMs);
    if (this.forward.hedge !== undefined) this.awaitHedge(nowMs);
    this.send(this.current, host, nowMs);
  }

  private pick(nowMs: number): UpstreamHost | undefined {
    const { sessionHost, pickRequest, tried } = this;
    if (sessionHost !== undefined && sessionHost.health === 'healthy' && !tried.includes(sessionHost)) return sessionHost;
    pickRequest.nowMs = nowMs;
    return this.cluster.pick(this.caller, pickRequest);
  }

  private send(one: Try, host: UpstreamHost, nowMs: number): void {
    const { perTryMs } = this.forward.retry;
    if (perTryMs > 0) this.context.deadlines.set(one, nowMs + perTryMs);
    this.instance = host.instance;
    one.trace = this.span?.tryBegan(host, one.isHedge, nowMs);
    one.begin(this, this.cluster, this.caller, host, nowMs);
  }

  /** @internal */
  tryReady(one: Try, upstream: UpstreamCall): void {
    const { head, body, downstream, requestComplete, isUpgrade, requestTrailers } = this;
    const { chunks } = body;
    if (this.callerMs !== undefined) this.tellTimeLeft(head);
    upstream.start(one, head, downstream.forwarding, requestComplete && !isUpgrade && chunks.length === 0 && requestTrailers === undefined);
    // It may have failed at once, and another try have begun.
    if (isUpgrade || one.upstream !== upstream) return;
    const last = requestComplete && requestTrailers === undefined ? chunks.length - 1 : -1;
    for (let at = 0; at < chunks.length; at++) upstream.body(chunks[at]!, 0, chunks[at]!.length, at === last);
    body.sent();
    // What was begun may have failed at once.
    if (one.upstream !== upstream) return;
    if (requestComplete) upstream.end(requestTrailers);
    else if (!upstream.isBlocked) downstream.resumeRequest();
  }

  /** In the words in which the caller said it. */
  private tellTimeLeft(head: AnyRequestHead): void {
    const nowMs = this.context.clock.nowMs();
    const leftMs = remainingMs(nowMs, tryDeadlineOf(nowMs, this.forward.retry.perTryMs, this.deadlineMs)) ?? 0;
    const received = head.get(REQUEST_TIMEOUT_HEADER);
    const isRead = received !== undefined && parseRequestTimeout(received) !== undefined;
    const isGrpc = this.isGrpc && head.has(GRPC_TIMEOUT_HEADER);
    this.downstream.forwarding.limitTime(
      isRead ? formatRequestTimeout(leftMs, received) : '',
      isGrpc ? formatGrpcTimeout(Math.ceil(leftMs)) : '',
    );
  }

  // --- a try fails

  /** @internal */
  tryNotMade(one: Try, code: ErrorCode, detail: string): void {
    // A line that is full is the whole cluster's: another endpoint has no other, and waiting is what it was to prevent.
    const nowMs = this.context.clock.nowMs();
    if (code !== 'OVERLOADED' && code !== 'CIRCUIT_OPEN') return this.tryFailed(one, code, detail, nowMs);
    one.end('cancelled', nowMs);
    if (!this.isLeftToRivals(one)) this.giveUp(code, detail, nowMs);
  }

  /** @internal */
  tryTimedOut(one: Try, nowMs: number): void {
    const { host } = one;
    const { perTryMs } = this.forward.retry;
    one.traced(nowMs, 'TRY_TIMEOUT');
    one.drop('local-error', nowMs);
    this.metrics.tryTimedOut();
    this.afterFailure(one, host, 'TRY_TIMEOUT', `${host?.instance ?? ''}: no answer within ${perTryMs} ms`, nowMs);
  }

  /** @internal */
  tryBroke(one: Try, code: ErrorCode, detail: string, isUntouched: boolean): void {
    const { host } = one;
    // RFC 9110 §9.2.2, RFC 9112 §9.3.1: a kept connection that the peer closed while we wrote says nothing about the peer's health, so this
    // try does not count; but the peer may have read the request, so only idempotent ones go out again by themselves.
    const isStale = one.isReused && isUntouched && code === 'UPSTREAM_RESET' && isIdempotent(this.head.method);
    // RFC 9113 §8.7: a refused stream was not looked at.
    const isRefused = code === 'STREAM_REFUSED';
    const nowMs = this.context.clock.nowMs();
    // An instance that fails always must not get twice as much in this way, but one that had not said yet how few it takes did not fail.
    const mayGoAgain = (isStale || isRefused) && !one.isSecond && host !== undefined && !this.body.isLost;
    if (mayGoAgain && (one.isSurplus || this.cluster.retryBudget.tryTake(nowMs))) return one.again(isStale);
    this.tryFailed(one, code, `${host?.instance ?? ''}: ${detail}`, nowMs);
  }

  private tryFailed(one: Try, code: ErrorCode, detail: string, nowMs: number): void {
    const { host } = one;
    one.traced(nowMs, code);
    one.end(tryResultOf(code, 0, undefined), nowMs);
    this.afterFailure(one, host, code, detail, nowMs);
  }

  private afterFailure(one: Try, host: UpstreamHost | undefined, code: ErrorCode, detail: string, nowMs: number): void {
    this.avoid(host);
    if (this.isLeftToRivals(one)) return;
    const end: TryEnd = { error: code, httpStatus: 0, grpcStatus: undefined, retryAfterMs: undefined };
    if (!this.repeats(end, code, nowMs)) this.giveUp(code, detail, nowMs);
  }

  /** Whether the answer, of which the head has come, is given away for another try. Answers that no policy repeats cost two comparisons. */
  protected isRejected(one: Try, head: AnyResponseHead, endStream: boolean): boolean {
    const { status } = head;
    const { retry } = this.forward;
    const isBare = endStream && this.isGrpc;
    if (status < 400 && !isBare && (retry.statuses.length === 0 || !retry.statuses.includes(status))) return false;
    this.peerError = this.cluster.tls.leadsToPeers ? errorOf(head) : undefined;
    const grpcStatus = isBare && head.has(GRPC_STATUS) ? readGrpcStatus(head.get(GRPC_STATUS)) : undefined;
    this.grpcStatus = grpcStatus;
    if (retry.attempts === 0 && this.rivals.length === 0) return false;
    const end: TryEnd = { error: this.peerError, httpStatus: status, grpcStatus, retryAfterMs: this.askedWaitMs(head) };
    const nowMs = this.context.clock.nowMs();
    // What a data plane says in place of its application is no answer while one may still come.
    const isLeft = this.rivals.length > 0 && (this.peerError !== undefined || meetsRetryCondition(retry, end, this.isGrpc));
    const verdict = isLeft ? 'off' : this.verdictOn(end, nowMs);
    if (!isLeft && verdict !== 'retry') {
      if (verdict !== 'off') this.metrics.decided(verdict);
      return false;
    }
    const { host } = one;
    const reason = this.peerError ?? String(status);
    const result = tryResultOf(this.peerError, status, grpcStatus);
    this.peerError = undefined;
    this.grpcStatus = undefined;
    one.traced(nowMs, reason);
    this.avoid(host);
    if (isLeft) this.isLeftToRivals(one);
    else this.current = new Try(this.context);
    one.discard(head, this.requestComplete, result, nowMs);
    if (!isLeft) this.repeat(end, reason, nowMs);
    return true;
  }

  private askedWaitMs(head: AnyResponseHead): number | undefined {
    const pushback = this.isGrpc ? head.get('grpc-retry-pushback-ms') : undefined;
    if (pushback !== undefined) return parseRetryPushback(pushback);
    const value = head.get('retry-after');
    return value === undefined ? undefined : parseRetryAfter(value, this.context.clock.wallMs());
  }

  // --- another try

  private repeats(end: TryEnd, reason: string, nowMs: number): boolean {
    const verdict = this.verdictOn(end, nowMs);
    if (verdict === 'retry') {
      this.repeat(end, reason, nowMs);
      return true;
    }
    if (verdict !== 'off') this.metrics.decided(verdict);
    return false;
  }

  private verdictOn(end: TryEnd, nowMs: number): RetryVerdict {
    const verdict = decideRetry(this.inputOf(end, nowMs));
    if (verdict !== 'retry') return verdict;
    return this.isInBudget(nowMs) ? 'retry' : 'budget-spent';
  }

  /** If so, the try beyond the first is taken from it. */
  private isInBudget(nowMs: number): boolean {
    const { cluster, context } = this;
    return (this.isRepeat || cluster.repeats < context.limits.retriesPerClusterMax) && cluster.retryBudget.tryTake(nowMs);
  }

  private inputOf(end: TryEnd, nowMs: number): RetryInput {
    return {
      policy: this.forward.retry,
      end,
      method: this.head.method,
      isGrpc: this.isGrpc,
      triesMade: this.triesMade - this.hedgesMade,
      bodyReplayable: !this.body.isLost,
      responseStarted: this.responseStarted,
      nowMs,
      deadlineMs: this.deadlineMs,
    };
  }

  /** At another endpoint while there is one; only then at once. */
  private repeat(end: TryEnd, reason: string, nowMs: number): void {
    const { context, metrics } = this;
    metrics.decided('retry');
    metrics.retried(reason);
    this.countRepeat();
    const waitMs = retryWaitMs(this.inputOf(end, nowMs), this.hasOther(), () => context.random.next());
    if (waitMs === 0) return this.dispatchAgain(nowMs);
    this.backoff = context.clock.after(waitMs, () => {
      this.backoff = undefined;
      this.dispatchAgain(context.clock.nowMs());
      context.turn.end();
    });
  }

  /** With the token of now, for which it waits where the last one was refused. */
  private dispatchAgain(nowMs: number): void {
    const successor = this.supplied?.successor;
    if (successor?.kind !== 'later') {
      if (successor !== undefined) this.resupply(successor);
      return this.dispatch(nowMs);
    }
    this.stopSupply = successor.wait((answer) => {
      this.stopSupply = undefined;
      if (answer.kind === 'token') this.resupply(answer);
      this.dispatch(this.context.clock.nowMs());
      this.context.turn.end();
    });
  }

  private resupply(successor: SuppliedToken): void {
    this.downstream.forwarding.replace(this.supplied!.headers, successor.headers);
    this.supplied = successor;
  }

  private hasOther(): boolean {
    let healthyTried = 0;
    for (const host of this.tried) if (host.health === 'healthy') healthyTried += 1;
    return this.cluster.healthyCount(this.caller) > healthyTried;
  }

  private countRepeat(): void {
    if (this.isRepeat) return;
    this.isRepeat = true;
    this.cluster.repeats += 1;
  }

  private avoid(host: UpstreamHost | undefined): void {
    if (host !== undefined && !this.tried.includes(host)) this.tried.push(host);
  }

  // --- tries beside one another

  private awaitHedge(nowMs: number): void {
    const { context } = this;
    const atMs = nextHedgeAtMs(this.forward.hedge, nowMs, this.hedgesMade);
    this.hedgeTimer?.cancel();
    this.whenHedgeDue ??= () => {
      this.hedgeTimer = undefined;
      this.hedge(context.clock.nowMs());
      context.turn.end();
    };
    this.hedgeTimer = atMs === Infinity ? undefined : context.clock.after(atMs - nowMs, this.whenHedgeDue);
  }

  private hedge(nowMs: number): void {
    const { cluster, context, forward, head, current, deadlineMs } = this;
    // The request has failed in the meantime and waits for its next try; or it is to stay with its instance.
    if (!current.isActive || this.isUpgrade || current.host === this.sessionHost) return;
    const verdict = decideHedge({
      policy: forward.hedge,
      method: head.method,
      nonIdempotent: forward.retry.nonIdempotent,
      hedgesMade: this.hedgesMade,
      bodyReplayable: this.requestComplete && !this.body.isLost,
      responseStarted: this.responseStarted,
      nowMs,
      deadlineMs,
    });
    if (verdict !== 'hedge') return;
    this.avoid(current.host);
    // A second try at the same instance would be as slow as the first.
    const host = this.hasOther() ? this.pick(nowMs) : undefined;
    if (host === undefined || !this.isInBudget(nowMs)) return;
    if (cluster.breaker.admitRequest() !== 'admitted') return;
    this.admitted += 1;
    if (cluster.adaptive?.admit() === false) return;
    this.metrics.hedged();
    this.countRepeat();
    this.triesMade += 1;
    this.hedgesMade += 1;
    this.rivals.push(current);
    this.current = new Try(context);
    this.current.isHedge = true;
    this.awaitHedge(nowMs);
    this.send(this.current, host, nowMs);
  }

  /** The try is over. True: others are under way, on which the request now hangs. */
  private isLeftToRivals(one: Try): boolean {
    const { rivals } = this;
    if (rivals.length === 0) return false;
    if (one === this.current) this.current = rivals.pop()!;
    else rivals.splice(rivals.indexOf(one), 1);
    return true;
  }

  private makeCurrent(one: Try): void {
    if (one === this.current) return;
    this.rivals[this.rivals.indexOf(one)] = this.current;
    this.current = one;
  }

  private dropRivals(nowMs: number): void {
    for (const rival of this.rivals.splice(0)) rival.drop('cancelled', nowMs);
  }

  private stopWaiting(): void {
    this.backoff?.cancel();
    this.backoff = undefined;
    this.stopSupply?.();
    this.stopSupply = undefined;
    this.hedgeTimer?.cancel();
    this.hedgeTimer = undefined;
  }
}

/** What a data plane answered with in place of its application. */
function errorOf(head: AnyResponseHead): ErrorCode | undefined {
  const code = head.get(ERROR_HEADER);
  return code !== undefined && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : undefined;
}
