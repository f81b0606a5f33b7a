// What a request gets on its way besides what was received: its id, who sent it, and that it passed here. Worked out once for each request,
// whatever the number of tries, and written in the form of the version that the upstream speaks.
import { REQUEST_TIMEOUT_HEADER, TRACEPARENT } from '@heddle/core';
import type { HeaderFacts } from '@heddle/core';
import { headerLine, headerLines, HeaderField, HeaderNames, http2Field, RequestHead } from '@heddle/wire';
import type { RequestSpan } from '../telemetry/request-span.ts';
import { lookalikes } from './access-gate.ts';
import type { HeaderEffect } from './access-gate.ts';
import type { HeaderRewrite, OwnHeader } from './header-rewrite.ts';
import type { AnyRequestHead } from './messages.ts';
import { HTTP1_SWITCH_HEADERS } from './websocket.ts';

/** SPIFFE id of the calling service, proven by mutual TLS; only our own inbound listeners may say it. */
export const PEER_HEADER = 'x-heddle-peer';
/** Claims of the token that was checked, as base64url of their JSON, to an application in the data plane's own process; only we may say it. */
export const CLAIMS_HEADER = 'x-heddle-claims';
/** What only we may say, and what some applications cannot tell from it. */
export const OUR_HEADERS = [PEER_HEADER, CLAIMS_HEADER, ...lookalikes([PEER_HEADER, CLAIMS_HEADER])] as const;
export const REQUEST_ID_HEADER = 'x-request-id';
export const FORWARDED_FOR = 'x-forwarded-for';
export const FORWARDED_PROTO = 'x-forwarded-proto';
export const GRPC_TIMEOUT_HEADER = 'grpc-timeout';

/** RFC 9110 §7.6.3: the version the request came by, and who passes it on. */
const VIA_LINES = ['via: 1.1 heddle\r\n', 'via: 2 heddle\r\n'] as const;
const VIA_FIELDS = [http2Field('via', '1.1 heddle'), http2Field('via', '2 heddle')] as const;
const PROTO_FIELDS = { http: http2Field(FORWARDED_PROTO, 'http'), https: http2Field(FORWARDED_PROTO, 'https') } as const;

interface DroppedNames {
  readonly always: HeaderNames;
  readonly onSwitch: HeaderNames;
}

/** Received headers that are not passed on: always the same names, and those of the time that is left where it is told anew. */
export class DroppedHeaders {
  private readonly names: readonly string[];
  /** Without, with each, and with both of the headers that tell the time. */
  private readonly sets: readonly [DroppedNames, DroppedNames, DroppedNames, DroppedNames];
  private readonly extended = new WeakMap<HeaderRewrite | readonly string[], DroppedHeaders>();

  /** Names in any letter case. */
  constructor(names: readonly string[]) {
    this.names = names;
    const both = (more: readonly string[]): DroppedNames => ({
      always: new HeaderNames([...names, ...more]),
      onSwitch: new HeaderNames([...names, ...more, ...HTTP1_SWITCH_HEADERS]),
    });
    this.sets = [
      both([]),
      both([REQUEST_TIMEOUT_HEADER]),
      both([GRPC_TIMEOUT_HEADER]),
      both([REQUEST_TIMEOUT_HEADER, GRPC_TIMEOUT_HEADER]),
    ];
  }

  set(requestTimeout: string, grpcTimeout: string): DroppedNames {
    return this.sets[((requestTimeout === '' ? 0 : 1) | (grpcTimeout === '' ? 0 : 2)) as 0 | 1 | 2 | 3];
  }

  /** With what a route takes away. */
  with(rewrite: HeaderRewrite): DroppedHeaders {
    return this.extended.get(rewrite) ?? this.extend(rewrite, rewrite.drop);
  }

  /** With these, too. @param names in lower case; the same list again costs a look-up. */
  plus(names: readonly string[]): DroppedHeaders {
    return this.extended.get(names) ?? this.extend(names, names);
  }

