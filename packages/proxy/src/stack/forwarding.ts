// What a request gets on its way besides what was received: its id, who sent it, and that it passed here. Worked out once for each request,
// whatever the number of tries, and written in the form of the version that the upstream speaks.
import { headerLine, HeaderField, http2Field, RequestHead } from '@heddle/wire';
import type { HeaderNames } from '@heddle/wire';
import type { AnyRequestHead } from './messages.ts';

/** SPIFFE id of the calling service, proven by mutual TLS; only our own inbound listeners may say it. */
export const PEER_HEADER = 'x-heddle-peer';
export const REQUEST_ID_HEADER = 'x-request-id';
export const FORWARDED_FOR = 'x-forwarded-for';
export const FORWARDED_PROTO = 'x-forwarded-proto';

/** RFC 9110 §7.6.3: the version the request came by, and who passes it on. */
const VIA_LINES = ['via: 1.1 heddle\r\n', 'via: 2 heddle\r\n'] as const;
const VIA_FIELDS = [http2Field('via', '1.1 heddle'), http2Field('via', '2 heddle')] as const;
const PROTO_FIELDS = { http: http2Field(FORWARDED_PROTO, 'http'), https: http2Field(FORWARDED_PROTO, 'https') } as const;

export class Forwarding {
  /** Received headers that are not passed on. */
  readonly drop: HeaderNames;
  /** The same when an upgrade of HTTP/1.1 becomes one of HTTP/2. */
  readonly dropOnSwitch: HeaderNames;
  private readonly via: 0 | 1;
  private readonly peerLine: string;
  private readonly peerField: HeaderField | undefined;
  private requestId = '';
  private forwardedFor = '';
  private proto: '' | 'http' | 'https' = '';
  private fields: HeaderField[] | undefined = undefined;

  /** @param version that the requests come by. @param peerId SPIFFE id of the peer; empty: nothing is said. */
  constructor(drop: { readonly always: HeaderNames; readonly onSwitch: HeaderNames }, version: 'http1' | 'http2', peerId: string) {
    this.drop = drop.always;
    this.dropOnSwitch = drop.onSwitch;
    this.via = version === 'http1' ? 0 : 1;
    this.peerLine = peerId === '' ? '' : headerLine(PEER_HEADER, peerId);
    this.peerField = peerId === '' ? undefined : http2Field(PEER_HEADER, peerId);
  }

  /** A new request. Empty texts: that header stays as received. `proto`: the scheme that the client used. */
  begin(requestId: string, forwardedFor: string, proto: '' | 'http' | 'https'): void {
    this.requestId = requestId;
    this.forwardedFor = forwardedFor;
    this.proto = proto;
    this.fields = undefined;
  }

  /** As lines of HTTP/1.1. */
  lines(): string {
    const { requestId, forwardedFor, proto } = this;
    const scheme = proto === '' ? '' : `${FORWARDED_PROTO}: ${proto}\r\n`;
    const id = requestId === '' ? '' : `${REQUEST_ID_HEADER}: ${requestId}\r\n`;
    const addresses = forwardedFor === '' ? '' : `${FORWARDED_FOR}: ${forwardedFor}\r\n`;
    return this.peerLine + id + addresses + scheme + VIA_LINES[this.via];
  }

  /** As fields of HTTP/2. */
  http2Fields(): readonly HeaderField[] {
    if (this.fields !== undefined) return this.fields;
    const { requestId, forwardedFor, proto, peerField } = this;
    const fields: HeaderField[] = [VIA_FIELDS[this.via]];
    if (peerField !== undefined) fields.push(peerField);
    if (requestId !== '') fields.push(new HeaderField(REQUEST_ID_HEADER, requestId, false));
    if (forwardedFor !== '') fields.push(new HeaderField(FORWARDED_FOR, forwardedFor, false));
    if (proto !== '') fields.push(PROTO_FIELDS[proto]);
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
