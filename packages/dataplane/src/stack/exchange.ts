// One request from its head to the end of its response: what the client sends goes to the try that is under way, and the answer of the one
// that is not rejected goes to the client. Which versions of HTTP the two ends speak, it does not know. Used again for the next request of
// the same connection.
import { deadlineError, deadlineOf, ERROR_HEADER, ERRORS, tryResultOf } from '@heddle/core';
import type { ErrorCode, HeaderFacts } from '@heddle/core';
import type { Timer } from '@heddle/runtime';
import { GRPC_STATUS, grpcKindOf, HeaderNames, httpStatusOfGrpc, readGrpcStatus } from '@heddle/wire';
import type { RequestMetrics } from '../telemetry/requests.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { SuppliedToken } from './access-gate.ts';
import type { Context } from './context.ts';
import { NO_PEER, protocolOf, UNWATCHED } from './ended-request.ts';
import type { EndedRequest, RequestPeer, RequestProtocol, RequestWatch } from './ended-request.ts';
import type { Downstream, RequestSink } from './ends.ts';
import type { Forwarding } from './forwarding.ts';
import type { HeaderRewrite, OwnHeader } from './header-rewrite.ts';
import { REPORT_HEADERS, RequestLoad } from './instance-load.ts';
import type { InstanceLoad } from './instance-load.ts';
import { changedAnswer, errorAnswer } from './local-answer.ts';
import type { LocalAnswer } from './local-answer.ts';
import { keptTrailers, withoutDropped } from './messages.ts';
import type { AnyRequestHead, AnyResponseHead, AnyTrailers } from './messages.ts';
import type { ReplayBody } from './replay.ts';
import type { RouteStack } from './routes.ts';
import { traceIdIn } from '../telemetry/tracer.ts';
import { Tries } from './tries.ts';
import type { Try } from './try.ts';

/** Applications must not speak with a data plane's voice. */
const FORGED_NAMES = [ERROR_HEADER];
const FORGED_RESPONSE_HEADERS = new HeaderNames(FORGED_NAMES);
/** What is not passed on from the instance that this data plane stands beside. */
const NOT_FROM_INSTANCE = [...FORGED_NAMES, ...REPORT_HEADERS];
const INSTANCE_HEADERS = new HeaderNames(NOT_FROM_INSTANCE);
const EVENT_STREAM = 'text/event-stream';
/** RFC 9110 §15.5.2. */
const UNAUTHORIZED = 401;

/** What was found out about a request. Read by `start` alone: the object may be used for the next request. */
export interface Destination {
  /** Of a route that passes requests on. */
  readonly stack: RouteStack;
  readonly cluster: UpstreamCluster;
  readonly workload: string;
  readonly metrics: RequestMetrics;
  /** Who is told of its end. */
  readonly watch: RequestWatch;
  readonly peer: RequestPeer;
  /** Of what consistent hashing looks at; undefined: the request has nothing of it, or nobody asks. */
  readonly hash: number | undefined;
  /** Values of `set-cookie` that the response gets. */
  readonly cookies: readonly string[] | undefined;
  readonly responseChanges: HeaderRewrite | undefined;
  /** Of what the values of changed headers speak. */
  readonly facts: HeaderFacts;
  /** A rule holds the request back so long; and then answers it so, in place of the service. */
  readonly delayMs: number;
  readonly abort: LocalAnswer | undefined;
  /** Where the body goes besides. */
  readonly mirrors: readonly RequestSink[] | undefined;
  /** What the response gets besides. */
  readonly responseHeaders: readonly OwnHeader[] | undefined;
  /** The token of ours that it goes out with. */
  readonly supplied: SuppliedToken | undefined;
  /** Until then all else stands for nothing but a request that is held. */
  readonly clearance: Clearance | undefined;
}

/** Of a request that nobody waits for, or that has nothing but its way. */
export const NO_WISHES = {
  watch: UNWATCHED,
  peer: NO_PEER,
  hash: undefined,
  cookies: undefined,
  responseChanges: undefined,
  responseHeaders: undefined,
  facts: { requestId: '', sourceIdentity: '', sourceAddress: '' },
  delayMs: 0,
  abort: undefined,
  mirrors: undefined,
  supplied: undefined,
  clearance: undefined,
} as const;

