// One request from its head to the end of its response: cluster, balancer, connection, tries, timeout. Which versions of HTTP the two ends
// speak, it does not know. Used again for the next request of the same connection.
import { backoffMs, decideRetry, ERROR_HEADER, ERRORS, isIdempotent, RETRY_BACKOFF } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import type { Timer } from '@heddle/runtime';
import { grpcKindOf, HeaderNames } from '@heddle/wire';
import type { Http2Trailers } from '@heddle/wire';
import type { RequestMetrics } from '../telemetry/requests.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { UpstreamHost } from '../upstream/host.ts';
import type { Pool, PoolUser } from '../upstream/pool.ts';
import type { Context } from './context.ts';
import type { Downstream, UpstreamCall, UpstreamUser } from './ends.ts';
import { keptTrailers } from './messages.ts';
import type { AnyRequestHead, AnyResponseHead, AnyTrailers } from './messages.ts';
import { ReplayBody } from './replay.ts';
import type { RouteStack } from './routes.ts';

/** Applications must not speak with a data plane's voice. */
const FORGED_RESPONSE_HEADERS = new HeaderNames([ERROR_HEADER]);
const EVENT_STREAM = 'text/event-stream';

export class Exchange implements UpstreamUser, PoolUser {
  /** From `start` until the response is done or given up. */
  active = false;
  /** Bytes pass unchanged after the switch to another protocol. */
  isTunnel = false;
  /** Part of the response, if only its head, has been passed on. */
  responseStarted = false;
  private readonly context: Context;
  private readonly downstream: Downstream;
  private readonly body: ReplayBody;
  private readonly tried: UpstreamHost[] = [];
  private readonly pickRequest = { nowMs: 0, hash: 0, avoid: this.tried };
  private head!: AnyRequestHead;
  private stack!: RouteStack;
  private cluster!: UpstreamCluster;
  private metrics!: RequestMetrics;
  private workload = '';
  private host: UpstreamHost | undefined;
  private pool: Pool | undefined;
  private upstream: UpstreamCall | undefined;
  private backoff: Timer | undefined;
  private isReused = false;
  private tries = 0;
  private staleTries = 0;
  /** A try beyond the first has begun: it counts against the cluster's limit until the request ends. */
  private isRepeat = false;
  private startedMs = 0;
  private tryStartedMs = 0;
  private deadlineMs = Infinity;
  private isUpgrade = false;
  /** How much of a body may still come; Infinity for what has no end by its nature. */
  private bodyLeft = Infinity;
  private requestComplete = false;
  private requestTrailers: Http2Trailers | undefined;
  /** Of a tunnel: the directions that have ended. */
  private downstreamEnded = false;
  private upstreamEnded = false;
  private status = 0;
  private peerError: ErrorCode | '' = '';
  /** A byte moved since the idle deadline was set. */
  private moved = false;

  constructor(context: Context, downstream: Downstream) {
    this.context = context;
    this.downstream = downstream;
    this.body = new ReplayBody(context.limits.bodyReplayBytesMax);
  }

  /** `complete`: the request has no body. `isUpgrade`: it asks for another protocol. The head must stay as it is until `responseDone`. */
  start(
    head: AnyRequestHead,
    complete: boolean,
    isUpgrade: boolean,
    stack: RouteStack,
    cluster: UpstreamCluster,
    workload: string,
    metrics: RequestMetrics,
  ): void {
    const nowMs = this.context.clock.nowMs();
    this.active = true;
    this.context.active.count += 1;
    this.head = head;
    this.stack = stack;
    this.cluster = cluster;
    this.workload = workload;
    this.metrics = metrics;
    metrics.active.add(1);
    this.isTunnel = false;
    this.isUpgrade = isUpgrade;
    this.tries = 0;
    this.staleTries = 0;
    this.startedMs = nowMs;
    this.requestComplete = complete;
    this.requestTrailers = undefined;
    // gRPC streams are one request for as long as they live, and so are tunnels.
    this.bodyLeft = complete || isUpgrade || isGrpc(head) ? Infinity : this.context.limits.requestBodyBytesMax;
    this.responseStarted = false;
    this.downstreamEnded = false;
    this.upstreamEnded = false;
    this.status = 0;
    this.peerError = '';
    this.body.reset();
    const { timeoutMs } = stack.route;
    this.deadlineMs = timeoutMs === 0 ? Infinity : nowMs + timeoutMs;
    this.moved = false;
    this.downstream.setDeadline(timeoutMs === 0 ? nowMs + this.context.limits.streamIdleTimeoutMs : this.deadlineMs);
    this.dispatch(nowMs);
  }

  // --- from downstream

