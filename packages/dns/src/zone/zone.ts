// The names of the mesh: which name means what. Kept up to date service by service, so that a change costs what it touches; what is
// answered is computed when it is asked for (answer.ts).
import { DEFAULT_LIMITS, MESH_DOMAIN, SYSTEM_NAMESPACE } from '@heddle/core';
import { ancestors, plainName, whyNotPlain } from '../wire/name.ts';
import { reverseName, virtualReverseZone } from './reverse.ts';
import type { ZoneInstance, ZoneService } from './service.ts';

/** The server itself, as SOA and NS name it: in the namespace that no service can be in. */
export const SERVER_NAME = `ns.${SYSTEM_NAMESPACE}.${MESH_DOMAIN}`;

/** What is at a name. `zone`: the owner of the SOA that goes with negative answers. */
export type Found =
  | { readonly kind: 'apex'; readonly zone: string }
  | { readonly kind: 'server'; readonly zone: string }
  | { readonly kind: 'service'; readonly zone: string; readonly service: HeldService }
  /** `port`: the name of another port than the one that the mesh carries. */
  | { readonly kind: 'srv'; readonly zone: string; readonly service: HeldService; readonly port: string | undefined }
  | { readonly kind: 'instance'; readonly zone: string; readonly instances: readonly ZoneInstance[] }
  /** `names`: full names of what has the address. */
  | { readonly kind: 'address'; readonly zone: string; readonly names: readonly string[] }
  /** Nothing itself, but something is below it (RFC 8020 §2, RFC 4592 §2.2.2). */
  | { readonly kind: 'empty'; readonly zone: string }
  | { readonly kind: 'nothing'; readonly zone: string }
  /** It depends on the instances of a service that are not known yet. */
  | { readonly kind: 'unknown'; readonly service: string }
  /** Ours, but who has made this zone does not know such names. */
  | { readonly kind: 'untold' }
  /** None of ours. */
  | { readonly kind: 'foreign' };

export interface HeldService {
  readonly key: string;
  readonly service: ZoneService;
  /** In lower case, the writable ones of `service.hostnames` with their place among them. */
  readonly hosts: ReadonlyMap<string, number>;
  /** By id in lower case: ids that differ in case share a name. */
  readonly instances: ReadonlyMap<string, readonly ZoneInstance[]> | undefined;
}

/** A name of somebody who cannot have it in DNS. */
export type OnUnwritable = (what: string, reason: string) => void;

const FULL = `.${MESH_DOMAIN}`;
const SRV_NAME = /^_([a-z0-9-]+)\._tcp\.(.+)$/;
const TCP_NAME = /^_tcp\.(.+)$/;
/** Never answered as the short name of a service: it means the machine itself (RFC 6761 §6.3). */
const LOCALHOST = 'localhost';

export class Zone {
  readonly #onUnwritable: OnUnwritable;
  readonly #services = new Map<string, HeldService>();
  /** Who claims a host name, by key. */
  readonly #claims = new Map<string, Map<string, number>>();
  /** Names that are above others inside a zone of ours: how many of these. */
  readonly #above = new Map<string, number>();
  /** Reverse name → what has the address, as `<service>` or `<service>/<instance>`, and how often. */
  readonly #addresses = new Map<string, Map<string, number>>();
  #revision = 0;

  constructor(onUnwritable: OnUnwritable) {
    this.#onUnwritable = onUnwritable;
    this.#countAbove(SERVER_NAME, 1);
  }

  /** Rises with every change, and wraps around as the serial of an SOA does. */
  get serial(): number {
    return this.#revision >>> 0;
  }

  get size(): number {
    return this.#services.size;
  }

  /** The same service as before costs little: names and instances that stay are not touched. */
  set(service: ZoneService): void {
    const key = `${service.namespace}/${service.name}`;
    const before = this.#services.get(key);
    const held: HeldService = {
      key,
      service,
      hosts: before !== undefined && sameTexts(before.service.hostnames, service.hostnames) ? before.hosts : this.#hostsOf(key, service),
      instances: before?.service.instances === service.instances ? before?.instances : byId(service.instances),
    };
    this.#services.set(key, held);
    this.#revision += 1;
    if (before?.hosts !== held.hosts) {
      for (const host of before?.hosts.keys() ?? []) this.#unclaim(host, key);
      for (const [host, place] of held.hosts) this.#claim(host, key, place);
    }
    this.#countAddresses(held, 1, before);
    if (before !== undefined) this.#countAddresses(before, -1, held);
  }

