// The way of a request from its head to its exchange: who calls, by which route, to which cluster. One object per downstream connection,
// which keeps what nearly always is the same for the next request.
import { ERRORS, hashRequest, TRACEPARENT } from '@heddle/core';
import type { ErrorCode, HashResult, HashSource, HeaderFacts } from '@heddle/core';
import type { Connection } from '@heddle/runtime';
import { grpcKindOf, Http2RequestHead, RequestHead } from '@heddle/wire';
import type { HeaderEffect, Later, SuppliedToken, SupplyAnswer, TokenSupply } from '../stack/access-gate.ts';
import type { AccessTable, HostAccess } from '../stack/access-table.ts';
import type { AccessQuestion, AccessWait, Decider, KnownAnswers } from '../stack/access-wait.ts';
import { Admission } from '../stack/admission.ts';
import { serviceOfWorkload } from '../stack/context.ts';
import { RefusedRequest } from '../stack/ended-request.ts';
import type { RequestPeer, RequestWatch } from '../stack/ended-request.ts';
import type { RequestSink } from '../stack/ends.ts';
import { NO_WISHES } from '../stack/exchange.ts';
import type { Destination } from '../stack/exchange.ts';
import { Forwarding, FORWARDED_FOR, FORWARDED_PROTO, listOf, REQUEST_ID_HEADER } from '../stack/forwarding.ts';
import type { HeaderRewrite, OwnHeader } from '../stack/header-rewrite.ts';
import { changedAnswer, errorAnswer } from '../stack/local-answer.ts';
import type { AnsweringRoute, LocalAnswer } from '../stack/local-answer.ts';
import type { AnyRequestHead } from '../stack/messages.ts';
import type { Mirror } from '../stack/mirror.ts';
import { HeadView } from '../stack/request-view.ts';
import type { RouteGate } from '../stack/route-gate.ts';
import { HELD_STACK, NOWHERE } from '../stack/routes.ts';
import type { MirrorTarget, RouteStack, RouteTable, RouteTarget } from '../stack/routes.ts';
import type { RequestSpan, TraceCarrier } from '../telemetry/request-span.ts';
import { NO_ROUTE } from '../telemetry/requests.ts';
import type { PairMetrics, RequestMetrics } from '../telemetry/requests.ts';
import { traceIdIn } from '../telemetry/tracer.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { HttpService } from './http-service.ts';
import { isOutside } from './outside.ts';

const PROXY_AUTHORIZATION = 'proxy-authorization';
const NO_FACTS: HeaderFacts = { requestId: '', sourceIdentity: '', sourceAddress: '' };

export class Entry implements Destination, Decider {
  readonly service: HttpService;
  /** The request is a CONNECT to a service that speaks HTTP: what comes in the tunnel is HTTP that is handled here. */
  isTunnelledHttp = false;
  /** What was found by `find`. */
  workload = '';
  stack!: RouteStack;
  cluster!: UpstreamCluster;
  hash: number | undefined;
  cookies: readonly string[] | undefined;
  responseChanges: HeaderRewrite | undefined;
  facts: HeaderFacts = NO_FACTS;
  delayMs = 0;
  abort: LocalAnswer | undefined;
  mirrors: readonly RequestSink[] | undefined;
  responseHeaders: readonly OwnHeader[] | undefined;
  watch: RequestWatch;
  /** Whether the request may go on is not known yet. */
  clearance: AccessWait | undefined;
  /** What the request is answered in place of being passed on, where `find` found nothing because of a rule. */
  answer: LocalAnswer | undefined;
  /** Why `find` found nothing. */
  code: ErrorCode = 'BAD_REQUEST';
  detail = '';
  private target!: RouteTarget;
  /** What a rule has left behind is to be forgotten before the next request. */
  private hasRules = false;
  /** In place of the received one. */
  private path: string | undefined;
  private readonly knownWorkload: string | undefined;
  private readonly remoteAddress: string;
  /** `<namespace>/<service>` of the peer, on inbound listeners. */
  private readonly source: string;
  private readonly version: 'http1' | 'http2';
  private readonly peerId: string;
  private readonly view: HeadView;
  private readonly result: HashResult = { hash: undefined, setCookie: '' };
  /** Of listeners whose routes ask something of who calls. */
  private admission: Admission | undefined;
  /** What the token that a call gets comes to. */
  supplied: SuppliedToken | undefined;
  /** What is being decided on; undefined: nothing that was understood. */
  private head: AnyRequestHead | undefined;
  private lastCluster: UpstreamCluster | undefined;
  private lastWorkload = '';
  private lastPair: PairMetrics | undefined;
  private lastRoute = '';
  private lastMetrics: RequestMetrics | undefined;
  /** The request has got as far as to `cluster`. */
  private isLocated = false;

