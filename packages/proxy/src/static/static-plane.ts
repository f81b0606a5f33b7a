// A data plane that is configured by a file: binds what the file lists, checks the endpoints, and takes a new version of the file whole
// or not at all. Loads and verdicts are taken one after the other.
import type { CheckState, Cluster, Listener, Resource, ResourceKind, StaticConfig } from '@heddle/core';
import type { Clock, Logger, Network, Random } from '@heddle/runtime';
import { NetworkError } from '@heddle/runtime';
import {
  checkConflicts,
  type DataPlane,
  HealthMonitor,
  type ListenerStatus,
  sendProbe,
  type SocketBind,
  type Verdict,
} from '@heddle/dataplane';
import {
  bundlesOf,
  certificatesOf,
  checkedClusters,
  checkName,
  clusterOf,
  formatAddress,
  listenerOf,
  nameListeners,
  nowhere,
  resourceName,
  routesOf,
} from './resources.ts';

export interface StaticPlaneOptions {
  readonly dataPlane: DataPlane;
  readonly node: string;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where listeners were bound by the process that this one replaces, by name. */
  readonly bound?: ReadonlyMap<string, SocketBind> | undefined;
}

export class StaticPlane {
  readonly #options: StaticPlaneOptions;
  readonly #monitor: HealthMonitor;
  /** By name of the check. `unchecked`: its first check has not ended. */
  readonly #health = new Map<string, CheckState | 'unchecked'>();
  #isUpdatingChecks = false;
  #config: StaticConfig = { listeners: [], services: [] };
  /** Where each listener is bound. */
  #bound: ReadonlyMap<string, SocketBind>;
  #queue: Promise<unknown> = Promise.resolve();
  #wasReady = false;

