// Clocks: certificates and tokens begin and end at points in time, which all must see alike.
import { failed, ok, type Finding } from './finding.ts';

/** Certificates are good from a little before they are made; tokens are taken with some leeway. */
const SKEW_MAX_MS = 30_000;

/** @param aheadMs how far the other clock is ahead of this one. @param uncertainMs how wrong that may be. */
export function clockFinding(name: string, aheadMs: number, uncertainMs: number): Finding {
  const shown = `${(Math.abs(aheadMs) / 1_000).toFixed(1)} s ${aheadMs < 0 ? 'behind' : 'ahead of'} this machine`;
  if (Math.abs(aheadMs) - uncertainMs <= SKEW_MAX_MS)
    return ok(name, Math.abs(aheadMs) <= uncertainMs + 1_000 ? 'as that of this machine' : shown);
  return failed(
    name,
    shown,
    'certificates and tokens count as not begun, or as ended, on one of the two',
    'let both machines take their time from the network (chrony, systemd-timesyncd)',
  );
}
