// Puts a data plane together that has no control plane: data path, what a file says, admin API. The CLI calls it.
import type { SocketAddress, StaticConfig } from '@heddle/core';
import type { Clock, Logger, Metrics, Network, Random } from '@heddle/runtime';
import { startAdminServer } from './admin/server.ts';
import { createDataPlane, type ListenerStatus } from './data-plane.ts';
import { StaticPlane } from './static/static-plane.ts';

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
  readonly metrics: Metrics;
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
  /** Graceful: refuses new connections, waits for requests in flight, then closes. Again: the same promise. Never rejects. */
  stop(): Promise<void>;
}

/** Throws NetworkError when a port cannot be had; then nothing is left open. */
export async function startStaticProxy(options: StaticProxyOptions): Promise<RunningStaticProxy> {
  const { network, clock, random, logger, metrics, node, drainMs } = options;
  const dataPlane = createDataPlane({ network, clock, random, logger, metrics, node });
  const plane = new StaticPlane({ dataPlane, node, network, clock, random, logger });
  const { promise: drainRequested, resolve: requestDrain } = Promise.withResolvers<void>();
  try {
    await plane.load(options.config);
    const admin = await startAdminServer({
      listen: options.admin,
      token: options.adminToken,
      missing: () => plane.missing(),
      dataPlane,
      metrics,
      logger,
      onDrain: requestDrain,
    });
    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
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
      stop: () => (stopping ??= stop()),
    };
  } catch (error) {
    await plane.close();
    throw error;
  }
}
