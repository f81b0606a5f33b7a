// The compiled mesh, encoded, for each flavour of data planes that is connected. Each resource is encoded once for everybody of a flavour, and
// kept in maps that all streams share. Who wants what is indexed by name: a change costs its own encoding and the streams that want it,
// whatever else there is.
import { encodeFor } from '@heddle/api';
import type { EncodeOptions, EncodedResource, RefusedRoute } from '@heddle/api';
import { TRUST_BUNDLE } from '@heddle/core';
import type { DataPlaneFlavour, PublishedResource, PublishedTypes, ResourceKind, RouteConfig } from '@heddle/core';
import type { conditionSyntax } from '@heddle/core/cel';
import type { Logger } from '@heddle/runtime';
import type { CompiledChange, Compiler, NodeScope } from '../compiler/compiler.ts';
import { KINDS, emptyMaps } from './encoded-maps.ts';
import type { EncodedMaps, MutableEncodedMaps } from './encoded-maps.ts';
import type { RefusedRoutes } from './refused-routes.ts';
import { Subscriptions } from './subscriptions.ts';

export interface PublisherOptions {
  readonly compiler: Compiler;
  readonly encode: Pick<EncodeOptions, 'trustDomain'>;
  readonly refused: RefusedRoutes;
  readonly logger: Logger;
  /** Called when what single data planes of other flavours than ours have may be said otherwise now. */
  readonly onSaidOtherwise?: () => void;
}

/** Shared by all flavours. */
interface Conditions {
  /** Undefined: not loaded yet. */
  readonly syntax: typeof conditionSyntax | undefined;
  /** Loads what reads conditions, some 40 MB: only where one is to be told to others. */
  load(): void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #conditions: Conditions;
  readonly #flavours = new Map<DataPlaneFlavour, { readonly publisher: FlavourPublisher; users: number }>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    let syntax: typeof conditionSyntax | undefined;
    let loading: Promise<void> | undefined;
    this.#conditions = {
      get syntax() {
        return syntax;
      },
      load: () => {
        loading ??= import('@heddle/core/cel').then((cel) => {
          syntax = cel.conditionSyntax;
          for (const { publisher } of this.#flavours.values()) publisher.encodeAnew();
          options.onSaidOtherwise?.();
        });
      },
    };
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
      known = { publisher: new FlavourPublisher(flavour, this.#options, this.#conditions), users: 0 };
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
  readonly #conditions: Conditions;
  #encoded = new WeakMap<PublishedResource, readonly EncodedResource[] | undefined>();
  /** Foreign data planes hear of them in many resources, which do not change with them. */
  #denied: readonly string[] = [];
  /** What resources of the model gave that gave anything but one of the same kind and name, by `<kind> <name>`. */
  readonly #given = new Map<string, readonly EncodedResource[]>();
  readonly #shared: MutableEncodedMaps = emptyMaps();

  constructor(flavour: DataPlaneFlavour, options: PublisherOptions, conditions: Conditions) {
    this.#flavour = flavour;
    this.#options = options;
    this.#conditions = conditions;
    this.#denied = this.#deniedNow();
    this.#replaceAll();
  }

  #replaceAll(): void {
    const { compiler } = this.#options;
    for (const kind of KINDS) for (const [name, resource] of compiler.shared[kind]) this.#replace(kind, name, resource);
    if (this.#flavour === 'grpc') for (const [name, listener] of compiler.clientListeners) this.#replace('listener', name, listener);
  }

  /** For flavours that hear of something beside the resources, which is not what it was. */
  encodeAnew(): void {
    if (this.#flavour === 'heddle') return;
    this.#encoded = new WeakMap();
    this.#replaceAll();
  }

  #deniedNow(): readonly string[] {
    const bundle = this.#options.compiler.shared.secret.get(TRUST_BUNDLE);
    return bundle !== undefined && 'denied' in bundle ? (bundle.denied ?? []) : [];
  }

  /** Live: what is in it changes with `apply`, and subscribers hear of it. */
  get shared(): EncodedMaps {
    return this.#shared;
  }

  apply(change: CompiledChange): void {
    const { compiler } = this.#options;
    const denied = this.#deniedNow();
    if (denied.join() !== this.#denied.join()) {
      this.#denied = denied;
      this.encodeAnew();
    }
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
        for (const encoded of this.#encode(kind, resource, (name) => compiled.route.get(name)) ?? [])
          own[encoded.kind].set(encoded.name, encoded);
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
  #encode(
    kind: ResourceKind,
    resource: PublishedResource,
    routeConfig: (name: string) => RouteConfig | undefined = (name) => this.#options.compiler.shared.route.get(name),
  ): readonly EncodedResource[] | undefined {
    if (this.#encoded.has(resource)) return this.#encoded.get(resource);
    const { encode, logger } = this.#options;
    let encoded: readonly EncodedResource[] | undefined;
    try {
      const routes: RefusedRoute[] = [];
      const onRefused: EncodeOptions['onRefused'] = (_rejection, route) => routes.push(route);
      const { syntax } = this.#conditions;
      const isLate = this.#flavour !== 'heddle' && syntax === undefined && hasConditions(resource);
      if (isLate) this.#conditions.load();
      const told = { ...encode, routeConfig, denied: this.#denied, ...(syntax !== undefined && { expression: syntax }), onRefused };
      encoded = encodeFor(this.#flavour, kind, resource as PublishedTypes[typeof kind], told);
      // Until conditions can be read, rules with one fail closed; what is refused for good is known then.
      if (!isLate) this.#noteRefused(kind, 'name' in resource ? resource.name : resource.cluster, routes);
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

function hasConditions(resource: PublishedResource): boolean {
  return (
    'virtualHosts' in resource && resource.virtualHosts.some(({ access }) => access?.rules.some(({ when }) => when !== undefined) === true)
  );
}
