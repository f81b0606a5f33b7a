// What a proxy's metrics say about issuers of tokens: whether their keys, and tokens for calls, could be had the last time.

import { failed, ok, type Finding } from './finding.ts';

interface Alarm {
  readonly check: string;
  readonly metric: string;
  readonly label: string;
  readonly good: string;
  readonly bad: string;
  readonly why: string;
  readonly mend: string;
}

const ALARMS: readonly Alarm[] = [
  {
    check: 'issuers of tokens',
    metric: 'heddle_issuer_unreachable',
    label: 'issuer',
    good: 'gave their keys',
    bad: 'did not give their keys the last time that they were asked',
    why: 'tokens that are signed with newer keys are refused',
    mend: 'see that the machine reaches `keys` (or `issuer`) of `security.issuers`; the log of the proxy says what went wrong',
  },
  {
    check: 'tokens for calls',
    metric: 'heddle_outbound_token_missing',
    label: 'token',
    good: 'could be had',
    bad: 'could not be had the last time',
    why: 'calls that need them are refused where they arrive',
    mend: 'see `url`, `clientId` and the secret file of `security.outbound`; the log of the proxy says what went wrong',
  },
];

/** @param metrics Prometheus text of a proxy. Nothing for what is not configured. */
export function tokenFindings(metrics: string): Finding[] {
  return ALARMS.flatMap(({ check, metric, label, good, bad, why, mend }): Finding[] => {
    const found = [...metrics.matchAll(new RegExp(`^${metric}\\{${label}="([^"]*)"\\} (\\S+)$`, 'gm'))];
    if (found.length === 0) return [];
    const missing = found.filter(([, , value]) => Number(value) > 0).map(([, name = '']) => name);
    return missing.length === 0
      ? [ok(check, `${found.map(([, name = '']) => name).join(', ')} ${good}`)]
      : [failed(check, `${missing.join(', ')} ${bad}`, why, mend)];
  });
}
