// One fault from its beginning to the full share of the healed instance, under a steady load of GETs; and what came of it.
import { setTimeout as delay } from 'node:timers/promises';
import { type Load, type Outcome, startLoad } from '../../support/load.ts';
import { waitFor } from '../../support/wait.ts';
import type { Fault } from './fault-list.ts';
import { type FaultMesh, INSTANCES, type Patient } from './fault-mesh.ts';

const WINDOW_MS = 1_000;
/** An instance is left out when it got nothing for as long as it would have got so many requests. */
const MISSED_REQUESTS = 5;
const UNTRIED_PAUSES = 4;
const SLOW_MS = 1_000;
/** How often the caller's data plane is asked what it believes. */
const LOOK_MS = 500;

export interface FaultOptions {
  readonly requestsPerSecond: number;
  /** How long the fault lasts; absent: until the instance is left out. */
  readonly holdMs?: number;
  /** Of its fair share: with that, over a second, a healed instance is back. 0: with any request. */
  readonly backShare: number;
  /** Within which it must be left out, and later be back. */
  readonly deadlineMs: number;
}

export interface FaultReport {
  readonly name: string;
  readonly requests: number;
  /** From the beginning of the fault until the instance was ejected, marked unhealthy, or got nothing more. */
  readonly detectMs: number;
  readonly detectedBy: 'ejected' | 'unhealthy' | 'avoided';
  /** Requests that went to it from the beginning of the fault to its end, retries included. */
  readonly tries: number;
  /** What callers saw in place of an answer, from the beginning of the fault on, by status and code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Good answers that took longer than a second, and the longest of all. */
  readonly slow: number;
  readonly slowestMs: number;
  /** From the end of the fault until it was back. */
  readonly backMs: number;
}

export async function runFault(mesh: FaultMesh, fault: Fault, options: FaultOptions): Promise<FaultReport> {
  const patient = mesh.patients.get(fault.name)!;
  const { requestsPerSecond, deadlineMs } = options;
  const load = startLoad({ proxy: mesh.door, url: `http://${fault.name}.mesh.internal/` }, requestsPerSecond);
  let watch: HealthWatch | undefined;
  try {
    await waitFor(`${fault.name}: requests at ${patient.instance}`, () => isServing(load, patient, options.backShare), deadlineMs);
    const beganMs = performance.now();
    watch = watchHealth(mesh, patient);
    await fault.begin(patient);
    const detected = (): Detection | undefined => detection(mesh, load, patient, options, beganMs, watch?.unhealthyMs);
    if (options.holdMs !== undefined) await delay(options.holdMs);
    const { detectMs, detectedBy } = await waitFor(`${fault.name}: ${patient.instance} to be left out`, detected, deadlineMs);
    const healedMs = performance.now();
    const tries = mesh.network.triesTo(patient.port).filter((atMs) => atMs >= beganMs && atMs < healedMs).length;
    await fault.heal(patient);
    const backMs = await waitFor(
      `${fault.name}: the share of ${patient.instance}`,
      () => timeBack(load, patient, options.backShare, healedMs),
      deadlineMs,
    );
    const all = (await load.stop()).filter(({ sentMs, durationMs }) => sentMs + durationMs >= beganMs);
    const later = all.filter(({ sentMs }) => sentMs >= beganMs);
    return {
      ...{ name: fault.name, requests: later.length, detectMs, detectedBy, tries, errors: errorsOf(all) },
      slow: later.filter(({ status, durationMs }) => status === 200 && durationMs > SLOW_MS).length,
      slowestMs: Math.round(Math.max(...later.map(({ durationMs }) => durationMs))),
      backMs,
    };
  } finally {
    watch?.stop();
    await load.stop();
  }
}

interface Detection {
  readonly detectMs: number;
  readonly detectedBy: FaultReport['detectedBy'];
}

