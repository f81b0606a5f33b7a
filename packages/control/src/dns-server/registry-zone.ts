// The registry as a DNS zone. A change only notes which services it touched; these are taken over when somebody asks next, so that a busy
// registry costs nothing where nobody asks for names.
import { serviceHostnames } from '@heddle/core';
import type { Instance, Service } from '@heddle/core';
import { SRV_WORDS, Zone, type ZoneInstance, type ZoneService, type ZoneSource } from '@heddle/dns';
import type { Logger } from '@heddle/runtime';
import type { RegistryChange, RegistryView, ServiceView } from '../registry/view.ts';

/** Where the zone reads: a Registry, or anything like it. */
export interface ZoneRegistry {
  snapshot(): RegistryView;
  service(key: string): ServiceView | undefined;
  onChange(listener: (change: RegistryChange) => void): { close(): void };
}

export class RegistryZone implements ZoneSource {
  readonly #registry: ZoneRegistry;
  readonly #zone: Zone;
  readonly #changed: Set<string>;
  /** What was said about names that DNS cannot hold: once for each. */
  readonly #told = new Set<string>();
  readonly #watch: { close(): void };

  constructor(registry: ZoneRegistry, logger: Logger) {
    this.#registry = registry;
    this.#changed = new Set(registry.snapshot().services.keys());
    this.#zone = new Zone((what, reason) => {
      if (this.#told.has(what)) return;
      this.#told.add(what);
      logger.warn({ name: what, reason }, 'a name cannot be written in DNS, so it is not answered there');
    });
    this.#watch = registry.onChange(({ services }) => {
      for (const key of services) this.#changed.add(key);
    });
  }

  zone(): Zone {
    for (const key of this.#changed) {
      const view = this.#registry.service(key);
      if (view === undefined) this.#forget(key);
      else this.#zone.set(zoneService(view));
    }
    this.#changed.clear();
    return this.#zone;
  }

  /** Nothing to wait for: the registry knows every instance. */
  demand(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#watch.close();
  }

  #forget(key: string): void {
    this.#zone.remove(key);
    for (const what of this.#told) if (what === key || what.startsWith(`${key}/`)) this.#told.delete(what);
  }
}

function zoneService({ service, instances }: ServiceView): ZoneService {
  return {
    namespace: service.namespace,
    name: service.name,
    hostnames: hostnames(service),
    port: service.port,
    srvWords: SRV_WORDS[service.protocol],
    ports: service.ports,
    virtualAddress: service.virtualAddress,
    instances: zoneInstances(instances),
  };
}

/** The registry keeps lists that did not change, and so does this, so that the zone sees it. */
const converted = new WeakMap<readonly Instance[], readonly ZoneInstance[]>();

function zoneInstances(instances: readonly Instance[]): readonly ZoneInstance[] {
  const known = converted.get(instances);
  if (known !== undefined) return known;
  const made = instances.map(
    ({ id, inbound, weight, health, ports }): ZoneInstance => ({ id, ...inbound, weight, isHealthy: health === 'healthy', ports }),
  );
  converted.set(instances, made);
  return made;
}

const names = new WeakMap<Service, readonly string[]>();

function hostnames(service: Service): readonly string[] {
  const known = names.get(service) ?? serviceHostnames(service);
  names.set(service, known);
  return known;
}