  private extend(key: HeaderRewrite | readonly string[], names: readonly string[]): DroppedHeaders {
    const extended = new DroppedHeaders([...this.names, ...names]);
    this.extended.set(key, extended);
    return extended;
  }
}

export class Forwarding {
  /** Received headers that are not passed on. */
  drop: HeaderNames;
  /** The same when an upgrade of HTTP/1.1 becomes one of HTTP/2. */
  dropOnSwitch: HeaderNames;
  /** In place of what was received; undefined: as received. */
  path: string | undefined = undefined;
  authority: string | undefined = undefined;
  /** Of a request that is traced. */
  span: RequestSpan | undefined = undefined;
  /** What a trace goes on with; empty: as received, or not at all. */
  traceparent = '';
  private traceDrop: readonly string[] | undefined = undefined;
  private readonly usuallyDropped: DroppedHeaders;
  private dropped: DroppedHeaders;
  /** What the route writes behind the other headers. */
  private own: readonly OwnHeader[] | undefined = undefined;
  private readonly via: 0 | 1;
  private readonly peerLine: string;
  private readonly peerField: HeaderField | undefined;
  private requestId = '';
  private forwardedFor = '';
  private proto: '' | 'http' | 'https' = '';
  private requestTimeout = '';
  private grpcTimeout = '';
  private fields: HeaderField[] | undefined = undefined;

  /** @param version that the requests come by. @param peerId SPIFFE id of the peer; empty: nothing is said. */
  constructor(dropped: DroppedHeaders, version: 'http1' | 'http2', peerId: string) {
    this.usuallyDropped = dropped;
    this.dropped = dropped;
    const { always, onSwitch } = dropped.set('', '');
    this.drop = always;
    this.dropOnSwitch = onSwitch;
    this.via = version === 'http1' ? 0 : 1;
    this.peerLine = peerId === '' ? '' : headerLine(PEER_HEADER, peerId);
    this.peerField = peerId === '' ? undefined : http2Field(PEER_HEADER, peerId);
  }

  /** A new request. Empty texts: that header stays as received. `proto`: the scheme that the client used. */
  begin(requestId: string, forwardedFor: string, proto: '' | 'http' | 'https'): void {
    this.requestId = requestId;
    this.forwardedFor = forwardedFor;
    this.proto = proto;
    this.path = undefined;
    this.authority = undefined;
    if (this.own !== undefined || this.dropped !== this.usuallyDropped) {
      this.own = undefined;
      this.dropped = this.usuallyDropped;
      this.limitTime('', '');
    } else if (this.requestTimeout !== '' || this.grpcTimeout !== '') this.limitTime('', '');
    this.fields = undefined;
  }

  /** A new request, of whose trace nothing is known. */
  forgetTrace(): void {
    this.traceparent = '';
    this.span = undefined;
    this.traceDrop = undefined;
  }

  /** Before `begin`, which leaves it as it is. */
  carryTrace(traceparent: string, span: RequestSpan | undefined, drop: readonly string[] | undefined): void {
    this.traceparent = traceparent;
    this.span = span;
    this.traceDrop = drop;
  }

  /** After each `begin` of a request whose trace is known. */
  dropForTrace(): void {
    if (this.traceDrop === undefined) return;
    this.dropped = this.dropped.plus(this.traceDrop);
    this.limitTime('', '');
  }

  /** After `begin`, perhaps several times: what the decision about access does to the headers. */
  take({ drop, set }: HeaderEffect): void {
    if (drop.length > 0) this.dropped = this.dropped.plus(drop);
    if (set.length > 0) this.own = this.own === undefined ? set : [...this.own.filter(([name]) => !drop.includes(name)), ...set];
    this.limitTime('', '');
  }

