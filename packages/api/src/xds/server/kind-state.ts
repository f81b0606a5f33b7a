// What one stream has asked for and been sent of one kind of resources. At most one response is unanswered at a time: changes that come
// meanwhile wait and go out together, so a slow data plane costs no memory and skips states that are already history. Names in which what was
// sent and what there is may differ are noted one by one: a change costs that name, not all that the stream has.
import type { ResourceKind } from '@heddle/core';
import type { EncodedResource } from '../convert/index.ts';
import { DigestMap, digestText, replaced } from '../digest.ts';
import { Refusals } from './refusals.ts';
import type { ResourceSet } from './snapshot.ts';

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
  /** Was refused before and goes apart: one bad resource must not block the others. */
  readonly apart: { readonly upserts: readonly EncodedResource[]; readonly removed: readonly string[] } | undefined;
}

/** Hears of what the stream wants of the kind: of a name, or of everything (`undefined`). */
export type OnInterest = (name: string | undefined, isWanted: boolean) => void;

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
  /** Digest of the resources that it has acknowledged, as the data plane itself can compute it from what it holds. */
  readonly heldHash: string;
  /** Digest of what it was given: differs from `heldHash` while something is unanswered or refused. */
  readonly givenHash: string;
  /** Since when it has not been in sync, in the same time as `ackedMs`; 0: it is in sync. */
  readonly behindSinceMs: number;
}

/** How far a data plane is with one resource. */
export interface ResourceSync {
  readonly name: string;
  /**
   * `requested`: nothing was sent yet. `sent`: sent, and not answered. `absent`: it knows that there is none. `refused`: it has the version
   * before, if there was one.
   */
  readonly state: 'requested' | 'sent' | 'acknowledged' | 'refused' | 'absent';
  /** What it has, or is being sent; empty: nothing. */
  readonly version: string;
  /** With `sent`: it has another version meanwhile. */
  readonly hadBefore: boolean;
  /** Of what it refused last, where that is the state. */
  readonly refusal: { readonly version: string; readonly reason: string; readonly ms: number } | undefined;
}

/** Whether a data plane can have nothing else of a resource than what is accepted; if not, why. */
export type Confirmation = 'yes' | 'unacknowledged' | 'refused';

/** `Held`: what is remembered of a resource that was sent. */
export class KindState<Held extends { readonly version: string } = { readonly version: string }> {
  readonly kind: ResourceKind;
  #wildcard = false;
  readonly #names = new Set<string>();
  /** What the data plane has or is being sent. What it refused is not in it: there the version before stays, if there was one. */
  readonly sent = new DigestMap<Held>(({ version }) => version);
  /** Subscribed names the data plane knows not to exist. */
  readonly absent = new Set<string>();
  inFlight: InFlight<Held> | undefined;
  /** An answer is due even when it is empty. */
  owesAnswer = false;
  /** Names of which something may be left to send. Of no other is there anything. */
  readonly #open = new Set<string>();
  /** Any name may be one of them. */
  #isAllOpen = true;
  #onInterest: OnInterest | undefined;
  readonly #refusals = new Refusals();
  /** Something refused has let a response pass and is next. */
  #isApartNext = false;
  #sentVersion = '';
  #ackedVersion = '';
  /** Acknowledged before `#ackedVersion`. */
  #earlierAckedVersion = '';
  #ackedMs = 0;
  #behindSinceMs = 0;
  #refusedMs = 0;

