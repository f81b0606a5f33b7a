// The limit finds the capacity of a simulated server, and follows when that changes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TryResult } from '../balancing/balancer.ts';
import { AdaptiveLimit } from './adaptive.ts';

/** Uniform in [0, 1), the same at every run. */
function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** So many workers, a queue in front of them, service times between half and one and a half times the mean. */
class SimulatedServer {
  readonly limit: AdaptiveLimit;
  readonly random: () => number;
  workers: number[];
  serviceMs: number;
  nowMs = 0;
  served = 0;
  readonly #ends: { atMs: number; elapsedMs: number }[] = [];

  constructor(limit: AdaptiveLimit, random: () => number, workers: number, serviceMs: number) {
    this.limit = limit;
    this.random = random;
    this.workers = Array.from({ length: workers }, () => 0);
    this.serviceMs = serviceMs;
  }

  resize(workers: number): void {
    this.workers = Array.from({ length: workers }, (_, at) => this.workers[at] ?? this.nowMs);
  }

  /** Offers so many times what the workers can do. Returns the mean limit of the last quarter, measurements left out. */
  run(durationMs: number, load: number): number {
    const untilMs = this.nowMs + durationMs;
    const perMs = (load * this.workers.length) / this.serviceMs;
    let [sum, count] = [0, 0];
    while (this.nowMs < untilMs) {
      this.nowMs += -Math.log(1 - this.random()) / perMs;
      while (this.#ends.length > 0 && this.#ends[0]!.atMs <= this.nowMs) {
        const { atMs, elapsedMs } = this.#ends.shift()!;
        this.served += 1;
        this.limit.ended('success', elapsedMs, atMs);
      }
      if (this.limit.admit()) this.#serve();
      if (this.nowMs > untilMs - durationMs / 4 && this.limit.describe()['phase'] === 'adapting') {
        sum += this.limit.limit;
        count += 1;
      }
    }
    return sum / count;
  }

  /** Nothing new is offered until everything has ended. */
  drain(): void {
    for (const { atMs, elapsedMs } of this.#ends.splice(0)) {
      this.nowMs = Math.max(this.nowMs, atMs);
      this.limit.ended('success', elapsedMs, atMs);
    }
  }

  #serve(): void {
    const worker = this.workers.indexOf(Math.min(...this.workers));
    const startMs = Math.max(this.nowMs, this.workers[worker]!);
    const atMs = startMs + this.serviceMs * (0.5 + this.random());
    this.workers[worker] = atMs;
    let at = this.#ends.length;
    while (at > 0 && this.#ends[at - 1]!.atMs > atMs) at -= 1;
    this.#ends.splice(at, 0, { atMs, elapsedMs: atMs - this.nowMs });
  }
}

function simulate(workers: number, serviceMs: number, bounds = { minRequests: 3, maxRequests: 1_000 }, seed = 1): SimulatedServer {
  const random = dice(seed);
  return new SimulatedServer(new AdaptiveLimit(bounds, random, 0), random, workers, serviceMs);
}

/** What is between them and the queue that is allowed. */
function assertNear(limit: number, workers: number): void {
  assert.ok(limit >= workers * 0.8 && limit <= workers * 1.5 + 4 * Math.sqrt(workers), `limit ${limit} for ${workers} workers`);
}

/** So many requests at once, again and again, each of which takes so long. Returns the time. */
function rounds(limit: AdaptiveLimit, result: TryResult, count: number, atOnce: number, elapsedMs: number, fromMs: number): number {
  let nowMs = fromMs;
  for (let round = 0; round < count; round += 1) {
    for (let at = 0; at < atOnce; at += 1) assert.ok(limit.admit());
    nowMs += elapsedMs;
    for (let at = 0; at < atOnce; at += 1) limit.ended(result, elapsedMs, nowMs);
  }
  return nowMs;
}

