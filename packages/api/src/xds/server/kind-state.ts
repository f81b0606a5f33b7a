// What one stream has asked for and been sent of one kind of resources. At most one response is unanswered at a time: changes that come
// meanwhile wait and go out together, so a slow data plane costs no memory and skips states that are already history.
import type { ResourceKind } from '@heddle/core';
import type { EncodedResource } from '../convert/index.ts';
import { Refusals } from './refusals.ts';
import type { ResourceMap } from './snapshot.ts';

/** What one response changes. */
export interface Difference {
  readonly upserts: readonly EncodedResource[];
  /** The data plane has them and must not any more. */
  readonly removed: readonly string[];
  /** It asked for them by name and has not been told yet that they do not exist. */
  readonly absent: readonly string[];
}

/** Everything that is left to send. */
export interface Due {
  readonly upserts: EncodedResource[];
  readonly removed: string[];
  readonly absent: string[];
  /** Was refused before and goes alone: one bad resource must not block the others. Without a resource: its removal. */
  readonly apart: { readonly name: string; readonly resource: EncodedResource | undefined }[];
}

export interface DueOptions {
  /** `hold`: not now. `forget`: the variant cannot say it; the data plane learns it elsewhere. */
  readonly removals: 'send' | 'hold' | 'forget';
  readonly tellsAbsent: boolean;
}

interface Change<Held> {
  /** The version that was sent; undefined: it was said not to exist. */
  readonly offered: string | undefined;
  /** What the data plane has while it has not taken the change, and goes on having when it refuses it. */
  readonly before: Held | undefined;
  readonly wasAbsent: boolean;
}

interface InFlight<Held> {
  readonly nonce: string;
  readonly version: string;
  /** By name. What the data plane has asked for anew or dropped meanwhile is no longer in it. */
  readonly changes: Map<string, Change<Held>>;
  /** Names that it changed when it was sent. */
  readonly size: number;
  /** It brought something that the data plane did not have. */
  readonly makes: boolean;
}

/** How far a data plane is with one kind, for `ListProxies` and the drain barrier. */
export interface KindSync {
  readonly kind: ResourceKind;
  /** Resources it holds or is being sent; of what it refused, the version before counts, if there was one. */
  readonly sentResources: number;
  /** The snapshot that the last response brought it to. */
  readonly sentVersion: string;
  /**
   * The snapshot whose resources of this kind it has acknowledged; later ones that change nothing of the kind count as acknowledged too. None is
   * while something of it is refused.
   */
  readonly ackedVersion: string;
  /** Of the last acknowledgement, in the time given to `onRequest`; 0 before the first. */
  readonly ackedMs: number;
  /** Why it refused what it refused last; empty when nothing is refused any more. */
  readonly rejection: string;
}

/** `Held`: what is remembered of a resource that was sent. */
export class KindState<Held extends { readonly version: string } = { readonly version: string }> {
  readonly kind: ResourceKind;
  wildcard = false;
  readonly names = new Set<string>();
  /** What the data plane has or is being sent. What it refused is not in it: there the version before stays, if there was one. */
  readonly sent = new Map<string, Held>();
  /** Subscribed names the data plane knows not to exist. */
  readonly absent = new Set<string>();
  inFlight: InFlight<Held> | undefined;
  /** An answer is due even when it is empty. */
  owesAnswer = false;
  readonly #refusals = new Refusals();
  /** Something refused has let a response pass and is next. */
  #isApartNext = false;
  /** The map with which there was nothing more to send, until something else changes here. */
  #doneWith: ResourceMap | undefined;
  #sentVersion = '';
  #ackedVersion = '';
  /** Acknowledged before `#ackedVersion`. */
  #earlierAckedVersion = '';
  #ackedMs = 0;

  constructor(kind: ResourceKind) {
    this.kind = kind;
  }

  /** To be called when names, wildcard, `sent` or `absent` were changed from outside. */
  touch(): void {
    this.#doneWith = undefined;
  }

  wants(name: string): boolean {
    return this.wildcard || this.names.has(name);
  }

