// A drain's progress on the wire.
import { discovery } from '@heddle/api';
import { CallError } from '../server/status.ts';
import { status } from '@grpc/grpc-js';
import type { DrainOutcome, DrainProgress } from './barrier.ts';
import { DRAIN_TIMEOUT_MS, DRAIN_TIMEOUT_MS_MAX } from './desk.ts';

const { DrainOutcome: Outcome } = discovery;
/** The first by name; their number is told besides. */
export const STRAGGLERS_TOLD_MAX = 100;

const OUTCOMES: Readonly<Record<DrainOutcome, discovery.DrainOutcome>> = {
  waiting: Outcome.DRAIN_OUTCOME_WAITING,
  complete: Outcome.DRAIN_OUTCOME_COMPLETE,
  'timed-out': Outcome.DRAIN_OUTCOME_TIMED_OUT,
  returned: Outcome.DRAIN_OUTCOME_RETURNED,
};

export function drainToMessage({ outcome, dataPlanes, acknowledged, gone, stragglers }: DrainProgress): discovery.DrainProgressMessage {
  return {
    outcome: OUTCOMES[outcome],
    dataPlanes,
    acknowledged,
    gone,
    stragglers: stragglers.slice(0, STRAGGLERS_TOLD_MAX).map((straggler) => ({ ...straggler })),
    stragglerCount: stragglers.length,
  };
}

/** 0: the default. Throws CallError INVALID_ARGUMENT. */
export function drainTimeoutMs(askedMs: number, field: string): number {
  if (askedMs > DRAIN_TIMEOUT_MS_MAX)
    throw new CallError(status.INVALID_ARGUMENT, `${field}: at most ${DRAIN_TIMEOUT_MS_MAX} ms, not ${askedMs}`);
  return askedMs === 0 ? DRAIN_TIMEOUT_MS : askedMs;
}