  /** @param workload on whose behalf the calls are made, where a CONNECT before has told. */
  constructor(service: HttpService, connection: Connection, version: 'http1' | 'http2', workload: string | undefined) {
    this.knownWorkload = workload;
    this.service = service;
    this.remoteAddress = connection.remoteAddress;
    this.peerId = connection.peerId;
    this.source = service.sourceOf(connection.peerId);
    this.version = version;
    this.watch = service.watch;
    this.view = new HeadView(service.clock, connection, service.useRemoteAddress);
  }

  get peer(): RequestPeer {
    return this.view;
  }

  /** One for each request that can be under way at the same time. */
  createForwarding(): Forwarding {
    const { service } = this;
    return new Forwarding(service.droppedRequestHeaders, this.version, service.direction === 'inbound' ? this.peerId : '');
  }

  /** Finds caller, route and cluster, unless that has to wait. False: `code` and `detail` say why not. */
  find(head: AnyRequestHead): boolean {
    this.service.requests += 1;
    return this.locate(head, undefined);
  }

  decideAgain(head: AnyRequestHead, known: KnownAnswers, forwarding: Forwarding, complete: boolean): Destination | LocalAnswer {
    const isFound = this.locate(head, known);
    this.head = undefined;
    if (!isFound) return this.answer ?? errorAnswer(this.code, this.detail);
    this.pass(head, forwarding, complete);
    return this;
  }

  /** The same for a CONNECT. False: see `find`. */
  findAgain(head: AnyRequestHead, known: KnownAnswers): boolean {
    return this.locate(head, known);
  }

  /** Whether a stream of bytes that was admitted before would be so by the rules of now. */
  keepsStream(authority: string): boolean {
    const { table, access } = this.service.routes;
    if (table === undefined || access === undefined) return true;
    const head = new Http2RequestHead();
    head.method = 'CONNECT';
    head.authority = authority;
    this.view.show(head);
    const inbound = this.hostOf(access, table, true)?.inbound;
    this.admission ??= new Admission(this.view, this.service.admitting);
    return inbound === undefined || this.admission.keeps(inbound, head);
  }

