// Clients that stay with an instance by a cookie. The cookie holds a short name of the endpoint that tells nobody where it is.
import { cookieValue, hashText, setCookie } from '@heddle/core';
import type { SessionPolicy } from '@heddle/core';
import type { AnyRequestHead } from '../stack/messages.ts';
import { headerOf } from '../stack/request-view.ts';
import type { UpstreamHost } from './host.ts';

/** Of the second half of a name: 64 bits together. */
const SEED = 1;

export class Sessions {
  readonly policy: SessionPolicy;
  private byName = new Map<string, UpstreamHost>();

  constructor(policy: SessionPolicy) {
    this.policy = policy;
  }

  update(hosts: Iterable<UpstreamHost>): void {
    this.byName = new Map();
    for (const host of hosts) this.byName.set(nameOf(host), host);
  }

  /** Where the request's cookie leads; undefined: it has none, or one of an endpoint that is gone. */
  hostOf(head: AnyRequestHead): UpstreamHost | undefined {
    const name = cookieValue(headerOf(head, 'cookie'), this.policy.cookie);
    return name === undefined ? undefined : this.byName.get(name);
  }

  /** Value of `set-cookie`, so that the client's next request comes to the host. */
  cookieOf(host: UpstreamHost): string {
    return setCookie(this.policy.cookie, nameOf(host), this.policy.ttlMs);
  }
}

function nameOf({ address, port }: UpstreamHost): string {
  const text = `${address} ${port}`;
  return word(hashText(text)) + word(hashText(text, SEED));
}

function word(value: number): string {
  return value.toString(16).padStart(8, '0');
}
