// What a parser knows when a head is complete. Objects are reused by their parser: valid until it begins the next message.

import { KIND } from './field-kind.ts';
import { HeaderBlock } from './header-block.ts';

/** How the end of the body is found (RFC 9112 §6.3). `none`: there is no body. */
export type BodyFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** RFC 9112 §3.2. */
export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk';

export class Trailers extends HeaderBlock {}

/** What requests and responses have in common. */
export class Head extends HeaderBlock {
  /** 1 for HTTP/1.1 (and any later 1.x), 0 for HTTP/1.0. */
  minorVersion: 0 | 1 = 1;
  framing: BodyFraming = 'none';
  /** Value of Content-Length, -1 without one. In answers to HEAD and in 304 it says nothing about this message's body. */
  contentLength = -1;
  /** The sender keeps the connection open after this message (RFC 9112 §9.3); false for bodies that end with the connection. */
  keepAlive = true;
  /** Protocols of the Upgrade header, when Connection names it and the version is 1.1; otherwise empty (RFC 9110 §7.8). */
  upgrade = '';
  /** @internal Content-Length came as a list or several times: it has to be written anew. */
  lengthNormalised = false;
}

export class RequestHead extends Head {
  method = '';
  /** The request target as received. */
  target = '';
  form: TargetForm = 'origin';
  /** Scheme of an absolute target in lower case, otherwise empty. */
  scheme = '';
  /** Whom the request is for, as received: from an absolute or authority target, else from Host (RFC 9112 §3.3). May be empty. */
  authority = '';
  /** @internal There is a Host line, and it says the same as `authority`. */
  authorityIsHost = false;
  /** Path with query: what an origin server is asked for. Empty for CONNECT, `*` for the asterisk form. */
  path = '';
  /** The client waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1). */
  expectContinue = false;
  /** `TE: trailers`: the client takes trailers. */
  acceptsTrailers = false;

  /** `method === 'CONNECT'`: `authority` names where to, the parser stops after the head. */
  get isConnect(): boolean {
    return this.form === 'authority';
  }

  /** Value of Proxy-Authorization. */
  get proxyAuthorization(): string | undefined {
    return this.known(KIND.proxyAuthorization);
  }

  /** `path` without its query. */
  get pathname(): string {
    const query = this.path.indexOf('?');
    return query === -1 ? this.path : this.path.slice(0, query);
  }
}

export class ResponseHead extends Head {
  /** 100 to 999. */
  status = 0;
  reason = '';
}