/** Whether a request may go on is being found out elsewhere. It is bounded in time by itself. */
export interface Clearance {
  /** `onReady` is called once, later. `body`: what has come of it, which grows meanwhile. `isComplete`: nothing more will come. */
  begin(body: ReplayBody, isComplete: boolean, onReady: () => void): void;
  /** Of the body, although it is more than is kept otherwise. */
  readonly wantsMore: boolean;
  /** More of the body has come, or its end. */
  bodyCame(isComplete: boolean): void;
  /** Nobody waits any more. */
  cancel(): void;
  /** After `onReady`: where the request goes, which may be another clearance, or what it is answered. @param complete it has no body. */
  settle(head: AnyRequestHead, forwarding: Forwarding, complete: boolean): Destination | LocalAnswer;
}

export class Exchange extends Tries implements EndedRequest {
  /** From `start` until the response is done or given up. */
  active = false;
  /** Bytes pass unchanged after the switch to another protocol. */
  isTunnel = false;
  private cookies: readonly string[] | undefined;
  private responseChanges: HeaderRewrite | undefined;
  private facts!: HeaderFacts;
  private mirrors: readonly RequestSink[] | undefined;
  private responseHeaders: readonly OwnHeader[] | undefined;
  /** A rule holds the request back. */
  private held: Timer | undefined;
  /** What it waits for before it may go on. */
  private clearance: Clearance | undefined;
  private startedMs = 0;
  private stack!: RouteStack;
  private watch!: RequestWatch;
  /** Of EndedRequest. */
  peer!: RequestPeer;
  durationMs = 0;
  requestBytes = 0;
  responseBytes = 0;
  error: EndedRequest['error'] = '';
  private readonly load: RequestLoad | undefined;
  /** How much of a body may still come; Infinity for what has no end by its nature. */
  private bodyLeft = Infinity;
  /** Without a byte in either direction. */
  private idleMs = 0;
  /** Of a tunnel: the directions that have ended. */
  private downstreamEnded = false;
  private upstreamEnded = false;
  status = 0;
  /** gRPC in any of its forms. */
  private countsAsGrpc = false;
  /** A byte moved since the idle deadline was set. */
  private moved = false;

  /** @param load of the instance that the requests are for; absent: they go to others. */
  constructor(context: Context, downstream: Downstream, load?: InstanceLoad) {
    super(context, downstream);
    this.load = load && new RequestLoad(load);
  }

  /** `complete`: the request has no body. `isUpgrade`: it asks for another protocol. The head must stay as it is until `responseDone`. */
  start(head: AnyRequestHead, complete: boolean, isUpgrade: boolean, to: Destination): void {
    const { context } = this;
    const nowMs = context.clock.nowMs();
    const grpcKind = head.method === 'POST' ? grpcKindOf(head.get('content-type')) : undefined;
    this.active = true;
    context.active.count += 1;
    this.head = head;
    this.countsAsGrpc = grpcKind !== undefined;
    this.direct(to);
    this.load?.begin(complete, nowMs);
    this.isTunnel = false;
    this.isUpgrade = isUpgrade;
    this.isGrpc = grpcKind === 'grpc';
    this.startedMs = nowMs;
    this.requestComplete = complete;
    this.requestTrailers = undefined;
    // gRPC streams are one request for as long as they live, and so are tunnels.
    this.bodyLeft = complete || isUpgrade || grpcKind !== undefined ? Infinity : context.limits.requestBodyBytesMax;
    this.responseStarted = false;
    this.downstreamEnded = false;
    this.upstreamEnded = false;
    this.status = 0;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.triesMade = 0;
    this.grpcStatus = undefined;
    this.instance = '';
    this.span = this.downstream.forwarding.span;
    this.body.reset();
    this.readCallerTime(head);
    this.proceed(to, nowMs);
  }

  private direct(to: Destination): void {
    this.stack = to.stack;
    this.watch = to.watch;
    this.peer = to.peer;
    this.forward = to.stack.forward!;
    this.cluster = to.cluster;
    this.metrics = this.countsAsGrpc ? to.metrics.grpc : to.metrics;
    this.cookies = to.cookies;
    this.responseChanges = to.responseChanges;
    this.responseHeaders = to.responseHeaders;
    this.facts = to.facts;
    this.mirrors = to.mirrors;
    this.supplied = to.supplied;
    this.metrics.active.add(1);
  }

