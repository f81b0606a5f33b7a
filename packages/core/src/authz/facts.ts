// What rules look at in one request: worked out when the first rule asks, kept in one object that serves all requests in turn.
import type { AccessPolicy } from '../model/security.ts';
import type { ServiceRef } from '../model/service-ref.ts';
import { pathEnd } from '../routing/request.ts';
import type { ConditionFacts } from './condition.ts';
import { PeerAddress } from './network.ts';
import { comparedPath, foldedPath, normalizePath, trimmedPath } from './path.ts';
import type { AccessView } from './view.ts';

export class Facts implements ConditionFacts {
  private current: AccessView | undefined;
  readonly destination: ServiceRef | undefined;
  readonly labels: NonNullable<AccessPolicy['labels']>;
  private readonly peer = new PeerAddress();
  /** Null: not worked out yet. */
  private compared: string | undefined | null = null;
  private folded = '';
  private trimmed = '';
  private plainAuthority = '';

  constructor(destination: ServiceRef | undefined, labels: AccessPolicy['labels']) {
    this.destination = destination;
    this.labels = labels ?? { destination: {}, sources: {} };
  }

  begin(view: AccessView): void {
    this.current = view;
    this.compared = null;
    this.folded = '';
    this.trimmed = '';
    this.plainAuthority = '';
  }

  /** Of the request that `begin` was called for last. */
  get view(): AccessView {
    return this.current as AccessView;
  }

  get address(): PeerAddress {
    this.peer.read(this.view.peerAddress);
    return this.peer;
  }

  /** As rules compare it, without query. Undefined: not understood, or a byte stream. */
  get path(): string | undefined {
    if (this.compared === null) this.compared = this.view.isStream ? undefined : comparable(this.view.path);
    return this.compared;
  }

  /**
   * As rules that deny see it: in lower case, without query, with one slash at the end. Servers there are that know neither case nor that
   * slash; a rule that denies must hold for them too.
   */
  get wide(): string {
    if (this.folded === '') {
      const path = foldedPath(this.path ?? '');
      this.folded = path.endsWith('/') ? path : `${path}/`;
    }
    return this.folded;
  }

  /** The same without dots and blanks at the end of segments, which yet other servers ignore; nearly always the very same string. */
  get bare(): string {
    if (this.trimmed === '') this.trimmed = trimmedPath(this.wide);
    return this.trimmed;
  }

  /** In lower case. */
  get authority(): string {
    return this.view.authority.toLowerCase();
  }

  /** Without port and without the dot of the root (RFC 3986 §3.2.2), in lower case. */
  get host(): string {
    if (this.plainAuthority === '') this.plainAuthority = hostOf(this.authority);
    return this.plainAuthority;
  }
}

function comparable(path: string): string | undefined {
  const normal = normalizePath(path);
  if (normal === undefined) return undefined;
  const end = pathEnd(normal);
  return comparedPath(end === normal.length ? normal : normal.slice(0, end));
}

function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(':');
  // The colons of an IPv6 address are in brackets.
  const host = colon === -1 || authority.endsWith(']') ? authority : authority.slice(0, colon);
  return host.endsWith('.') ? host.slice(0, -1) : host;
}
