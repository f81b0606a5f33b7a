// A calling process and a called one, both with the data plane inside, in this process: what `Mesh` is to the doors, without a control plane. Tests only.
import { createInsideDataPlane, type DirectCalls, type InsideDataPlane } from '@heddle/dataplane/direct';
import type { Network } from '@heddle/runtime';
import { InsideServers, insideNetwork, memoryLink, type MemoryStream } from '@heddle/runtime/inside';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { endpoint, type InboundOptions, type RouteOptions, TestMesh } from '../../../dataplane/src/testing/mesh.ts';
import type { Mesh } from '../plane/mesh.ts';
import { isMeshName } from '../plane/names.ts';

const LOOPBACK = '127.0.0.1';
const CALLER = 'default/web/web-1';

export class TwoPlanes {
  readonly mesh = new TestMesh();
  readonly servers = new InsideServers();
  private readonly network: Network;

  constructor(network: Network = nodeNetwork) {
    this.network = network;
  }

  plane(node: string): InsideDataPlane {
    const plane = createInsideDataPlane({
      network: insideNetwork(this.network, this.servers),
      clock: nodeClock,
      random: nodeRandom,
      metrics: createMetrics(),
      logger: createLogger({ level: 'silent', format: 'json' }),
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
    const web = this.plane('web');
    const out = await this.mesh.outbound(web, 'orders', endpoints, { route });
    return new CallerMesh(web, out, this.servers);
  }

  close(): Promise<void> {
    return this.mesh.close();
  }
}

/** Ready from the start, unless `isReady` is set to false. */
export class CallerMesh implements Mesh {
  readonly workload = CALLER;
  readonly servers: InsideServers;
  readonly plane: InsideDataPlane;
  readonly calls: DirectCalls;
  isReady = true;
  /** What is waited for while it is not ready. */
  becomesReady: Promise<void> = Promise.resolve();
  /** Calls that keep the process alive. */
  held = 0;
  /** Calls that were begun. */
  begun = 0;
  private readonly out: { readonly address: string; readonly port: number };

  constructor(plane: InsideDataPlane, port: number, servers: InsideServers) {
    this.plane = plane;
    this.out = { address: LOOPBACK, port };
    this.servers = servers;
    const calls = plane.callsThrough(this.out, CALLER);
    this.calls = {
      begin: (...args) => {
        this.begun += 1;
        return calls.begin(...args);
      },
    };
  }

  serves(authority: string): boolean {
    return isMeshName(authority);
  }

  async ready(): Promise<void> {
    await this.becomesReady;
    this.isReady = true;
  }

  connect(): MemoryStream {
    const { connection, stream } = memoryLink({ remoteAddress: LOOPBACK, remotePort: 1, localAddress: LOOPBACK, localPort: 0 });
    this.plane.enter(this.out, connection, CALLER);
    return stream;
  }

  hold(): void {
    this.held += 1;
  }

  release(): void {
    this.held -= 1;
  }
}
