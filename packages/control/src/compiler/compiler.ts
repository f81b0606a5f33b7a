// The registry as resources for data planes, kept up to date change by change: only what a change touches is computed anew,
// and what comes out equal keeps its identity, so that it is neither encoded nor sent again.
import { isDeepStrictEqual } from 'node:util';
import { EGRESS_NAMESPACE, NO_TELEMETRY, TRUST_BUNDLE, WORKLOAD_CERTIFICATE, resourceName, serviceKey } from '@heddle/core';
import type {
  ClientListener,
  DataPlaneFlavour,
  EgressHost,
  Instance,
  PublishedResource,
  PublishedTypes,
  ResourceKind,
  ResourceTypes,
  Route,
  SecurityConfig,
  ServerNameRoute,
  Service,
  ServiceRef,
  SocketAddress,
  TelemetryConfig,
} from '@heddle/core';
import type { RegistryChange, RegistryView, ServiceView } from '../registry/view.ts';
import { compileEgressCluster, egressName } from './egress-resources.ts';
import { compileClientListeners } from './grpc-listeners.ts';
import { compileInstance, compileProxyListener } from './instance-resources.ts';
import type { InstanceResources } from './instance-resources.ts';
import { subsetsOf, targetsOf } from './labels.ts';
import type { Labels, Subsets } from './labels.ts';
import { outboundName } from './names.ts';
import { compileRequestRoutes } from './request-routes.ts';
import { compileCluster, compileEndpoints, compileMeshRoute, compileServerNames, compileServiceRoute } from './service-resources.ts';
import { SecurityCompiler } from './service-security.ts';
import type { CallerSide } from './service-security.ts';
import { listenerTelemetry } from './telemetry.ts';

type CompiledTypes = Omit<PublishedTypes, 'listener'> & Pick<ResourceTypes, 'listener'>;
export type ResourceMaps = { readonly [K in ResourceKind]: ReadonlyMap<string, CompiledTypes[K]> };
type MutableMaps = { readonly [K in ResourceKind]: Map<string, CompiledTypes[K]> };

/** Where the compiler reads: a Registry, or anything like it. */
export interface CompilerSource {
  snapshot(): RegistryView;
  service(key: string): ServiceView | undefined;
  instancesOfNode(node: string): readonly Instance[];
  readonly egress: readonly EgressHost[];
  readonly security: SecurityConfig;
  /** Absent: nothing is told of requests. */
  readonly telemetry?: TelemetryConfig;
}

export interface CompilerOptions {
  readonly source: CompilerSource;
  readonly trustDomain: string;
  readonly rootsPem: string;
}

export interface CompiledChange {
  /** Kinds and names of the shared resources that came, changed or went. */
  readonly shared: ReadonlyMap<ResourceKind, ReadonlySet<string>>;
  /** Names of the listeners for gRPC clients that came, changed or went. */
  readonly clientListeners: ReadonlySet<string>;
  /** Data planes whose own resources may have changed; 'all' when what every shared proxy is told did. */
  readonly nodes: ReadonlySet<string> | 'all';
}

/** What a data plane says about itself and what it may see. */
export interface NodeScope {
  readonly node: string;
  readonly flavour: DataPlaneFlavour;
  /** Where it wants the shared HTTP proxy; undefined: not at all. */
  readonly outboundProxy: SocketAddress | undefined;
  /** Where it has its certificate in files; undefined: not at all. Only Envoy is told where its own files are. */
  readonly identityDir: string | undefined;
  /** Whether resources of this instance may be given to the one who asks. */
  readonly mayHost: (instance: Instance) => boolean;
}

interface Compiled {
  readonly node: string;
  readonly from: readonly unknown[];
  readonly result: InstanceResources;
}

interface CompiledRoutes {
  /** The service, then those to which its rules lead. */
  readonly from: readonly (Service | undefined)[];
  readonly routes: readonly Route[];
}

const NONE: ReadonlySet<string> = new Set();
const WHOLE: Labels = {};

