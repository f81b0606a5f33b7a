// What a pick and a change of the list cost, for each algorithm and number of endpoints, in one process without a network. A request is a pick
// with all that a data plane tells the balancer about it; a change is one instance that falls ill or is well again.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BALANCE_ALGORITHMS, createBalancer, hashText } from '@heddle/core';
import type { BalanceAlgorithm, BalancedHost, Balancer, PickRequest } from '@heddle/core';

const COUNTS = [10, 1_000, 10_000];
const ROUNDS = 7;
const REQUESTS_PER_ROUND = 100_000;
const CHANGES = 50;
const FIRST_LISTS = 10;
const UNDER_WAY = 64;

const USAGE = `Usage: npm run bench:picks -- [--json FILE]
  --json FILE   write the figures as JSON, too (for example bench/results/picks.json)
`;

interface Host extends BalancedHost {
  health: BalancedHost['health'];
}

interface Figures {
  readonly algorithm: BalanceAlgorithm;
  readonly endpoints: number;
  readonly weights: 'equal' | 'different';
  /** Medians of the rounds. */
  readonly pickNs: number;
  readonly requestNs: number;
  /** Means. */
  readonly firstListMs: number;
  readonly changeMs: number;
}

function hostsOf(count: number, weights: Figures['weights']): Host[] {
  return Array.from({ length: count }, (_, index) => ({
    address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
    port: 15008,
    health: 'healthy',
    weight: weights === 'equal' ? 1 : 1 + (index % 10),
  }));
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** Processor time of this thread, so that other work on the machine changes little. */
function spentMs(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

/** Requests of which some are always under way; probes are answered at once. */
class Load {
  private readonly balancer: Balancer<Host>;
  private readonly request: { -readonly [K in keyof PickRequest<Host>]: PickRequest<Host>[K] } = { nowMs: 0, hash: 0, avoid: [] };
  private readonly hashes = Array.from({ length: 4_096 }, (_, user) => hashText(`user-${user}`));
  private readonly underWay: (Host | undefined)[] = Array.from({ length: UNDER_WAY }, () => undefined);
  private sent = 0;

  constructor(balancer: Balancer<Host>) {
    this.balancer = balancer;
  }

  picks(count: number): void {
    for (let pick = 0; pick < count; pick++) this.pick();
  }

  requests(count: number): void {
    const { balancer, underWay } = this;
    for (let request = 0; request < count; request++) {
      const slot = this.sent % UNDER_WAY;
      const { nowMs } = this.request;
      const done = underWay[slot];
      if (done !== undefined) balancer.finished(done, 'success', 3 + (slot & 7), nowMs);
      const picked = this.pick();
      underWay[slot] = picked;
      if (picked !== undefined) balancer.started(picked, nowMs);
      for (let asked = balancer.probeDue?.(nowMs); asked !== undefined; asked = balancer.probeDue?.(nowMs)) {
        balancer.loadReported?.(asked, { inFlight: slot & 7, latencyMs: 3 + (slot & 3) }, nowMs);
      }
    }
  }

  /** At 20,000 requests a second. */
  private pick(): Host | undefined {
    const sent = this.sent++;
    this.request.nowMs = sent * 0.05;
    this.request.hash = this.hashes[sent & 4_095];
    return this.balancer.pick(this.request);
  }
}

function measure(algorithm: BalanceAlgorithm, endpoints: number, weights: Figures['weights']): Figures {
  const hosts = hostsOf(endpoints, weights);
  const create = (): Balancer<Host> =>
    createBalancer<Host>({ algorithm, locality: 'any', slowStartMs: 0, panicPercent: 0 }, { random: Math.random });
  const balancer = create();
  const load = new Load(balancer);
  balancer.update(hosts, 0);
  load.requests(REQUESTS_PER_ROUND);
  const picks: number[] = [];
  const requests: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    requests.push(spentMs(() => load.requests(REQUESTS_PER_ROUND)));
    picks.push(spentMs(() => load.picks(REQUESTS_PER_ROUND)));
  }
  const firstListsMs = spentMs(() => {
    for (let list = 0; list < FIRST_LISTS; list++) {
      const fresh = create();
      fresh.update(hosts, 0);
      fresh.pick({ nowMs: 0, hash: 1, avoid: [] });
    }
  });
  const changesMs = spentMs(() => {
    for (let change = 0; change < CHANGES; change++) {
      const host = hosts[(change * 7_919) % endpoints] as Host;
      host.health = host.health === 'healthy' ? 'unhealthy' : 'healthy';
      balancer.update(hosts, 0);
      load.picks(1);
    }
  });
  const ns = (values: readonly number[]): number => (median(values) / REQUESTS_PER_ROUND) * 1e6;
  return {
    algorithm,
    endpoints,
    weights,
    pickNs: ns(picks),
    requestNs: ns(requests),
    firstListMs: firstListsMs / FIRST_LISTS,
    changeMs: changesMs / CHANGES,
  };
}

function table(figures: readonly Figures[]): string {
  const head = ['algorithm', 'weights', 'endpoints', 'pick ns', 'request ns', 'first list ms', 'change ms'];
  const rows = figures.map((row) => [
    row.algorithm,
    row.weights,
    row.endpoints.toLocaleString('en'),
    row.pickNs.toFixed(0),
    row.requestNs.toFixed(0),
    row.firstListMs.toFixed(2),
    row.changeMs.toFixed(2),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] as string).length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number))).join('  ');
  return [line(head), ...rows.map(line)].join('\n');
}

function main(args: readonly string[]): number {
  const [option, file, ...rest] = args;
  if (option !== undefined && (option !== '--json' || file === undefined || rest.length > 0)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const figures: Figures[] = [];
  // The first of all pays for the compiler.
  for (const algorithm of BALANCE_ALGORITHMS) measure(algorithm, 10, 'different');
  for (const algorithm of BALANCE_ALGORITHMS) {
    for (const weights of ['equal', 'different'] as const) for (const count of COUNTS) figures.push(measure(algorithm, count, weights));
  }
  process.stdout.write(`${table(figures)}\n`);
  if (file !== undefined) {
    mkdirSync(dirname(resolve(file)), { recursive: true });
    writeFileSync(file, `${JSON.stringify({ node: process.version, figures }, null, 2)}\n`);
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
