// A data plane inside a process ends with it, and cannot say so any more. Whoever supervises the process says it in its place, with the
// certificate that it has kept; so only for an instance of its own service, and only while no data plane of it is connected.
import { status } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import { backoffMs, type Backoff, type ServiceRef } from '@heddle/core';
import { callControl, type ControlAddress, directoryIdentityStore, type HeldIdentity, workloadChannel } from '@heddle/dataplane/identity';
import { GrpcError } from '@heddle/runtime';
import { createLogger, nodeGrpc } from '@heddle/runtime/node';
import { pause } from './poll.ts';

export interface GoneDataPlane {
  readonly service: ServiceRef;
  readonly instance: string;
  readonly control: ControlAddress;
  readonly identityDirectory: string;
}

const TRIES = 6;
const PAUSE: Backoff = { baseMs: 100, maxMs: 2_000 };
const TIMEOUT_MS = 3_000;
/** The control plane is away; or it has yet to notice that the connection of the data plane has ended. */
const PASSING: readonly number[] = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.FAILED_PRECONDITION];

/**
 * Resolves when it has been said, or cannot be: then the lease ends by itself. Never rejects. @param aborted nothing is tried again: another
 * process is there, or about to be
 */
export async function tellDataPlaneGone(gone: GoneDataPlane, reason: string, aborted: AbortSignal): Promise<void> {
  const { service, instance, identityDirectory } = gone;
  const workload = { namespace: service.namespace, service: service.name, instance };
  const held = await directoryIdentityStore(identityDirectory, createLogger({ level: 'silent' })).load(workload, Date.now());
  // It has never joined.
  if (held === undefined) return;
  const request = {
    ...workload,
    ...{ health: discovery.Health.HEALTH_UNHEALTHY, reason, expected: undefined, dataPlaneGone: true },
  };
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (await isSettled(gone.control, held, request)) return;
    await pause(backoffMs(PAUSE, attempt, Math.random), aborted);
    if (aborted.aborted) return;
  }
}

async function isSettled(control: ControlAddress, held: HeldIdentity, request: discovery.ReportHealthRequest): Promise<boolean> {
  const channel = workloadChannel(nodeGrpc, control, held);
  try {
    await callControl(channel, discovery.DiscoveryService.reportHealth, request, { timeoutMs: TIMEOUT_MS });
    return true;
  } catch (error) {
    return !(error instanceof GrpcError && PASSING.includes(error.code));
  } finally {
    channel.close();
  }
}