  /** `isLast`: `requestEnd` without trailers follows. */
  requestBody(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.moved = true;
    const { upstream } = this;
    this.metrics.requestBytes.add(end - start);
    this.bodyLeft -= end - start;
    if (this.bodyLeft < 0) return this.refuseBody();
    // Before the protocol is switched nothing may be sent in it.
    if (upstream === undefined || (this.isUpgrade && !this.isTunnel)) {
      this.body.keep(bytes.subarray(start, end));
      if (this.body.isFull) this.downstream.pauseRequest();
      return;
    }
    upstream.body(bytes, start, end, isLast && !this.isTunnel);
    if (!this.responseStarted) this.body.keepIfSmall(bytes.subarray(start, end));
    if (upstream.isBlocked) this.downstream.pauseRequest();
  }

  private refuseBody(): void {
    const { upstream } = this;
    this.letGo();
    this.upstream = undefined;
    upstream?.abort();
    const { clock, limits } = this.context;
    this.giveUp('BODY_TOO_LARGE', `more than ${limits.requestBodyBytesMax} bytes`, clock.nowMs());
  }

  requestEnd(trailers: AnyTrailers | undefined): void {
    if (this.requestComplete) return;
    this.requestComplete = true;
    if (this.isTunnel) {
      this.tunnelEnd();
      return;
    }
    if (this.isUpgrade) return;
    if (trailers !== undefined && !this.responseStarted) this.requestTrailers = keptTrailers(trailers);
    this.upstream?.end(trailers);
  }

  /** The client has ended its direction after an upgrade. */
  tunnelEnd(): void {
    if (this.downstreamEnded) return;
    this.downstreamEnded = true;
    this.upstream?.end(undefined);
    if (this.upstreamEnded) this.tunnelClosed();
  }

  /** The client is gone. */
  cancel(): void {
    this.letGo();
    const { upstream } = this;
    this.upstream = undefined;
    upstream?.abort();
    const nowMs = this.context.clock.nowMs();
    if (this.isTunnel) this.ended(this.status, '', nowMs);
    else this.ended(0, 'CLIENT_GONE', nowMs);
  }

  onDeadline(nowMs: number): void {
    if (nowMs < this.deadlineMs && this.moved) {
      // Only the idle limit has passed; a byte in the meantime starts it anew.
      this.moved = false;
      this.downstream.setDeadline(nowMs + this.idleMs);
      return;
    }
    const { upstream, tries } = this;
    this.letGo();
    this.upstream = undefined;
    upstream?.abort();
    this.giveUp(
      'REQUEST_TIMEOUT',
      `no complete response within ${Math.round(nowMs - this.startedMs)} ms after ${tries} ${tries === 1 ? 'try' : 'tries'}`,
      nowMs,
    );
  }

  onDownstreamBlocked(): void {
    this.upstream?.pauseReading();
  }

  onDownstreamDrained(): void {
    this.upstream?.resumeReading();
  }

  // --- from the pool

  onReady(upstream: UpstreamCall, reused: boolean): void {
    const { head, body, downstream, requestComplete, isUpgrade } = this;
    this.pool = undefined;
    this.upstream = upstream;
    this.isReused = reused;
    const { chunks } = body;
    const trailers = this.requestTrailers;
    upstream.start(this, head, downstream.forwarding, requestComplete && !isUpgrade && chunks.length === 0 && trailers === undefined);
    // It may have failed at once, and another try have begun.
    if (isUpgrade || this.upstream !== upstream) return;
    const last = requestComplete && trailers === undefined ? chunks.length - 1 : -1;
    for (let at = 0; at < chunks.length; at++) upstream.body(chunks[at]!, 0, chunks[at]!.length, at === last);
    body.sent();
    // What was begun may have failed at once.
    if (this.upstream !== upstream) return;
    if (requestComplete) upstream.end(trailers);
    else if (!upstream.isBlocked) downstream.resumeRequest();
  }

  onNoConnection(code: ErrorCode, detail: string): void {
    this.pool = undefined;
    if (code !== 'OVERLOADED') return this.tryFailed(code, detail);
    // The line that is full is the whole cluster's: another endpoint has no other, and waiting is what it was to prevent.
    const nowMs = this.context.clock.nowMs();
    this.tryEnded(false, nowMs);
    this.giveUp(code, detail, nowMs);
  }

  // --- from upstream

  onInterim(head: AnyResponseHead): void {
    this.body.lose();
    this.downstream.interim(head, FORGED_RESPONSE_HEADERS);
  }

  onResponseHead(head: AnyResponseHead, endStream: boolean): void {
    this.moved = true;
    const { status } = head;
    const trusted = this.cluster.tls.provesPeers;
    // Our own answers: errors of HTTP, and those of gRPC, which are heads alone.
    if (trusted && (status >= 400 || endStream) && this.repeatedFor(head)) return;
    const { downstream } = this;
    if (this.isUpgrade && downstream.switchesBy2xx && status < 300)
      return this.refuseAnswer('did not switch protocols, but answered as if it had');
    this.responseStarted = true;
    this.status = status;
    this.body.lose();
    if (this.deadlineMs !== Infinity && !endStream && isEndless(head)) this.liftDeadline();
    downstream.respond(head, endStream, trusted ? undefined : FORGED_RESPONSE_HEADERS);
  }

