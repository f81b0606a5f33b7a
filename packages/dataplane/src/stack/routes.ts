// Route configurations and clusters by name, as slots: who refers to a name holds the slot, whose content changes when configuration does.
// A route's stack is built when its configuration is applied; a request only follows references.
import { ANY_REQUEST, compileRewrite, compileRoutes, forwardTo, Split } from '@heddle/core';
import type {
  ForwardAction,
  HashSource,
  MirrorPolicy,
  PathRewriter,
  RequestView,
  Route,
  RouteConfig,
  RouteMatcher,
  VirtualHost,
  WeightedCluster,
} from '@heddle/core';
import type { StreamTarget } from '../listener/tcp-stream.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import { HeaderRewrite } from './header-rewrite.ts';
import { answeringRoute } from './local-answer.ts';
import type { AnsweringRoute } from './local-answer.ts';
import { RouteGate } from './route-gate.ts';

export interface ClusterSlot {
  readonly name: string;
  cluster: UpstreamCluster | undefined;
}

export class ClusterSlots {
  private readonly slots = new Map<string, ClusterSlot>();

  slot(name: string): ClusterSlot {
    let slot = this.slots.get(name);
    if (slot === undefined) {
      slot = { name, cluster: undefined };
      this.slots.set(name, slot);
    }
    return slot;
  }

  *clusters(): IterableIterator<UpstreamCluster> {
    for (const slot of this.slots.values()) if (slot.cluster !== undefined) yield slot.cluster;
  }
}

/** Where a request goes, and how it and its response change on the way. */
export interface RouteTarget {
  readonly slot: ClusterSlot;
  readonly requestChanges: HeaderRewrite | undefined;
  readonly responseChanges: HeaderRewrite | undefined;
}

export interface MirrorTarget {
  readonly slot: ClusterSlot;
  /** 0 to 1. */
  readonly share: number;
  /** Of a route to nothing else. */
  readonly stack: RouteStack;
}

/** What a request of one route goes through. */
export interface RouteStack {
  readonly route: Route;
  /** The action of routes that pass requests on. */
  readonly forward: ForwardAction | undefined;
  /** What the requests are hashed by; undefined: by nothing. */
  readonly hashing: readonly HashSource[] | undefined;
  /** Requests are passed on as they are: there is nothing of what follows. */
  readonly isPlain: boolean;
  /** What a request must pass first; undefined: nothing. */
  readonly gate: RouteGate | undefined;
  /** Of routes that answer by themselves. */
  readonly answering: AnsweringRoute | undefined;
  /** Of their answers. */
  readonly answerChanges: HeaderRewrite | undefined;
  readonly rewrite: { readonly path: PathRewriter | undefined; readonly authority: string | undefined } | undefined;
  readonly mirrors: readonly MirrorTarget[] | undefined;
  /** Where a request goes. Not for routes that answer by themselves. @param random uniform in [0, 1). */
  targetFor(hash: number | undefined, random: () => number): RouteTarget;
}

/** What becomes of a CONNECT to `authority`: see StreamTarget. */
export function tunnelOf({ route: { action } }: RouteStack, authority: string): Pick<StreamTarget, 'tunnel' | 'idleTimeoutMs'> {
  if (action.kind !== 'tunnel') return { tunnel: undefined };
  return { tunnel: action.how === 'forward' ? authority : undefined, idleTimeoutMs: action.idleTimeoutMs };
}

export class RouteTable {
  readonly config: RouteConfig;
  private readonly matcher: RouteMatcher;
  private readonly stacks = new Map<Route, RouteStack>();

  /** @param before the table that this one replaces: what its limits have counted goes on. Throws RouteConfigError. */
  constructor(config: RouteConfig, clusters: ClusterSlots, nowMs: number, before?: RouteTable) {
    this.config = config;
    this.matcher = compileRoutes(config);
    const gates = before?.gates();
    for (const host of config.virtualHosts) {
      for (const route of host.routes) {
        const gate = RouteGate.of(route, nowMs, gates?.get(gateKey(host.name, route)));
        this.stacks.set(route, stackOf(route, gate, clusters));
      }
    }
  }

  private gates(): Map<string, RouteGate> {
    const gates = new Map<string, RouteGate>();
    for (const host of this.config.virtualHosts) {
      for (const route of host.routes) {
        const gate = this.stacks.get(route)?.gate;
        if (gate !== undefined) gates.set(gateKey(host.name, route), gate);
      }
    }
    return gates;
  }

  /** Where requests to this authority belong. */
  hostOf(authority: string, isConnect: boolean): VirtualHost | undefined {
    return isConnect ? this.matcher.connectHost(authority) : this.matcher.virtualHost(authority);
  }

