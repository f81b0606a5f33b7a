// The one verdict about an instance, out of everything that is known: the worst evidence wins, and every reason is named.
import type { InstanceHealth } from '../model/service.ts';
import type { CheckState } from './active-check.ts';

export interface Evidence {
  /** Whether the instance's lease runs. An ended one means the data plane beside it is gone. */
  readonly leaseAlive: boolean;
  /** It was told to leave, or says that it leaves. */
  readonly draining: boolean;
  /** What the data plane beside the instance finds; undefined before its first report. */
  readonly check: { readonly state: CheckState; readonly reason: string } | undefined;
  /** Latest report of each outside detector. */
  readonly detectors: readonly DetectorReport[];
}

export interface DetectorReport {
  readonly name: string;
  readonly healthy: boolean;
  readonly reason: string;
}

export interface Verdict {
  readonly health: InstanceHealth;
  /** In words for people; all reasons against the instance, joined by "; ". */
  readonly reason: string;
}

/** Draining before unhealthy before starting before healthy. A detector can take an instance out, never vouch for it. */
export function mergeVerdicts(evidence: Evidence): Verdict {
  const against: string[] = [];
  if (!evidence.leaseAlive) against.push('its data plane stopped sending heartbeats');
  if (evidence.check?.state === 'unhealthy') against.push(evidence.check.reason);
  for (const detector of evidence.detectors) {
    if (!detector.healthy) against.push(`${detector.name} reports: ${detector.reason === '' ? 'unhealthy' : detector.reason}`);
  }
  if (evidence.draining) return { health: 'draining', reason: ['it is leaving', ...against].join('; ') };
  if (against.length > 0) return { health: 'unhealthy', reason: against.join('; ') };
  if (evidence.check === undefined) return { health: 'starting', reason: 'its data plane has not reported yet' };
  if (evidence.check.state === 'starting') return { health: 'starting', reason: evidence.check.reason };
  return { health: 'healthy', reason: evidence.check.reason };
}