  private proceed(to: Destination, nowMs: number): void {
    const { forward, context, startedMs } = this;
    this.deadlineMs = deadlineOf(startedMs, forward.timeoutMs, this.callerMs);
    this.idleMs = forward.idleTimeoutMs > 0 ? forward.idleTimeoutMs : context.limits.streamIdleTimeoutMs;
    this.moved = false;
    this.setDeadline(nowMs);
    if (this.deadlineMs <= nowMs) this.giveUp('DEADLINE_EXCEEDED', 'the caller left no time', nowMs);
    else if (to.clearance !== undefined) this.await(to.clearance);
    else if (to.delayMs > 0) this.hold(to);
    else this.beginTries(to.workload, to.hash, nowMs);
  }

  /** Until it is known whether it may go on. What comes of the body meanwhile waits like that of a request without a connection. */
  private await(clearance: Clearance): void {
    this.clearance = clearance;
    clearance.begin(this.body, this.requestComplete, () => {
      this.clearance = undefined;
      this.cleared(clearance);
      this.context.turn.end();
    });
  }

  private cleared(clearance: Clearance): void {
    const { head, downstream, body, context, requestComplete } = this;
    const nowMs = context.clock.nowMs();
    const isBare = requestComplete && body.bytes === 0 && this.requestTrailers === undefined;
    const to = clearance.settle(head, downstream.forwarding, isBare);
    if (!('stack' in to)) {
      this.ended(to.status, to.code ?? '', nowMs);
      downstream.answerLocally(to);
      return;
    }
    // They came before it was known what of them must not be passed on.
    if (this.requestTrailers !== undefined)
      this.requestTrailers = keptTrailers(withoutDropped(this.requestTrailers, downstream.forwarding.drop));
    this.metrics.active.add(-1);
    this.direct(to);
    this.metrics.requestBytes.add(body.bytes);
    if (this.mirrors !== undefined) for (const mirror of this.mirrors) this.replayTo(mirror);
    this.proceed(to, nowMs);
  }

  /** What has come of the body so far. */
  private replayTo(mirror: RequestSink): void {
    const { chunks } = this.body;
    const isWhole = this.requestComplete && this.requestTrailers === undefined;
    for (const [at, chunk] of chunks.entries()) mirror.requestBody(chunk, 0, chunk.length, isWhole && at === chunks.length - 1);
    if (this.requestComplete) mirror.requestEnd(this.requestTrailers);
  }

  /** Until a rule lets it go on. What comes of the body meanwhile waits like that of a request without a connection. */
  private hold({ delayMs, abort, workload, hash }: Destination): void {
    const { clock, turn } = this.context;
    this.held = clock.after(delayMs, () => {
      this.held = undefined;
      const nowMs = clock.nowMs();
      if (abort === undefined) this.beginTries(workload, hash, nowMs);
      else {
        this.ended(abort.status, abort.code ?? '', nowMs);
        this.downstream.answerLocally(changedAnswer(abort, this.responseChanges, this.facts));
      }
      turn.end();
    });
  }

  // --- from downstream

  /** `isLast`: `requestEnd` without trailers follows. */
  requestBody(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.moved = true;
    const { upstream } = this.current;
    this.metrics.requestBytes.add(end - start);
    this.requestBytes += end - start;
    this.bodyLeft -= end - start;
    if (this.bodyLeft < 0) return this.refuseBody();
    if (this.mirrors !== undefined) for (const mirror of this.mirrors) mirror.requestBody(bytes, start, end, isLast);
    // Before the protocol is switched nothing may be sent in it.
    if (upstream === undefined || (this.isUpgrade && !this.isTunnel)) {
      this.body.keep(bytes.subarray(start, end));
      this.clearance?.bodyCame(false);
      if (this.body.isFull && this.clearance?.wantsMore !== true) this.downstream.pauseRequest();
      return;
    }
    upstream.body(bytes, start, end, isLast && !this.isTunnel);
    if (!this.responseStarted) this.body.keepIfSmall(bytes.subarray(start, end));
    if (upstream.isBlocked) this.downstream.pauseRequest();
  }

  private refuseBody(): void {
    const { clock, limits } = this.context;
    const nowMs = clock.nowMs();
    this.dropTries('cancelled', nowMs);
    this.giveUp('BODY_TOO_LARGE', `more than ${limits.requestBodyBytesMax} bytes`, nowMs);
  }

