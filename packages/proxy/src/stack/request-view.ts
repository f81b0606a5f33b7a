// A request head as routing, hashing and limits look at it. One object per downstream connection, which shows the current head; what takes
// some work is worked out only when it is asked for.
import type { RequestView } from '@heddle/core';
import { RequestHead } from '@heddle/wire';
import { FORWARDED_FOR, listOf } from './forwarding.ts';
import type { AnyRequestHead } from './messages.ts';

const COOKIE = 'cookie';

export class HeadView implements RequestView {
  /** Set before anything is asked. */
  head!: AnyRequestHead;
  /** SPIFFE id that the peer has proven; empty: none. */
  readonly sourceIdentity: string;
  /** Of the client, where it is one of this listener; empty: a data plane is in between. */
  private readonly clientAddress: string;

  constructor(clientAddress: string, sourceIdentity: string) {
    this.clientAddress = clientAddress;
    this.sourceIdentity = sourceIdentity;
  }

  get method(): string {
    const { head } = this;
    // RFC 8441 §5: what asks for a WebSocket over HTTP/2 is the same GET over HTTP/1.1.
    return !(head instanceof RequestHead) && head.protocol !== '' ? 'GET' : head.method;
  }

  get path(): string {
    return this.head.path;
  }

  get authority(): string {
    return this.head.authority;
  }

  get sourceAddress(): string {
    if (this.clientAddress !== '') return this.clientAddress;
    const addresses = listOf(this.head, FORWARDED_FOR);
    const end = addresses.indexOf(',');
    return (end === -1 ? addresses : addresses.slice(0, end)).trim();
  }

  header(name: string): string | undefined {
    return headerOf(this.head, name);
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
