// Whose calls are captured: one workload takes those of the whole machine; several are told apart by the user of the calling process.
// The proxy's own user needs no exemption: its calls go to the addresses of instances, which no service has as its virtual address.
import { type Caller, CaptureError } from './types.ts';

/** A user of `--uid`; without a workload it is for the only one. */
export interface UidChoice {
  readonly workload?: string;
  readonly uid: number;
}

/**
 * @param hosted the workloads of the proxy
 * @param wanted workloads by name, or `all`; empty: those that a uid names, else the only one there is
 * Throws CaptureError.
 */
export function chooseCallers(hosted: readonly string[], wanted: readonly string[], uids: readonly UidChoice[]): Caller[] {
  if (hosted.length === 0)
    throw new CaptureError('the proxy hosts no workload', 'start one with `heddle run` or `heddle up`, or give it one on its admin API');
  const names = chosenWorkloads(hosted, wanted, uids);
  for (const name of names) {
    if (!hosted.includes(name)) throw new CaptureError(`the proxy hosts no workload ${name}`, `it hosts ${listed(hosted)}`, true);
  }
  const byWorkload = uidsByWorkload(names, uids);
  const without = names.filter((name) => !byWorkload.has(name));
  if (names.length > 1 && without.length > 0) {
    throw new CaptureError(
      `the calls of ${names.length} workloads cannot be told apart: ${listed(without)} ${without.length === 1 ? 'has' : 'have'} no user`,
      `run each as a user of its own and name it (--uid ${without[0]}=UID), or capture for one alone (--workload ${names[0]})`,
      true,
    );
  }
  return names.map((workload) => {
    const uid = byWorkload.get(workload);
    return uid === undefined ? { workload } : { workload, uid };
  });
}

function chosenWorkloads(hosted: readonly string[], wanted: readonly string[], uids: readonly UidChoice[]): string[] {
  if (wanted.includes('all')) {
    if (wanted.length > 1) throw new CaptureError('--workload all is every workload already', 'leave the others out', true);
    return [...hosted].sort();
  }
  const named = wanted.length > 0 ? wanted : uids.flatMap(({ workload }) => (workload === undefined ? [] : [workload]));
  if (named.length > 0) return [...new Set(named)].sort();
  if (hosted.length === 1) return [...hosted];
  throw new CaptureError(
    `the proxy hosts ${hosted.length} workloads: ${listed(hosted)}`,
    `say as which one the calls of this machine are made (--workload ${[...hosted].sort()[0]}), or give each the user it runs as (--uid NAMESPACE/SERVICE/INSTANCE=UID)`,
    true,
  );
}

function uidsByWorkload(names: readonly string[], uids: readonly UidChoice[]): Map<string, number> {
  const byWorkload = new Map<string, number>();
  const owners = new Map<number, string>();
  for (const { workload, uid } of uids) {
    const name = workload ?? (names.length === 1 ? names[0] : undefined);
    if (name === undefined) throw new CaptureError(`--uid ${uid} does not say for which workload`, `--uid ${names[0]}=${uid}`, true);
    if (!names.includes(name)) throw new CaptureError(`--uid names ${name}, for which nothing is captured`, `add --workload ${name}`, true);
    const other = byWorkload.get(name);
    if (other !== undefined && other !== uid)
      throw new CaptureError(`${name} has two users, ${other} and ${uid}`, 'run all its processes as one user', true);
    const owner = owners.get(uid);
    if (owner !== undefined && owner !== name)
      throw new CaptureError(`user ${uid} is that of ${owner} and of ${name}`, 'run each as a user of its own', true);
    byWorkload.set(name, uid);
    owners.set(uid, name);
  }
  return byWorkload;
}

const LISTED_MAX = 8;

function listed(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, LISTED_MAX).join(', ');
  return names.length > LISTED_MAX ? `${shown} and ${names.length - LISTED_MAX} more` : shown;
}
