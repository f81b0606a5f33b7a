// Who carries the connections: this process, or several workers. The rest of the proxy sees one data plane either way.
import type { Clock, Logger, MetricsFormat, Network, Random } from '@heddle/runtime';
import { bindSockets, type FamilyValues, type LogLevel, MetricsSum, type ReportingMetrics } from '@heddle/runtime/node';
import { createDataPlane, type DataPlane } from '@heddle/dataplane';
import { SocketNetwork } from './socket-network.ts';
import type { HeldPort, Takeover } from './takeover.ts';
import { WorkerPool } from './worker-pool.ts';

/** How the work is spread over processes. */
export interface ProcessOptions {
  /** 1: everything in this process. More: so many worker processes, and this one only leads them. */
  readonly workers: number;
  /** For the logs of the workers. */
  readonly logLevel: LogLevel;
  readonly logFormat?: 'json' | 'pretty';
  /** What connections have when a new process has taken over. Default 10 min. */
  readonly upgradeDrainMs?: number;
  /** What the process that this one replaces has handed over. */
  readonly takeover?: Takeover;
}

export interface CarrierOptions {
  readonly node: string;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ReportingMetrics;
  /** Absent: in this process, on sockets that stay its own. */
  readonly processes?: ProcessOptions;
}

export interface Carrier {
  readonly dataPlane: DataPlane;
  /** Of all processes. */
  readonly metrics: { expose(format?: MetricsFormat): string; families(): Iterable<FamilyValues> };
  /** Brings status, metrics and, if it is wanted, the dump of the configuration up to date. */
  readonly refresh: (withConfig: boolean) => Promise<void>;
  /** After a takeover: accepts connections from now on. */
  begin(): Promise<void>;
  /** For a process that takes over. */
  sockets(): readonly HeldPort[];
}

/** Rejects when a worker cannot begin; then nothing is left open. */
export async function createCarrier(options: CarrierOptions): Promise<Carrier> {
  const { node, clock, random, logger, metrics, processes } = options;
  if (processes === undefined) {
    const dataPlane = createDataPlane({ network: options.network, clock, random, logger, metrics, node });
    return { dataPlane, metrics, refresh: async () => {}, begin: async () => {}, sockets: () => [] };
  }
  return processes.workers === 1 ? inThisProcess(options, processes) : inWorkers(options, processes);
}

async function inThisProcess(options: CarrierOptions, { takeover }: ProcessOptions): Promise<Carrier> {
  const { node, clock, random, logger, metrics } = options;
  const network = new SocketNetwork({ network: options.network, bind: (place) => bindSockets(place, 1) });
  const handed = takeover?.ports ?? [];
  for (const [slot, { bind, socket }] of handed.entries()) await network.hand(bind, { slot, owner: 0, socket });
  if (takeover === undefined) await network.begin();
  const dataPlane = createDataPlane({ network, clock, random, logger, metrics, node });
  return { dataPlane, metrics, refresh: async () => {}, begin: () => network.begin(), sockets: () => network.sockets() };
}

async function inWorkers(options: CarrierOptions, { workers, logLevel, logFormat, takeover }: ProcessOptions): Promise<Carrier> {
  const sum = new MetricsSum(options.metrics);
  const beginsAtOnce = takeover === undefined;
  const pool = new WorkerPool({ ...options, workers, logLevel, logFormat, sum, beginsAtOnce });
  for (const { bind, socket } of takeover?.ports ?? []) pool.network.hand(bind, socket);
  try {
    await pool.ready();
  } catch (error) {
    await pool.close();
    throw error;
  }
  return {
    dataPlane: pool,
    metrics: sum,
    refresh: (withConfig) => pool.refresh(withConfig),
    begin: () => pool.begin(),
    sockets: () => [...pool.network.ports()].flatMap(({ bind, sockets }) => sockets.map((socket) => ({ bind, socket }))),
  };
}