  requestEnd(received: AnyTrailers | undefined): void {
    if (this.requestComplete) return;
    const trailers = received && withoutDropped(received, this.downstream.forwarding.drop);
    this.requestComplete = true;
    this.load?.whole(this.context.clock.nowMs());
    if (this.mirrors !== undefined) for (const mirror of this.mirrors) mirror.requestEnd(trailers);
    if (this.isTunnel) {
      this.tunnelEnd();
      return;
    }
    if (this.isUpgrade) return;
    if (trailers !== undefined && !this.responseStarted) this.requestTrailers = keptTrailers(trailers);
    this.current.upstream?.end(trailers);
    this.clearance?.bodyCame(true);
  }

  /** The client has ended its direction after an upgrade. */
  tunnelEnd(): void {
    if (this.downstreamEnded) return;
    this.downstreamEnded = true;
    this.current.upstream?.end(undefined);
    if (this.upstreamEnded) this.tunnelClosed();
  }

  /** The client is gone. */
  cancel(): void {
    const nowMs = this.context.clock.nowMs();
    this.dropTries(this.isTunnel ? 'success' : 'cancelled', nowMs);
    if (this.isTunnel) this.ended(this.status, '', nowMs);
    else this.ended(0, 'CLIENT_GONE', nowMs);
  }

  onDeadline(nowMs: number): void {
    if (nowMs < this.deadlineMs && this.moved) {
      // Only the idle limit has passed; a byte in the meantime starts it anew.
      this.moved = false;
      this.setDeadline(nowMs);
      return;
    }
    const isIdle = nowMs < this.deadlineMs;
    const code = isIdle ? 'IDLE_TIMEOUT' : deadlineError(this.forward.timeoutMs, this.callerMs);
    this.dropTries(this.isOwnDelay ? 'cancelled' : tryResultOf(code, 0, undefined), nowMs);
    const { triesMade } = this;
    const tries = `${triesMade} ${triesMade === 1 ? 'try' : 'tries'}`;
    this.giveUp(
      code,
      isIdle
        ? `not a byte in either direction for ${Math.round(this.idleMs)} ms`
        : `no complete response within ${Math.round(nowMs - this.startedMs)} ms after ${tries}`,
      nowMs,
    );
  }

  /** What the time is lost on is the client: it does not send, or does not read. */
  private get isOwnDelay(): boolean {
    return this.isTunnel || !this.requestComplete || (this.responseStarted && this.downstream.isBlocked);
  }

  onDownstreamBlocked(): void {
    this.current.upstream?.pauseReading();
  }

  onDownstreamDrained(): void {
    this.current.upstream?.resumeReading();
  }

  // --- from the tries

  override answerInterim(_one: Try, head: AnyResponseHead): void {
    // Whose it is does not matter to the client, but that there is one answer.
    if (this.hasRivals) return;
    this.body.lose();
    this.downstream.interim(head, FORGED_RESPONSE_HEADERS);
  }

  override answerHead(one: Try, head: AnyResponseHead, endStream: boolean): void {
    const nowMs = this.context.clock.nowMs();
    this.moved = true;
    one.answered(nowMs);
    if (this.supplied !== undefined) this.tellSupply(head);
    if (this.isRejected(one, head, endStream)) return;
    const { downstream, cluster } = this;
    const { status } = head;
    this.settleOn(one);
    if (this.isUpgrade && downstream.switchesBy2xx && status < 300)
      return this.refuseAnswer(one, 'did not switch protocols, but answered as if it had');
    this.responseStarted = true;
    this.status = status;
    this.body.lose();
    if (this.deadlineMs !== Infinity && !endStream && isEndless(head)) this.liftDeadline();
    const { sessions } = cluster;
    if (sessions !== undefined && one.host !== this.sessionHost) this.addCookie(sessions.cookieOf(one.host!));
    if (this.load !== undefined) this.load.answered(head, !this.isUpgrade && !isEndless(head), nowMs);
    const drop = this.droppedHeaders;
    if (this.responseChanges === undefined && this.cookies === undefined && this.responseHeaders === undefined)
      downstream.respond(head, endStream, drop, undefined);
    else this.respondChanged(head, endStream, drop);
  }

