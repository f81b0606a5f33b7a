// What the virtual hosts of one route configuration ask of requests and of callers. It stands beside the routes: a configuration without any of it has
// no such table, and its requests cost nothing.
import { mayCall } from '@heddle/core';
import type { CallerPolicy, OutboundToken, VirtualHost } from '@heddle/core';
import type { TokenSupply } from './access-gate.ts';
import type { InboundAccess } from './inbound-access.ts';

/** Calling services that are remembered, of which one data plane has some. */
const CALLERS_MAX = 1_024;

/** Whose calls would be refused whatever they ask. */
export class CallerGate {
  private readonly policy: CallerPolicy;
  private readonly known = new Map<string, boolean>();

  constructor(policy: CallerPolicy) {
    this.policy = policy;
  }

  /** @param identity SPIFFE id of the calling workload. */
  admits(identity: string): boolean {
    let admitted = this.known.get(identity);
    if (admitted === undefined) {
      admitted = mayCall(this.policy, identity);
      if (this.known.size >= CALLERS_MAX) this.known.clear();
      this.known.set(identity, admitted);
    }
    return admitted;
  }
}

/** Tokens that calls get: the first that is for the caller. */
export class AttachedTokens {
  private readonly supplies: readonly { readonly from: readonly string[]; readonly supply: TokenSupply }[];

  constructor(attach: NonNullable<VirtualHost['attach']>, supplyFor: (token: OutboundToken) => TokenSupply) {
    this.supplies = attach.map(({ from, token }) => ({ from, supply: supplyFor(token) }));
  }

  supplyFor(identity: string): TokenSupply | undefined {
    for (const { from, supply } of this.supplies) if (from.length === 0 || from.includes(identity)) return supply;
    return undefined;
  }
}

/** Of one virtual host. The same object as long as it says the same. */
export interface HostAccess {
  readonly key: string;
  readonly inbound: InboundAccess | undefined;
  readonly callers: CallerGate | undefined;
  readonly attached: AttachedTokens | undefined;
}

export class AccessTable {
  private readonly hosts: ReadonlyMap<VirtualHost, HostAccess>;

  constructor(hosts: ReadonlyMap<VirtualHost, HostAccess>) {
    this.hosts = hosts;
  }

  of(host: VirtualHost | undefined): HostAccess | undefined {
    return host === undefined ? undefined : this.hosts.get(host);
  }

  /** Asks the same of the same. */
  isLike(other: AccessTable): boolean {
    const asked = new Set(other.hosts.values());
    return asked.size === this.hosts.size && [...this.hosts.values()].every((host) => asked.has(host));
  }

  /** By name, for the table that takes its place. */
  byKey(): Map<string, HostAccess> {
    return new Map([...this.hosts].map(([{ name }, access]) => [keyOf(name, access.key), access]));
  }
}

export function keyOf(host: string, key: string): string {
  return `${host} ${key}`;
}
