// From an instance's record to core's verdict. An instance in the store has a live lease by construction, and one that is kept had one.
import { mergeVerdicts, verdictReasons } from '@heddle/core';
import type { Evidence, Verdict, VerdictReason } from '@heddle/core';
import type { InstanceRecord } from './records.ts';

export function verdictOf(record: InstanceRecord, isKept: boolean): Verdict {
  return mergeVerdicts(evidenceOf(record, isKept));
}

/** All that the verdict was made from, the worst first. */
export function reasonsOf(record: InstanceRecord, isKept: boolean): readonly VerdictReason[] {
  return verdictReasons(evidenceOf(record, isKept));
}

function evidenceOf({ own, outside }: InstanceRecord, isKept: boolean): Evidence {
  const reported = own.reason === '' ? `its data plane reports ${own.health}` : own.reason;
  const reason = isKept ? `kept as last known: its lease ended together with most others of the service; before: ${reported}` : reported;
  return {
    leaseAlive: true,
    draining: own.health === 'draining' || Object.values(outside).some(({ health }) => health === 'draining'),
    check: own.health === 'draining' ? undefined : { state: own.health, reason },
    detectors: Object.entries(outside).map(([name, report]) => ({ name, healthy: report.health === 'healthy', reason: report.reason })),
  };
}