  constructor(kind: ResourceKind) {
    this.kind = kind;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  wants(name: string): boolean {
    return this.#wildcard || this.#names.has(name);
  }

  /** Tells all that is wanted now, and from then on each change of it. */
  follow(onInterest: OnInterest): void {
    this.#onInterest = onInterest;
    if (this.#wildcard) onInterest(undefined, true);
    for (const name of this.#names) onInterest(name, true);
  }

  /** Takes back all that was said to be wanted; nothing more is told. */
  unfollow(): void {
    if (this.#wildcard) this.#onInterest?.(undefined, false);
    for (const name of this.#names) this.#onInterest?.(name, false);
    this.#onInterest = undefined;
  }

  setWildcard(isWanted: boolean): void {
    if (isWanted === this.#wildcard) return;
    this.#wildcard = isWanted;
    this.#isAllOpen = true;
    this.#onInterest?.(undefined, isWanted);
  }

  /** False: it was asked for before. */
  addName(name: string): boolean {
    if (this.#names.has(name)) return false;
    this.#names.add(name);
    this.#open.add(name);
    this.#onInterest?.(name, true);
    return true;
  }

  dropName(name: string): void {
    if (this.#names.delete(name)) this.#onInterest?.(name, false);
  }

  /** The resource came, changed or went. */
  changed(name: string): void {
    this.#open.add(name);
  }

  /** Anything may have changed. */
  allChanged(): void {
    this.#isAllOpen = true;
  }

  /** False: nothing is left to send, without looking closer. Streams are asked this far more often than there is something. */
  get mayBeDue(): boolean {
    return this.#isAllOpen || this.#open.size > 0 || this.#refusals.hasGroups || this.owesAnswer;
  }

  /** What is left to send. What was refused is in it only when it has changed since or is to be tried again. */
  due(resources: ResourceSet, { removals, tellsAbsent }: DueOptions): Due {
    if (this.#isAllOpen) this.#openAll(resources);
    const [upserts, removed, absent]: [EncodedResource[], string[], string[]] = [[], [], []];
    for (const name of this.#open) {
      const resource = resources.get(name);
      if (this.#refusals.has(name)) {
        if (this.#considerRefused(name, resource, removals)) removed.push(name);
      } else if (resource !== undefined) {
        if (this.wants(name) && this.sent.get(name)?.version !== resource.version) upserts.push(resource);
        else this.#open.delete(name);
      } else if (this.sent.has(name)) {
        if (removals === 'send') removed.push(name);
        else if (removals === 'forget') {
          this.sent.delete(name);
          this.#open.delete(name);
        }
      } else if (tellsAbsent && this.#names.has(name) && !this.absent.has(name)) absent.push(name);
      else this.#open.delete(name);
    }
    return { upserts, removed, absent, apart: this.#apart(resources, removals) };
  }

  #openAll(resources: ResourceSet): void {
    this.#isAllOpen = false;
    if (this.#wildcard) {
      for (const { name, version } of resources.values()) if (this.sent.get(name)?.version !== version) this.#open.add(name);
    }
    for (const name of this.#names) this.#open.add(name);
    for (const name of this.sent.keys()) if (!resources.has(name)) this.#open.add(name);
    for (const [name] of this.#refusals.entries()) this.#open.add(name);
  }

  /**
   * True when its removal is to be sent with everything else: what is gone ends its refusal with its removal, which is a change like any
   * other unless it was itself refused.
   */
  #considerRefused(name: string, resource: EncodedResource | undefined, removals: DueOptions['removals']): boolean {
    const refusal = this.#refusals.get(name);
    if (resource === undefined && refusal?.offered !== undefined) {
      if (removals === 'send') return true;
      if (removals === 'hold') return false;
      this.sent.delete(name);
      this.#refusals.forget(name);
    } else if (resource?.version !== refusal?.offered) this.#refusals.markDue(name);
    this.#open.delete(name);
    return false;
  }

  /** The first group of what was refused in which there is something to send. */
  #apart(resources: ResourceSet, removals: DueOptions['removals']): Due['apart'] {
    if (!this.#refusals.hasGroups) return undefined;
    for (const group of this.#refusals.groups()) {
      const upserts: EncodedResource[] = [];
      const removed: string[] = [];
      for (const name of group) {
        const resource = resources.get(name);
        if (resource !== undefined) upserts.push(resource);
        else if (removals === 'send' && this.#refusals.get(name)?.offered === undefined) removed.push(name);
      }
      if (upserts.length + removed.length > 0) return { upserts, removed };
    }
    return undefined;
  }

  /**
   * What goes into the next response: all that may travel together, or what must go apart. The former comes first, but only once in
   * a row where something of the latter waits, so that neither starves.
   */
  next({ upserts, removed, absent, apart }: Due): Difference {
    const isTogether = upserts.length + removed.length + absent.length > 0 || this.owesAnswer;
    if (apart === undefined || (isTogether && !this.#isApartNext)) {
      this.#isApartNext = apart !== undefined;
      this.owesAnswer = false;
      return { upserts, removed, absent };
    }
    this.#isApartNext = false;
    return { ...apart, absent: [] };
  }

  /** It holds something that the data plane has not in any version. */
  hasNew({ upserts, apart }: Due, resources: ResourceSet): boolean {
    if (upserts.some(({ name }) => !this.sent.has(name))) return true;
    if (apart === undefined) return false;
    for (const group of this.#refusals.groups()) if (group.some((name) => !this.sent.has(name) && resources.has(name))) return true;
    return false;
  }

  /** From now on the data plane has this, unless it refuses it. `held`: what is to be remembered of a resource. */
  send(
    { upserts, removed, absent }: Difference,
    nonce: string,
    version: string,
    held: (resource: EncodedResource) => Held,
    nowMs: number,
  ): void {
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
      if (this.#names.has(name)) this.absent.add(name);
    }
    for (const name of changes.keys()) {
      this.#open.delete(name);
      this.#refusals.sent(name);
    }
    this.inFlight = { nonce, version, changes, size: changes.size, makes };
    this.#sentVersion = version;
    if (this.#behindSinceMs === 0) this.#behindSinceMs = nowMs;
  }

  /** Nothing is left to send of this snapshot. Where the data plane refused something, it stays marked as behind. */
  markInSync(version: string): void {
    if (!this.#refusals.isNone) return;
    this.#sentVersion = version;
    this.#behindSinceMs = 0;
    this.#setAcked(version);
  }

  /** False when the nonce is not that of the response in flight: it was answered before, or never sent on this stream. */
  settle(nonce: string, rejection: string | undefined, nowMs: number): boolean {
    const response = this.inFlight;
    if (response === undefined || response.nonce !== nonce) return false;
    this.inFlight = undefined;
    if (rejection !== undefined) {
      this.#refusedMs = nowMs;
      this.#refuse(response, rejection);
      return true;
    }
    // What was refused before and has changed since is a change like any other now.
    for (const name of response.changes.keys()) if (this.#refusals.has(name)) this.#open.add(name);
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
      this.#open.add(name);
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
    this.#open.add(name);
  }

  forgetUnwanted(): void {
    const known = [...this.sent.keys(), ...this.absent, ...[...this.#refusals.entries()].map(([name]) => name)];
    for (const name of known) if (!this.wants(name)) this.forget(name);
  }

  /** Offers what was refused once more although it has not changed, one by one: the reason may have gone. */
  retryRefused(): void {
    if (this.#refusals.retry()) this.owesAnswer = true;
  }

  /** Something that it refused has not been taken since. */
  get isRefusing(): boolean {
    return !this.#refusals.isNone;
  }

  /** It has acknowledged or refused something. */
  get hasAnswered(): boolean {
    return this.#ackedMs > 0 || this.#refusedMs > 0;
  }

  /**
   * Whether the data plane can have no other version of the resource than `accepts` takes; also where it has none. What was sent and is not
   * answered may be in use or not; one that asks anew may go on with anything it had before. `exists`: there is something to be sent.
   */
  confirms(name: string, accepts: (version: string) => boolean, exists: boolean): Confirmation {
    const why = this.#refusals.has(name) ? 'refused' : 'unacknowledged';
    const change = this.inFlight?.changes.get(name);
    const held = change === undefined ? this.sent.get(name) : change.before;
    if (held !== undefined) {
      if (!accepts(held.version)) return why;
      return change?.offered === undefined || accepts(change.offered) ? 'yes' : 'unacknowledged';
    }
    if (change !== undefined) return change.wasAbsent && (change.offered === undefined || accepts(change.offered)) ? 'yes' : why;
    return !this.wants(name) || this.absent.has(name) || !exists ? 'yes' : why;
  }

  sync(): KindSync {
    const { heldHash, givenHash } = this.#hashes();
    return {
      kind: this.kind,
      sentResources: this.sent.size,
      sentVersion: this.#sentVersion,
      ackedVersion: this.#ackedVersion,
      ackedMs: this.#ackedMs,
      rejection: this.#refusals.reason(),
      heldHash,
      givenHash,
      behindSinceMs: this.#behindSinceMs,
    };
  }

  /** Each resource that it has, is being sent, has refused or waits for. */
  *resources(): Generator<ResourceSync> {
    for (const [name, { version }] of this.sent) yield this.#resource(name, version);
    for (const [name] of this.#refusals.entries()) if (!this.sent.has(name)) yield this.#resource(name, '');
    for (const name of this.#names) if (!this.sent.has(name) && !this.#refusals.has(name)) yield this.#resource(name, '');
  }

  #resource(name: string, version: string): ResourceSync {
    const change = this.inFlight?.changes.get(name);
    // Also while it is offered once more: only when that is taken, the refusal is over.
    const refused = this.#refusals.get(name);
    const refusal = refused && { version: refused.offered ?? '', reason: refused.reason || this.#refusals.reason(), ms: this.#refusedMs };
    const isKnown = version !== '' || this.absent.has(name);
    const settled = version !== '' ? 'acknowledged' : this.absent.has(name) ? 'absent' : 'requested';
    const state = refused !== undefined ? 'refused' : change !== undefined && isKnown ? 'sent' : settled;
    return { name, state, version, hadBefore: change?.before !== undefined, refusal };
  }

  /** Both follow from the digest of `sent` by what is under way or refused, which is little. */
  #hashes(): { heldHash: string; givenHash: string } {
    let held = this.sent.digest;
    for (const [name, { before }] of this.inFlight?.changes ?? [])
      held = replaced(held, name, this.sent.get(name)?.version, before?.version);
    let given = this.sent.digest;
    for (const [name, { offered }] of this.#refusals.entries()) {
      // What is under way has the newest offer in it.
      if (this.inFlight?.changes.has(name) !== true) given = replaced(given, name, this.sent.get(name)?.version, offered);
    }
    return { heldHash: digestText(held), givenHash: digestText(given) };
  }
}
