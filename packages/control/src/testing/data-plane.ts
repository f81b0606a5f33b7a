// A data plane for tests, without a data path: follows ADS with the state machine of `@heddle/api`, asks for what listeners and
// clusters refer to, and remembers what it was given.
import { DeltaAdsClient, stateHash } from '@heddle/api';
import { AdsClient, controlChannelOptions } from '@heddle/api/grpc-js';
import type { DeltaDiscoveryRequest, ResourceUpdate } from '@heddle/api';
import { resourceName } from '@heddle/core';
import type { Cluster, Listener, Resource, ResourceKind, ResourceTypes } from '@heddle/core';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import type { DeltaDiscoveryResponse } from '@heddle/api';
import type { TestClient } from './client.ts';

export class TestDataPlane {
  readonly held: { readonly [K in ResourceKind]: Map<string, ResourceTypes[K]> } = {
    listener: new Map(),
    route: new Map(),
    cluster: new Map(),
    endpoints: new Map(),
    secret: new Map(),
  };
  readonly updates: string[] = [];
  ended: ServiceError | undefined;
  /** Set to refuse what comes next, with this reason. */
  refusal: string | undefined;
  readonly #client: AdsClient;
  readonly #call: ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
  readonly #ads: DeltaAdsClient;

  constructor(as: TestClient, node: string, metadata?: Record<string, unknown>) {
    this.#client = new AdsClient(as.target, as.credentials, controlChannelOptions());
    this.#call = this.#client.delta(as.metadata);
    this.#ads = new DeltaAdsClient({
      node: { id: node, ...(metadata === undefined ? {} : { metadata }) },
      apply: (update) => this.#apply(update),
      send: (request) => this.#call.write(request),
    });
    this.#call.on('data', (response: DeltaDiscoveryResponse) => this.#ads.receive(response, 0));
    this.#call.on('error', (error: ServiceError) => {
      this.ended = error;
      this.#ads.disconnected();
    });
    this.#ads.connected();
    this.#ads.subscribe('secret', ['trust-bundle']);
  }

  names(kind: ResourceKind): string[] {
    return [...this.held[kind].keys()].sort();
  }

  /** Of what it has applied, as it computes it itself. */
  get hash(): string {
    return stateHash(this.#ads.status());
  }

  /** Subscribes to these in place of what it would have. */
  ask(kind: 'route' | 'endpoints' | 'secret', names: readonly string[]): void {
    this.#ads.subscribe(kind, [...names]);
  }

  /** As one does that calls nobody any more. */
  forgetEndpoints(): void {
    this.#ads.subscribe('endpoints', []);
  }

  /** Stops reading; what the control plane sends waits there. */
  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  close(): void {
    this.#call.on('error', () => {});
    this.#call.cancel();
    this.#client.close();
  }

  #apply(update: ResourceUpdate): string | undefined {
    if (this.refusal !== undefined) return this.refusal;
    const map = this.held[update.kind] as Map<string, Resource>;
    for (const resource of update.upserts) map.set(resourceName(update.kind, resource), resource);
    for (const name of update.removed) map.delete(name);
    this.updates.push(
      `${update.kind} +${update.upserts.map((resource) => resourceName(update.kind, resource)).join()} -${update.removed.join()}`,
    );
    if (update.kind === 'cluster') this.#ads.subscribe('endpoints', edsNames(this.held.cluster.values()));
    if (update.kind === 'listener') this.#ads.subscribe('route', routeNames(this.held.listener.values()));
    return undefined;
  }
}

function edsNames(clusters: Iterable<Cluster>): string[] {
  return [...clusters].filter((cluster) => cluster.endpoints.kind === 'eds').map((cluster) => cluster.name);
}

function routeNames(listeners: Iterable<Listener>): string[] {
  return [...new Set([...listeners].flatMap(({ filter }) => (filter.kind === 'http' ? [filter.routeConfigName] : [])))];
}
