// Runs the active checks of the applications that this data plane hosts: one check per local cluster, one timer per check.
// When to probe and what the results mean is decided by core's ActiveCheck; how to probe, by upstream/probe.
import { ActiveCheck, type CheckState, type Cluster } from '@heddle/core';
import type { Clock, Random, Timer } from '@heddle/runtime';

/** A timer that fires later than this was held up by this process itself. */
const STALL_MS = 25;

export interface RunningProbe {
  /** Drops the probe; its end is not reported. */
  abandon(): void;
}

/** Sends one probe to the cluster's application. `onEnd` gets undefined when it passed, else why not. */
export type SendProbe = (cluster: Cluster, onEnd: (failure: string | undefined) => void) => RunningProbe;

export interface Verdict {
  readonly state: CheckState;
  readonly reason: string;
}

export interface HealthMonitorOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly sendProbe: SendProbe;
  /** Called when the state or the reason of a cluster's check changes, and once for each new check. */
  readonly onVerdict: (clusterName: string, verdict: Verdict) => void;
}

interface RunningCheck {
  readonly cluster: Cluster;
  readonly key: string;
  readonly check: ActiveCheck;
  timer: Timer | undefined;
  /** When the timer should fire. */
  dueMs: number;
  probe: RunningProbe | undefined;
  /** The running probe has been given the time that this process lost. */
  extended: boolean;
  told: Verdict | undefined;
}

export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  readonly #checks = new Map<string, RunningCheck>();

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  /** The clusters to check from now on. A check whose policy and address are as before goes on undisturbed. */
  update(clusters: readonly Cluster[]): void {
    const wanted = new Map(clusters.filter((cluster) => cluster.health !== undefined).map((cluster) => [cluster.name, cluster]));
    for (const [name, running] of this.#checks) {
      const cluster = wanted.get(name);
      if (cluster === undefined || checkKey(cluster) !== running.key) this.#stop(name, running);
    }
    for (const cluster of wanted.values()) {
      if (!this.#checks.has(cluster.name)) this.#start(cluster);
    }
  }

  /** What was found counts no more: the check of the cluster begins anew. */
  restart(clusterName: string): void {
    const running = this.#checks.get(clusterName);
    if (running === undefined) return;
    this.#stop(clusterName, running);
    this.#start(running.cluster);
  }

  close(): void {
    for (const [name, running] of this.#checks) this.#stop(name, running);
  }

  #start(cluster: Cluster): void {
    const { clock, random } = this.#options;
    if (cluster.health === undefined) return;
    const check = new ActiveCheck({ policy: cluster.health, random: () => random.next(), nowMs: clock.nowMs() });
    const running: RunningCheck = {
      cluster,
      key: checkKey(cluster),
      check,
      timer: undefined,
      dueMs: 0,
      probe: undefined,
      extended: false,
      told: undefined,
    };
    this.#checks.set(cluster.name, running);
    this.#tell(running);
    this.#arm(running);
  }

  #stop(name: string, running: RunningCheck): void {
    running.timer?.cancel();
    running.probe?.abandon();
    this.#checks.delete(name);
  }

  #arm(running: RunningCheck): void {
    const { clock } = this.#options;
    running.timer?.cancel();
    running.dueMs = running.check.nextTimeoutMs();
    running.timer = clock.after(Math.max(0, running.dueMs - clock.nowMs()), () => this.#due(running));
  }

  /**
   * After a stall of this process timers come before the answers that lie in the sockets, so all applications would look dead at once. The
   * time lost does not count against a probe: it is given that much more, once.
   */
  #wasHeldUp(running: RunningCheck): boolean {
    const { clock } = this.#options;
    const lateMs = clock.nowMs() - running.dueMs;
    if (running.probe === undefined || running.extended || lateMs < STALL_MS) return false;
    running.extended = true;
    running.timer = clock.after(Math.min(lateMs, running.cluster.health?.timeoutMs ?? 0), () => this.#due(running));
    return true;
  }

  #due(running: RunningCheck): void {
    const { clock, sendProbe } = this.#options;
    if (this.#wasHeldUp(running)) return;
    const action = running.check.handleTimeout(clock.nowMs());
    if (action?.kind === 'abandon') {
      running.probe?.abandon();
      running.probe = undefined;
    } else if (action?.kind === 'probe') {
      let ended = false;
      running.extended = false;
      const probe = sendProbe(running.cluster, (failure) => {
        ended = true;
        if (this.#checks.get(running.cluster.name) !== running) return;
        running.probe = undefined;
        running.check.probeEnded(action.id, clock.nowMs(), failure);
        this.#tell(running);
        this.#arm(running);
      });
      if (!ended) running.probe = probe;
    }
    this.#tell(running);
    this.#arm(running);
  }

  #tell(running: RunningCheck): void {
    const verdict: Verdict = { state: running.check.state, reason: running.check.reason };
    if (running.told?.state === verdict.state && running.told.reason === verdict.reason) return;
    running.told = verdict;
    this.#options.onVerdict(running.cluster.name, verdict);
  }
}

function checkKey(cluster: Cluster): string {
  return JSON.stringify([cluster.health, cluster.endpoints]);
}
