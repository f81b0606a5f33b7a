// A running proxy that gives way to a new process: at most one at a time, never while it stops, and with all the time that its long
// connections may need.
import { DEFAULT_LIMITS } from '@heddle/core';
import type { Clock, Logger } from '@heddle/runtime';
import type { SocketBind } from '@heddle/dataplane';
import type { AdminServer } from '@heddle/dataplane/admin';
import type { Carrier, ProcessOptions } from './carrier.ts';
import type { HandedWorkload } from './takeover.ts';
import { startSuccessor } from './upgrade.ts';

export interface SuccessionOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly processes: ProcessOptions | undefined;
  readonly carrier: Carrier;
  readonly admin: AdminServer;
  /** What has a name and a port. */
  readonly names: () => Iterable<SocketBind & { readonly name: string | undefined }>;
}

/** Idle connections close by themselves, at the latest when they have been idle for long: nobody is cut off while it sends. */
const IDLE_MS = DEFAULT_LIMITS.downstreamIdleTimeoutMs + 5_000;
const DEFAULT_UPGRADE_DRAIN_MS = 600_000;

/** What goes along, and who has to know how it goes. */
export interface Handed {
  readonly workloads: readonly HandedWorkload[];
  readonly onBegin?: () => void;
  readonly onFailed?: () => void;
  /** The new process serves; this one still accepts. */
  readonly onServed?: () => Promise<void>;
}

export class Succession {
  private readonly options: SuccessionOptions;
  private state: 'none' | 'under-way' | 'ended' = 'none';

  constructor(options: SuccessionOptions) {
    this.options = options;
  }

  /** The proxy stops: nobody takes over any more. */
  end(): void {
    this.state = 'ended';
  }

  /** Resolves to true when the last connection of this process has ended. */
  async handOver(command: readonly string[], handed: Handed): Promise<boolean> {
    const { clock, logger, processes, carrier, admin, names } = this.options;
    if (processes === undefined || this.state !== 'none') {
      logger.error(
        { reason: this.state === 'under-way' ? 'another one is under way' : 'this process stops or cannot be replaced' },
        'the upgrade was refused',
      );
      return false;
    }
    this.state = 'under-way';
    handed.onBegin?.();
    logger.info({ command: command.join(' ') }, 'a new process is started to take over');
    const named = [...names()].flatMap(({ name, address, port }) => (name === undefined ? [] : [[name, { address, port }] as const]));
    const successor = await startSuccessor({
      command,
      clock,
      logger,
      ports: carrier.sockets(),
      admin: { bind: admin.address, socket: admin.socket },
      names: new Map(named),
      workloads: handed.workloads,
    });
    if (successor === undefined) {
      if (this.state === 'under-way') this.state = 'none';
      handed.onFailed?.();
      return false;
    }
    this.state = 'ended';
    const drainMs = processes.upgradeDrainMs ?? DEFAULT_UPGRADE_DRAIN_MS;
    logger.info({ pid: successor.pid, drainMs }, 'the new process serves; this one finishes what it has begun');
    await handed.onServed?.();
    const drained = carrier.dataPlane.drain(drainMs, 'all', IDLE_MS);
    await admin.close();
    successor.release();
    await drained;
    logger.info({}, 'everything that this process had begun has ended');
    return true;
  }
}
