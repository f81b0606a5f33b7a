// Route configurations and clusters by name, as slots: who refers to a name holds the slot, whose content changes when configuration does.
// A route's stack is built when its configuration is applied; a request only follows references.
import { compileRoutes } from '@heddle/core';
import type { Route, RouteConfig, RouteMatcher } from '@heddle/core';
import type { UpstreamCluster } from '../upstream/cluster.ts';

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

/** What a request of one route goes through. */
export interface RouteStack {
  readonly route: Route;
  readonly slot: ClusterSlot;
}

export class RouteTable {
  readonly config: RouteConfig;
  private readonly matcher: RouteMatcher;
  private readonly stacks = new Map<Route, RouteStack>();

  /** Throws RouteConfigError. */
  constructor(config: RouteConfig, clusters: ClusterSlots) {
    this.config = config;
    this.matcher = compileRoutes(config);
    for (const host of config.virtualHosts) {
      for (const route of host.routes) this.stacks.set(route, { route, slot: clusters.slot(route.cluster) });
    }
  }

  match(authority: string, path: string): RouteStack | undefined {
    const route = this.matcher.match(authority, path);
    return route === undefined ? undefined : this.stacks.get(route);
  }

  /** Of CONNECT requests: `host:port`. */
  matchConnect(authority: string): RouteStack | undefined {
    const route = this.matcher.matchConnect(authority);
    return route === undefined ? undefined : this.stacks.get(route);
  }
}

export interface RouteSlot {
  readonly name: string;
  table: RouteTable | undefined;
}

export class RouteSlots {
  private readonly slots = new Map<string, RouteSlot>();

  slot(name: string): RouteSlot {
    let slot = this.slots.get(name);
    if (slot === undefined) {
      slot = { name, table: undefined };
      this.slots.set(name, slot);
    }
    return slot;
  }
}
