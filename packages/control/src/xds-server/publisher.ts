// The compiled mesh, encoded, for each flavour of data planes that is connected. Each resource is encoded once for everybody of a flavour, and
// kept in maps that all streams share. Who wants what is indexed by name: a change costs its own encoding and the streams that want it,
// whatever else there is.
import { encodeFor } from '@heddle/api';
import type { EncodeOptions, EncodedResource, RefusedRoute } from '@heddle/api';
import type { DataPlaneFlavour, PublishedResource, PublishedTypes, ResourceKind } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import type { CompiledChange, Compiler, NodeScope } from '../compiler/compiler.ts';
import { KINDS, emptyMaps } from './encoded-maps.ts';
import type { EncodedMaps, MutableEncodedMaps } from './encoded-maps.ts';
import type { RefusedRoutes } from './refused-routes.ts';
import { Subscriptions } from './subscriptions.ts';

export interface PublisherOptions {
  readonly compiler: Compiler;
  readonly encode: Omit<EncodeOptions, 'onRefused'>;
  readonly refused: RefusedRoutes;
  readonly logger: Logger;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #flavours = new Map<DataPlaneFlavour, { readonly publisher: FlavourPublisher; users: number }>();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Takes in what the compiler computed anew, and tells those who want it. */
  apply(change: CompiledChange): void {
    for (const { publisher } of this.#flavours.values()) publisher.apply(change);
  }

  /** The versions in which data planes of each flavour that is spoken get the resource now. */
  *versions(kind: ResourceKind, name: string): Iterable<string> {
    for (const { publisher } of this.#flavours.values()) {
      const version = publisher.shared[kind].get(name)?.version;
      if (version !== undefined) yield version;
    }
  }

  /** Kept until as many have been released as were acquired: a flavour that nobody speaks costs nothing. */
  acquire(flavour: DataPlaneFlavour): FlavourPublisher {
    let known = this.#flavours.get(flavour);
    if (known === undefined) {
      known = { publisher: new FlavourPublisher(flavour, this.#options), users: 0 };
      this.#flavours.set(flavour, known);
    }
    known.users += 1;
    return known.publisher;
  }

  release(flavour: DataPlaneFlavour): void {
    const known = this.#flavours.get(flavour);
    if (known === undefined) return;
    known.users -= 1;
    if (known.users === 0) this.#flavours.delete(flavour);
  }
}

/** The shared resources as data planes of one flavour get them. */
export class FlavourPublisher {
  readonly subscriptions = new Subscriptions();
  readonly #flavour: DataPlaneFlavour;
  readonly #options: PublisherOptions;
  readonly #encoded = new WeakMap<PublishedResource, readonly EncodedResource[] | undefined>();
  /** What resources of the model gave that gave anything but one of the same kind and name, by `<kind> <name>`. */
  readonly #given = new Map<string, readonly EncodedResource[]>();
  readonly #shared: MutableEncodedMaps = emptyMaps();

  constructor(flavour: DataPlaneFlavour, options: PublisherOptions) {
    this.#flavour = flavour;
    this.#options = options;
    const { compiler } = options;
    for (const kind of KINDS) for (const [name, resource] of compiler.shared[kind]) this.#replace(kind, name, resource);
    if (flavour === 'grpc') for (const [name, listener] of compiler.clientListeners) this.#replace('listener', name, listener);
  }

  /** Live: what is in it changes with `apply`, and subscribers hear of it. */
  get shared(): EncodedMaps {
    return this.#shared;
  }

  apply(change: CompiledChange): void {
    const { compiler } = this.#options;
    for (const [kind, names] of change.shared) for (const name of names) this.#replace(kind, name, compiler.shared[kind].get(name));
    if (this.#flavour !== 'grpc') return;
    for (const name of change.clientListeners) this.#replace('listener', name, compiler.clientListeners.get(name));
  }

  /** The resources of one data plane alone. */
  own(scope: NodeScope): EncodedMaps {
    const compiled = this.#options.compiler.forNode(scope);
    const own = emptyMaps();
    for (const kind of KINDS) {
      for (const resource of compiled[kind].values())
        for (const encoded of this.#encode(kind, resource) ?? []) own[encoded.kind].set(encoded.name, encoded);
    }
    return own;
  }

  #replace(kind: ResourceKind, name: string, resource: PublishedResource | undefined): void {
    const encoded = resource === undefined ? [] : this.#encode(kind, resource);
    if (resource === undefined) this.#noteRefused(kind, name, []);
    // What cannot be encoded leaves the last good one in place.
    if (encoded === undefined) return;
    for (const old of this.#givenBy(kind, name))
      if (!encoded.some((one) => one.kind === old.kind && one.name === old.name)) this.#set(old.kind, old.name, undefined);
    for (const one of encoded) this.#set(one.kind, one.name, one);
    this.#remember(kind, name, encoded);
  }

  #givenBy(kind: ResourceKind, name: string): readonly EncodedResource[] {
    const given = this.#given.get(`${kind} ${name}`);
    if (given !== undefined) return given;
    const same = this.#shared[kind].get(name);
    return same === undefined ? [] : [same];
  }

  #remember(kind: ResourceKind, name: string, encoded: readonly EncodedResource[]): void {
    const [first, second] = encoded;
    const isPlain = second === undefined && (first === undefined || (first.kind === kind && first.name === name));
    if (isPlain) this.#given.delete(`${kind} ${name}`);
    else this.#given.set(`${kind} ${name}`, encoded);
  }

  #set(kind: ResourceKind, name: string, encoded: EncodedResource | undefined): void {
    const map = this.#shared[kind];
    if (map.get(name)?.version === encoded?.version) return;
    if (encoded === undefined) map.delete(name);
    else map.set(name, encoded);
    this.subscriptions.tell(kind, name);
  }

  #noteRefused(kind: ResourceKind, name: string, routes: readonly RefusedRoute[]): void {
    if (this.#flavour !== 'heddle') this.#options.refused.replace(this.#flavour, `${kind} ${name}`, routes);
  }

  /** Undefined: it cannot be encoded, which has been logged. */
  #encode(kind: ResourceKind, resource: PublishedResource): readonly EncodedResource[] | undefined {
    if (this.#encoded.has(resource)) return this.#encoded.get(resource);
    const { encode, logger } = this.#options;
    let encoded: readonly EncodedResource[] | undefined;
    try {
      const routes: RefusedRoute[] = [];
      const onRefused: EncodeOptions['onRefused'] = (_rejection, route) => routes.push(route);
      encoded = encodeFor(this.#flavour, kind, resource as PublishedTypes[typeof kind], { ...encode, onRefused });
      this.#noteRefused(kind, 'name' in resource ? resource.name : resource.cluster, routes);
    } catch (error) {
      logger.error(
        { kind, flavour: this.#flavour, error: (error as Error).message },
        'a resource cannot be sent to data planes; they keep what they have',
      );
    }
    this.#encoded.set(resource, encoded);
    return encoded;
  }
}
