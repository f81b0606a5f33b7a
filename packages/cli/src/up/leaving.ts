// One instance leaves rotation before its process is told to end: its proxy is asked to see to it, and tells how it went. What could not be
// waited for is said, as whoever stops the instance is to know.
import type { ServiceRef } from '@heddle/core';
import type { Level } from '../supervisor/process-machine.ts';
import type { LeaveStatus, ProxyAdmin } from './proxy-admin.ts';

export interface LeaveTimes {
  /** How long data planes are waited for, until none of them chooses the instance any more. */
  readonly tellMs: number;
  /** And then requests under way, until they have ended. */
  readonly finishMs: number;
}

/** As long as the control plane waits by itself: a data plane whose connection broke is back by then, or counts as gone. */
export const TELL_MS = 30_000;
/** For one answer of the proxy's admin API. */
const WAIT_MS = 2_000;
const NAMES_MAX = 5;

/** Undefined: the proxy does not answer, or does not host it, or it was aborted. Never rejects. */
export async function leaveRotation(
  admin: Pick<ProxyAdmin, 'leave'>,
  service: ServiceRef,
  instance: string,
  times: LeaveTimes,
  aborted: AbortSignal,
): Promise<LeaveStatus | undefined> {
  const endMs = performance.now() + times.tellMs + times.finishMs + 2 * WAIT_MS;
  let last: LeaveStatus | undefined;
  const gone = new Promise<undefined>((resolve) => aborted.addEventListener('abort', () => resolve(undefined), { once: true }));
  while (!aborted.aborted && performance.now() < endMs) {
    const status = await Promise.race([admin.leave(service, instance, { ...times, waitMs: WAIT_MS }).catch(() => undefined), gone]);
    if (status === undefined) return undefined;
    last = status;
    if (status.phase === 'left') return status;
  }
  return last;
}

/** What is worth telling about how it went, as the rest of a sentence that begins with its name; undefined when all is well. */
export function leaveTrouble(status: LeaveStatus | undefined): { readonly level: Level; readonly message: string } | undefined {
  if (status === undefined) return { level: 'warn', message: 'stops without leaving rotation: its proxy does not answer' };
  const { outcome, stragglers, activeRequests } = status;
  if (outcome === 'untold')
    return { level: 'warn', message: 'stops although no control plane could tell its callers: they will find it gone, and try others' };
  if (outcome === 'timed-out' || outcome === 'waiting')
    return {
      level: 'warn',
      message: `stops although ${stragglers.length} data ${plural(stragglers.length)} may still choose it: ${named(stragglers)}`,
    };
  if (activeRequests > 0)
    return {
      level: 'warn',
      message: `stops with ${activeRequests} ${activeRequests === 1 ? 'request' : 'requests'} under way, as their time is over`,
    };
  return undefined;
}

export function named(nodes: readonly string[]): string {
  const more = nodes.length - NAMES_MAX;
  return `${nodes.slice(0, NAMES_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function plural(count: number): string {
  return count === 1 ? 'plane' : 'planes';
}
