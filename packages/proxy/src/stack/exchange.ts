// One request from its head to the end of its response: cluster, balancer, connection, tries, timeout. One object per downstream
// connection, used again for each of its requests, since HTTP/1.1 carries one at a time.
import { backoffMs, decideRetry, ERROR_HEADER, ERRORS, isIdempotent, RETRY_BACKOFF } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import type { Timer } from '@heddle/runtime';
import {
  CHUNK_END,
  chunkHeader,
  framingFor,
  HeaderNames,
  lastChunk,
  renderRequestHead,
  renderResponseHead,
  renderTrailers,
} from '@heddle/wire';
import type { BodyFraming, RequestHead, RequestRendering, ResponseHead, ResponseRendering, Trailers } from '@heddle/wire';
import type { RequestMetrics } from '../telemetry/requests.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { UpstreamHost } from '../upstream/host.ts';
import type { HttpUpstream, UpstreamUser } from '../upstream/http-upstream.ts';
import type { Pool, PoolUser } from '../upstream/pool.ts';
import type { Context } from './context.ts';
import { ReplayBody } from './replay.ts';
import type { RouteStack } from './routes.ts';
import type { Gather } from './turn.ts';

/** The connection that the request came on. */
export interface Downstream {
  readonly gather: Gather;
  /** How request heads of this listener are passed on. */
  readonly requestRendering: RequestRendering;
  /** No further request will be read from this connection. */
  readonly isClosing: boolean;
  pauseRequest(): void;
  resumeRequest(): void;
  setDeadline(deadlineMs: number): void;
  /** Answers in place of the upstream; calls `responseDone` by itself. */
  respondError(code: ErrorCode, detail: string): void;
  responseDone(keepAlive: boolean, nowMs: number): void;
  /** From now on bytes are opaque. */
  startTunnel(): void;
  /** The response broke off: the client must see that. */
  abort(): void;
}

/** Applications must not speak with a data plane's voice. */
const FORGED_RESPONSE_HEADERS = new HeaderNames([ERROR_HEADER]);

export class Exchange implements UpstreamUser, PoolUser {
  /** From `start` until the response is done or given up. */
  active = false;
  /** Bytes pass unchanged after 101 (Switching Protocols). */
  isTunnel = false;
  /** Part of the response, if only its head, has been passed on. */
  responseStarted = false;
  private readonly context: Context;
  private readonly downstream: Downstream;
  private readonly body: ReplayBody;
  private readonly responseRendering: ResponseRendering = {};
  private readonly tried: UpstreamHost[] = [];
  private readonly pickRequest = { nowMs: 0, hash: 0, avoid: this.tried };
  private head!: RequestHead;
  private stack!: RouteStack;
  private cluster!: UpstreamCluster;
  private metrics!: RequestMetrics;
  private workload = '';
  private host: UpstreamHost | undefined;
  private pool: Pool | undefined;
  private upstream: HttpUpstream | undefined;
  private backoff: Timer | undefined;
  private isReused = false;
  private tries = 0;
  private staleTries = 0;
  /** A try beyond the first has begun: it counts against the cluster's limit until the request ends. */
  private isRepeat = false;
  private startedMs = 0;
  private tryStartedMs = 0;
  private deadlineMs = Infinity;
  private requestComplete = false;
  private requestTrailers = '';
  private status = 0;
  private peerError: ErrorCode | '' = '';
  private responseFraming: BodyFraming = 'none';
  private keepAlive = true;
  /** A byte moved since the idle deadline was set. */
  private moved = false;

  constructor(context: Context, downstream: Downstream) {
    this.context = context;
    this.downstream = downstream;
    this.body = new ReplayBody(context.limits.bodyReplayBytesMax);
  }

