// Which of the hosted workloads can answer: callers come as soon as an instance is called healthy, and its routes arrive by other resources than
// the check that finds it healthy, so one may be there before the other.
import type { Listener } from '@heddle/core';
import type { ResourceUpdate } from '../data-plane.ts';
import type { Verdict } from './health-monitor.ts';

export class AnswerableWorkloads {
  readonly #report: (workload: string, verdict: Verdict) => void;
  /** By inbound listener; `undefined`: it has no routes, as it carries bytes. */
  readonly #wanted = new Map<string, string | undefined>();
  readonly #routes = new Set<string>();
  /** Good verdicts about workloads that cannot answer yet. */
  readonly #held = new Map<string, Verdict>();

  constructor(report: (workload: string, verdict: Verdict) => void) {
    this.#report = report;
  }

  /** What a check has found. Good news is told when the workload can answer, at once otherwise. */
  found(workload: string, verdict: Verdict): void {
    if (verdict.state === 'healthy' && !this.#canAnswer(workload)) {
      this.#held.set(workload, verdict);
      return;
    }
    this.#held.delete(workload);
    this.#report(workload, verdict);
  }

  /** The data path has this by now. Routes that go later on, as those of a service that changes, say nothing about the workload. */
  applied({ kind, upserts, removed }: ResourceUpdate): void {
    if (kind === 'listener') {
      for (const name of removed) this.#wanted.delete(name);
      for (const { name, filter } of upserts as readonly Listener[])
        this.#wanted.set(name, filter.kind === 'http' ? filter.routeConfigName : undefined);
    } else if (kind === 'route') {
      for (const name of removed) this.#routes.delete(name);
      for (const { name } of upserts as readonly { readonly name: string }[]) this.#routes.add(name);
    } else {
      return;
    }
    for (const [workload, verdict] of this.#held) this.found(workload, verdict);
  }

  /** The workload is not hosted any more. */
  forget(workload: string): void {
    this.#held.delete(workload);
  }

  #canAnswer(workload: string): boolean {
    const listener = `inbound/${workload}`;
    if (!this.#wanted.has(listener)) return false;
    const route = this.#wanted.get(listener);
    return route === undefined || this.#routes.has(route);
  }
}
