// From what was changed when, and who had what when, to how long changes took. No input or output.
import type { Applied } from './programs/data-planes.ts';
import type { Change } from './programs/instances.ts';

export interface Latency {
  /** Until the last data plane that subscribes the service had it, from the change's answer, in milliseconds; one for each change. */
  readonly toAll: readonly number[];
  /** The same from before the change was sent. */
  readonly toAllFromSent: readonly number[];
  /** Until each of them had it, from the change's answer. */
  readonly toEach: readonly number[];
  readonly subscribersOfEach: number;
}

/**
 * A data plane has a change when it has the service's endpoints of the change's revision or a later one. Before the answer has arrived counts
 * as 0. Throws when a change never came to a data plane that subscribes the service.
 */
export function latencies(
  changes: readonly Change[],
  applied: readonly Applied[],
  subscribers: (service: number) => readonly number[],
): Latency {
  const of = new Map<string, { revision: number; ms: number }[]>();
  for (const [dataPlane, service, revision, ms] of applied) {
    const key = `${dataPlane} ${service}`;
    const list = of.get(key);
    if (list === undefined) of.set(key, [{ revision, ms }]);
    else list.push({ revision, ms });
  }
  const [toAll, toAllFromSent, toEach]: [number[], number[], number[]] = [[], [], []];
  for (const { service, revision, sentMs, answeredMs } of changes) {
    let lastMs = 0;
    for (const dataPlane of subscribers(service)) {
      const found = of.get(`${dataPlane} ${service}`)?.find((one) => one.revision >= revision);
      if (found === undefined) throw new Error(`data plane ${dataPlane} never got revision ${revision} of service ${service}`);
      toEach.push(Math.max(0, found.ms - answeredMs));
      lastMs = Math.max(lastMs, found.ms);
    }
    if (lastMs === 0) continue;
    toAll.push(Math.max(0, lastMs - answeredMs));
    toAllFromSent.push(lastMs - sentMs);
  }
  return { toAll, toAllFromSent, toEach, subscribersOfEach: toEach.length / Math.max(1, toAll.length) };
}

/** The smallest value that `share` of all do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
