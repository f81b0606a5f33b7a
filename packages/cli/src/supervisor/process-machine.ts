// When a supervised process is launched, signalled and given up: decisions only. The driver (`supervised-process.ts`) spawns,
// signals and reports back. A process counts as ended when its whole process group is gone, not when its first process is.
import { RestartMachine, type RestartPolicy } from '@heddle/core';

export interface ProcessPolicy {
  readonly restart: RestartPolicy;
  /** Between SIGTERM and SIGKILL. */
  readonly stopTimeoutMs: number;
  /** An instance that was healthy and then counts as unhealthy for so long is restarted; Infinity switches it off. */
  readonly livenessAfterMs: number;
}

/** How long to wait for a group after SIGKILL: only a process stuck in the kernel lives on. */
export const KILL_GRACE_MS = 2_000;

/**
 * `launching`: asked for, not there yet. `ending`: signalled, or its first process is gone, and others of its group may still live.
 * `waiting`: until the next launch. `stopped` is final.
 */
export type ProcessPhase = 'idle' | 'launching' | 'running' | 'ending' | 'waiting' | 'stopped';
export type Verdict = 'healthy' | 'unhealthy' | 'unknown';
export type Level = 'info' | 'warn' | 'error';

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export type ProcessAction =
  | { readonly kind: 'launch' }
  /** To the whole process group. */
  | { readonly kind: 'signal'; readonly signal: 'SIGTERM' | 'SIGKILL' }
  /** For people. */
  | { readonly kind: 'tell'; readonly level: Level; readonly message: string }
  /** It has ended, or could not be started, and nobody has asked for that. For the mesh, in words for people, without its name. */
  | { readonly kind: 'down'; readonly reason: string }
  /** The process is down and stays down. */
  | { readonly kind: 'stopped' };

const LAUNCH: ProcessAction = { kind: 'launch' };
const STOPPED: ProcessAction = { kind: 'stopped' };

function tell(level: Level, message: string): ProcessAction {
  return { kind: 'tell', level, message };
}

function down(what: string): ProcessAction {
  return { kind: 'down', reason: `its process ${what}` };
}

function signal(name: 'SIGTERM' | 'SIGKILL'): ProcessAction {
  return { kind: 'signal', signal: name };
}

/** Exit codes 126 and 127 are the shell's words for a command that cannot be started (POSIX, Shell Command Language 2.8.2). */
export function describeExit({ code, signal: by }: ProcessExit): string {
  if (by !== null) return `was killed by ${by}`;
  if (code === 127) return 'could not be started: no such command (exit code 127)';
  if (code === 126) return 'could not be started: the command is not executable (exit code 126)';
  return `ended with exit code ${code ?? 'unknown'}`;
}