/** The earliest sign; undefined: none yet. */
function detection(
  mesh: FaultMesh,
  load: Load,
  patient: Patient,
  { requestsPerSecond }: FaultOptions,
  beganMs: number,
  unhealthyMs: number | undefined,
): Detection | undefined {
  const ejected = mesh.leftOut.find(({ instance, isOut, atMs }) => isOut && instance === patient.instance && atMs >= beganMs)?.atMs;
  const avoided = timeAvoided(mesh.network.triesTo(patient.port), load, requestsPerSecond, beganMs);
  const signs = [
    { detectedBy: 'ejected', atMs: ejected },
    { detectedBy: 'unhealthy', atMs: unhealthyMs },
    { detectedBy: 'avoided', atMs: avoided },
  ] as const;
  let first: (typeof signs)[number] | undefined;
  for (const sign of signs) if (sign.atMs !== undefined && sign.atMs < (first?.atMs ?? Infinity)) first = sign;
  if (first?.atMs === undefined) return undefined;
  return { detectMs: Math.max(0, Math.round(first.atMs - beganMs)), detectedBy: first.detectedBy };
}

/**
 * Of the last try before a long pause in which the load went on. Without any try: the caller found out by its
 * questions about load; such a pause is to be longer still.
 */
function timeAvoided(tries: readonly number[], { outcomes }: Load, requestsPerSecond: number, beganMs: number): number | undefined {
  const pauseMs = (MISSED_REQUESTS * 1_000 * INSTANCES) / requestsPerSecond;
  const later = tries.filter((atMs) => atMs >= beganMs);
  if (later.length === 0) return performance.now() - beganMs > UNTRIED_PAUSES * pauseMs ? beganMs : undefined;
  for (const [index, atMs] of later.entries()) {
    const nextMs = later[index + 1] ?? performance.now();
    if (nextMs - atMs < pauseMs) continue;
    const others = since(outcomes, atMs).filter(({ sentMs }) => sentMs < nextMs).length;
    if (others >= (MISSED_REQUESTS * INSTANCES) / 2) return atMs;
  }
  return undefined;
}

/** The time from `healedMs` to the second that is over now, if its share of the answers was fair in that. */
function timeBack({ outcomes }: Load, { instance }: Patient, share: number, healedMs: number): number | undefined {
  const fromMs = performance.now() - WINDOW_MS;
  if (fromMs < healedMs) return undefined;
  const good = since(outcomes, fromMs).filter(({ status }) => status === 200);
  const own = good.filter((outcome) => isFrom(outcome, instance)).length;
  return own > 0 && own >= (good.length / INSTANCES) * share ? Math.round(fromMs - healedMs) : undefined;
}

/** All is well, and the instance has had at least half of what it is to have again later, for a second. */
function isServing({ outcomes }: Load, { instance }: Patient, share: number): boolean {
  const last = since(outcomes, performance.now() - WINDOW_MS);
  if (last.length < 20 || last.some(({ status }) => status !== 200)) return false;
  return last.filter((outcome) => isFrom(outcome, instance)).length > (last.length / INSTANCES) * (share / 2);
}

/** Of those that have ended by now, in the order in which they did. */
function since(outcomes: readonly Outcome[], fromMs: number): Outcome[] {
  let at = outcomes.length;
  while (at > 0 && outcomes[at - 1]!.sentMs + outcomes[at - 1]!.durationMs >= fromMs) at -= 1;
  return outcomes.slice(at).filter(({ sentMs }) => sentMs >= fromMs);
}

interface HealthWatch {
  /** When it was no longer healthy to the caller; undefined: it is. */
  readonly unhealthyMs: number | undefined;
  stop(): void;
}

function watchHealth(mesh: FaultMesh, { instance }: Patient): HealthWatch {
  let isOver = false;
  const watch = {
    unhealthyMs: undefined as number | undefined,
    stop: () => {
      isOver = true;
    },
  };
  void (async () => {
    while (!isOver && watch.unhealthyMs === undefined) {
      const health = await mesh.health().catch(() => undefined);
      if (health !== undefined && health.get(instance) !== 'healthy') watch.unhealthyMs = performance.now();
      await delay(LOOK_MS);
    }
  })();
  return watch;
}

function isFrom({ body }: Outcome, instance: string): boolean {
  return body.includes(`"${instance}"`);
}

function errorsOf(outcomes: readonly Outcome[]): Record<string, number> {
  const errors: Record<string, number> = {};
  for (const { status, errorCode } of outcomes) {
    if (status === 200) continue;
    const what = status === 0 ? 'broken off' : `${status} ${errorCode}`.trim();
    errors[what] = (errors[what] ?? 0) + 1;
  }
  return errors;
}
