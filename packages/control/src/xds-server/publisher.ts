// The compiled mesh as snapshots for streams. Each resource is encoded once for everybody. Maps are shared by all streams and
// keep their identity while nothing of their kind changed, so that a change costs what it changes, not what there is.
import { encodeResource } from '@heddle/api';
import type { EncodedResource, ResourceMap, Snapshot } from '@heddle/api';
import type { Resource, ResourceKind, ResourceTypes } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import type { CompiledChange, Compiler, NodeScope, ResourceMaps } from '../compiler/compiler.ts';

const KINDS: readonly ResourceKind[] = ['listener', 'route', 'cluster', 'endpoints', 'secret'];

type EncodedMaps = { readonly [K in ResourceKind]: ResourceMap };

export class Publisher {
  readonly #compiler: Compiler;
  readonly #logger: Logger;
  /** Undefined: it cannot be encoded, which has been logged. */
  readonly #encoded = new WeakMap<Resource, EncodedResource | undefined>();
  #shared: EncodedMaps;

  constructor(compiler: Compiler, logger: Logger) {
    this.#compiler = compiler;
    this.#logger = logger;
    const shared = {} as { [K in ResourceKind]: ResourceMap };
    for (const kind of KINDS) shared[kind] = this.#encodeAll(compiler.shared, kind);
    this.#shared = shared;
  }

  get shared(): EncodedMaps {
    return this.#shared;
  }

  /** Takes in what the compiler computed anew. */
  apply(change: CompiledChange): void {
    if (change.shared.size === 0) return;
    const shared = { ...this.#shared };
    for (const [kind, names] of change.shared) {
      const map = new Map(shared[kind]);
      for (const name of names) {
        const resource: Resource | undefined = this.#compiler.shared[kind].get(name);
        if (resource === undefined) {
          map.delete(name);
          continue;
        }
        // What cannot be encoded leaves the last good one in place.
        const encoded = this.#encode(kind, resource);
        if (encoded !== undefined) map.set(name, encoded);
      }
      shared[kind] = map;
    }
    this.#shared = shared;
  }

  /** The resources of one data plane alone. */
  own(scope: NodeScope): EncodedMaps {
    const compiled = this.#compiler.forNode(scope);
    const own = {} as { [K in ResourceKind]: ResourceMap };
    for (const kind of KINDS) own[kind] = this.#encodeAll(compiled, kind);
    return own;
  }

  #encodeAll(maps: ResourceMaps, kind: ResourceKind): ResourceMap {
    const encoded = new Map<string, EncodedResource>();
    for (const [name, resource] of maps[kind] as ReadonlyMap<string, Resource>) {
      const one = this.#encode(kind, resource);
      if (one !== undefined) encoded.set(name, one);
    }
    return encoded;
  }

  #encode(kind: ResourceKind, resource: Resource): EncodedResource | undefined {
    if (this.#encoded.has(resource)) return this.#encoded.get(resource);
    let encoded: EncodedResource | undefined;
    try {
      encoded = encodeResource(kind, resource as ResourceTypes[typeof kind]);
    } catch (error) {
      this.#logger.error({ kind, error: (error as Error).message }, 'a resource cannot be sent to data planes; they keep what they have');
    }
    this.#encoded.set(resource, encoded);
    return encoded;
  }
}

/** What one stream should have: the shared resources and its own, merged anew only where one of the two changed. */
export class ScopedSnapshot {
  readonly #publisher: Publisher;
  readonly #scope: NodeScope;
  #own: EncodedMaps;
  readonly #merged = new Map<ResourceKind, { readonly shared: ResourceMap; readonly own: ResourceMap; readonly result: ResourceMap }>();

  constructor(publisher: Publisher, scope: NodeScope) {
    this.#publisher = publisher;
    this.#scope = scope;
    this.#own = publisher.own(scope);
  }

  get node(): string {
    return this.#scope.node;
  }

  /** The resources of this data plane alone may have changed. */
  refreshOwn(): void {
    const own = { ...this.#publisher.own(this.#scope) };
    for (const kind of KINDS) if (sameEntries(own[kind], this.#own[kind])) own[kind] = this.#own[kind];
    this.#own = own;
  }

  /** `version` names the state for people. */
  take(version: string): Snapshot {
    const resources = {} as { [K in ResourceKind]: ResourceMap };
    for (const kind of KINDS) resources[kind] = this.#merge(kind);
    return { version, resources };
  }

  #merge(kind: ResourceKind): ResourceMap {
    const shared = this.#publisher.shared[kind];
    const own = this.#own[kind];
    if (own.size === 0) return shared;
    const known = this.#merged.get(kind);
    if (known !== undefined && known.shared === shared && known.own === own) return known.result;
    const result = new Map([...shared, ...own]);
    this.#merged.set(kind, { shared, own, result });
    return result;
  }
}

function sameEntries(a: ResourceMap, b: ResourceMap): boolean {
  if (a.size !== b.size) return false;
  for (const [name, resource] of a) if (b.get(name) !== resource) return false;
  return true;
}