describe('the adaptive limit', () => {
  it('moves by the gradient and the root of the limit, once in a window', () => {
    const limit = new AdaptiveLimit({ minRequests: 1, maxRequests: 1_000 }, () => 0, 0);
    let nowMs = rounds(limit, 'success', 15, 10, 10, 0);
    assert.deepEqual([limit.limit, limit.describe()['phase']], [20, 'adapting']);
    nowMs = rounds(limit, 'success', 10, 10, 10, nowMs);
    assert.equal(limit.limit, Math.floor(20 * 1.25 + Math.sqrt(20)));
    const before = 20 * 1.25 + Math.sqrt(20);
    nowMs = rounds(limit, 'success', 2, 10, 50, nowMs);
    assert.equal(limit.limit, Math.floor(before * 0.5 + Math.sqrt(before)));
  });

  it('learns the best latency from successes only', () => {
    const limit = new AdaptiveLimit({ minRequests: 1, maxRequests: 1_000 }, () => 0, 0);
    const nowMs = rounds(limit, 'gateway-error', 10, 10, 1, 0);
    assert.equal(limit.describe()['phase'], 'measuring the best latency');
    rounds(limit, 'success', 15, 10, 40, nowMs);
    assert.ok(Math.abs((limit.describe()['bestLatencyMs'] as number) - 40) < 1);
  });

  it('finds what an overloaded server can do at once, and does not waste it', () => {
    for (const workers of [4, 11, 30]) {
      for (const serviceMs of [3, 20]) {
        for (const seed of [1, 2, 3]) assertNear(simulate(workers, serviceMs, undefined, seed).run(2_000 + 200 * serviceMs, 2), workers);
      }
    }
  });

  it('follows when the capacity shrinks and grows', () => {
    const server = simulate(30, 10);
    assertNear(server.run(4_000, 2), 30);
    server.resize(8);
    assertNear(server.run(8_000, 2), 8);
    server.resize(40);
    assertNear(server.run(8_000, 2), 40);
  });

  it('learns a new best latency when every request takes longer', () => {
    const server = simulate(20, 5);
    assertNear(server.run(3_000, 2), 20);
    server.serviceMs = 15;
    assertNear(server.run(15_000, 1.5), 20);
    assert.ok((server.limit.describe()['bestLatencyMs'] as number) > 12);
  });

  it('serves nearly all that the server can do', () => {
    const server = simulate(20, 10);
    server.run(2_000, 2);
    const before = server.served;
    server.run(40_000, 2);
    assert.ok((server.served - before) / 40_000 > 0.95 * (20 / 10), `${server.served - before} served`);
    assert.ok(server.limit.refused > 0);
  });

  it('refuses hardly anything below capacity, and does not grow on what is not used', () => {
    const server = simulate(20, 10);
    server.run(20_000, 0.3);
    assert.ok(server.limit.refused < server.served / 200, `${server.limit.refused} of ${server.served}`);
    assert.ok(server.limit.limit <= 60, `${server.limit.limit}`);
  });

  it('stays within its bounds', () => {
    const bounds = { minRequests: 5, maxRequests: 12 };
    assert.equal(simulate(40, 10, bounds).run(4_000, 2), 12);
    const small = simulate(1, 10, bounds);
    assert.ok(small.run(4_000, 3) >= 5);
    small.limit.setPolicy({ minRequests: 30, maxRequests: 40 });
    assert.ok(small.limit.limit >= 30);
  });

  it('is not misled by requests that fail at once, nor by callers that give up', () => {
    const server = simulate(20, 10);
    server.run(4_000, 2);
    server.drain();
    const { nowMs } = server;
    for (let step = 0; step < 5_000; step += 1) {
      assert.ok(server.limit.admit());
      server.limit.ended(step % 2 === 0 ? 'local-error' : 'cancelled', 0.1, nowMs + step);
    }
    assertNear(server.limit.limit, 20);
    assert.equal(server.limit.inFlight, 0);
  });

  it('takes slow failures for a sign of overload', () => {
    const server = simulate(20, 10);
    server.run(4_000, 2);
    server.drain();
    const before = server.limit.limit;
    for (let step = 0; step < 200; step += 1) {
      assert.ok(server.limit.admit());
      server.limit.ended('gateway-error', 200, server.nowMs + 200 + step * 10);
    }
    assert.ok(server.limit.limit < before / 2, `${server.limit.limit} of ${before}`);
  });
});
