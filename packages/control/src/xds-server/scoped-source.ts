// What one stream should have: the shared resources of its flavour and its own. It hears only of what it has subscribed, and of its own when
// an instance of its node has changed.
import type { EncodedResource, OnSubscription, ResourceSet, ResourceSource } from '@heddle/api';
import type { ResourceKind } from '@heddle/core';
import type { NodeScope } from '../compiler/compiler.ts';
import { KINDS, emptyMaps } from './encoded-maps.ts';
import type { EncodedMaps } from './encoded-maps.ts';
import type { FlavourPublisher, Publisher } from './publisher.ts';
import type { Subscriber } from './subscriptions.ts';

export interface ScopedSourceOptions {
  readonly publisher: Publisher;
  readonly scope: NodeScope;
  /** The registry's revision. */
  readonly version: () => string;
  /** A resource that the stream wants came, changed or went. */
  readonly onChange: (kind: ResourceKind, name: string) => void;
  /** The stream asks for a resource by its name. */
  readonly onWanted?: (name: string) => void;
  /** There may be something to send, which was not known before. */
  readonly onDue: () => void;
}

export class ScopedSource implements ResourceSource, Subscriber {
  readonly resources: { readonly [K in ResourceKind]: ResourceSet };
  readonly #options: ScopedSourceOptions;
  readonly #shared: FlavourPublisher;
  #own: EncodedMaps = emptyMaps();
  #isOwnDue = true;

  constructor(options: ScopedSourceOptions) {
    this.#options = options;
    this.#shared = options.publisher.acquire(options.scope.flavour);
    const own = (kind: ResourceKind): ReadonlyMap<string, EncodedResource> => this.#own[kind];
    const set = (kind: ResourceKind): ResourceSet => new ScopedSet(this.#shared.shared[kind], () => own(kind));
    this.resources = {
      listener: set('listener'),
      route: set('route'),
      cluster: set('cluster'),
      endpoints: set('endpoints'),
      secret: set('secret'),
    };
  }

  get node(): string {
    return this.#options.scope.node;
  }

  get version(): string {
    return this.#options.version();
  }

  /** An instance of the node, or what its resources depend on, has changed: `refresh` is to be called before the source is read again. */
  ownChanged(): void {
    this.#isOwnDue = true;
    this.#options.onDue();
  }

  /** Computes anew what is its own, where that is due. */
  refresh(): void {
    if (!this.#isOwnDue) return;
    this.#isOwnDue = false;
    const { scope, onChange } = this.#options;
    const before = this.#own;
    this.#own = this.#shared.own(scope);
    for (const kind of KINDS) {
      for (const [name, { version }] of this.#own[kind]) if (before[kind].get(name)?.version !== version) onChange(kind, name);
      for (const name of before[kind].keys()) if (!this.#own[kind].has(name)) onChange(kind, name);
    }
  }

  readonly onSubscription: OnSubscription = (kind, name, isWanted) => {
    if (isWanted && name !== undefined) this.#options.onWanted?.(name);
    this.#shared.subscriptions.set(this, kind, name, isWanted);
  };

  told(kind: ResourceKind, name: string): void {
    // Its own has the name.
    if (this.#own[kind].has(name)) return;
    this.#options.onChange(kind, name);
    this.#options.onDue();
  }

  /** To be called when nothing is subscribed any more. */
  close(): void {
    this.#options.publisher.release(this.#options.scope.flavour);
  }
}

class ScopedSet implements ResourceSet {
  readonly #shared: ReadonlyMap<string, EncodedResource>;
  readonly #own: () => ReadonlyMap<string, EncodedResource>;

  constructor(shared: ReadonlyMap<string, EncodedResource>, own: () => ReadonlyMap<string, EncodedResource>) {
    this.#shared = shared;
    this.#own = own;
  }

  get(name: string): EncodedResource | undefined {
    return this.#own().get(name) ?? this.#shared.get(name);
  }

  has(name: string): boolean {
    return this.#own().has(name) || this.#shared.has(name);
  }

  *values(): Generator<EncodedResource, undefined> {
    const own = this.#own();
    yield* own.values();
    for (const resource of this.#shared.values()) if (!own.has(resource.name)) yield resource;
  }
}