  private locate(head: AnyRequestHead, known: KnownAnswers | undefined): boolean {
    const { service } = this;
    this.head = head;
    if (this.hasRules) this.forgetRules();
    this.isLocated = false;
    this.view.show(head);
    const isHttp1 = head instanceof RequestHead;
    const credential = isHttp1 ? head.proxyAuthorization : head.get(PROXY_AUTHORIZATION);
    const workload = this.knownWorkload ?? service.workloadOf(credential);
    this.workload = workload ?? '';
    if (service.isShared) this.watch = workload === undefined ? service.watch : service.watchOf(workload);
    if (workload === undefined)
      return this.refuse(
        'UNKNOWN_WORKLOAD',
        credential === undefined ? 'no Proxy-Authorization was sent' : 'the credential is not known here',
      );
    const { table, access } = service.routes;
    if (table === undefined)
      return this.refuse('NO_HEALTHY_INSTANCE', `the route configuration "${service.routes.name}" has not arrived yet`);
    const isConnect = isHttp1 ? head.isConnect : head.method === 'CONNECT' && head.protocol === '';
    if (isHttp1 && head.scheme === 'https')
      return this.refuse('NOT_IMPLEMENTED', 'https through the proxy without CONNECT; use http://, the mesh encrypts by itself');
    if (head.contentLength > service.requestBodyBytesMax && grpcKindOf(head.get('content-type')) === undefined)
      return this.refuse('BODY_TOO_LARGE', `it is to have ${head.contentLength} bytes, more than ${service.requestBodyBytesMax}`);
    const { view } = this;
    const host = access === undefined ? undefined : this.hostOf(access, table, isConnect);
    if (host?.inbound !== undefined && !this.isAdmitted(host, known)) return this.clearance !== undefined;
    const stack = isConnect ? table.matchConnect(head.authority) : table.match(view);
    const isHttp = isConnect && stack === undefined && table.hasHost(head.authority);
    this.isTunnelledHttp = isHttp && service.direction === 'outbound';
    if (this.isTunnelledHttp) return true;
    if (isHttp) return this.refuse('NOT_IMPLEMENTED', `CONNECT ${head.authority}: this instance takes requests, not connections`);
    if (stack === undefined) return this.noRoute(head, isConnect);
    const { hashing } = stack;
    if (hashing !== undefined) this.hashBy(hashing);
    else if (this.hash !== undefined || this.cookies !== undefined) this.forgetHash();
    this.stack = stack;
    if (!stack.isPlain) this.hasRules = true;
    if (stack.answering !== undefined) return this.answerBy(stack, stack.answering);
    const target = stack.targetFor(this.hash, service.random);
    const { cluster, name } = target.slot;
    if (cluster === undefined) return this.refuse('NO_HEALTHY_INSTANCE', `the cluster "${name}" has not arrived yet`);
    this.target = target;
    this.cluster = cluster;
    this.isLocated = true;
    if (host !== undefined && !this.mayLeave(host, known)) return this.clearance !== undefined;
    return (
      (stack.gate === undefined || this.passes(stack.gate, target.responseChanges)) &&
      (stack.rewrite === undefined || this.rewrites(stack.rewrite))
    );
  }

  private hostOf(access: AccessTable, table: RouteTable, isConnect: boolean): HostAccess | undefined {
    const { view } = this;
    view.isStream = isConnect;
    return access.of(table.hostOf(view.authority, isConnect));
  }

  /** False: there is an answer, or the request has to wait. */
  private isAdmitted(host: HostAccess, known: KnownAnswers | undefined): boolean {
    const { view, service } = this;
    this.admission ??= new Admission(view, service.admitting);
    const { admission } = this;
    this.hasRules = true;
    this.isTunnelledHttp = false;
    if (admission.decide(host.inbound!, view.head, known)) {
      admission.admitted();
      this.path = view.normalPath;
      this.responseHeaders = admission.responseHeaders;
      return true;
    }
    this.stack = HELD_STACK;
    if (admission.question !== undefined) return this.waitFor(admission.question);
    this.answer = admission.answer;
    return false;
  }

  /** Always false: the request is answered, or waits. */
  private waitFor(question: AccessQuestion): false {
    this.clearance = this.service.waitFor(question, this);
    this.stack = HELD_STACK;
    this.target = NOWHERE;
    this.hasRules = true;
    if (this.clearance === undefined) this.answer = errorAnswer('OVERLOADED', 'too many requests wait to be allowed');
    return false;
  }

  /** A call that leaves for a service, as far as the caller's side knows the service's rules. False: see `isAdmitted`. */
  private mayLeave({ callers, attached }: HostAccess, known: KnownAnswers | undefined): boolean {
    if (callers === undefined && attached === undefined) return true;
    const { service, view, cluster, workload } = this;
    if (service.direction === 'inbound') return true;
    const identity = service.identityOf(workload);
    if (callers !== undefined && identity !== '' && cluster.tls.showsWorkload && !callers.admits(identity)) {
      service.refusedCaller(view, identity, cluster.destination);
      return this.refuse('ACCESS_DENIED', `${serviceOfWorkload(workload)} may not call ${cluster.destination}`);
    }
    const supply = attached?.supplyFor(identity);
    return supply === undefined || this.hasSupply(supply, known);
  }

