// One data plane that calls: requests at random times, a balancer of its own, and for probes the way there and back. It learns what a real one learns,
// no sooner: an answer when it arrives, a failure when its time is over.
import { createBalancer, DEFAULT_BALANCE } from '@heddle/core';
import type { BalanceAlgorithm, Balancer, Endpoint } from '@heddle/core';
import type { Events } from './events.ts';
import { exponential } from './server.ts';
import type { SimulatedServer } from './server.ts';

export interface CallerOptions {
  readonly algorithm: BalanceAlgorithm;
  readonly requestsPerSecond: number;
  /** One way. */
  readonly networkMs: number;
  readonly timeoutMs: number;
  /** Users whose requests have a hash each, for the algorithms that look at it. */
  readonly users: number;
}

/** How a request ended for whoever made it. */
export type OnDone = (latencyMs: number, outcome: 'answered' | 'failed' | 'timed-out') => void;

export class SimulatedCaller {
  private readonly events: Events;
  private readonly random: () => number;
  private readonly options: CallerOptions;
  private readonly servers: ReadonlyMap<Endpoint, SimulatedServer>;
  private readonly balancer: Balancer<Endpoint>;
  private readonly onDone: OnDone;
  private readonly request = { nowMs: 0, hash: 0, avoid: [] as const };

  constructor(
    events: Events,
    random: () => number,
    options: CallerOptions,
    servers: ReadonlyMap<Endpoint, SimulatedServer>,
    onDone: OnDone,
  ) {
    this.events = events;
    this.random = random;
    this.options = options;
    this.servers = servers;
    this.onDone = onDone;
    this.balancer = createBalancer<Endpoint>({ ...DEFAULT_BALANCE, algorithm: options.algorithm, locality: 'any' }, { random });
    this.balancer.update([...servers.keys()], 0);
    this.next();
  }

  private next(): void {
    this.events.after(exponential(this.random, 1_000 / this.options.requestsPerSecond), () => {
      this.send();
      this.next();
    });
  }

  private send(): void {
    const { events, balancer, options, request } = this;
    const sentMs = events.nowMs;
    request.nowMs = sentMs;
    request.hash = Math.imul(Math.floor(this.random() * options.users) + 1, 0x9e3779b1) >>> 0;
    const host = balancer.pick(request)!;
    this.probe();
    balancer.started(host, sentMs);
    const job = {
      isGivenUp: false,
      onEnd: (succeeded: boolean) => {
        events.after(options.networkMs, () => {
          if (job.isGivenUp) return;
          job.isGivenUp = true;
          const latencyMs = events.nowMs - sentMs;
          balancer.finished(host, succeeded ? 'success' : 'server-error', latencyMs, events.nowMs);
          this.onDone(latencyMs, succeeded ? 'answered' : 'failed');
        });
      },
    };
    events.after(options.timeoutMs, () => {
      if (job.isGivenUp) return;
      job.isGivenUp = true;
      balancer.finished(host, 'local-error', options.timeoutMs, events.nowMs);
      this.onDone(options.timeoutMs, 'timed-out');
    });
    events.after(options.networkMs, () => this.servers.get(host)!.accept(job));
  }

  private probe(): void {
    const { events, balancer, options } = this;
    const host = balancer.probeDue?.(events.nowMs);
    if (host === undefined) return;
    events.after(options.networkMs, () => {
      const load = this.servers.get(host)!.load();
      events.after(options.networkMs, () => balancer.loadReported?.(host, load, events.nowMs));
    });
  }
}
