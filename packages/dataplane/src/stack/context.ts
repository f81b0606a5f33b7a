// What every part of the data path shares: ports, limits, the timer wheel, the gathering of writes, and the count of work under way.
import { PROCESS_METRICS } from '@heddle/core';
import type { CallerZone, Limits, Locality } from '@heddle/core';
import type { Clock, Logger, Metrics, Network, Random } from '@heddle/runtime';
import type { ConnectFailures } from '../upstream/connect-failures.ts';
import type { InstanceMetricsTable } from '../telemetry/instances.ts';
import type { Deadlines } from './deadlines.ts';
import type { Onlookers } from './ended-request.ts';
import type { Turn } from './turn.ts';

export interface Context {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly instances: InstanceMetricsTable;
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly turn: Turn;
  /** Requests and streams under way; the drain waits for them. */
  readonly active: { count: number };
  /** Who looks at requests for a while. */
  readonly onlookers: Onlookers;
  /** Connections to endpoints that should be healthy. */
  readonly connectFailures: ConnectFailures;
  /** The application is in this process, and gets the claims of checked tokens whole. */
  readonly tellsClaims?: true;
  /** Where this data plane runs; absent: not known. */
  readonly locality?: Locality;
  /** Where the instances of the workload's service run, as far as it is known: with it they call the others. */
  readonly zonesOf?: (workload: string) => readonly CallerZone[];
}

/** `<namespace>/<service>` of a workload name `<namespace>/<service>/<instance>`. */
export function serviceOfWorkload(workload: string): string {
  const end = workload.lastIndexOf('/');
  return end === -1 ? workload : workload.slice(0, end);
}

/**
 * A fault of ours while handling one connection's event: the connection is given up, the process and all others go on. Faults of peers
 * never come here; they are answered where they are found.
 */
export function reportBug(context: Context, where: string, error: unknown): void {
  context.logger.error({ where, error }, 'a fault of heddle itself: the connection is closed; please report it');
  context.metrics.counter(PROCESS_METRICS.faults, { where }).add(1);
}