  /** Between tries: a token gives way to the one that has taken its place, unless a route has written something else there. */
  replace(token: HeaderEffect, successor: HeaderEffect): void {
    this.own = this.own?.map((field) => successor.set[token.set.indexOf(field)] ?? field);
    this.fields = undefined;
  }

  /** After both: the changes of the route. */
  rewrite(changes: HeaderRewrite, facts: HeaderFacts): void {
    const before = this.own?.filter(([name]) => !changes.drop.includes(name)) ?? [];
    this.own = before.length === 0 ? changes.headers(facts) : [...before, ...changes.headers(facts)];
    this.dropped = this.dropped.with(changes);
    this.limitTime('', '');
  }

  /** Before each try: the time that is left, in place of what the caller said in the same header. Empty: that header stays as received. */
  limitTime(requestTimeout: string, grpcTimeout: string): void {
    this.requestTimeout = requestTimeout;
    this.grpcTimeout = grpcTimeout;
    const { always, onSwitch } = this.dropped.set(requestTimeout, grpcTimeout);
    this.drop = always;
    this.dropOnSwitch = onSwitch;
    this.fields = undefined;
  }

  /** As lines of HTTP/1.1. */
  lines(): string {
    const { requestId, forwardedFor, proto, traceparent } = this;
    const scheme = proto === '' ? '' : `${FORWARDED_PROTO}: ${proto}\r\n`;
    const id = requestId === '' ? '' : `${REQUEST_ID_HEADER}: ${requestId}\r\n`;
    const addresses = forwardedFor === '' ? '' : `${FORWARDED_FOR}: ${forwardedFor}\r\n`;
    const trace = traceparent === '' ? '' : `${TRACEPARENT}: ${traceparent}\r\n`;
    const lines = this.peerLine + id + addresses + scheme + trace + this.timeLines() + VIA_LINES[this.via];
    return this.own === undefined ? lines : lines + headerLines(this.own);
  }

  private timeLines(): string {
    const { requestTimeout, grpcTimeout } = this;
    const own = requestTimeout === '' ? '' : `${REQUEST_TIMEOUT_HEADER}: ${requestTimeout}\r\n`;
    return grpcTimeout === '' ? own : `${own}${GRPC_TIMEOUT_HEADER}: ${grpcTimeout}\r\n`;
  }

  /** As fields of HTTP/2. */
  http2Fields(): readonly HeaderField[] {
    if (this.fields !== undefined) return this.fields;
    const { requestId, forwardedFor, proto, peerField, requestTimeout, grpcTimeout, traceparent } = this;
    const fields: HeaderField[] = [VIA_FIELDS[this.via]];
    if (peerField !== undefined) fields.push(peerField);
    if (requestId !== '') fields.push(new HeaderField(REQUEST_ID_HEADER, requestId, false));
    if (forwardedFor !== '') fields.push(new HeaderField(FORWARDED_FOR, forwardedFor, false));
    if (proto !== '') fields.push(PROTO_FIELDS[proto]);
    // Other values with each request: they would only push others out of the peer's table.
    if (traceparent !== '') fields.push(new HeaderField(TRACEPARENT, traceparent, false));
    if (requestTimeout !== '') fields.push(new HeaderField(REQUEST_TIMEOUT_HEADER, requestTimeout, false));
    if (grpcTimeout !== '') fields.push(new HeaderField(GRPC_TIMEOUT_HEADER, grpcTimeout, false));
    if (this.own !== undefined) for (const [name, value] of this.own) fields.push(http2Field(name, value));
    this.fields = fields;
    return fields;
  }
}

/** All values of a header that is a list, joined (RFC 9110 §5.3); empty when there is none. */
export function listOf(head: AnyRequestHead, name: string): string {
  if (head instanceof RequestHead) return head.list(name) ?? '';
  let at = head.find(name);
  if (at === -1) return '';
  let joined = head.field(at).value;
  while ((at = head.find(name, at + 1)) !== -1) joined += `, ${head.field(at).value}`;
  return joined;
}
