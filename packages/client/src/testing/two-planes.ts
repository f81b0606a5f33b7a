// A calling process and a called one, both with the data plane inside, in this process. Tests only.
import type { Endpoint, Listener } from '@heddle/core';
import { createInsideDataPlane, type DirectCalls, type InsideDataPlane } from '@heddle/dataplane/direct';
import type { Logger, Network } from '@heddle/runtime';
import { InsideServers, insideNetwork } from '@heddle/runtime/inside';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import {
  endpoint,
  type InboundOptions,
  meshCluster,
  mustApply,
  type RouteOptions,
  routeOf,
  TestMesh,
} from '../../../dataplane/src/testing/mesh.ts';
import { PlaneMesh, type PlaneMeshOptions } from './plane-mesh.ts';

const LOOPBACK = '127.0.0.1';
const CALLER = 'default/web/web-1';

/** What the caller calls. */
export interface CalledService {
  readonly service: string;
  readonly endpoints: readonly Endpoint[];
  /** Default: the service's name in the mesh. */
  readonly domain?: string;
  readonly route?: RouteOptions;
}

export class TwoPlanes {
  readonly mesh = new TestMesh();
  readonly servers = new InsideServers();
  private readonly network: Network;
  private readonly logger: Logger;

  constructor(network: Network = nodeNetwork, logger: Logger = createLogger({ level: 'silent', format: 'json' })) {
    this.network = network;
    this.logger = logger;
  }

  plane(node: string): InsideDataPlane {
    const plane = createInsideDataPlane({
      network: insideNetwork(this.network, this.servers),
      clock: nodeClock,
      random: nodeRandom,
      metrics: createMetrics(),
      logger: this.logger,
      node,
    });
    this.mesh.onClose(() => plane.close());
    return plane;
  }

  /** The calling process's mesh, in which `orders` is the application on this port. 0: it has no instance. */
  async callerOf(port: number, options: { route?: RouteOptions; inbound?: InboundOptions } = {}): Promise<CallerMesh> {
    const { route = {}, inbound = {} } = options;
    const endpoints = [];
    if (port > 0) {
      const orders = this.plane('orders');
      const local = { http: 'http2', ...inbound.local } as const;
      endpoints.push(endpoint(await this.mesh.inbound(orders, 'orders', 'orders-1', port, { ...inbound, local }), 'orders-1'));
    }
    return this.caller([{ service: 'orders', endpoints, domain: '*', route }]);
  }

  /** One way out to all of these, as a control plane configures it. */
  async caller(services: readonly CalledService[]): Promise<CallerMesh> {
    const web = this.plane('web');
    const out = await web.reserve({ address: LOOPBACK, port: 0 });
    web.setIdentity(CALLER, this.mesh.authority.service('web'));
    await this.mesh.trust(web);
    await mustApply(web, { kind: 'cluster', upserts: services.map(({ service }) => meshCluster(service)), removed: [] });
    const places = services.map(({ service, endpoints }) => ({ cluster: clusterOf(service), endpoints }));
    await mustApply(web, { kind: 'endpoints', upserts: places, removed: [] });
    const virtualHosts = services.map(({ service, domain = `${service}.mesh.internal`, route }) => ({
      name: service,
      domains: [domain],
      routes: [routeOf(clusterOf(service), route)],
    }));
    await mustApply(web, { kind: 'route', upserts: [{ name: 'mesh', virtualHosts }], removed: [] });
    const listener: Listener = {
      name: 'outbound/proxy',
      direction: 'outbound',
      ...out,
      workload: CALLER,
      filter: { kind: 'http', routeConfigName: 'mesh' },
    };
    await mustApply(web, { kind: 'listener', upserts: [listener], removed: [] });
    return new CallerMesh({ plane: web, workload: CALLER, out, servers: this.servers });
  }

  close(): Promise<void> {
    return this.mesh.close();
  }
}

/** Name of the cluster of a service that the caller calls. */
export function clusterOf(service: string): string {
  return `outbound/default/${service}`;
}

/** Ready from the start, unless `isReady` is set to false. */
export class CallerMesh extends PlaneMesh {
  override readonly calls: DirectCalls;
  /** What is waited for while it is not ready. */
  becomesReady: Promise<void> = Promise.resolve();
  /** Calls that keep the process alive. */
  held = 0;
  /** Calls that were begun. */
  begun = 0;

  constructor(options: PlaneMeshOptions) {
    super(options);
    const calls = options.plane.callsThrough(options.out, options.workload);
    this.calls = {
      begin: (...args) => {
        this.begun += 1;
        return calls.begin(...args);
      },
    };
  }

  override async ready(): Promise<void> {
    await this.becomesReady;
    this.isReady = true;
  }

  override hold(): void {
    this.held += 1;
  }

  override release(): void {
    this.held -= 1;
  }
}
