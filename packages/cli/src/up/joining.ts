// Follows a workload on its way into the mesh. A token that was refused is refused for good, so waiting would be in vain; a control
// plane that does not answer may come back, which is told once and waited for.
import { plainReason } from '../control-client.ts';
import { CliError, splitMend } from '../errors.ts';
import { pause } from './poll.ts';
import type { HostedStatus, ProxyAdmin } from './proxy-admin.ts';

const LOOK_EVERY_MS = 250;
/** Joining takes a fraction of a second; trouble that has passed by then is not told. */
const PATIENCE_MS = 3_000;
/** What a program has to begin with its work. */
const SILENCE_MS = 10_000;

export type Joining =
  | { readonly kind: 'joined' }
  | { readonly kind: 'waiting'; readonly problem: string }
  | { readonly kind: 'refused'; readonly error: CliError };

/** Where a person waits, trying again is pointless: the control plane says no, the token is none, or another mesh answers. */
const REFUSALS: readonly (string | undefined)[] = ['refused', 'bad-token', 'wrong-pin'];

export function judgeJoining({ workload, certificate, registered, joinError, problem }: HostedStatus): Joining {
  if (certificate !== 'none' && registered) return { kind: 'joined' };
  if (certificate !== 'none' || !REFUSALS.includes(joinError)) return { kind: 'waiting', problem };
  const { message, mend } = splitMend(problem.replace(/^has no certificate: /, ''));
  const error = new CliError(`${workload} cannot join: ${message}`, mend ?? 'make a new token with `heddle token create`, and start again');
  return { kind: 'refused', error };
}

/**
 * Tells when the workload has joined, and once when it stays out of the mesh or drops out of it. Resolves when aborted. Throws CliError
 * when it will never join.
 */
export async function followJoining(
  admin: ProxyAdmin,
  workload: string,
  aborted: AbortSignal,
  tell: (text: string) => void,
  /** Told once when nothing of the workload has been seen for long. */
  whenSilent?: () => string,
): Promise<void> {
  let hasJoined = false;
  const startMs = performance.now();
  let silence = whenSilent;
  let told = false;
  let sinceMs = performance.now();
  for (; !aborted.aborted; await pause(LOOK_EVERY_MS, aborted)) {
    const status = await admin.workload(workload).catch(() => undefined);
    if (status === undefined) {
      if (silence !== undefined && performance.now() - startMs > SILENCE_MS) {
        tell(silence());
        silence = undefined;
      }
      continue;
    }
    silence = undefined;
    const joining = judgeJoining(status);
    const nowMs = performance.now();
    if (joining.kind === 'joined') {
      if (!hasJoined) tell('has joined the mesh');
      else if (told) tell('is in the mesh again');
      hasJoined = true;
      told = false;
      sinceMs = nowMs;
    } else if (joining.kind === 'refused' && !hasJoined) {
      throw joining.error;
    } else if (!told && nowMs - sinceMs > PATIENCE_MS) {
      told = true;
      const { problem } = joining.kind === 'refused' ? status : joining;
      tell(`${plainProblem(problem)}; this is tried until it works`);
    }
  }
}

function plainProblem(problem: string): string {
  const [, what = '', why = problem] = /^(is not registered: )(.*)$/s.exec(problem) ?? [];
  return `${what}${plainReason(why)}`.replace(/\.$/, '');
}
