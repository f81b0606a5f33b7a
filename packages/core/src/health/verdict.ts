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

/** One piece of evidence, for people. */
export interface VerdictReason {
  /**
   * `draining`: it is leaving. `lease`: whether its data plane is heard of. `check`: what its data plane finds. `report`: what an outside
   * detector says.
   */
  readonly source: 'draining' | 'lease' | 'check' | 'report';
  /** Name of the detector; only with `report`. */
  readonly detector?: string;
  /** What the instance would be if only this counted. */
  readonly health: InstanceHealth;
  readonly text: string;
}

const RANK: readonly InstanceHealth[] = ['draining', 'unhealthy', 'starting', 'healthy'];

/** Draining before unhealthy before starting before healthy. A detector can take an instance out, never vouch for it. */
export function mergeVerdicts(evidence: Evidence): Verdict {
  const reasons = verdictReasons(evidence);
  const health = RANK.find((rank) => reasons.some((reason) => reason.health === rank)) ?? 'healthy';
  const deciding =
    health === 'draining' || health === 'unhealthy' ? reasons.filter(isAgainst) : reasons.filter(({ source }) => source === 'check');
  return { health, reason: deciding.map(({ text }) => text).join('; ') };
}

/** All that is known, what speaks for the instance too: the worst first, then as listed at `source`. Never empty. */
export function verdictReasons(evidence: Evidence): VerdictReason[] {
  const { leaseAlive, draining, check, detectors } = evidence;
  const reasons: VerdictReason[] = [];
  if (draining) reasons.push({ source: 'draining', health: 'draining', text: 'it is leaving' });
  if (leaseAlive) reasons.push({ source: 'lease', health: 'healthy', text: 'its data plane sends heartbeats' });
  else reasons.push({ source: 'lease', health: 'unhealthy', text: 'its data plane stopped sending heartbeats' });
  if (check !== undefined) reasons.push({ source: 'check', health: check.state, text: check.reason });
  else if (!draining) reasons.push({ source: 'check', health: 'starting', text: 'its data plane has not reported yet' });
  for (const { name, healthy, reason } of detectors) {
    const said = reason === '' ? (healthy ? 'healthy' : 'unhealthy') : reason;
    reasons.push({ source: 'report', detector: name, health: healthy ? 'healthy' : 'unhealthy', text: `${name} reports: ${said}` });
  }
  return reasons.sort((a, b) => RANK.indexOf(a.health) - RANK.indexOf(b.health));
}

function isAgainst({ health }: VerdictReason): boolean {
  return health === 'draining' || health === 'unhealthy';
}
