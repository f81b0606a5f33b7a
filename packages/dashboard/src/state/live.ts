// What the watch tells, kept: services, instances, data planes, events, traffic.
import { type ReadonlySignal, batch, computed, signal } from '@preact/signals';
import type { ServerSentEvent } from '../api/events.ts';
import type { Graph, GraphEdge, GraphNode } from '../api/traffic.ts';
import type { Instance, MeshEvent, Proxy, Service, WatchChanges, WatchResync, WatchSnapshot } from '../api/types.ts';
import { Collection } from './collection.ts';

/** As many as the timeline shows without asking for more. */
const EVENTS_MAX = 500;

export const instanceKey = ({ namespace, service, instance }: Pick<Instance, 'namespace' | 'service' | 'instance'>): string =>
  `${namespace}/${service}/${instance}`;
export const serviceKey = ({ namespace, name }: { readonly namespace: string; readonly name: string }): string => `${namespace}/${name}`;
export const edgeKey = ({ source, destination, protocol }: Pick<GraphEdge, 'source' | 'destination' | 'protocol'>): string =>
  `${source} ${destination} ${protocol ?? ''}`;

export class Live {
  readonly services = new Collection<Service>(serviceKey);
  readonly instances = new Collection<Instance>(instanceKey);
  readonly proxies = new Collection<Proxy>(({ id }) => id);
  readonly nodes = new Collection<GraphNode>(({ id }) => id);
  readonly edges = new Collection<GraphEdge>(edgeKey);
  readonly #events = signal<readonly MeshEvent[]>([]);
  readonly #trafficAt = signal('');
  readonly #ofService = new Map<string, ReadonlySignal<readonly string[]>>();
  /** Of the snapshot that is coming in. */
  #eventsBegun: MeshEvent[] = [];

  /** Newest first. */
  get events(): ReadonlySignal<readonly MeshEvent[]> {
    return this.#events;
  }

  /** When traffic was told last (RFC 3339); empty: not yet. */
  get trafficAt(): ReadonlySignal<string> {
    return this.#trafficAt;
  }

  /** Names of the instances of a service; told only when one of them comes or goes. */
  instancesOf(service: string): ReadonlySignal<readonly string[]> {
    let known = this.#ofService.get(service);
    if (known === undefined) {
      let last: readonly string[] = [];
      known = computed(() => {
        const names = this.instances.names.value.filter((name) => name.startsWith(`${service}/`));
        return (last = names.length === last.length && names.every((name, index) => name === last[index]) ? last : names);
      });
      this.#ofService.set(service, known);
    }
    return known;
  }

  take({ event, data }: ServerSentEvent): void {
    batch(() => {
      const value = JSON.parse(data) as WatchSnapshot | WatchChanges | WatchResync | Graph;
      if ('edges' in value) this.traffic(value);
      else if (event === 'snapshot') this.#snapshot(value as WatchSnapshot);
      else if (event === 'changes') this.#changes(value as WatchChanges);
    });
  }

  traffic({ nodes, edges, updated }: Graph): void {
    const whole = { first: true, last: true };
    this.nodes.snapshot(nodes, whole);
    this.edges.snapshot(edges, whole);
    this.#trafficAt.value = updated;
  }

  clear(): void {
    for (const collection of [this.services, this.instances, this.proxies, this.nodes, this.edges]) collection.clear();
    this.#events.value = [];
    this.#trafficAt.value = '';
  }

  #snapshot({ kind, items, first, last }: WatchSnapshot): void {
    const part = { first, last };
    if (kind === 'services') this.services.snapshot(items as Service[], part);
    else if (kind === 'instances') this.instances.snapshot(items as Instance[], part);
    else if (kind === 'proxies') this.proxies.snapshot(items as Proxy[], part);
    else if (kind === 'events') {
      this.#eventsBegun = [...(first ? [] : this.#eventsBegun), ...(items as MeshEvent[])];
      if (last) this.#events.value = newestFirst(this.#eventsBegun);
    }
  }

  #changes({ kind, changed, removed }: WatchChanges): void {
    if (kind === 'services') this.services.change(changed as Service[], removed);
    else if (kind === 'instances') this.instances.change(changed as Instance[], removed);
    else if (kind === 'proxies') this.proxies.change(changed as Proxy[], removed);
    else if (kind === 'events') this.#events.value = newestFirst([...this.#events.value, ...(changed as MeshEvent[])]);
  }
}

/** Each once. */
function newestFirst(events: readonly MeshEvent[]): MeshEvent[] {
  return [...new Map(events.map((event) => [event.id, event])).values()].sort((a, b) => b.id - a.id).slice(0, EVENTS_MAX);
}
