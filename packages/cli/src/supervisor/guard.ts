// Nothing that a supervisor started may outlive it, even when it is killed with SIGKILL. A tiny shell process reads, from a
// pipe, the process groups that are running; when the pipe closes, whoever held it is gone, and the groups are ended.
import { spawn, type ChildProcess } from 'node:child_process';

// `+N` adds group N, `-N` removes it. At the end of input: SIGTERM to all that are left, 5 s later SIGKILL.
const SCRIPT = `
trap '' INT TERM HUP QUIT
groups=
while IFS= read -r line; do
  group=\${line#?}
  case $line in
    +*) groups="$groups $group" ;;
    -*) rest=
        for one in $groups; do [ "$one" = "$group" ] || rest="$rest $one"; done
        groups=$rest ;;
  esac
done
for one in $groups; do kill -s TERM -- "-$one"; done 2>/dev/null
turn=0
while [ -n "$groups" ] && [ $turn -lt 50 ]; do
  left=
  for one in $groups; do kill -s 0 -- "-$one" 2>/dev/null && left="$left $one"; done
  groups=$left
  turn=$((turn + 1))
  [ -z "$groups" ] || sleep 0.1
done
for one in $groups; do kill -s KILL -- "-$one"; done 2>/dev/null
exit 0
`;

export class Guard {
  #shell: ChildProcess | undefined;
  #closing = false;
  readonly #groups = new Set<number>();

  constructor() {
    this.#open();
  }

  get pid(): number | undefined {
    return this.#shell?.pid;
  }

  add(pgid: number): void {
    this.#groups.add(pgid);
    this.#write(`+${pgid}\n`);
  }

  remove(pgid: number): void {
    if (this.#groups.delete(pgid)) this.#write(`-${pgid}\n`);
  }

  /** Ends the guard; groups that were not removed are ended by it. Resolves when it is gone. */
  close(): Promise<void> {
    this.#closing = true;
    const shell = this.#shell;
    if (shell === undefined || shell.exitCode !== null || shell.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      shell.ref();
      shell.once('exit', () => resolve());
      shell.stdin?.end();
    });
  }

  #open(): void {
    // Its own session: Ctrl-C in the terminal is for the supervisor alone.
    const shell = spawn('/bin/sh', ['-c', SCRIPT, 'heddle-guard'], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#shell = shell;
    shell.unref();
    // The write of a line to a guard that has just died; it is replaced below, with all groups.
    shell.stdin?.on('error', () => {});
    (shell.stdin as unknown as { unref?: () => void } | null)?.unref?.();
    shell.on('error', () => {});
    shell.once('exit', () => {
      if (!this.#closing) this.#open();
    });
    for (const pgid of this.#groups) this.#write(`+${pgid}\n`);
  }

  #write(line: string): void {
    // A handful of bytes to a pipe with room for 64 KiB: libuv writes it at once, in this very call.
    this.#shell?.stdin?.write(line);
  }
}