export class Compiler {
  readonly #source: CompilerSource;
  readonly #trustDomain: string;
  #rootsPem: string;
  /** Besides those of the mesh file. */
  #denied: readonly string[] = [];
  readonly #security: SecurityCompiler;
  readonly #shared: MutableMaps = emptyMaps();
  readonly #services = new Map<string, Service>();
  /** What the rules of all services name. */
  #subsets: Subsets = new Map();
  /** Of each service, by its key: the names of its clusters, and which of its instances each has. */
  readonly #parts = new Map<string, ReadonlyMap<string, Labels>>();
  readonly #routes = new Map<string, CompiledRoutes>();
  #egress: readonly EgressHost[] = [];
  /** Per service key and instance id: what it was compiled from, and the result. */
  readonly #compiled = new Map<string, Map<string, Compiled>>();
  /** Nodes with an instance compiled for which the service is a target, by its key; emptied when it changes, since they are compiled anew then. */
  readonly #callers = new Map<string, Set<string>>();
  #serverNames: readonly ServerNameRoute[] = [];
  #clientListeners: ReadonlyMap<string, ClientListener> = new Map();

  constructor(options: CompilerOptions) {
    this.#source = options.source;
    this.#trustDomain = options.trustDomain;
    this.#rootsPem = options.rootsPem;
    this.#security = new SecurityCompiler(options.trustDomain);
    const services = new Set(this.#source.snapshot().services.keys());
    this.apply({ revision: 0, services, nodes: new Set(), egress: true, security: true });
  }

  /** The same for everybody. Live: read it in one go. */
  get shared(): ResourceMaps {
    return this.#shared;
  }

  /** For gRPC clients alone, by name. Replaced when it changes. */
  get clientListeners(): ReadonlyMap<string, ClientListener> {
    return this.#clientListeners;
  }

  /** The roots that data planes trust, and identities that they refuse besides those of the mesh file. */
  setTrust(rootsPem: string, denied: readonly string[]): CompiledChange {
    this.#rootsPem = rootsPem;
    this.#denied = denied;
    const changed = new Map<ResourceKind, Set<string>>();
    const isDeniedAnew = this.#compileTrust(changed);
    return { shared: changed, clientListeners: NONE, nodes: isDeniedAnew ? 'all' : NONE };
  }

  apply(change: RegistryChange): CompiledChange {
    const changed = new Map<ResourceKind, Set<string>>();
    const nodes = new Set(change.nodes);
    const declared = new Set<string>();
    for (const key of change.services) {
      const view = this.#source.service(key);
      if (view?.service === this.#services.get(key)) continue;
      declared.add(key);
      if (view === undefined) this.#services.delete(key);
      else this.#services.set(key, view.service);
      this.#noteNodes(key, view, nodes);
    }
    const secured = declared.size === 0 && !change.security ? NONE : this.#secureAnew(declared, nodes);
    const isDeniedAnew = change.security && this.#compileTrust(changed);
    const parted = declared.size === 0 ? NONE : this.#partAnew();
    for (const key of secured) if (!declared.has(key)) this.#compileClusters(key, this.#services.get(key), changed);
    for (const key of new Set([...change.services, ...parted])) {
      const view = this.#source.service(key);
      this.#forget(key, view);
      if (declared.has(key) || parted.has(key)) this.#compileClusters(key, view?.service, changed);
      if (view === undefined) continue;
      for (const labels of this.#parts.get(key)?.values() ?? []) this.#put('endpoints', compileEndpoints(view, labels), changed);
    }
    if (change.egress) this.#compileEgress(changed);
    if (declared.size > 0 || change.egress || change.security) this.#compileRoutes(declared, secured, changed);
    const isForAll = isDeniedAnew || change.telemetry === true;
    if (declared.size === 0) return { shared: changed, clientListeners: NONE, nodes: isForAll ? 'all' : nodes };
    const serverNames = compileServerNames(this.#services.values());
    const isSame = isDeepStrictEqual(serverNames, this.#serverNames);
    if (!isSame) this.#serverNames = serverNames;
    return { shared: changed, clientListeners: this.#compileClientListeners(), nodes: isSame && !isForAll ? nodes : 'all' };
  }

  /** Data planes that host the service or have a port for it. */
  #noteNodes(key: string, view: ServiceView | undefined, nodes: Set<string>): void {
    for (const { node } of view?.instances ?? []) nodes.add(node);
    for (const { node } of this.#compiled.get(key)?.values() ?? []) nodes.add(node);
    for (const node of this.#callers.get(key) ?? []) nodes.add(node);
    this.#callers.delete(key);
  }

  /** The keys of services whose security is not what it was; the data planes that host them are noted. */
  #secureAnew(declared: ReadonlySet<string>, nodes: Set<string>): ReadonlySet<string> {
    const secured = this.#security.apply(this.#source.security, this.#services, declared);
    for (const key of secured) for (const { node } of this.#source.service(key)?.instances ?? []) nodes.add(node);
    return secured;
  }

  /** Whether others are denied than before: foreign data planes hear of that in resources of their own. */
  #compileTrust(changed: Map<ResourceKind, Set<string>>): boolean {
    const before = this.#shared.secret.get(TRUST_BUNDLE);
    const denied = [...new Set([...this.#source.security.denied, ...this.#denied])].sort();
    this.#put('secret', { name: TRUST_BUNDLE, rootsPem: this.#rootsPem, ...(denied.length > 0 && { denied }) }, changed);
    return before !== undefined && 'rootsPem' in before && (before.denied ?? []).join() !== denied.join();
  }

  /** What one data plane gets besides the shared resources. */
  forNode(scope: NodeScope): ResourceMaps {
    const maps = emptyMaps();
    for (const instance of this.#source.instancesOfNode(scope.node)) {
      const service = this.#services.get(serviceKey(instance.service));
      if (service === undefined || !scope.mayHost(instance)) continue;
      const { listeners, routes, clusters } = this.#instance(instance, service);
      for (const listener of listeners) maps.listener.set(listener.name, listener);
      for (const route of routes) maps.route.set(route.name, route);
      for (const cluster of clusters) maps.cluster.set(cluster.name, cluster);
    }
    if (scope.outboundProxy !== undefined) {
      const listener = compileProxyListener(
        scope.outboundProxy,
        this.#serverNames,
        listenerTelemetry(this.#source.telemetry ?? NO_TELEMETRY),
      );
      maps.listener.set(listener.name, listener);
    }
    if (scope.flavour === 'envoy' && scope.identityDir !== undefined)
      maps.secret.set(WORKLOAD_CERTIFICATE, { name: WORKLOAD_CERTIFICATE, certificateFiles: { directory: scope.identityDir } });
    return maps;
  }

  /** The names of those that differ from before. */
  #compileClientListeners(): Set<string> {
    const before = this.#clientListeners;
    const after = compileClientListeners(this.#services.values());
    this.#clientListeners = after;
    const changed = new Set<string>();
    for (const [name, { routeConfigName }] of after) {
      const old = before.get(name);
      if (old?.routeConfigName === routeConfigName) after.set(name, old);
      else changed.add(name);
    }
    for (const name of before.keys()) if (!after.has(name)) changed.add(name);
    return changed;
  }

  /** Looks anew at what the rules name; returns the keys of services of which other instances than before have clusters of their own. */
  #partAnew(): Set<string> {
    const before = this.#subsets;
    const after = subsetsOf(this.#services.values());
    this.#subsets = after;
    const changed = new Set<string>();
    for (const key of new Set([...before.keys(), ...after.keys()]))
      if (!isDeepStrictEqual(before.get(key), after.get(key))) changed.add(key);
    return changed;
  }

  /** Of the whole service, and of its instances with the labels that rules name. */
  #compileClusters(key: string, service: Service | undefined, changed: Map<ResourceKind, Set<string>>): void {
    const parts = new Map<string, Labels>();
    if (service !== undefined) {
      for (const labels of [WHOLE, ...(this.#subsets.get(key)?.values() ?? [])]) {
        const cluster = compileCluster(service, this.#trustDomain, labels, this.#security.of(service));
        parts.set(cluster.name, labels);
        this.#put('cluster', cluster, changed);
      }
    }
    for (const name of this.#parts.get(key)?.keys() ?? []) {
      if (parts.has(name)) continue;
      this.#remove('cluster', name, changed);
      this.#remove('endpoints', name, changed);
    }
    if (service === undefined) this.#parts.delete(key);
    else this.#parts.set(key, parts);
  }

  /** Those of services to which the rules of a changed one lead, or that lead to one, are made anew; what comes out equal stays. */
  #compileRoutes(declared: ReadonlySet<string>, secured: ReadonlySet<string>, changed: Map<ResourceKind, Set<string>>): void {
    for (const key of declared) {
      if (this.#services.has(key)) continue;
      this.#routes.delete(key);
      const [namespace = '', name = ''] = key.split('/');
      this.#remove('route', outboundName({ namespace, name }), changed);
    }
    for (const service of this.#services.values()) {
      const key = serviceKey(service);
      const known = this.#routes.get(key);
      const routes = this.#requestRoutes(service);
      if (routes === known?.routes && !declared.has(key) && !secured.has(key)) continue;
      const config = compileServiceRoute(service, routes, this.#callerSide(service));
      if (config === undefined) this.#remove('route', outboundName(service), changed);
      else this.#put('route', config, changed);
    }
    this.#put(
      'route',
      compileMeshRoute(
        this.#services.values(),
        (service) => this.#requestRoutes(service),
        this.#egress,
        (called) => this.#callerSide(called),
      ),
      changed,
    );
  }

  #callerSide(called: ServiceRef): CallerSide {
    return called.namespace === EGRESS_NAMESPACE ? this.#security.ofEgress(called) : this.#security.of(called).outbound;
  }

  #requestRoutes(service: Service): readonly Route[] {
    const key = serviceKey(service);
    const find = (ref: ServiceRef): Service | undefined => this.#services.get(serviceKey(ref));
    const from = [service, ...Array.from(targetsOf(service), (target) => find(target.service))];
    const known = this.#routes.get(key);
    if (known !== undefined && isSameList(known.from, from)) return known.routes;
    const routes = compileRequestRoutes(service, find);
    this.#routes.set(key, { from, routes });
    return routes;
  }

  #compileEgress(changed: Map<ResourceKind, Set<string>>): void {
    const before = this.#egress;
    this.#egress = this.#source.egress;
    const names = new Set(this.#egress.map(egressName));
    for (const host of before) if (!names.has(egressName(host))) this.#remove('cluster', egressName(host), changed);
    for (const host of this.#egress) this.#put('cluster', compileEgressCluster(host), changed);
  }

  #instance(instance: Instance, service: Service): InstanceResources {
    const key = serviceKey(instance.service);
    const ofService = this.#compiled.get(key) ?? new Map<string, Compiled>();
    this.#compiled.set(key, ofService);
    const targets = instance.outbounds.map((outbound) => this.#services.get(serviceKey(outbound.service)));
    // All that the result depends on. The registry keeps these objects while only health changes.
    const security = this.#security.of(service);
    const { telemetry } = this.#source;
    const from = [service, security, telemetry, instance.node, instance.inbound, instance.application, instance.outbounds, ...targets];
    const known = ofService.get(instance.id);
    if (known !== undefined && isSameList(known.from, from)) return known.result;
    const find = (ref: ServiceRef): Service | undefined => this.#services.get(serviceKey(ref));
    const result = compileInstance(
      instance,
      service,
      find,
      this.#trustDomain,
      security,
      listenerTelemetry(telemetry ?? NO_TELEMETRY, service),
    );
    ofService.set(instance.id, { node: instance.node, from, result });
    for (const { service: target } of instance.outbounds) this.#noteCaller(serviceKey(target), instance.node);
    return result;
  }

  #noteCaller(target: string, node: string): void {
    const nodes = this.#callers.get(target);
    if (nodes === undefined) this.#callers.set(target, new Set([node]));
    else nodes.add(node);
  }

  /** Drops what was compiled for instances that are gone. */
  #forget(key: string, view: ServiceView | undefined): void {
    const ofService = this.#compiled.get(key);
    if (ofService === undefined) return;
    const present = new Set(view?.instances.map((instance) => instance.id));
    for (const id of ofService.keys()) if (!present.has(id)) ofService.delete(id);
    if (ofService.size === 0) this.#compiled.delete(key);
  }

  #put<K extends ResourceKind>(kind: K, resource: CompiledTypes[K], changed: Map<ResourceKind, Set<string>>): void {
    const maps: Map<string, PublishedResource> = this.#shared[kind];
    const name = resourceName(kind, resource);
    if (isDeepStrictEqual(maps.get(name), resource)) return;
    maps.set(name, resource);
    note(changed, kind, name);
  }

  #remove(kind: ResourceKind, name: string, changed: Map<ResourceKind, Set<string>>): void {
    if (this.#shared[kind].delete(name)) note(changed, kind, name);
  }
}

function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index]);
}

function note(changed: Map<ResourceKind, Set<string>>, kind: ResourceKind, name: string): void {
  const names = changed.get(kind);
  if (names === undefined) changed.set(kind, new Set([name]));
  else names.add(name);
}

function emptyMaps(): MutableMaps {
  return { listener: new Map(), route: new Map(), cluster: new Map(), endpoints: new Map(), secret: new Map() };
}
