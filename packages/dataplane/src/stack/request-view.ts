// A request head as routing, hashing and limits look at it. One object per downstream connection, which shows the current head; what takes
// some work is worked out only when it is asked for.
import type { AccessView, RequestView, VerifiedToken } from '@heddle/core';
import type { Clock, Connection } from '@heddle/runtime';
import { RequestHead } from '@heddle/wire';
import { FORWARDED_FOR, listOf } from './forwarding.ts';
import type { AnyRequestHead } from './messages.ts';

const COOKIE = 'cookie';

export class HeadView implements RequestView, AccessView {
  /** Set by `show`. */
  head!: AnyRequestHead;
  /** In place of the received path, for all that is decided from now on. */
  normalPath: string | undefined = undefined;
  claims: VerifiedToken | undefined = undefined;
  isStream = false;
  /** SPIFFE id that the peer has proven; empty: none. */
  readonly sourceIdentity: string;
  readonly peerAddress: string;
  readonly peerPort: number;
  private readonly clock: Pick<Clock, 'wallMs'>;
  /** What the peer says of whom it has the request from is not asked for. */
  private readonly peerIsClient: boolean;

  constructor(clock: Pick<Clock, 'wallMs'>, connection: Connection, peerIsClient: boolean) {
    this.clock = clock;
    this.peerAddress = connection.remoteAddress;
    this.peerPort = connection.remotePort;
    this.peerIsClient = peerIsClient;
    this.sourceIdentity = connection.peerId;
  }

  /** Before anything is asked. */
  show(head: AnyRequestHead): void {
    this.head = head;
    this.normalPath = undefined;
  }

  get nowMs(): number {
    return this.clock.wallMs();
  }

  get method(): string {
    const { head } = this;
    // RFC 8441 §5: what asks for a WebSocket over HTTP/2 is the same GET over HTTP/1.1.
    return !(head instanceof RequestHead) && head.protocol !== '' ? 'GET' : head.method;
  }

  get path(): string {
    return this.normalPath ?? this.head.path;
  }

  get authority(): string {
    return this.head.authority;
  }

  get sourceAddress(): string {
    const addresses = this.peerIsClient ? '' : listOf(this.head, FORWARDED_FOR);
    const end = addresses.indexOf(',');
    const first = (end === -1 ? addresses : addresses.slice(0, end)).trim();
    return first === '' ? this.peerAddress : first;
  }

  header(name: string, line?: number): string | undefined {
    const { head } = this;
    if (line === undefined) return headerOf(head, name);
    if (name === COOKIE) return line === 0 ? headerOf(head, name) : undefined;
    let at = head.find(name);
    for (let left = line; left > 0 && at !== -1; left--) at = head.find(name, at + 1);
    return at === -1 ? undefined : valueAt(head, at);
  }
}

/** All values of a header as one; undefined: there is none. @param name in lower case. */
export function headerOf(head: AnyRequestHead, name: string): string | undefined {
  const at = head.find(name);
  if (at === -1) return undefined;
  let joined = valueAt(head, at);
  // RFC 9113 §8.2.3: a cookie may come in pieces.
  const separator = name === COOKIE ? '; ' : ',';
  for (let next = head.find(name, at + 1); next !== -1; next = head.find(name, next + 1)) joined += separator + valueAt(head, next);
  return joined;
}

function valueAt(head: AnyRequestHead, at: number): string {
  return head instanceof RequestHead ? head.value(at) : head.field(at).value;
}
