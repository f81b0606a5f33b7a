// The configuration of a data plane as a DNS zone: it answers from what was applied last, whether the control plane is there or not. Instances
// of services that the data path does not need are subscribed to when somebody asks for them.
import type { EndpointSet, Limits, ResourceKind, RouteConfig } from '@heddle/core';
import { Zone, type ZoneInstance, type ZoneSource } from '@heddle/dns';
import type { Clock, Logger } from '@heddle/runtime';
import type { ResourceFollower } from '@heddle/dataplane/agent';
import type { ResourceUpdate, WantedResources } from '@heddle/dataplane';
import { clusterOf, MESH_ROUTE, type MeshName, meshNames, serviceOf } from './mesh-names.ts';

export interface SnapshotZoneOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: Limits;
}

export class SnapshotZone implements ZoneSource, ResourceFollower {
  onWantedChange: (() => void) | undefined;
  readonly #options: SnapshotZoneOptions;
  readonly #zone: Zone;
  #names: Map<string, MeshName> | undefined;
  /** By service. */
  readonly #instances = new Map<string, readonly ZoneInstance[]>();
  /** Services that are new, changed or gone since the zone was brought up to date. */
  readonly #changed = new Set<string>();
  /** Services whose instances were asked for, in the order in which they were last. */
  readonly #demanded = new Set<string>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #told = new Set<string>();

  constructor(options: SnapshotZoneOptions) {
    this.#options = options;
    this.#zone = new Zone((what, reason) => {
      if (this.#told.has(what)) return;
      this.#told.add(what);
      options.logger.warn({ name: what, reason }, 'a name cannot be written in DNS, so it is not answered there');
    });
  }

  get isReady(): boolean {
    return this.#names !== undefined;
  }

  zone(): Zone | undefined {
    if (this.#names === undefined) return undefined;
    for (const key of this.#changed) {
      const name = this.#names.get(key);
      if (name === undefined) this.#zone.remove(key);
      else this.#zone.set({ ...name, ports: undefined, instances: this.#instances.get(key) });
    }
    this.#changed.clear();
    return this.#zone;
  }

  demand(key: string): Promise<void> {
    const { limits, clock } = this.#options;
    const isNew = !this.#demanded.delete(key);
    this.#demanded.add(key);
    if (this.#demanded.size > limits.dnsDemandMax) {
      const [oldest = ''] = this.#demanded;
      this.#demanded.delete(oldest);
    }
    if (isNew) this.onWantedChange?.();
    if (this.#instances.has(key)) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? new Set<() => void>();
      this.#waiting.set(key, waiting);
      const end = (): void => {
        timer.cancel();
        waiting.delete(end);
        if (waiting.size === 0) this.#waiting.delete(key);
        resolve();
      };
      const timer = clock.after(limits.dnsDemandTimeoutMs, end);
      waiting.add(end);
    });
  }

  join(wanted: WantedResources): WantedResources {
    const routes = new Set([...wanted.routes, MESH_ROUTE]);
    const endpoints = new Set([...wanted.endpoints, ...[...this.#demanded].map(clusterOf)]);
    // What is no longer followed would grow old.
    for (const key of this.#instances.keys()) if (!endpoints.has(clusterOf(key))) this.#forget(key);
    return { ...wanted, routes: [...routes].sort(), endpoints: [...endpoints].sort() };
  }

  applied({ kind, upserts, removed }: ResourceUpdate<ResourceKind>): void {
    if (kind === 'route') {
      for (const route of upserts as readonly RouteConfig[]) if (route.name === MESH_ROUTE) this.#takeNames(meshNames(route));
    } else if (kind === 'endpoints') {
      for (const set of upserts as readonly EndpointSet[]) this.#takeInstances(set);
      for (const cluster of removed) {
        const key = serviceOf(cluster);
        if (key !== undefined) this.#forget(key);
      }
    }
  }

  #takeNames(names: Map<string, MeshName>): void {
    const before = this.#names ?? new Map<string, MeshName>();
    const after = new Map<string, MeshName>();
    for (const [key, name] of names) {
      const known = before.get(key);
      const isSame = known !== undefined && JSON.stringify(known) === JSON.stringify(name);
      after.set(key, isSame ? known : name);
      if (!isSame) this.#changed.add(key);
    }
    for (const key of before.keys()) if (!names.has(key)) this.#changed.add(key);
    for (const key of this.#demanded) if (!names.has(key)) this.#demanded.delete(key);
    this.#names = after;
  }

  #takeInstances({ cluster, endpoints }: EndpointSet): void {
    const key = serviceOf(cluster);
    if (key === undefined) return;
    this.#instances.set(
      key,
      endpoints.map(({ instance, address, port, weight, health }) => ({
        id: instance,
        address,
        port,
        weight,
        isHealthy: health === 'healthy',
      })),
    );
    this.#changed.add(key);
    for (const end of this.#waiting.get(key) ?? []) end();
  }

  #forget(key: string): void {
    this.#instances.delete(key);
    this.#changed.add(key);
  }
}