  private hasSupply(supply: TokenSupply, known: KnownAnswers | undefined): boolean {
    const { view, service } = this;
    const answer = (known?.of === supply ? known.supply : undefined) ?? supply.tokenFor(view, view.nowMs);
    if (answer.kind === 'later') return this.waitFor(new SupplyQuestion(supply, answer));
    if (answer.kind === 'none') return true;
    if (answer.kind === 'token') {
      this.supplied = answer;
      this.hasRules = true;
      return true;
    }
    service.notSupplied(view, service.identityOf(this.workload), this.cluster.destination, answer.reason);
    return this.refuse(answer.code, answer.detail);
  }

  /** Fills what the passed-on request gets besides what was received, and sends its copies on their way. `complete`: it has no body. */
  mark(head: AnyRequestHead, forwarding: Forwarding, complete: boolean): void {
    const { tracer } = this.watch;
    if (forwarding.traceparent !== '') forwarding.forgetTrace();
    this.head = undefined;
    if (tracer !== undefined) tracer.begin(head, forwarding);
    this.pass(head, forwarding, complete);
  }

  private pass(head: AnyRequestHead, forwarding: Forwarding, complete: boolean): void {
    const { service, target, stack } = this;
    const isOutbound = service.direction === 'outbound';
    const requestId = isOutbound && !head.has(REQUEST_ID_HEADER) ? service.nextRequestId() : '';
    this.responseChanges = target.responseChanges;
    if (target.requestChanges?.isFixed === false || target.responseChanges?.isFixed === false) this.facts = this.factsOf(head, requestId);
    this.fill(forwarding, head, requestId, this.supplied?.headers);
    if (stack.mirrors !== undefined) this.mirror(stack.mirrors, head, requestId, complete, forwarding.traceparent);
  }

  private fill(forwarding: Forwarding, head: AnyRequestHead, requestId: string, supplied: HeaderEffect | undefined): void {
    const { service, target, stack } = this;
    if (service.useRemoteAddress) {
      const before = listOf(head, FORWARDED_FOR);
      const forwardedFor = before === '' ? this.remoteAddress : `${before}, ${this.remoteAddress}`;
      forwarding.begin(requestId, forwardedFor, head.has(FORWARDED_PROTO) ? '' : service.scheme);
    } else forwarding.begin(requestId, '', '');
    if (forwarding.traceparent !== '') forwarding.dropForTrace();
    if (this.admission !== undefined) for (const effect of this.admission.effects) forwarding.take(effect);
    if (supplied !== undefined) forwarding.take(supplied);
    if (target.requestChanges !== undefined) forwarding.rewrite(target.requestChanges, this.facts);
    forwarding.path = this.path;
    if (stack.rewrite !== undefined) forwarding.authority = stack.rewrite.authority;
  }

  /** Of what `find` found. */
  get metrics(): RequestMetrics {
    const { stack } = this;
    if (stack === HELD_STACK) return this.service.answersTo(this.source).of(NO_ROUTE, this.version);
    const pair = this.pair;
    const { name } = stack.route;
    if (this.lastMetrics === undefined || name !== this.lastRoute) {
      this.lastRoute = name;
      this.lastMetrics = pair.of(name, this.version);
    }
    return this.lastMetrics;
  }

  /** The same of a stream of bytes. */
  get streamMetrics(): RequestMetrics {
    return this.pair.of(this.stack.route.name, 'tcp');
  }

  private get pair(): PairMetrics {
    const { cluster, workload } = this;
    if (cluster !== this.lastCluster || workload !== this.lastWorkload) {
      this.lastCluster = cluster;
      this.lastWorkload = workload;
      this.lastPair = cluster.requestsFrom(this.service.sourceName(this.source, workload), this.service.direction);
      this.lastMetrics = undefined;
    }
    return this.lastPair!;
  }

  /** Counts a request that was refused before there was an exchange. */
  refused(code: ErrorCode): void {
    const metrics = this.metricsAsFar(NO_ROUTE);
    metrics.ended(ERRORS[code].httpStatus, code, 0);
    if (this.watch.isOn) this.tellRefused(metrics, ERRORS[code].httpStatus, code, '');
    this.head = undefined;
  }