  remove(key: string): void {
    const held = this.#services.get(key);
    if (held === undefined) return;
    this.#services.delete(key);
    this.#revision += 1;
    for (const host of held.hosts.keys()) this.#unclaim(host, key);
    this.#countAddresses(held, -1, undefined);
  }

  /** @param name a key (see wire/name.ts). */
  find(name: string): Found {
    const own = this.#findOwn(name);
    if (own !== undefined) return own;
    if (isFull(name)) return { kind: 'nothing', zone: MESH_DOMAIN };
    // Of a short name, only what is asked for as RFC 2782 does belongs to the service: `x.orders` may be somebody else's.
    const host = name.startsWith('_') ? [...ancestors(name)].find((ancestor) => !ancestor.startsWith('_')) : undefined;
    if (host !== undefined && this.#owner(host) !== undefined) return { kind: 'nothing', zone: host };
    return this.#findReverse(name);
  }

  /** The name under which a service is known in full; undefined when that belongs to another one, or cannot be written. */
  fullName(held: HeldService): string | undefined {
    for (const host of held.hosts.keys()) if (isFull(host) && this.#owner(host) === held) return host;
    return undefined;
  }

  /** `orders-1.orders.default.mesh.internal`; undefined when it cannot be written. */
  instanceName(held: HeldService, id: string): string | undefined {
    const service = this.fullName(held);
    const name = service === undefined ? undefined : plainName(`${id}.${service}`);
    // Something else may be there under the same name: then it would lead astray.
    return name !== undefined && this.#findOwn(name)?.kind === 'instance' ? name : undefined;
  }

  #findOwn(name: string): Found | undefined {
    if (name === MESH_DOMAIN) return { kind: 'apex', zone: MESH_DOMAIN };
    const zone = isFull(name) ? MESH_DOMAIN : undefined;
    const service = this.#owner(name);
    if (service !== undefined) return { kind: 'service', zone: zone ?? name, service };
    if (name === SERVER_NAME) return { kind: 'server', zone: MESH_DOMAIN };
    const tcp = TCP_NAME.exec(name)?.[1];
    if (tcp !== undefined && this.#owner(tcp) !== undefined) return { kind: 'empty', zone: zone ?? tcp };
    const [, word = '', host = ''] = SRV_NAME.exec(name) ?? [];
    const asked = this.#owner(host);
    if (asked !== undefined) return this.#findPort(asked, word, zone ?? host);
    return this.#findInstance(name, zone);
  }

  /** A word of two kinds is that of the port which the mesh carries. */
  #findPort(service: HeldService, word: string, zone: string): Found {
    const { srvWords, ports, instances } = service.service;
    if (srvWords.includes(word)) return { kind: 'srv', zone, service, port: undefined };
    if (ports === undefined) return { kind: 'untold' };
    const isNamed = Object.hasOwn(ports, word) || instances?.some((instance) => Object.hasOwn(instance.ports ?? {}, word)) === true;
    return isNamed ? { kind: 'srv', zone, service, port: word } : { kind: 'nothing', zone };
  }

  /** `orders-1.orders.default.mesh.internal`, with every name of the service. An id may have dots in it. */
  #findInstance(name: string, zone: string | undefined): Found | undefined {
    let unknown: Found | undefined;
    let isAbove = zone !== undefined && this.#above.has(name);
    for (const host of ancestors(name)) {
      const held = this.#owner(host);
      if (held === undefined) continue;
      const id = name.slice(0, name.length - host.length - 1);
      if (held.instances === undefined) {
        // No id begins with an underscore; and `x.orders` may be somebody else's name.
        if (zone !== undefined && !id.startsWith('_')) unknown ??= { kind: 'unknown', service: held.key };
        continue;
      }
      const instances = held.instances.get(id);
      if (instances !== undefined) return { kind: 'instance', zone: zone ?? host, instances };
      if (zone !== undefined && !isAbove) isAbove = [...held.instances.keys()].some((other) => other.endsWith(`.${id}`));
    }
    return isAbove ? { kind: 'empty', zone: MESH_DOMAIN } : unknown;
  }

