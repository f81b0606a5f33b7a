// What one stream has asked for and been sent of one kind of resources. At most one response is unanswered at a time: changes that come
// meanwhile wait and go out together, so a slow data plane costs no memory and skips states that are already history.
import type { ResourceKind } from '@heddle/core';
import type { EncodedResource } from '../convert/index.ts';
import type { ResourceMap } from './snapshot.ts';

/** A rejection is shown to people; a peer must not fill the control plane's memory with it. */
const REJECTION_LENGTH_MAX = 4_096;

export interface Difference {
  readonly upserts: EncodedResource[];
  /** The data plane has them and must not any more. */
  readonly removed: string[];
  /** It asked for them by name and has not been told yet that they do not exist. */
  readonly absent: string[];
}

export interface DifferenceOptions {
  /** `hold`: not now. `forget`: the variant cannot say it; the data plane learns it elsewhere. */
  readonly removals: 'send' | 'hold' | 'forget';
  readonly tellsAbsent: boolean;
}

interface InFlight {
  readonly nonce: number;
  readonly version: string;
  /** Everything the response changed. */
  readonly names: readonly string[];
  /** It brought something that the data plane did not have. */
  readonly makes: boolean;
}

/** How far a data plane is with one kind, for `ListProxies` and the drain barrier. */
export interface KindSync {
  readonly kind: ResourceKind;
  /** Resources it holds or is being sent. */
  readonly sentResources: number;
  /** The snapshot that the last response brought it to. */
  readonly sentVersion: string;
  /**
   * The snapshot whose resources of this kind it has acknowledged; later ones that change nothing of the kind count as acknowledged too.
   */
  readonly ackedVersion: string;
  /** Of the last acknowledgement, in the time given to `onRequest`; 0 before the first. */
  readonly ackedMs: number;
  /** Why it refused the last response; empty when it did not. */
  readonly rejection: string;
}

/** `Held`: what is remembered of a resource that was sent. */
export class KindState<Held extends { readonly version: string } = { readonly version: string }> {
  readonly kind: ResourceKind;
  wildcard = false;
  readonly names = new Set<string>();
  readonly sent = new Map<string, Held>();
  /** Subscribed names the data plane knows not to exist. */
  readonly absent = new Set<string>();
  inFlight: InFlight | undefined;
  /** An answer is due even when it is empty. */
  owesAnswer = false;
  /** Names in refused responses: they come again with the next change, because a response is applied whole or not at all. */
  readonly #refused = new Set<string>();
  #retry = false;
  /** The map with which there was nothing more to send, until something else changes here. */
  #doneWith: ResourceMap | undefined;
  #sentVersion = '';
  #ackedVersion = '';
  #ackedMs = 0;
  #rejection = '';

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

  /**
   * What is left to send. Resources that were refused are in it only when there is another reason to send something, else a data plane that
   * refuses at once would be asked again at once.
   */
  difference(resources: ResourceMap, { removals, tellsAbsent }: DifferenceOptions): Difference {
    const difference: Difference = { upserts: [], removed: [], absent: [] };
    if (this.#doneWith === resources && !this.#retry) return difference;
    const { upserts, removed, absent } = difference;
    const consider = (resource: EncodedResource): void => {
      if (this.sent.get(resource.name)?.version !== resource.version) upserts.push(resource);
    };
    if (this.wildcard) resources.forEach(consider);
    for (const name of this.names) {
      const resource = resources.get(name);
      if (resource !== undefined && !this.wildcard) consider(resource);
      if (resource === undefined && tellsAbsent && !this.sent.has(name) && !this.absent.has(name)) absent.push(name);
    }
    for (const name of [...this.sent.keys()]) {
      if (resources.has(name)) continue;
      if (removals === 'send') removed.push(name);
      else if (removals === 'forget') this.sent.delete(name);
    }
    const isDue = this.#retry || upserts.length > 0 || removed.length > 0;
    if (isDue) this.#addRefused(difference, resources);
    if (!isDue && absent.length === 0 && removals !== 'hold') this.#doneWith = resources;
    return difference;
  }

  #addRefused({ upserts, removed }: Difference, resources: ResourceMap): void {
    const listed = new Set([...upserts.map((resource) => resource.name), ...removed]);
    for (const name of this.#refused) {
      if (listed.has(name) || !this.wants(name)) continue;
      const resource = resources.get(name);
      if (resource === undefined) removed.push(name);
      else upserts.push(resource);
    }
  }

  hasNew({ upserts }: Difference): boolean {
    return upserts.some(({ name }) => !this.sent.has(name));
  }

  markSent(response: InFlight): void {
    this.inFlight = response;
    this.#sentVersion = response.version;
    this.#retry = false;
    this.owesAnswer = false;
    this.touch();
  }

  /** Nothing is left to send of this snapshot. Where the data plane refused something, it stays marked as behind. */
  markInSync(version: string): void {
    if (this.#rejection !== '') return;
    this.#sentVersion = version;
    this.#ackedVersion = version;
  }

  /** False when the nonce is not that of the response in flight: it was answered before, or never sent on this stream. */
  settle(nonce: string, rejection: string | undefined, nowMs: number): boolean {
    const response = this.inFlight;
    if (response === undefined || String(response.nonce) !== nonce) return false;
    this.inFlight = undefined;
    if (rejection === undefined) {
      for (const name of response.names) this.#refused.delete(name);
      this.#rejection = '';
      this.#ackedVersion = response.version;
      this.#ackedMs = nowMs;
    } else {
      for (const name of response.names) this.#refused.add(name);
      this.#rejection = rejection.slice(0, REJECTION_LENGTH_MAX) || 'refused without a reason';
    }
    return true;
  }

  forget(name: string): void {
    this.sent.delete(name);
    this.absent.delete(name);
    if (!this.wants(name)) this.#refused.delete(name);
    this.touch();
  }

  /** Sends what was refused once more although it has not changed: the reason may have gone. */
  retryRefused(): void {
    if (this.#rejection === '' || this.inFlight !== undefined) return;
    this.#retry = true;
    // Even an empty response can have been refused.
    this.owesAnswer = true;
  }

  sync(): KindSync {
    return {
      kind: this.kind,
      sentResources: this.sent.size,
      sentVersion: this.#sentVersion,
      ackedVersion: this.#ackedVersion,
      ackedMs: this.#ackedMs,
      rejection: this.#rejection,
    };
  }
}