  /** The same of one whose head never came whole: what was found for the request before is not its own. */
  unheard(code: ErrorCode): void {
    this.isLocated = false;
    this.workload = '';
    this.watch = this.service.watch;
    this.head = undefined;
    this.refused(code);
  }

  /** The same of one that a rule answers. */
  answered({ code, status }: LocalAnswer): void {
    const route = this.stack === HELD_STACK ? NO_ROUTE : this.stack.route.name;
    const metrics = this.metricsAsFar(route);
    metrics.ended(status, code ?? '', 0);
    if (this.watch.isOn) this.tellRefused(metrics, status, code ?? '', route);
    this.head = undefined;
  }

  /** @param route where no cluster was found. */
  private metricsAsFar(route: string): RequestMetrics {
    const { service, workload, source, head } = this;
    const caller = workload === '' ? source : service.sourceName(source, workload);
    const metrics = this.isLocated ? this.metrics : service.answersTo(caller).of(route, this.version);
    return head?.method === 'POST' && grpcKindOf(head.get('content-type')) !== undefined ? metrics.grpc : metrics;
  }

  /** Nothing of it is passed on, so there is nobody to tell which trace it belongs to. */
  private tellRefused({ labels }: RequestMetrics, status: number, error: ErrorCode | '', route: string): void {
    const { watch, head, view: peer } = this;
    const carrier = new LostTrace();
    if (head !== undefined) watch.tracer?.begin(head, carrier);
    const traceId = carrier.traceparent === '' ? (head === undefined ? '' : traceIdIn(head)) : carrier.traceparent.slice(3, 35);
    const isGrpc = head !== undefined && grpcKindOf(head.get('content-type')) === 'grpc';
    const grpcStatus = isGrpc && error !== '' ? ERRORS[error].grpcStatus : undefined;
    watch.tell(new RefusedRequest({ labels, route, peer, status, grpcStatus, error, span: carrier.span, traceId }, head));
  }

  /** True: the answer is held back first. */
  private answerBy({ answerChanges, gate }: RouteStack, answering: AnsweringRoute): boolean {
    const { view, service } = this;
    this.target = NOWHERE;
    if (gate !== undefined && !this.passes(gate, answerChanges)) return false;
    // The client may have spoken TLS with someone in front, who says so.
    const forwarded = view.header(FORWARDED_PROTO);
    const scheme = forwarded === 'https' || forwarded === 'http' ? forwarded : service.scheme;
    const answer = this.changed(this.abort ?? answering.answer(view, scheme), answerChanges);
    if (this.delayMs === 0) {
      this.answer = answer;
      return false;
    }
    this.abort = answer;
    this.stack = HELD_STACK;
    return true;
  }

  /** False: `answer` says why not. */
  private passes(gate: RouteGate, changes: HeaderRewrite | undefined): boolean {
    const { service, view, workload } = this;
    const identity = service.direction === 'inbound' ? view.sourceIdentity : serviceOfWorkload(workload);
    const refusal = gate.limit(view, identity, service.nowMs());
    if (refusal !== undefined) {
      this.answer = this.changed(refusal, changes);
      return false;
    }
    this.delayMs = gate.drawDelayMs(service.random);
    const abort = gate.drawAbort(service.random);
    if (abort === undefined || this.delayMs > 0) {
      this.abort = abort;
      return true;
    }
    this.answer = this.changed(abort, changes);
    return false;
  }

  private changed(answer: LocalAnswer, changes: HeaderRewrite | undefined): LocalAnswer {
    return changes === undefined ? answer : changedAnswer(answer, changes, this.factsOf(this.view.head, ''));
  }

  private rewrites({ path }: NonNullable<RouteStack['rewrite']>): boolean {
    if (path === undefined) return true;
    this.path = path.rewrite(this.view.path);
    if (this.path === undefined) this.answer = errorAnswer('BAD_REQUEST', 'the path that the rule makes of it would be too long', 414);
    return this.path !== undefined;
  }