  start(head: RequestHead, stack: RouteStack, cluster: UpstreamCluster, workload: string, metrics: RequestMetrics): void {
    const nowMs = this.context.clock.nowMs();
    this.active = true;
    this.context.active.count += 1;
    this.head = head;
    this.stack = stack;
    this.cluster = cluster;
    this.workload = workload;
    this.metrics = metrics;
    this.isTunnel = false;
    this.tries = 0;
    this.staleTries = 0;
    this.startedMs = nowMs;
    this.requestComplete = false;
    this.requestTrailers = '';
    this.responseStarted = false;
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

  requestBody(bytes: Buffer, start: number, end: number): void {
    this.moved = true;
    const { upstream } = this;
    this.metrics.requestBytes.add(end - start);
    if (upstream === undefined) {
      this.body.keep(bytes.subarray(start, end));
      if (this.body.isFull) this.downstream.pauseRequest();
      return;
    }
    this.sendBody(upstream, bytes, start, end);
    if (!this.responseStarted) this.body.keepIfSmall(bytes.subarray(start, end));
    if (upstream.gather.blocked) this.downstream.pauseRequest();
  }

  requestEnd(trailers: Trailers | undefined): void {
    this.requestComplete = true;
    if (trailers !== undefined) this.requestTrailers = renderTrailers(trailers);
    if (this.upstream !== undefined) this.sendEnd(this.upstream);
  }

  /** The client has ended its direction after an upgrade. */
  tunnelEnd(): void {
    this.upstream?.gather.end();
  }

  /** The client is gone. */
  cancel(): void {
    this.letGo();
    this.upstream?.abort();
    const nowMs = this.context.clock.nowMs();
    if (this.isTunnel) this.ended(101, '', nowMs);
    else this.ended(0, 'CLIENT_GONE', nowMs);
  }

  onDeadline(nowMs: number): void {
    if (nowMs < this.deadlineMs) {
      // Only the idle limit has passed; a byte in the meantime starts it anew.
      const idleMs = this.isTunnel ? this.context.limits.tcpIdleTimeoutMs : this.context.limits.streamIdleTimeoutMs;
      if (this.moved) {
        this.moved = false;
        this.downstream.setDeadline(nowMs + idleMs);
        return;
      }
    }
    const { upstream, tries } = this;
    this.letGo();
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

  onReady(upstream: HttpUpstream, reused: boolean): void {
    const { head, body } = this;
    this.pool = undefined;
    this.upstream = upstream;
    this.isReused = reused;
    upstream.begin(this, head.method, head.upgrade !== '');
    upstream.gather.text(renderRequestHead(head, this.downstream.requestRendering));
    for (const chunk of body.chunks) this.sendBody(upstream, chunk, 0, chunk.length);
    body.sent();
    if (this.requestComplete) this.sendEnd(upstream);
    else if (!upstream.gather.blocked) this.downstream.resumeRequest();
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

  onInterim(head: ResponseHead): void {
    // RFC 9110 §15.2: a 1.0 client does not know interim responses.
    if (this.head.minorVersion === 0) return;
    const rendering = this.responseRendering;
    rendering.framing = 'none';
    rendering.connection = undefined;
    rendering.forwardUpgrade = false;
    rendering.drop = FORGED_RESPONSE_HEADERS;
    this.body.lose();
    this.downstream.gather.text(renderResponseHead(head, rendering));
  }

  onResponseHead(head: ResponseHead): void {
    this.moved = true;
    const trusted = this.cluster.tls.isNeeded;
    if (trusted && head.status >= 400 && this.repeatedFor(head)) return;
    const { downstream } = this;
    this.responseStarted = true;
    this.status = head.status;
    this.body.lose();
    const { minorVersion, keepAlive } = this.head;
    const switching = head.status === 101;
    this.responseFraming = framingFor(head, minorVersion);
    this.keepAlive = keepAlive && !downstream.isClosing && this.responseFraming !== 'until-close';
    const rendering = this.responseRendering;
    rendering.framing = this.responseFraming;
    rendering.connection = switching ? undefined : !this.keepAlive ? 'close' : minorVersion === 0 ? 'keep-alive' : undefined;
    rendering.forwardUpgrade = switching;
    rendering.drop = trusted ? undefined : FORGED_RESPONSE_HEADERS;
    downstream.gather.text(renderResponseHead(head, rendering));
    if (switching) this.beginTunnel();
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.moved = true;
    const { gather } = this.downstream;
    this.metrics.responseBytes.add(end - start);
    if (this.responseFraming === 'chunked') {
      gather.text(chunkHeader(end - start));
      gather.bytes(bytes, start, end);
      gather.text(CHUNK_END);
    } else {
      gather.bytes(bytes, start, end);
    }
    if (gather.blocked) this.upstream?.pauseReading();
  }

  onResponseEnd(trailers: Trailers | undefined): void {
    const { upstream, downstream } = this;
    if (this.responseFraming === 'chunked') downstream.gather.text(lastChunk(trailers === undefined ? '' : renderTrailers(trailers)));
    this.upstream = undefined;
    const nowMs = this.context.clock.nowMs();
    this.tryEnded(true, nowMs);
    upstream!.release(this.requestComplete);
    this.ended(this.status, this.peerError, nowMs);
    downstream.responseDone(this.keepAlive, nowMs);
  }

  onTunnelEnd(): void {
    this.downstream.gather.end();
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
      this.tunnelClosed();
      return;
    }
    // RFC 9110 §9.2.2, RFC 9112 §9.3.1: a kept connection that the peer closed while we wrote says nothing about the peer's health, so this
    // try does not count; but the peer may have read the request, so only idempotent ones go out again by themselves.
    const stale = this.isReused && untouched && this.staleTries === 0 && code === 'UPSTREAM_RESET';
    if (stale && host !== undefined && isIdempotent(this.head.method) && !this.body.isLost) {
      this.staleTries = 1;
      this.pool = host.pool(this.workload);
      this.pool.acquire(this, true);
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
  private repeatedFor(head: ResponseHead): boolean {
    const code = head.get(ERROR_HEADER);
    if (code === undefined || !Object.hasOwn(ERRORS, code)) return false;
    this.peerError = code as ErrorCode;
    const nowMs = this.context.clock.nowMs();
    if (!this.mayRepeat(this.peerError, nowMs)) return false;
    const { upstream } = this;
    this.upstream = undefined;
    this.tryEnded(false, nowMs);
    upstream!.discardRest(this.requestComplete);
    this.repeat(this.peerError, nowMs);
    this.peerError = '';
    return true;
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
    this.metrics.ended(status, error, nowMs - this.startedMs);
    this.body.reset();
    this.tried.length = 0;
    this.upstream = undefined;
    this.host = undefined;
  }

  /** Of whatever is being waited for. */
  private letGo(): void {
    this.pool?.cancel(this);
    this.pool = undefined;
    this.backoff?.cancel();
    this.backoff = undefined;
    if (this.active && !this.isTunnel) this.tryEnded(false, this.context.clock.nowMs());
  }

  // --- bytes

  private sendBody(upstream: HttpUpstream, bytes: Buffer, start: number, end: number): void {
    const { gather } = upstream;
    if (this.head.framing !== 'chunked' || this.isTunnel) {
      gather.bytes(bytes, start, end);
      return;
    }
    gather.text(chunkHeader(end - start));
    gather.bytes(bytes, start, end);
    gather.text(CHUNK_END);
  }

  private sendEnd(upstream: HttpUpstream): void {
    if (this.head.framing === 'chunked') upstream.gather.text(lastChunk(this.requestTrailers));
  }

  private beginTunnel(): void {
    const { upstream, downstream } = this;
    if (!this.requestComplete) {
      // RFC 9110 §7.8: nothing may be switched in the middle of a request.
      this.letGo();
      upstream!.abort();
      this.giveUp('UPSTREAM_PROTOCOL', 'switched protocols before the request was complete', this.context.clock.nowMs());
      return;
    }
    this.isTunnel = true;
    this.deadlineMs = Infinity;
    upstream!.parser.tunnel();
    downstream.startTunnel();
    downstream.setDeadline(this.context.clock.nowMs() + this.context.limits.tcpIdleTimeoutMs);
    this.tryEnded(true, this.context.clock.nowMs());
  }

  private tunnelClosed(): void {
    this.ended(101, '', this.context.clock.nowMs());
    this.downstream.gather.end();
    this.downstream.responseDone(false, this.context.clock.nowMs());
  }
}
