// A mesh in which every fault has a service of its own, so that faults can happen at the same time: a control plane, a data plane that calls, one
// beside the instances, and processes of instances. All policies are those that hold where nobody has said anything.
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { createLogger } from '@heddle/runtime/node';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { adminCall, type Cleanup, control, host, LOOPBACK, machine, meshOf, through, untilEndpoints } from '../../support/planes.ts';
import { InstanceProcess } from './instance-process.ts';
import { WatchedNetwork } from './watched-network.ts';

export const INSTANCES = 4;

export interface ServiceWish {
  readonly name: string;
  /** Text of the mesh file: `{ health: { http: /healthz } }`. Absent: nothing is said. */
  readonly settings?: string;
  /** The first instance is a process of its own. */
  readonly hasOwnProcess: boolean;
  /** The first instance is called through a relay. */
  readonly hasRelay: boolean;
}

/** The first instance of a service, which is to be ill. */
export interface Patient {
  readonly instance: string;
  /** Where its data plane listens. */
  readonly port: number;
  readonly process: InstanceProcess;
  readonly relay: FaultProxy | undefined;
}

interface LeftOut {
  readonly atMs: number;
  readonly instance: string;
  readonly isOut: boolean;
}

/** What the caller's data plane is told of an endpoint, and what it makes of it. */
interface DumpedCluster {
  readonly name: string;
  readonly hosts: readonly { readonly instance: string; readonly health: string }[];
}

export class FaultMesh {
  readonly network = new WatchedNetwork();
  readonly patients = new Map<string, Patient>();
  /** Ejections and returns, as the caller's data plane logs them. */
  readonly leftOut: LeftOut[] = [];
  #caller!: RunningProxy;

  static async start(cleanup: Cleanup, services: readonly ServiceWish[]): Promise<FaultMesh> {
    const lines = services.map(
      ({ name, settings }, index) => `  ${name}: { port: ${80 + index}${settings === undefined ? '' : `, ${settings}`} }`,
    );
    const running = await control(cleanup, { mesh: meshOf(`mesh: test\nservices:\n${lines.join('\n')}\n`) });
    const mesh = new FaultMesh();
    const logger = createLogger({ level: 'info', format: 'json', destination: { write: (line) => mesh.#read(line) } });
    mesh.#caller = await machine(cleanup, running, { node: 'caller', network: mesh.network, logger });
    const beside = await machine(cleanup, running, { node: 'beside' });
    const others = new InstanceProcess(cleanup);
    const ill = new InstanceProcess(cleanup);
    await Promise.all(services.map((service) => mesh.#add(cleanup, running, beside, service, others, ill)));
    for (const { name } of services) await untilEndpoints(mesh.#caller, name, instancesOf(name));
    return mesh;
  }

  get door(): { readonly host: string; readonly port: number } {
    return through(this.#caller);
  }

  /** Of the instances of all services, what the caller's data plane calls them, `gone` where it does not know them. */
  async health(): Promise<Map<string, string>> {
    const dump = (await (await adminCall(this.#caller, 'GET', '/config_dump')).json()) as { clusters: readonly DumpedCluster[] };
    const all = dump.clusters.filter(({ name }) => name.startsWith('outbound/')).flatMap(({ hosts }) => hosts);
    return new Map(all.map(({ instance, health }) => [instance, health]));
  }

  async #add(
    cleanup: Cleanup,
    running: RunningControl,
    beside: RunningProxy,
    { name, hasOwnProcess, hasRelay }: ServiceWish,
    others: InstanceProcess,
    ill: InstanceProcess,
  ): Promise<void> {
    const [first = '', ...rest] = instancesOf(name);
    const process = hasOwnProcess ? new InstanceProcess(cleanup) : ill;
    const { inbound } = await host(beside, running, first, await process.serve(first));
    const relay = hasRelay ? await FaultProxy.start(cleanup, { address: LOOPBACK, port: inbound.port }) : undefined;
    if (relay !== undefined) this.network.relays.set(inbound.port, relay.port);
    this.patients.set(name, { instance: first, port: inbound.port, process, relay });
    for (const instance of rest) await host(beside, running, instance, await others.serve(instance));
  }

  #read(line: string): void {
    const { instance, msg } = JSON.parse(line) as { readonly instance?: string; readonly msg: string };
    if (instance === undefined) return;
    const isOut = msg === 'the instance gets no requests for a while';
    if (isOut || msg === 'the instance gets requests again') this.leftOut.push({ atMs: performance.now(), instance, isOut });
  }
}

export function instancesOf(service: string): string[] {
  return Array.from({ length: INSTANCES }, (_, index) => `${service}-${index + 1}`);
}