  onSwitched(head: AnyResponseHead): void {
    const { downstream, upstream, body } = this;
    if (!this.isUpgrade) return this.refuseAnswer('switched protocols without being asked to');
    this.responseStarted = true;
    this.isTunnel = true;
    this.status = head.status;
    this.deadlineMs = Infinity;
    const nowMs = this.context.clock.nowMs();
    this.tryEnded(true, nowMs);
    for (const chunk of body.chunks) upstream!.body(chunk, 0, chunk.length, false);
    body.lose();
    downstream.switchProtocols(head, this.cluster.tls.provesPeers ? undefined : FORGED_RESPONSE_HEADERS);
    downstream.setDeadline(nowMs + this.idleMs);
    if (downstream.switchesBy2xx && this.requestComplete) this.tunnelEnd();
  }

  onResponseBody(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.moved = true;
    const { downstream } = this;
    this.metrics.responseBytes.add(end - start);
    downstream.body(bytes, start, end, isLast && !this.isTunnel);
    if (downstream.isBlocked) this.upstream?.pauseReading();
  }

  onResponseEnd(trailers: AnyTrailers | undefined): void {
    if (this.isTunnel) return this.onTunnelEnd();
    const { upstream, downstream } = this;
    downstream.end(trailers);
    this.upstream = undefined;
    const nowMs = this.context.clock.nowMs();
    this.tryEnded(true, nowMs);
    upstream!.release(this.requestComplete);
    this.ended(this.status, this.peerError, nowMs);
    downstream.responseDone(nowMs);
  }

  onTunnelEnd(): void {
    if (this.upstreamEnded) return;
    this.upstreamEnded = true;
    this.downstream.endTunnel();
    if (this.downstreamEnded) this.tunnelClosed();
  }

  onUpstreamBlocked(): void {
    if (!this.requestComplete || this.isTunnel) this.downstream.pauseRequest();
  }

  onUpstreamDrained(): void {
    this.downstream.resumeRequest();
  }

  onUpstreamFailed(code: ErrorCode, detail: string): void {
    const { upstream, host } = this;
    const untouched = upstream?.gotBytes === false;
    this.upstream = undefined;
    if (this.isTunnel) {
      if (this.upstreamEnded) return this.tunnelClosed();
      // A stream that breaks off must not look like one that ended.
      this.ended(this.status, code, this.context.clock.nowMs());
      this.downstream.abort();
      return;
    }
    // RFC 9110 §9.2.2, RFC 9112 §9.3.1: a kept connection that the peer closed while we wrote says nothing about the peer's health, so this
    // try does not count; but the peer may have read the request, so only idempotent ones go out again by themselves.
    const isStale = this.isReused && untouched && code === 'UPSTREAM_RESET' && isIdempotent(this.head.method);
    // RFC 9113 §8.7: a refused stream was not looked at. Often the instance had only not said yet how many it takes at once.
    const isRefused = code === 'STREAM_REFUSED';
    if ((isStale || isRefused) && this.staleTries === 0 && host !== undefined && !this.body.isLost) {
      this.staleTries = 1;
      this.pool = host.pool(this.workload);
      this.pool.acquire(this, isStale);
      return;
    }
    this.tryFailed(code, `${host?.instance ?? ''}: ${detail}`);
  }

  // --- tries

  private dispatch(nowMs: number): void {
    const { cluster, pickRequest } = this;
    this.tries += 1;
    this.tryStartedMs = nowMs;
    pickRequest.nowMs = nowMs;
    const host = cluster.pick(this.workload, pickRequest);
    if (host === undefined) {
      this.host = undefined;
      const count = cluster.endpointCount;
      this.giveUp(
        'NO_HEALTHY_INSTANCE',
        count === 0 ? `${cluster.destination} has no instances` : `none of the ${count} instances of ${cluster.destination} is healthy`,
        nowMs,
      );
      return;
    }
    this.host = host;
    cluster.started(this.workload, host, nowMs);
    const pool = host.pool(this.workload);
    this.pool = pool;
    pool.acquire(this, false);
  }

  /** The try ended without a response head for the client. */
  private tryFailed(code: ErrorCode, detail: string): void {
    const nowMs = this.context.clock.nowMs();
    this.tryEnded(false, nowMs);
    if (this.mayRepeat(code, nowMs)) this.repeat(code, nowMs);
    else this.giveUp(code, detail, nowMs);
  }