  /** Whether the called side takes the token: see SuppliedToken. */
  private tellSupply(head: AnyResponseHead): void {
    const grpcStatus = this.isGrpc ? head.get('grpc-status') : undefined;
    const isRefusedByGrpc = grpcStatus !== undefined && readGrpcStatus(grpcStatus) === GRPC_STATUS.UNAUTHENTICATED;
    if (head.status === UNAUTHORIZED || isRefusedByGrpc) this.supplied!.refused();
  }

  private respondChanged(head: AnyResponseHead, endStream: boolean, drop: HeaderNames | undefined): void {
    const { responseChanges, cookies = [], facts, responseHeaders = [] } = this;
    const own = [
      ...cookies.map((cookie) => ['set-cookie', cookie] as const),
      ...responseHeaders,
      ...(responseChanges?.headers(facts) ?? []),
    ];
    const all =
      responseChanges === undefined
        ? drop
        : responseChanges.dropping(drop, drop === INSTANCE_HEADERS ? NOT_FROM_INSTANCE : drop === undefined ? [] : FORGED_NAMES);
    this.downstream.respond(head, endStream, all, own);
  }

  /** Of what was received. */
  private get droppedHeaders(): HeaderNames | undefined {
    if (this.load !== undefined) return INSTANCE_HEADERS;
    return this.cluster.tls.leadsToPeers ? undefined : FORGED_RESPONSE_HEADERS;
  }

  private addCookie(cookie: string): void {
    this.cookies = this.cookies === undefined ? [cookie] : [...this.cookies, cookie];
  }

  override answerSwitched(one: Try, head: AnyResponseHead): void {
    const { downstream, body, context } = this;
    if (!this.isUpgrade) return this.refuseAnswer(one, 'switched protocols without being asked to');
    const nowMs = context.clock.nowMs();
    one.answered(nowMs);
    this.settleOn(one);
    this.responseStarted = true;
    this.isTunnel = true;
    this.status = head.status;
    this.deadlineMs = Infinity;
    for (const chunk of body.chunks) one.upstream!.body(chunk, 0, chunk.length, false);
    body.lose();
    downstream.switchProtocols(head, this.droppedHeaders);
    if (this.forward.idleTimeoutMs === 0) this.idleMs = context.limits.tcpIdleTimeoutMs;
    this.setDeadline(nowMs);
    if (downstream.switchesBy2xx && this.requestComplete) this.tunnelEnd();
  }

  override answerBody(one: Try, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.moved = true;
    const { downstream } = this;
    this.metrics.responseBytes.add(end - start);
    this.responseBytes += end - start;
    downstream.body(bytes, start, end, isLast && !this.isTunnel);
    if (downstream.isBlocked) one.upstream?.pauseReading();
  }

  override answerEnd(one: Try, trailers: AnyTrailers | undefined): void {
    if (this.isTunnel) return this.tunnelEndOf(one);
    const { downstream } = this;
    const { upstream } = one;
    downstream.end(trailers);
    const nowMs = this.context.clock.nowMs();
    const grpcStatus = this.isGrpc && trailers?.has('grpc-status') === true ? readGrpcStatus(trailers.get('grpc-status')) : this.grpcStatus;
    if (grpcStatus === GRPC_STATUS.UNAUTHENTICATED && trailers !== undefined) this.supplied?.refused();
    this.grpcStatus = grpcStatus;
    const result = tryResultOf(this.peerError, this.status, grpcStatus);
    one.end(result, nowMs);
    this.load?.end(trailers, result === 'success', nowMs);
    upstream!.release(this.requestComplete);
    this.ended(this.status, this.peerError ?? '', nowMs, grpcStatus);
    downstream.responseDone(nowMs);
  }

  override tunnelEndOf(_one: Try): void {
    if (this.upstreamEnded) return;
    this.upstreamEnded = true;
    this.downstream.endTunnel();
    if (this.downstreamEnded) this.tunnelClosed();
  }

  override tryBlocked(one: Try): void {
    if (one === this.current && (!this.requestComplete || this.isTunnel)) this.downstream.pauseRequest();
  }

  override tryDrained(one: Try): void {
    if (one === this.current) this.downstream.resumeRequest();
  }

