// What the system knows about a process: whether it is there, since when, and whether anything of its group is left.
// A process id alone proves nothing, ids are used again: together with the start time it names one process for good.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** An opaque text that no other process with this id has; undefined when there is no such process. */
export function processStart(pid: number): string | undefined {
  if (process.platform === 'linux') {
    const fields = procStat(pid);
    // proc(5), /proc/pid/stat: field 22 (starttime), in ticks since boot; a zombie ('Z') has already ended.
    return fields === undefined || fields[0] === 'Z' ? undefined : fields[19];
  }
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}

/** The fields of /proc/PID/stat from the third (state) on. The second, the name, may itself hold blanks and brackets. */
function procStat(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** The command line, for messages; undefined where the system does not tell. */
export function processCommand(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return text === '' ? undefined : text.length > 80 ? `${text.slice(0, 79)}…` : text;
  } catch {
    return undefined;
  }
}

/** Whether anything of the group still runs. Ended processes that nobody has waited for do not count. */
export function groupExists(pgid: number): boolean {
  try {
    process.kill(-pgid, 0);
  } catch (error) {
    // EPERM: there is one, of another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (process.platform !== 'linux') return true;
  // The first process of a container may be slow to wait for orphans, or never do it.
  const members = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return members.some((pid) => {
    const fields = procStat(Number(pid));
    // proc(5): field 3 is the state, field 5 the process group.
    return fields !== undefined && fields[2] === String(pgid) && fields[0] !== 'Z' && fields[0] !== 'X';
  });
}

/** Does nothing when the group is gone. */
export function signalGroup(pgid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pgid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