  private mayRepeat(error: ErrorCode, nowMs: number): boolean {
    if (!this.isRepeat && this.cluster.repeats >= this.context.limits.retriesPerClusterMax) return false;
    return (
      decideRetry({
        policy: this.stack.route.retry,
        error,
        method: this.head.method,
        triesMade: this.tries,
        bodyReplayable: !this.body.isLost,
        responseStarted: this.responseStarted,
        nowMs,
        deadlineMs: this.deadlineMs,
      }) === 'retry'
    );
  }

  /** At another endpoint while there is one; only then at once. */
  private repeat(code: ErrorCode, nowMs: number): void {
    const { host, tried, context } = this;
    if (host !== undefined && !tried.includes(host)) tried.push(host);
    this.metrics.retried(code);
    if (!this.isRepeat) {
      this.isRepeat = true;
      this.cluster.repeats += 1;
    }
    if (this.cluster.healthyCount(this.workload) > tried.length) {
      this.dispatch(nowMs);
      return;
    }
    const waitMs = backoffMs(RETRY_BACKOFF, this.tries - 1, () => context.random.next());
    this.backoff = context.clock.after(waitMs, () => {
      this.backoff = undefined;
      this.dispatch(context.clock.nowMs());
      context.turn.end();
    });
  }

  /** The called data plane answered in place of its application, and another try is due. */
  private repeatedFor(head: AnyResponseHead): boolean {
    const code = head.get(ERROR_HEADER);
    if (code === undefined || !Object.hasOwn(ERRORS, code)) return false;
    this.peerError = code as ErrorCode;
    const nowMs = this.context.clock.nowMs();
    if (!this.mayRepeat(this.peerError, nowMs)) return false;
    const { upstream } = this;
    this.upstream = undefined;
    this.tryEnded(false, nowMs);
    upstream!.abort();
    this.repeat(this.peerError, nowMs);
    this.peerError = '';
    return true;
  }

  /** What the instance answered must not be passed on. */
  private refuseAnswer(detail: string): void {
    const { upstream, host } = this;
    this.upstream = undefined;
    upstream!.abort();
    const nowMs = this.context.clock.nowMs();
    this.tryEnded(false, nowMs);
    this.giveUp('UPSTREAM_PROTOCOL', `${host?.instance ?? ''} ${detail}`, nowMs);
  }

  private tryEnded(succeeded: boolean, nowMs: number): void {
    if (this.host !== undefined) this.cluster.finished(this.workload, this.host, succeeded, nowMs - this.tryStartedMs, nowMs);
  }

  /** No further try: answer, or cut the response off. */
  private giveUp(code: ErrorCode, detail: string, nowMs: number): void {
    const { responseStarted, downstream } = this;
    this.ended(responseStarted ? this.status : ERRORS[code].httpStatus, code, nowMs);
    if (responseStarted) downstream.abort();
    else downstream.respondError(code, detail);
  }

  private ended(status: number, error: ErrorCode | 'CLIENT_GONE' | '', nowMs: number): void {
    this.active = false;
    this.context.active.count -= 1;
    if (this.isRepeat) this.cluster.repeats -= 1;
    this.isRepeat = false;
    this.metrics.active.add(-1);
    this.metrics.ended(status, error, nowMs - this.startedMs);
    this.body.reset();
    this.tried.length = 0;
    this.upstream = undefined;
    this.host = undefined;
    this.requestTrailers = undefined;
  }

  /** Of whatever is being waited for. */
  private letGo(): void {
    this.pool?.cancel(this);
    this.pool = undefined;
    this.backoff?.cancel();
    this.backoff = undefined;
    if (this.active && !this.isTunnel) this.tryEnded(false, this.context.clock.nowMs());
  }

  private get idleMs(): number {
    return this.isTunnel ? this.context.limits.tcpIdleTimeoutMs : this.context.limits.streamIdleTimeoutMs;
  }

  /** From now on only the idle limit holds. */
  private liftDeadline(): void {
    this.deadlineMs = Infinity;
    this.downstream.setDeadline(this.context.clock.nowMs() + this.idleMs);
  }

  private tunnelClosed(): void {
    const { upstream, downstream } = this;
    this.upstream = undefined;
    const nowMs = this.context.clock.nowMs();
    if (upstream !== undefined) {
      if (this.upstreamEnded) upstream.release(true);
      else upstream.abort();
    }
    this.ended(this.status, '', nowMs);
    if (!this.upstreamEnded) downstream.endTunnel();
    downstream.responseDone(nowMs);
  }
}

function isGrpc(head: AnyRequestHead): boolean {
  return grpcKindOf(head.get('content-type')) !== undefined;
}

/** Server-sent events have no end that a time limit for the whole response could mean. */
function isEndless(head: AnyResponseHead): boolean {
  return head.contentLength < 0 && head.get('content-type')?.startsWith(EVENT_STREAM) === true;
}
