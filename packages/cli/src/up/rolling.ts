// Instances of a running mesh are restarted one after the other: each leaves rotation, is stopped, started, and must be healthy again before the
// next one is touched. A data plane that has acknowledged the next one's leave has applied the return of this one, too: both are in the same
// list of endpoints. What cannot be done without losing calls is not done, unless that is asked for.
import { type Instance, serviceKey } from '@heddle/core';
import type { HostedProcess } from './hosted-process.ts';
import { leaveTrouble } from './leaving.ts';
import { poll } from './poll.ts';

export interface RollingTarget {
  readonly id: string;
  readonly process: Pick<HostedProcess, 'service' | 'status' | 'leave' | 'return' | 'relaunch'>;
}

export interface RollingOptions {
  /** In this order. */
  readonly targets: readonly RollingTarget[];
  /** How long data planes are waited for, each time. */
  readonly tellMs: number;
  /** Restart an instance although some data planes may still choose it. */
  readonly force: boolean;
  /** As the control plane has it now; undefined: it does not know it. Rejects when it cannot be asked. */
  readonly instance: (target: RollingTarget) => Promise<Instance | undefined>;
  readonly onStep: (step: RollingStep) => void;
  readonly aborted: AbortSignal;
}

export interface RollingStep {
  readonly instance: string;
  /** `warned`: it goes on, but somebody should know. The last of an instance is `healthy` or `failed`. */
  readonly step: 'leaving' | 'warned' | 'stopping' | 'started' | 'healthy' | 'failed';
  readonly message: string;
}

/** As at the start of a mesh. */
const HEALTHY_TIMEOUT_MS = 60_000;

/** True when all are healthy again. Stops at the first that is not; those after it are left as they are. Never rejects. */
export async function restartOneByOne(options: RollingOptions): Promise<boolean> {
  for (const target of options.targets) {
    const failure = await restartOne(target, options).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (failure === undefined) continue;
    options.onStep({ instance: target.id, step: 'failed', message: failure });
    return false;
  }
  return true;
}

/** Undefined when it is healthy again, else why not. */
async function restartOne(
  target: RollingTarget,
  { tellMs, force, instance, onStep, aborted }: RollingOptions,
): Promise<string | undefined> {
  const { id, process } = target;
  const step = (kind: RollingStep['step'], message: string): void => onStep({ instance: id, step: kind, message });
  if (!process.status.running) return 'does not run, so there is nothing to restart';
  step('leaving', 'leaves rotation');
  const left = await process.leave(tellMs);
  if (aborted.aborted) return 'was stopped';
  const trouble = leaveTrouble(left);
  if (trouble !== undefined && !force && (left === undefined || left.outcome !== 'complete')) {
    await process.return();
    return `was not restarted: it ${trouble.message.replace(/^stops/, 'would stop')}. \`--force\` restarts it all the same`;
  }
  if (trouble !== undefined) step('warned', trouble.message);
  step('stopping', `is out of rotation: ${left?.dataPlanes ?? 0} data planes have acknowledged`);
  if (!(await process.relaunch())) {
    // It is tried again by itself, as after a crash.
    await process.return().catch(() => {});
    return 'could not be started again; its own lines say why';
  }
  // Only now: its proxy would find the process that is ending healthy.
  await process.return();
  step('started', `has started (process ${process.status.pid ?? '?'})`);
  const healthy = await poll(
    HEALTHY_TIMEOUT_MS,
    aborted,
    async () => (await instance(target).catch(() => undefined))?.health === 'healthy',
  );
  if (aborted.aborted) return 'was stopped';
  if (healthy !== true) return `of ${serviceKey(process.service)} has not become healthy within ${HEALTHY_TIMEOUT_MS / 1_000} s`;
  step('healthy', 'is healthy again');
  return undefined;
}