  /** What is left to send. What was refused is in it only when it has changed since or is to be tried again. */
  due(resources: ResourceMap, { removals, tellsAbsent }: DueOptions): Due {
    const due: Due = { upserts: [], removed: [], absent: [], apart: [] };
    if (this.#doneWith === resources) return due;
    const { upserts, removed, absent, apart } = due;
    const consider = (resource: EncodedResource): void => {
      const { name, version } = resource;
      if (this.sent.get(name)?.version !== version && !this.#refusals.has(name)) upserts.push(resource);
    };
    if (this.wildcard) resources.forEach(consider);
    for (const name of this.names) {
      const resource = resources.get(name);
      if (resource !== undefined && !this.wildcard) consider(resource);
      if (resource === undefined && tellsAbsent && !this.#isKnown(name)) absent.push(name);
    }
    for (const name of [...this.sent.keys()]) {
      if (resources.has(name) || this.#refusals.has(name)) continue;
      if (removals === 'send') removed.push(name);
      else if (removals === 'forget') this.sent.delete(name);
    }
    this.#considerRefused(due, resources, removals);
    if (upserts.length + removed.length + absent.length + apart.length === 0 && removals !== 'hold') this.#doneWith = resources;
    return due;
  }

  #isKnown(name: string): boolean {
    return this.sent.has(name) || this.absent.has(name) || this.#refusals.has(name);
  }

  /** What is gone ends its refusal with its removal, which is a change like any other unless it was itself refused. */
  #considerRefused({ removed, apart }: Due, resources: ResourceMap, removals: DueOptions['removals']): void {
    for (const [name, { offered, isDue }] of this.#refusals.entries()) {
      const resource = resources.get(name);
      if (resource !== undefined) {
        if (isDue || resource.version !== offered) apart.push({ name, resource });
      } else if (removals === 'forget') {
        this.sent.delete(name);
        this.#refusals.forget(name);
      } else if (removals === 'send') {
        if (offered !== undefined) removed.push(name);
        else if (isDue) apart.push({ name, resource });
      }
    }
  }

  /**
   * What goes into the next response: all that may travel together, or one of what must go alone. The former comes first, but only once in
   * a row where something of the latter waits, so that neither starves.
   */
  next({ upserts, removed, absent, apart: [first] }: Due): Difference {
    const isTogether = upserts.length + removed.length + absent.length > 0 || this.owesAnswer;
    if (first === undefined || (isTogether && !this.#isApartNext)) {
      this.#isApartNext = first !== undefined;
      this.owesAnswer = false;
      return { upserts, removed, absent };
    }
    this.#isApartNext = false;
    const { name, resource } = first;
    return resource === undefined ? { upserts: [], removed: [name], absent: [] } : { upserts: [resource], removed: [], absent: [] };
  }

  /** It holds something that the data plane has not in any version. */
  hasNew({ upserts, apart }: Due): boolean {
    return upserts.some(({ name }) => !this.sent.has(name)) || apart.some(({ name, resource }) => resource && !this.sent.has(name));
  }

  /** From now on the data plane has this, unless it refuses it. `held`: what is to be remembered of a resource. */
  send({ upserts, removed, absent }: Difference, nonce: string, version: string, held: (resource: EncodedResource) => Held): void {
    const changes = new Map<string, Change<Held>>();
    const note = (name: string, offered: string | undefined): void => {
      changes.set(name, { offered, before: this.sent.get(name), wasAbsent: this.absent.has(name) });
    };
    const makes = upserts.some(({ name }) => !this.sent.has(name));
    for (const resource of upserts) {
      note(resource.name, resource.version);
      this.sent.set(resource.name, held(resource));
      this.absent.delete(resource.name);
    }
    for (const name of [...removed, ...absent]) {
      note(name, undefined);
      this.sent.delete(name);
      if (this.names.has(name)) this.absent.add(name);
    }
    this.inFlight = { nonce, version, changes, size: changes.size, makes };
    this.#sentVersion = version;
    this.touch();
  }

  /** Nothing is left to send of this snapshot. Where the data plane refused something, it stays marked as behind. */
  markInSync(version: string): void {
    if (!this.#refusals.isNone) return;
    this.#sentVersion = version;
    this.#setAcked(version);
  }

  /** False when the nonce is not that of the response in flight: it was answered before, or never sent on this stream. */
  settle(nonce: string, rejection: string | undefined, nowMs: number): boolean {
    const response = this.inFlight;
    if (response === undefined || response.nonce !== nonce) return false;
    this.inFlight = undefined;
    this.touch();
    if (rejection !== undefined) {
      this.#refuse(response, rejection);
      return true;
    }
    this.#refusals.settle(response.changes.keys(), response.size);
    this.#ackedMs = nowMs;
    if (this.#refusals.isNone) this.#setAcked(response.version);
    return true;
  }

  #refuse({ changes, size, version }: InFlight<Held>, reason: string): void {
    for (const [name, { before, wasAbsent }] of changes) {
      if (before === undefined) this.sent.delete(name);
      else this.sent.set(name, before);
      if (wasAbsent) this.absent.add(name);
      else this.absent.delete(name);
    }
    this.#refusals.add(new Map([...changes].map(([name, { offered }]) => [name, offered])), size, reason);
    // Another part of the same snapshot may have been acknowledged before.
    if (this.#ackedVersion === version) this.#ackedVersion = this.#earlierAckedVersion;
  }

  #setAcked(version: string): void {
    if (version === this.#ackedVersion) return;
    this.#earlierAckedVersion = this.#ackedVersion;
    this.#ackedVersion = version;
  }

  /** What was said about it counts no more: where it is wanted, it is sent again. */
  forget(name: string): void {
    this.sent.delete(name);
    this.absent.delete(name);
    this.inFlight?.changes.delete(name);
    if (this.wants(name)) this.#refusals.markDue(name);
    else this.#refusals.forget(name);
    this.touch();
  }

  forgetUnwanted(): void {
    const known = [...this.sent.keys(), ...this.absent, ...[...this.#refusals.entries()].map(([name]) => name)];
    for (const name of known) if (!this.wants(name)) this.forget(name);
  }

  /** Offers what was refused once more although it has not changed, one by one: the reason may have gone. */
  retryRefused(): void {
    if (this.#refusals.retry()) this.owesAnswer = true;
    this.touch();
  }

  sync(): KindSync {
    return {
      kind: this.kind,
      sentResources: this.sent.size,
      sentVersion: this.#sentVersion,
      ackedVersion: this.#ackedVersion,
      ackedMs: this.#ackedMs,
      rejection: this.#refusals.reason(),
    };
  }
}
