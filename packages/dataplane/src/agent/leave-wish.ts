// How long a workload that leaves rotation is given, read strictly from the admin API's JSON.
import type { LeaveWish } from './agent.ts';
import { TELL_MS } from './leave.ts';
import { WorkloadSpecError } from './workload-spec.ts';

/** What requests under way have unless it is said otherwise. */
export const FINISH_MS = 10_000;
/** As the control plane takes it; the same for requests under way. */
const TIME_MS_MAX = 600_000;
/** For one answer: below what clients wait for any answer. */
const WAIT_MS_MAX = 30_000;

const FIELDS: Readonly<Record<string, number>> = { tellMs: TIME_MS_MAX, finishMs: TIME_MS_MAX, waitMs: WAIT_MS_MAX };

/** Throws WorkloadSpecError. */
export function parseLeaveWish(body: unknown): LeaveWish {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new WorkloadSpecError('body must be an object');
  for (const [field, value] of Object.entries(body)) {
    const max = FIELDS[field];
    if (max === undefined) throw new WorkloadSpecError(`${field} is not known; known are ${Object.keys(FIELDS).join(', ')}`);
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > max)
      throw new WorkloadSpecError(`${field} must be a whole number of milliseconds from 0 to ${max}`);
  }
  return { tellMs: TELL_MS, finishMs: FINISH_MS, waitMs: 0, ...body };
}