  match(request: RequestView): RouteStack | undefined {
    const route = this.matcher.match(request);
    return route === undefined ? undefined : this.stacks.get(route);
  }

  /** Requests to this authority have routes. */
  hasHost(authority: string): boolean {
    return this.matcher.virtualHost(authority)?.routes.some(({ match }) => match.kind === 'request') === true;
  }

  /** Of CONNECT requests: `host:port`. */
  matchConnect(authority: string): RouteStack | undefined {
    const route = this.matcher.matchConnect(authority);
    return route === undefined ? undefined : this.stacks.get(route);
  }
}

function gateKey(host: string, route: Route): string {
  return `${host} ${route.name}`;
}

export const NOWHERE: RouteTarget = { slot: { name: '', cluster: undefined }, requestChanges: undefined, responseChanges: undefined };

/** Of requests that are held back and then answered here: nothing is passed on. */
export const HELD_STACK: RouteStack = {
  route: { name: '', match: ANY_REQUEST, action: forwardTo('') },
  forward: forwardTo(''),
  hashing: undefined,
  isPlain: false,
  gate: undefined,
  answering: undefined,
  answerChanges: undefined,
  rewrite: undefined,
  mirrors: undefined,
  targetFor: () => NOWHERE,
};

/** Of a route that every request takes, and that nothing is done to besides. */
export function plainStack(name: string, action: ForwardAction): RouteStack {
  return new ForwardStack({ name, match: ANY_REQUEST, action }, action, undefined, new ClusterSlots());
}

function stackOf(route: Route, gate: RouteGate | undefined, clusters: ClusterSlots): RouteStack {
  const { action, match } = route;
  if (action.kind === 'forward') return new ForwardStack(route, action, gate, clusters);
  const target = action.kind === 'tunnel' ? { ...NOWHERE, slot: clusters.slot(action.cluster) } : NOWHERE;
  return {
    route,
    forward: undefined,
    hashing: undefined,
    isPlain: false,
    gate,
    answering: answeringRoute(action, match),
    answerChanges: HeaderRewrite.of(route.responseHeaders),
    rewrite: undefined,
    mirrors: undefined,
    targetFor: () => target,
  };
}

class ForwardStack implements RouteStack {
  readonly route: Route;
  readonly forward: ForwardAction;
  readonly hashing: readonly HashSource[] | undefined;
  readonly isPlain: boolean;
  readonly gate: RouteGate | undefined;
  readonly answering = undefined;
  readonly answerChanges = undefined;
  readonly rewrite: RouteStack['rewrite'];
  readonly mirrors: readonly MirrorTarget[] | undefined;
  private readonly first: RouteTarget;
  /** Undefined: all goes to the first. */
  private readonly split: Split<WeightedCluster & RouteTarget> | undefined;

  constructor(route: Route, action: ForwardAction, gate: RouteGate | undefined, clusters: ClusterSlots) {
    this.route = route;
    this.forward = action;
    this.gate = gate;
    this.hashing = action.hash.length > 0 ? action.hash : undefined;
    const split = new Split(
      action.clusters.map((weighted) => ({
        ...weighted,
        slot: clusters.slot(weighted.cluster),
        requestChanges: HeaderRewrite.of(route.requestHeaders, weighted.requestHeaders),
        responseChanges: HeaderRewrite.of(route.responseHeaders, weighted.responseHeaders),
      })),
    );
    this.first = split.clusters[0]!;
    this.split = split.clusters.length > 1 ? split : undefined;
    const { path, authority } = action.rewrite ?? {};
    this.rewrite = action.rewrite && { path: path && compileRewrite(path, route.match), authority };
    this.mirrors = action.mirrors?.map((mirror) => mirrorOf(mirror, route, action, clusters));
    const changes = split.clusters.some(({ requestChanges, responseChanges }) => (requestChanges ?? responseChanges) !== undefined);
    this.isPlain = !changes && gate === undefined && this.rewrite === undefined && this.mirrors === undefined;
  }

  targetFor(hash: number | undefined, random: () => number): RouteTarget {
    const { split } = this;
    if (split === undefined) return this.first;
    return this.forward.splitByHash === true && hash !== undefined ? split.byHash(hash) : split.byChance(random());
  }
}

/** Once, and without anything that only a waiting client has use for. */
function mirrorOf({ cluster, percent }: MirrorPolicy, route: Route, action: ForwardAction, clusters: ClusterSlots): MirrorTarget {
  const { timeoutMs, idleTimeoutMs } = action;
  const copies = { ...forwardTo(cluster), timeoutMs, idleTimeoutMs };
  const stack = new ForwardStack({ name: route.name, match: route.match, action: copies }, copies, undefined, clusters);
  return { slot: clusters.slot(cluster), share: percent / 100, stack };
}
