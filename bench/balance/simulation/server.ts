// A server: so many requests are worked on at a time, the others wait in line. It can be slow, lose some of its speed to neighbours on its machine
// for a while, or fail at once.
import { LoadMeter } from '@heddle/core';
import type { LoadSignal } from '@heddle/core';
import type { Events } from './events.ts';

export interface ServerOptions {
  /** Requests worked on at a time. */
  readonly workers: number;
  /** Work of a request, in ms at speed 1. */
  readonly meanWorkMs: number;
  /** 1: as fast as the others. */
  readonly speed: number;
  /** Neighbours take so much of its speed, for a while each time; the pauses and the whiles are exponential. */
  readonly antagonist?: { readonly takes: number; readonly meanPauseMs: number; readonly meanWhileMs: number };
  /** So many of its requests fail, each after `failMs`, without having been worked on. */
  readonly failing?: { readonly share: number; readonly failMs: number };
}

/** A request that the server has. Whoever sent it may give it up: then nothing more is done for it once it is its turn. */
export interface Job {
  isGivenUp: boolean;
  readonly onEnd: (succeeded: boolean) => void;
}

/** Spread of the work of a request around its mean: of the logarithm. */
const WORK_SIGMA = 0.6;

export class SimulatedServer {
  readonly meter = new LoadMeter();
  private readonly events: Events;
  private readonly random: () => number;
  private readonly fate: () => number;
  private readonly options: ServerOptions;
  private readonly line: { job: Job; readonly arrivedAt: number; readonly sinceMs: number }[] = [];
  private first = 0;
  private busy = 0;
  private slowdown = 1;

  /** @param fate when neighbours come and go: numbers of its own, so that they are the same whatever requests the server gets. */
  constructor(events: Events, random: () => number, fate: () => number, options: ServerOptions) {
    this.events = events;
    this.random = random;
    this.fate = fate;
    this.options = options;
    if (options.antagonist !== undefined) this.pause(options.antagonist);
  }

  accept(job: Job): void {
    const { failing } = this.options;
    const waiting = { job, arrivedAt: this.meter.begin(), sinceMs: this.events.nowMs };
    if (failing !== undefined && this.random() < failing.share) {
      this.events.after(failing.failMs, () => this.end(waiting, false));
      return;
    }
    this.line.push(waiting);
    this.work();
  }

  load(): LoadSignal {
    return this.meter.signal(this.events.nowMs);
  }

  private work(): void {
    while (this.busy < this.options.workers && this.first < this.line.length) {
      const next = this.line[this.first++]!;
      if (this.first > 1_000) this.line.splice(0, this.first);
      if (this.first > 1_000) this.first = 0;
      if (next.job.isGivenUp) {
        this.meter.end(next.arrivedAt, undefined, this.events.nowMs);
        continue;
      }
      this.busy += 1;
      const workMs = (this.options.meanWorkMs * this.spread()) / (this.options.speed * this.slowdown);
      this.events.after(workMs, () => {
        this.busy -= 1;
        this.end(next, true);
        this.work();
      });
    }
  }

  private end({ job, arrivedAt, sinceMs }: { job: Job; arrivedAt: number; sinceMs: number }, succeeded: boolean): void {
    const { nowMs } = this.events;
    this.meter.end(arrivedAt, nowMs - sinceMs, nowMs);
    if (!job.isGivenUp) job.onEnd(succeeded);
  }

  /** Log-normal with mean 1. */
  private spread(): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random());
    return Math.exp(WORK_SIGMA * normal - (WORK_SIGMA * WORK_SIGMA) / 2);
  }

  private pause(antagonist: NonNullable<ServerOptions['antagonist']>): void {
    this.events.after(exponential(this.fate, antagonist.meanPauseMs), () => {
      this.slowdown = 1 - antagonist.takes;
      this.events.after(exponential(this.fate, antagonist.meanWhileMs), () => {
        this.slowdown = 1;
        this.pause(antagonist);
      });
    });
  }
}

export function exponential(random: () => number, mean: number): number {
  return -mean * Math.log(1 - random());
}
