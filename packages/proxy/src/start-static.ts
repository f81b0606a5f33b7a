// Puts a data plane together that has no control plane: data path, what a file says, admin API. The CLI calls it.
import { watchProcessMetrics } from '@heddle/runtime/process';
import type { SocketAddress, StaticConfig } from '@heddle/core';
import type { Clock, Logger, Network, Random } from '@heddle/runtime';
import type { ReportingMetrics } from '@heddle/runtime/node';
import type { ListenerStatus } from '@heddle/dataplane';
import { startAdminServer } from '@heddle/dataplane/admin';
import { StaticPlane } from './static/static-plane.ts';
import { createCarrier, type ProcessOptions } from './workers/carrier.ts';
import { Succession } from './workers/succession.ts';

export interface StaticProxyOptions {
  readonly config: StaticConfig;
  /** For logs, metrics and the configuration dump. */
  readonly node: string;
  readonly admin: SocketAddress;
  /** Bearer token of the admin API. */
  readonly adminToken: string;
  /** Time that requests in flight have when draining. */
  readonly drainMs: number;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ReportingMetrics;
  /** Absent: everything in this process, which cannot be replaced while it serves. */
  readonly processes?: ProcessOptions;
}

export interface RunningStaticProxy {
  readonly admin: SocketAddress;
  /** With their real ports. */
  listeners(): readonly ListenerStatus[];
  /** What is missing until every listener serves; empty when ready. */
  missing(): string[];
  /** Takes the new configuration whole; what stays is not disturbed. Throws NetworkError when a port cannot be had; then the old one stays. */
  reload(config: StaticConfig): Promise<void>;
  /** Resolves when `POST /drain` was called. */
  readonly drainRequested: Promise<void>;
  /**
   * Lets a new process, of this command line, take everything over. True when it has, and all connections that were left have ended; false,
   * with the reason in the log, when this process goes on.
   */
  upgrade(command: readonly string[]): Promise<boolean>;
  /** Graceful: refuses new connections, waits for requests in flight, then closes. Again: the same promise. Never rejects. */
  stop(): Promise<void>;
}

/** Throws NetworkError when a port cannot be had; then nothing is left open. */
export async function startStaticProxy(options: StaticProxyOptions): Promise<RunningStaticProxy> {
  const { network, clock, random, logger, node, drainMs, processes } = options;
  const takeover = processes?.takeover;
  const carrier = await createCarrier(options);
  const { dataPlane } = carrier;
  const plane = new StaticPlane({ dataPlane, node, network, clock, random, logger, bound: takeover?.names });
  const unwatch = watchProcessMetrics(options.metrics);
  const { promise: drainRequested, resolve: requestDrain } = Promise.withResolvers<void>();
  try {
    await plane.load(options.config);
    if (takeover !== undefined) {
      await takeover.whenNothingIsMissing(() => plane.missing());
      await carrier.begin();
      await takeover.ready();
    }
    const admin = await startAdminServer({
      listen: takeover?.admin ?? options.admin,
      token: options.adminToken,
      missing: () => plane.missing(),
      dataPlane,
      metrics: carrier.metrics,
      refresh: carrier.refresh,
      clock,
      logger,
      onDrain: requestDrain,
    });
    const succession = new Succession({ clock, logger, processes, carrier, admin, names: () => dataPlane.status().listeners });
    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      unwatch();
      succession.end();
      await plane.drain(drainMs);
      await admin.close();
      await plane.close();
    };
    return {
      admin: admin.address,
      listeners: () => plane.listeners(),
      missing: () => plane.missing(),
      reload: (config) => plane.load(config),
      drainRequested,
      upgrade: async (command) => (await succession.handOver(command, { workloads: [] })) && (await plane.close(), true),
      stop: () => (stopping ??= stop()),
    };
  } catch (error) {
    unwatch();
    await plane.close();
    throw error;
  }
}