  #findReverse(name: string): Found {
    const holders = this.#addresses.get(name);
    const zone = virtualReverseZone(name);
    if (holders !== undefined) return { kind: 'address', zone: zone ?? name, names: this.#namesOf(holders.keys()) };
    if (zone === undefined) return { kind: 'foreign' };
    if (name === zone) return { kind: 'apex', zone };
    return { kind: this.#above.has(name) ? 'empty' : 'nothing', zone };
  }

  /** As many as an answer has. */
  #namesOf(holders: Iterable<string>): string[] {
    const names: string[] = [];
    for (const holder of holders) {
      if (names.length === DEFAULT_LIMITS.dnsAnswersMax) break;
      const [namespace, service, id] = holder.split('/');
      const held = this.#services.get(`${namespace}/${service}`);
      const name = held === undefined ? undefined : id === undefined ? this.fullName(held) : this.instanceName(held, id);
      if (name !== undefined) names.push(name);
    }
    return names;
  }

  #owner(host: string): HeldService | undefined {
    const claims = this.#claims.get(host);
    if (claims === undefined || host === LOCALHOST) return undefined;
    let best: string | undefined;
    let bestPlace = Infinity;
    for (const [key, place] of claims) {
      if (place > bestPlace || (place === bestPlace && best !== undefined && key > best)) continue;
      best = key;
      bestPlace = place;
    }
    return best === undefined ? undefined : this.#services.get(best);
  }

  #hostsOf(key: string, { hostnames }: ZoneService): Map<string, number> {
    const hosts = new Map<string, number>();
    for (const [place, hostname] of hostnames.entries()) {
      const host = plainName(hostname);
      if (host !== undefined) hosts.set(host, place);
      // Its other names are made of the same parts: one line says it all.
      else if (place === 0) this.#onUnwritable(key, whyNotPlain(hostname));
    }
    return hosts;
  }

  #claim(host: string, key: string, place: number): void {
    const claims = this.#claims.get(host) ?? new Map<string, number>();
    this.#claims.set(host, claims.set(key, place));
    this.#countAbove(host, 1);
  }

  #unclaim(host: string, key: string): void {
    const claims = this.#claims.get(host);
    claims?.delete(key);
    if (claims?.size === 0) this.#claims.delete(host);
    this.#countAbove(host, -1);
  }

  #countAbove(name: string, change: 1 | -1): void {
    const zone = isFull(name) ? MESH_DOMAIN : virtualReverseZone(name);
    if (zone === undefined) return;
    for (const ancestor of ancestors(name)) {
      if (ancestor === zone) return;
      count(this.#above, ancestor, change);
    }
  }

  /** What `other` has just the same is left out. */
  #countAddresses(held: HeldService, change: 1 | -1, other: HeldService | undefined): void {
    const { virtualAddress, instances } = held.service;
    if (virtualAddress !== undefined && virtualAddress !== other?.service.virtualAddress)
      this.#countAddress(virtualAddress, held.key, change);
    if (instances === other?.service.instances) return;
    for (const { id, address } of instances ?? []) {
      const same = other?.instances?.get(id.toLowerCase())?.some((instance) => instance.id === id && instance.address === address) === true;
      if (same) continue;
      this.#countAddress(address, `${held.key}/${id}`, change);
      if (change === 1 && plainName(id) === undefined) this.#onUnwritable(`${held.key}/${id}`, whyNotPlain(id));
    }
  }

  #countAddress(address: string, holder: string, change: 1 | -1): void {
    const name = reverseName(address);
    if (name === undefined) return;
    this.#countAbove(name, change);
    const holders = this.#addresses.get(name) ?? new Map<string, number>();
    this.#addresses.set(name, holders);
    count(holders, holder, change);
    if (holders.size === 0) this.#addresses.delete(name);
  }
}

/** Whether a name is below `mesh.internal`. */
function isFull(name: string): boolean {
  return name.endsWith(FULL);
}

function count(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const after = (counts.get(key) ?? 0) + change;
  if (after === 0) counts.delete(key);
  else counts.set(key, after);
}

function byId(instances: readonly ZoneInstance[] | undefined): Map<string, ZoneInstance[]> | undefined {
  if (instances === undefined) return undefined;
  const map = new Map<string, ZoneInstance[]>();
  for (const instance of instances) {
    const id = instance.id.toLowerCase();
    const same = map.get(id);
    if (same === undefined) map.set(id, [instance]);
    else same.push(instance);
  }
  return map;
}

function sameTexts(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, index) => text === other[index]);
}
