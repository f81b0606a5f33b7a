// Which workloads this data plane was asked to host, and what became of it: what another process needs to host them in its place. A port
// that the system chose stays the workload's port there, also when it is asked for as "any" again.
import { sameWorkload, workloadName, type WorkloadSpec } from '@heddle/dataplane';
import type { Agent, LeaveWish, WorkloadBinding } from '@heddle/dataplane/agent';
import type { HandedWorkload } from '../workers/takeover.ts';

export class HostedWorkloads implements Pick<Agent, 'leave' | 'list' | 'put' | 'remove' | 'return'> {
  readonly #agent: Agent;
  readonly #hosted = new Map<string, Omit<HandedWorkload, 'verdict'>>();
  /** Those that the agent got with the ports they had, from another process. */
  readonly #taken = new Set<string>();

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** For a process that takes over. */
  get all(): readonly HandedWorkload[] {
    return this.#agent.list().flatMap(({ workload, health, healthReason: reason }) => {
      const hosted = this.#hosted.get(workload);
      return hosted === undefined ? [] : [{ ...hosted, verdict: { state: health, reason } }];
    });
  }

  list(): ReturnType<Agent['list']> {
    return this.#agent.list();
  }

  async put(spec: WorkloadSpec): Promise<WorkloadBinding> {
    const name = workloadName(spec.service, spec.instance);
    const known = this.#hosted.get(name);
    const isTaken = known !== undefined && this.#taken.has(name) && sameWorkload(known.asked, spec);
    if (!isTaken) this.#taken.delete(name);
    const binding = await this.#agent.put(isTaken ? { ...known.bound, joinToken: spec.joinToken, down: spec.down } : spec);
    this.#note(name, { ...spec, joinToken: undefined }, binding);
    return binding;
  }

  remove(name: string): Promise<boolean> {
    this.#hosted.delete(name);
    this.#taken.delete(name);
    return this.#agent.remove(name);
  }

  leave(name: string, wish: LeaveWish): ReturnType<Agent['leave']> {
    return this.#agent.leave(name, wish);
  }

  return(name: string): boolean {
    return this.#agent.return(name);
  }

  /** What another process hosted. */
  async takeOver({ asked, bound, verdict }: HandedWorkload): Promise<void> {
    await this.#agent.put(bound, verdict);
    const name = workloadName(asked.service, asked.instance);
    this.#hosted.set(name, { asked, bound });
    this.#taken.add(name);
  }

  #note(name: string, asked: WorkloadSpec, { inbound, outbounds }: WorkloadBinding): void {
    this.#hosted.set(name, { asked, bound: { ...asked, inbound, outbounds } });
  }
}
