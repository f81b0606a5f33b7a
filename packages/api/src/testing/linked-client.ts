// A delta client and a delta session joined in memory, message by message as the test says, with a data plane behind the client that only
// remembers what it was told. No sockets, no time: what happens is decided by the calls alone.
import type { ResourceKind } from '@heddle/core';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../ads.ts';
import { type ApplyResult, DeltaAdsClient, type ResourceUpdate } from '../xds/client/index.ts';
import { DeltaAdsSession, type Snapshot } from '../xds/server/index.ts';
import { LiveSource } from './live-source.ts';

type Decide = (update: ResourceUpdate) => ApplyResult | Promise<ApplyResult>;

export class LinkedClient {
  readonly client: DeltaAdsClient;
  session = new DeltaAdsSession();
  /** What the data plane has, by kind and name. */
  readonly applied = new Map<ResourceKind, Map<string, unknown>>();
  readonly updates: ResourceUpdate[] = [];
  /** On the way to the server, and to the client. */
  requests: DeltaDiscoveryRequest[] = [];
  responses: DeltaDiscoveryResponse[] = [];
  decide: Decide = () => undefined;
  isConnected = false;
  #nowMs = 0;
  #snapshot: Snapshot | undefined;
  /** The session hears of each change of what it has subscribed, instead of getting whole snapshots. */
  readonly #isLive: boolean;
  #live: LiveSource<DeltaDiscoveryResponse> | undefined;

  constructor({ isLive = false }: { readonly isLive?: boolean } = {}) {
    this.#isLive = isLive;
    this.client = new DeltaAdsClient({
      node: { id: 'node-1', version: '1.2.3' },
      send: (request) => this.requests.push(request),
      apply: (update) => this.#apply(update),
    });
  }

  connect(): void {
    this.session = new DeltaAdsSession();
    if (this.#snapshot !== undefined) this.#begin(this.#snapshot);
    this.isConnected = true;
    this.client.connected();
  }

  disconnect(): void {
    this.isConnected = false;
    this.#live = undefined;
    this.requests = [];
    this.responses = [];
    this.client.disconnected();
  }

  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    if (!this.isConnected) return;
    if (this.#live !== undefined) this.responses.push(...this.#live.publish(snapshot, this.#nowMs));
    else this.#begin(snapshot);
  }

  #begin(snapshot: Snapshot): void {
    if (this.#isLive) this.#live = new LiveSource(this.session, snapshot);
    this.responses.push(...(this.#live?.begin(this.#nowMs) ?? this.session.onSnapshot(snapshot)));
  }

  retryRefused(): void {
    if (this.isConnected) this.responses.push(...this.session.retryRefused());
  }

  /** Delivers the oldest request; false when there is none. */
  toServer(): boolean {
    const request = this.requests.shift();
    if (request === undefined) return false;
    this.#nowMs += 1;
    this.responses.push(...this.session.onRequest(request, this.#nowMs));
    return true;
  }

  /** Delivers the oldest response; false when there is none. */
  toClient(): boolean {
    const response = this.responses.shift();
    if (response === undefined) return false;
    this.#nowMs += 1;
    this.client.receive(response, this.#nowMs);
    return true;
  }

  /** Delivers everything, until both sides have nothing more to say. */
  async settle(): Promise<void> {
    for (let round = 0; round < 10_000; round += 1) {
      const delivered = this.toServer() || this.toClient();
      await Promise.resolve();
      await Promise.resolve();
      if (!delivered && this.requests.length + this.responses.length === 0) return;
    }
    throw new Error('client and server never come to an end');
  }

  names(kind: ResourceKind): string[] {
    return [...(this.applied.get(kind)?.keys() ?? [])].sort();
  }

  #apply(update: ResourceUpdate): ApplyResult | Promise<ApplyResult> {
    this.updates.push(update);
    const result = this.decide(update);
    if (result instanceof Promise) return result.then((reason) => this.#remember(update, reason));
    return this.#remember(update, result);
  }

  #remember(update: ResourceUpdate, reason: ApplyResult): ApplyResult {
    if (reason !== undefined) return reason;
    const held = this.applied.get(update.kind) ?? new Map<string, unknown>();
    this.applied.set(update.kind, held);
    for (const resource of update.upserts) held.set('name' in resource ? resource.name : resource.cluster, resource);
    for (const name of update.removed) held.delete(name);
    return undefined;
  }
}