  constructor(options: StaticPlaneOptions) {
    this.#options = options;
    this.#bound = options.bound ?? new Map();
    const { network, clock, random } = options;
    this.#monitor = new HealthMonitor({
      clock,
      random,
      sendProbe: (cluster, onEnd) => sendProbe({ network, clock }, cluster, onEnd),
      onVerdict: (check, verdict) => this.#verdict(check, verdict),
    });
  }

  /** Throws NetworkError when a port cannot be had or a certificate cannot be used; then everything is as before. */
  load(config: StaticConfig): Promise<void> {
    return this.#serially(() => this.#load(config));
  }

  listeners(): readonly ListenerStatus[] {
    return this.#options.dataPlane.status().listeners;
  }

  /** Endpoints that fail do not make a proxy unready; only at the start their first checks are waited for. */
  missing(): string[] {
    const { listeners, draining } = this.#options.dataPlane.status();
    if (draining) return ['it is draining'];
    const missing = listeners
      .filter(({ state }) => state !== 'accepting')
      .map((listener) => `${formatAddress(listener)} ${listener.state}`);
    if (!this.#wasReady)
      for (const [check, health] of this.#health) if (health === 'unchecked') missing.push(`${check}: the first check has not ended`);
    this.#wasReady ||= missing.length === 0;
    return missing;
  }

  /** Refuses new connections, lets requests in flight end, then closes. Never rejects. */
  async drain(graceMs: number): Promise<void> {
    await this.#queue;
    this.#monitor.close();
    await this.#options.dataPlane.drain(graceMs, 'all');
  }

  async close(): Promise<void> {
    await this.#queue;
    this.#monitor.close();
    await this.#options.dataPlane.close();
  }

  async #load(config: StaticConfig): Promise<void> {
    const { dataPlane, node } = this.#options;
    const named = nameListeners(config.listeners);
    const reserved = new Map<string, SocketBind>();
    try {
      for (const { name, address, port } of named) {
        const wanted = port === 0 ? (this.#bound.get(name) ?? { address, port }) : { address, port };
        reserved.set(name, await dataPlane.reserve(wanted));
      }
      const listeners = named.map((listener) => listenerOf(listener, reserved.get(listener.name)?.port ?? 0, node, config));
      // Where the file names a port that the system chose for another of its listeners.
      const conflict = checkConflicts(listeners);
      if (conflict !== undefined) throw new NetworkError('address-in-use', conflict);
      await this.#take(config, listeners);
      this.#bound = reserved;
    } finally {
      // What a listener uses stays bound.
      for (const bind of reserved.values()) await dataPlane.release(bind);
    }
    this.#isUpdatingChecks = true;
    this.#monitor.update(checkedClusters(config));
    this.#isUpdatingChecks = false;
  }

  /** Everything has been checked, so nothing is refused; what is needed comes first, what is not goes last. */
  async #take(config: StaticConfig, listeners: readonly Listener[]): Promise<void> {
    const before = this.#config;
    const { dataPlane } = this.#options;
    // Their names say what they hold, so that nothing in use changes, and one that cannot be used leaves everything as it is.
    for (const [name, certificate] of certificatesOf(config)) dataPlane.setCertificate(name, certificate);
    this.#config = config;
    this.#renewChecks(before, config);
    await this.#apply('secret', bundlesOf(config));
    await this.#apply('cluster', this.#clusters());
    await this.#apply('route', routesOf(config));
    await this.#apply('listener', listeners, gone([...this.#bound.keys()], namesOf(listeners)));
    await this.#apply('route', [], gone(namesOf(routesOf(before)), namesOf(routesOf(config))));
    await this.#apply('cluster', [], gone(clusterNames(before), clusterNames(config)));
    await this.#apply('secret', [], gone(namesOf(bundlesOf(before)), namesOf(bundlesOf(config))));
    const certificates = gone([...certificatesOf(before).keys()], [...certificatesOf(config).keys()]);
    for (const name of certificates) dataPlane.removeCertificate(name);
  }

  #clusters(): Cluster[] {
    const clusters = this.#config.services.map((service) =>
      clusterOf(service, (endpoint) => {
        const isServing = service.health === undefined || this.#health.get(checkName(service.name, endpoint)) === 'healthy';
        return isServing ? 'healthy' : 'unhealthy';
      }),
    );
    return [...clusters, ...nowhere(this.#config)];
  }

  /** A new endpoint gets traffic after its first passed check; one that got traffic already goes on until its first failed one. */
  #renewChecks(before: StaticConfig, config: StaticConfig): void {
    const checks = new Set(namesOf(checkedClusters(config)));
    for (const check of this.#health.keys()) if (!checks.has(check)) this.#health.delete(check);
    const unchecked = before.services.filter(({ health }) => health === undefined);
    const serving = new Set(unchecked.flatMap(({ name, endpoints }) => endpoints.map((endpoint) => checkName(name, endpoint))));
    for (const check of checks) if (!this.#health.has(check)) this.#health.set(check, serving.has(check) ? 'healthy' : 'unchecked');
  }

  #verdict(check: string, { state, reason }: Verdict): void {
    const before = this.#health.get(check);
    // A check that only begins says nothing about the endpoint.
    if (before === undefined || this.#isUpdatingChecks) return;
    this.#health.set(check, state);
    if ((state === 'healthy') === (before === 'healthy') && before !== 'unchecked') return;
    this.#options.logger[state === 'healthy' ? 'info' : 'warn']({ endpoint: check, state }, reason);
    const cluster = resourceName(check.split(' ', 1)[0] ?? '');
    void this.#serially(() =>
      this.#apply(
        'cluster',
        this.#clusters().filter(({ name }) => name === cluster),
      ),
    ).catch(() => {
      // A data plane that drains takes no more updates.
    });
  }

  async #apply<K extends ResourceKind>(kind: K, upserts: readonly Resource<K>[], removed: readonly string[] = []): Promise<void> {
    if (upserts.length === 0 && removed.length === 0) return;
    const reason = await this.#options.dataPlane.apply({ kind, upserts, removed });
    if (reason !== undefined) throw new Error(reason);
  }

  #serially<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function namesOf(resources: readonly { readonly name: string }[]): string[] {
  return resources.map(({ name }) => name);
}

function clusterNames(config: StaticConfig): string[] {
  return [...config.services.map(({ name }) => resourceName(name)), ...namesOf(nowhere(config))];
}

function gone(before: readonly string[], after: readonly string[]): string[] {
  const kept = new Set(after);
  return before.filter((name) => !kept.has(name));
}
