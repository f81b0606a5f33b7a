// The proxy of `heddle up`, by what it says itself: whether it serves, whether it is connected to the control plane, and its certificates.
import { formatAge } from '../output/format.ts';
import type { UpInfo } from '../up/lock.ts';
import { ProxyAdmin } from '../up/proxy-admin.ts';
import { failed, ok, someOf, type Finding } from './finding.ts';
import { tokenFindings } from './tokens.ts';

/** A configuration that nobody confirms any more for so long is told of. Connected data planes hear of it all the time. */
const CONFIG_AGE_MAX_S = 300;

export async function checkProxy(info: UpInfo): Promise<Finding[]> {
  const admin = new ProxyAdmin(info.adminPort, () => undefined);
  try {
    const missing = await admin.missing();
    const serves =
      missing.length === 0
        ? ok('proxy', 'serves everything it was given')
        : failed(
            'proxy',
            `waits for ${someOf(missing)}`,
            'calls that need it fail',
            'the log of the proxy says why, after `proxy |` in the output of `heddle up`',
          );
    const metrics = await admin.metrics();
    return [serves, connectionFinding(metrics), certificateFinding(metrics, Date.now()), ...tokenFindings(metrics)];
  } catch (error) {
    return [
      failed(
        'proxy',
        `its admin API on port ${info.adminPort} does not answer: ${(error as Error).message}`,
        'whether it carries calls cannot be told',
        'see the output of `heddle up`, which restarts it',
      ),
    ];
  }
}

/** @param metrics Prometheus text of a proxy. */
export function connectionFinding(metrics: string): Finding {
  const name = 'proxy and control plane';
  const valueOf = (metric: string): number | undefined => {
    const [, value] = new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(metrics) ?? [];
    return value === undefined ? undefined : Number(value);
  };
  const ageS = valueOf('heddle_config_age_seconds');
  const age = ageS === undefined || !Number.isFinite(ageS) ? '' : `; its configuration was confirmed ${formatAge(ageS * 1_000)} ago`;
  const mend = 'see that the control plane runs and can be reached from the machine of the proxy; its log says what it tries';
  const why = 'it goes on by what it had: instances that come or go, and changes, do not reach it';
  if (valueOf('heddle_control_connected') === 0) return failed(name, `the proxy has no connection to the control plane${age}`, why, mend);
  return ageS !== undefined && ageS > CONFIG_AGE_MAX_S ? failed(name, `connected${age}`, why, mend) : ok(name, `connected${age}`);
}

/** The certificates that a proxy holds. @param metrics Prometheus text of it. */
export function certificateFinding(metrics: string, nowMs: number): Finding {
  const name = 'certificates of the proxy';
  const expiries = [...metrics.matchAll(/^heddle_identity_expiry_timestamp_seconds\{workload="([^"]*)"\} (\S+)$/gm)].map(
    ([, workload = '', seconds]) => ({ workload, leftMs: Number(seconds) * 1_000 - nowMs }),
  );
  const overdue = [...metrics.matchAll(/^heddle_identity_overdue\{workload="([^"]*)"\} 1$/gm)].map(([, workload = '']) => workload);
  const trouble = [...new Set([...overdue, ...expiries.filter(({ leftMs }) => leftMs <= 0).map(({ workload }) => workload)])];
  if (trouble.length > 0)
    return failed(
      name,
      `not renewed in time or missing: ${trouble.join(', ')}`,
      'when they end, nobody talks to these workloads any more',
      'see whether the control plane answers; it issues them',
    );
  const soonestMs = Math.min(...expiries.map(({ leftMs }) => leftMs));
  return ok(
    name,
    expiries.length === 0 ? 'it holds none' : `${expiries.length}, the first one ends in ${formatAge(soonestMs)} and is renewed before`,
  );
}
