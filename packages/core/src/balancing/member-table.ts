// The members of a cluster in a fixed order, by address and port, that does not depend on how the hosts were listed. A list in which little
// has changed costs one look-up for each host: what stays is in order already, what is new is merged in.
import type { BalancedHost } from './balancer.ts';
import { compareHosts } from './balancer.ts';
import { Member } from './member.ts';

export class MemberTable<H extends BalancedHost> {
  /** In order, each once. */
  members: readonly Member<H>[] = [];
  private readonly byHost = new Map<H, Member<H>>();
  private readonly byKey = new Map<string, Member<H>>();
  private readonly slowStartMs: number;
  private generation = 0;

  constructor(slowStartMs: number) {
    this.slowStartMs = slowStartMs;
  }

  /** A host that is listed twice counts once: it must not get a double share. */
  update(hosts: readonly H[], nowMs: number): void {
    const isFirst = this.members.length === 0;
    const generation = ++this.generation;
    const added: Member<H>[] = [];
    for (const host of hosts) {
      const known = this.byHost.get(host) ?? this.byKey.get(keyOf(host));
      if (known === undefined) added.push(this.add(host, isFirst ? 0 : this.slowStartMs, nowMs, generation));
      else if (known.listedIn !== generation) this.renew(known, host, nowMs, generation);
    }
    const stay = this.members.filter((member) => member.listedIn === generation || this.drop(member));
    this.members = merged(
      stay,
      added.sort((a, b) => compareHosts(a.host, b.host)),
    );
  }

  /** The host may be an object of an older list. */
  find(host: H): Member<H> | undefined {
    return this.byHost.get(host) ?? this.byKey.get(keyOf(host));
  }

  private add(host: H, slowStartMs: number, nowMs: number, generation: number): Member<H> {
    const member = new Member(host, keyOf(host));
    member.listedIn = generation;
    if (slowStartMs > 0 && host.health === 'healthy') member.beginRamp(nowMs, slowStartMs);
    this.byHost.set(host, member);
    this.byKey.set(member.key, member);
    return member;
  }

  private renew(member: Member<H>, host: H, nowMs: number, generation: number): void {
    member.listedIn = generation;
    if (member.host !== host) {
      this.byHost.delete(member.host);
      this.byHost.set(host, member);
    }
    if (host.health !== 'healthy') member.endRamp();
    else if (member.health !== 'healthy' && this.slowStartMs > 0) member.beginRamp(nowMs, this.slowStartMs);
    member.take(host);
  }

  private drop(member: Member<H>): false {
    this.byHost.delete(member.host);
    this.byKey.delete(member.key);
    return false;
  }
}

function keyOf(host: BalancedHost): string {
  return `${host.address} ${host.port}`;
}

function merged<H extends BalancedHost>(a: readonly Member<H>[], b: readonly Member<H>[]): readonly Member<H>[] {
  if (b.length === 0) return a;
  if (a.length === 0) return b;
  const all: Member<H>[] = [];
  let next = 0;
  for (const member of b) {
    while (next < a.length && compareHosts((a[next] as Member<H>).host, member.host) < 0) all.push(a[next++] as Member<H>);
    all.push(member);
  }
  while (next < a.length) all.push(a[next++] as Member<H>);
  return all;
}