  override tryBroke(one: Try, code: ErrorCode, detail: string, isUntouched: boolean): void {
    if (!this.isTunnel) return super.tryBroke(one, code, detail, isUntouched);
    if (this.upstreamEnded) return this.tunnelClosed();
    // A stream that breaks off must not look like one that ended.
    const nowMs = this.context.clock.nowMs();
    one.end('success', nowMs);
    this.ended(this.status, code, nowMs);
    this.downstream.abort(code, detail);
  }

  /** What the instance answered must not be passed on. */
  private refuseAnswer(one: Try, detail: string): void {
    const { host } = one;
    const nowMs = this.context.clock.nowMs();
    this.dropTries(tryResultOf('UPSTREAM_PROTOCOL', 0, undefined), nowMs);
    this.giveUp('UPSTREAM_PROTOCOL', `${host?.instance ?? ''} ${detail}`, nowMs);
  }

  // --- the end

  protected override giveUp(code: ErrorCode, detail: string, nowMs: number): void {
    const { responseStarted, downstream } = this;
    this.ended(responseStarted ? this.status : ERRORS[code].httpStatus, code, nowMs);
    if (responseStarted) downstream.abort(code, detail);
    else if (this.responseChanges === undefined) downstream.respondError(code, detail);
    else downstream.answerLocally(changedAnswer(errorAnswer(code, detail), this.responseChanges, this.facts));
  }

  private ended(status: number, error: ErrorCode | 'CLIENT_GONE' | '', nowMs: number, grpcStatus = 0): void {
    this.active = false;
    this.status = status;
    this.error = error;
    this.durationMs = nowMs - this.startedMs;
    this.context.active.count -= 1;
    this.forgetTries();
    this.load?.end(undefined, false, nowMs);
    this.metrics.active.add(-1);
    const counted = grpcStatus === 0 ? status : httpStatusOfGrpc(grpcStatus);
    this.metrics.ended(counted, error, this.durationMs, this.span?.traceId);
    if (this.watch.isOn) this.watch.tell(this);
    this.span = undefined;
    this.body.reset();
    this.requestTrailers = undefined;
    this.cookies = undefined;
    this.responseHeaders = undefined;
    this.supplied = undefined;
    this.held?.cancel();
    this.held = undefined;
    this.clearance?.cancel();
    this.clearance = undefined;
    // A copy of half a request is no use.
    if (this.mirrors !== undefined && !this.requestComplete) for (const mirror of this.mirrors) mirror.cancel();
    this.mirrors = undefined;
  }

  get labels(): EndedRequest['labels'] {
    return this.metrics.labels;
  }

  get route(): string {
    return this.stack.route.name;
  }

  get protocol(): RequestProtocol {
    return protocolOf(this.head, this.isGrpc);
  }

  get tries(): number {
    return this.triesMade;
  }

  get traceId(): string {
    const { traceparent } = this.downstream.forwarding;
    return traceparent === '' ? traceIdIn(this.head) : traceparent.slice(3, 35);
  }

  private setDeadline(nowMs: number): void {
    const { deadlineMs, forward } = this;
    // What has a limit of its own may be silent for so long, unless the route says otherwise.
    const idleAtMs = deadlineMs === Infinity || forward.idleTimeoutMs > 0 ? nowMs + this.idleMs : Infinity;
    this.downstream.setDeadline(idleAtMs < deadlineMs ? idleAtMs : deadlineMs);
  }

  /** From now on the route's limit does not hold, only the idle limit and the caller's. */
  private liftDeadline(): void {
    this.deadlineMs = this.callerMs === undefined ? Infinity : this.startedMs + this.callerMs;
    this.setDeadline(this.context.clock.nowMs());
  }

  private tunnelClosed(): void {
    const { downstream, current, upstreamEnded } = this;
    const { upstream } = current;
    const nowMs = this.context.clock.nowMs();
    current.end('success', nowMs);
    if (upstream !== undefined) {
      if (upstreamEnded) upstream.release(true);
      else upstream.abort();
    }
    this.ended(this.status, '', nowMs);
    if (!upstreamEnded) downstream.endTunnel();
    downstream.responseDone(nowMs);
  }
}

/** Server-sent events have no end that a time limit for the whole response could mean. */
function isEndless(head: AnyResponseHead): boolean {
  return head.contentLength < 0 && head.get('content-type')?.startsWith(EVENT_STREAM) === true;
}