  private factsOf(head: AnyRequestHead, requestId: string): HeaderFacts {
    const { view, cluster, service, workload } = this;
    const isInbound = service.direction === 'inbound';
    return {
      requestId: requestId === '' ? (head.get(REQUEST_ID_HEADER) ?? '') : requestId,
      sourceIdentity: isInbound ? view.sourceIdentity : (cluster?.identityOf(workload) ?? ''),
      sourceAddress: view.sourceAddress,
    };
  }

  private mirror(mirrors: readonly MirrorTarget[], head: AnyRequestHead, requestId: string, complete: boolean, traceparent: string): void {
    const { service } = this;
    const started: Mirror[] = [];
    // A token is for the service that is called, and not for who gets a copy.
    const bare = this.supplied && { drop: this.supplied.headers.drop, set: [] };
    for (const { slot, share, stack } of mirrors) {
      const { cluster } = slot;
      if (cluster === undefined || service.random() >= share) continue;
      const forwarding = this.createForwarding();
      if (traceparent !== '') forwarding.carryTrace(traceparent, undefined, [TRACEPARENT]);
      this.fill(forwarding, head, requestId, bare);
      const mirror = service.mirror(forwarding);
      const pair = cluster.requestsFrom(service.sourceName(this.source, this.workload), 'mirror');
      const metrics = pair.of(this.stack.route.name, this.version);
      mirror.start(head, complete, { ...NO_WISHES, stack, cluster, workload: this.workload, metrics });
      if (!complete) started.push(mirror);
    }
    this.mirrors = started.length === 0 ? undefined : started;
  }

  private hashBy(sources: readonly HashSource[]): void {
    const { result } = this;
    hashRequest(sources, this.view, this.service.random, result);
    this.hash = result.hash;
    this.cookies = result.setCookie === '' ? undefined : [result.setCookie];
  }

  /** Of the request before. */
  private forgetRules(): void {
    this.hasRules = false;
    this.facts = NO_FACTS;
    this.delayMs = 0;
    this.abort = undefined;
    this.mirrors = undefined;
    this.answer = undefined;
    this.path = undefined;
    this.responseHeaders = undefined;
    this.clearance = undefined;
    this.supplied = undefined;
    if (this.admission !== undefined) this.admission.effects.length = 0;
  }

  private forgetHash(): void {
    this.hash = undefined;
    this.cookies = undefined;
  }

  private noRoute({ authority }: AnyRequestHead, isConnect: boolean): false {
    if (authority === '') return this.refuse('NO_SUCH_SERVICE', 'the request names no authority');
    if (this.service.isShared && isOutside(authority))
      return this.refuse('EGRESS_REFUSED', isConnect ? `CONNECT ${authority}` : `asked for ${authority}`);
    return this.refuse('NO_SUCH_SERVICE', isConnect ? `CONNECT ${authority}: no service has this name and port` : `asked for ${authority}`);
  }

  private refuse(code: ErrorCode, detail: string): false {
    this.code = code;
    this.detail = detail;
    return false;
  }
}

class LostTrace implements TraceCarrier {
  span: RequestSpan | undefined;
  traceparent = '';

  carryTrace(traceparent: string, span: RequestSpan | undefined): void {
    this.traceparent = traceparent;
    this.span = span;
  }
}

class SupplyQuestion implements AccessQuestion {
  readonly bodyBytes = 0;
  readonly bodyTimeoutMs = 0;
  private readonly of: TokenSupply;
  private readonly answer: Later<SupplyAnswer>;

  constructor(of: TokenSupply, answer: Later<SupplyAnswer>) {
    this.of = of;
    this.answer = answer;
  }

  ask(): Later<KnownAnswers> {
    const { of, answer } = this;
    return { kind: 'later', wait: (done) => answer.wait((supply) => done({ of, supply })) };
  }

  unanswered(reason: string): KnownAnswers {
    return {
      of: this.of,
      supply: { kind: 'failed', code: 'AUTHORIZER_UNAVAILABLE', detail: 'the issuer of the token did not answer', reason },
    };
  }
}