function seconds(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

export class ProcessMachine {
  #phase: ProcessPhase = 'idle';
  #stopWanted = false;
  /** While ending: when to kill, then when to give up. */
  #endDeadlineMs: number | undefined;
  #killed = false;
  /** The last verdict, across launches: the registry learns of a crash later than the supervisor. */
  #verdict: Verdict = 'unknown';
  #launchedAtMs = 0;
  #wasHealthy = false;
  #unhealthySinceMs: number | undefined;
  #restarts = 0;
  /** It is ended to be launched again at once. */
  #isRelaunch = false;
  #lastExit = '';
  readonly #policy: ProcessPolicy;
  readonly #restart: RestartMachine;

  constructor(policy: ProcessPolicy, random: () => number) {
    this.#policy = policy;
    this.#restart = new RestartMachine(policy.restart, random);
  }

  get phase(): ProcessPhase {
    return this.#phase;
  }

  /** It crashed too often; it is still tried again, seldom. */
  get crashLoop(): boolean {
    return this.#phase === 'waiting' && this.#restart.state === 'crash-loop';
  }

  /** Launches after the first one. */
  get restarts(): number {
    return this.#restarts;
  }

  start(): ProcessAction[] {
    if (this.#phase !== 'idle') return [];
    this.#phase = 'launching';
    return [LAUNCH];
  }

  launched(nowMs: number): ProcessAction[] {
    if (this.#phase !== 'launching') return [];
    this.#phase = 'running';
    this.#killed = false;
    this.#launchedAtMs = nowMs;
    this.#wasHealthy = false;
    this.#unhealthySinceMs = undefined;
    this.#restart.started(nowMs);
    return this.#stopWanted ? this.#end(nowMs) : [];
  }

  /** It could not be prepared or spawned. */
  launchFailed(reason: string, nowMs: number): ProcessAction[] {
    if (this.#phase !== 'launching') return [];
    if (this.#stopWanted) return this.#stop();
    return this.#crashed(`could not be started: ${reason}`, nowMs);
  }

  /**
   * The first process of the group has ended; call `groupGone` once nothing of the group is left. `isGroupLeft`: that will take a while; else it
   * is about to be called, and knows what comes next.
   */
  exited(exit: ProcessExit, nowMs: number, isGroupLeft = false): ProcessAction[] {
    if (this.#phase !== 'running') return [];
    this.#lastExit = describeExit(exit);
    const ended = this.#end(nowMs);
    return isGroupLeft ? [down(`${this.#lastExit}; what it has started is being ended`), ...ended] : ended;
  }

  groupGone(nowMs: number): ProcessAction[] {
    if (this.#phase !== 'ending') return [];
    this.#endDeadlineMs = undefined;
    if (this.#stopWanted) return this.#stop();
    if (!this.#isRelaunch) return this.#crashed(this.#lastExit, nowMs);
    this.#isRelaunch = false;
    this.#phase = 'launching';
    this.#restarts++;
    return [LAUNCH];
  }

  /** What the registry says about the instance, at every change. Without news (`unknown`) nothing is held against it. */
  verdict(verdict: Verdict, nowMs: number): ProcessAction[] {
    const before = this.#verdict;
    this.#verdict = verdict;
    if (this.#phase !== 'running') return [];
    if (verdict === 'healthy' && before !== 'healthy') this.#wasHealthy = true;
    // `healthy` may have been the verdict about the process before this one; it is believed once it has outlived that.
    if (before === 'healthy' && nowMs - this.#launchedAtMs >= this.#policy.livenessAfterMs) this.#wasHealthy = true;
    if (verdict !== 'unhealthy') this.#unhealthySinceMs = undefined;
    else if (this.#wasHealthy) this.#unhealthySinceMs ??= nowMs;
    return [];
  }

  /** Gracefully, and up again after the usual wait. */
  restart(why: string, nowMs: number): ProcessAction[] {
    if (this.#phase !== 'running') return [];
    this.#lastExit = why;
    return this.#end(nowMs);
  }

  /** Gracefully, and up again at once: it is no crash. Undefined: it does not run, so there is nothing to end. */
  relaunch(nowMs: number): ProcessAction[] | undefined {
    if (this.#phase !== 'running' || this.#stopWanted) return undefined;
    this.#isRelaunch = true;
    return this.#end(nowMs);
  }

  /** Gracefully, and for good. */
  stop(nowMs: number): ProcessAction[] {
    if (this.#stopWanted) return [];
    this.#stopWanted = true;
    this.#restart.stop();
    if (this.#phase === 'running') return this.#end(nowMs);
    if (this.#phase === 'idle' || this.#phase === 'waiting') return this.#stop();
    return [];
  }

  /** At once, and for good. */
  kill(nowMs: number): ProcessAction[] {
    const actions = this.stop(nowMs).filter((action) => action.kind !== 'signal');
    if (this.#phase !== 'ending') return actions;
    this.#killed = true;
    this.#endDeadlineMs = nowMs + KILL_GRACE_MS;
    return [...actions, signal('SIGKILL')];
  }

  /** On the clock of `nowMs`; undefined when nothing is awaited. */
  nextTimeoutMs(): number | undefined {
    if (this.#phase === 'ending') return this.#endDeadlineMs;
    if (this.#phase !== 'running') return this.#phase === 'waiting' ? this.#restart.nextTimeoutMs() : undefined;
    const liveness = this.#livenessDeadlineMs();
    const stable = this.#restart.nextTimeoutMs();
    if (liveness === undefined) return stable;
    return stable === undefined ? liveness : Math.min(liveness, stable);
  }

  handleTimeout(nowMs: number): ProcessAction[] {
    if (this.#phase === 'ending') return this.#endTimeout(nowMs);
    if (this.#phase === 'running') {
      this.#restart.handleTimeout(nowMs);
      const liveness = this.#livenessDeadlineMs();
      if (liveness === undefined || nowMs < liveness) return [];
      const unhealthy = `unhealthy for ${seconds(this.#policy.livenessAfterMs)}`;
      return [
        tell('warn', `has been ${unhealthy}: it is ended and started again`),
        ...this.restart(`was ${unhealthy} and was ended`, nowMs),
      ];
    }
    if (this.#phase !== 'waiting' || this.#restart.handleTimeout(nowMs) !== 'start') return [];
    this.#phase = 'launching';
    this.#restarts++;
    return [LAUNCH];
  }

  #livenessDeadlineMs(): number | undefined {
    if (this.#unhealthySinceMs === undefined || !Number.isFinite(this.#policy.livenessAfterMs)) return undefined;
    return this.#unhealthySinceMs + this.#policy.livenessAfterMs;
  }

  #end(nowMs: number): ProcessAction[] {
    this.#phase = 'ending';
    this.#killed = false;
    this.#endDeadlineMs = nowMs + this.#policy.stopTimeoutMs;
    return [signal('SIGTERM')];
  }

  #endTimeout(nowMs: number): ProcessAction[] {
    if (this.#endDeadlineMs === undefined || nowMs < this.#endDeadlineMs) return [];
    if (this.#killed) {
      return [tell('error', 'did not end after SIGKILL: a process of it is stuck in the kernel'), ...this.groupGone(nowMs)];
    }
    this.#killed = true;
    this.#endDeadlineMs = nowMs + KILL_GRACE_MS;
    return [tell('warn', `did not end within ${seconds(this.#policy.stopTimeoutMs)} of SIGTERM: killing it`), signal('SIGKILL')];
  }

  #crashed(what: string, nowMs: number): ProcessAction[] {
    const state = this.#restart.crashed(nowMs);
    this.#phase = 'waiting';
    const waitMs = (this.#restart.nextTimeoutMs() ?? nowMs) - nowMs;
    const wait = seconds(waitMs);
    if (state !== 'crash-loop') return [down(`${what}; starts again in ${wait}`), tell('warn', `${what}; restarting in ${wait}`)];
    const loop = `${what}; crash loop (${this.#restart.crashes} crashes in a row)`;
    return [down(`${loop}, starts again in ${wait}`), tell('error', `${loop}, next try in ${wait}`)];
  }

  #stop(): ProcessAction[] {
    this.#phase = 'stopped';
    return [STOPPED];
  }
}
