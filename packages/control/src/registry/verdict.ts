// From an instance's record to core's verdict. An instance in the store has a live lease by construction.
import { mergeVerdicts } from '@heddle/core';
import type { Verdict } from '@heddle/core';
import type { InstanceRecord } from './records.ts';

export function verdictOf(record: InstanceRecord): Verdict {
  const { own, outside } = record;
  const reason = own.reason === '' ? `its data plane reports ${own.health}` : own.reason;
  return mergeVerdicts({
    leaseAlive: true,
    draining: own.health === 'draining',
    check: own.health === 'draining' ? undefined : { state: own.health, reason },
    detectors: Object.entries(outside).map(([name, report]) => ({ name, healthy: report.health === 'healthy', reason: report.reason })),
  });
}
