// Several workers as one data plane. The primary's own data plane has no connections: it checks every update, keeps the ports, and answers
// for the configuration; the workers are told what it has taken.
import { DecisionRing, PROCESS_METRICS } from '@heddle/core';
import type { Cluster, TakenDecisions } from '@heddle/core';
import type { Clock, Logger, Metrics, Network, Random } from '@heddle/runtime';
import { createMetrics, type LogLevel, type MetricsSum } from '@heddle/runtime/node';
import {
  createDataPlane,
  type DataPlane,
  type DataPlaneStatus,
  type ResourceUpdate,
  type SocketBind,
  type WantedResources,
  type WorkloadIdentity,
} from '@heddle/dataplane';
import type { ToWorker, WorkerRequest } from './messages.ts';
import { type Port, PrimaryNetwork } from './primary-network.ts';
import { PoolTaps } from './pool-taps.ts';
import { ToldState } from './told-state.ts';
import { WorkerProcess } from './worker-process.ts';

export interface WorkerPoolOptions {
  readonly workers: number;
  readonly node: string;
  readonly logLevel: LogLevel;
  readonly logFormat: 'json' | 'pretty' | undefined;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Of the primary. */
  readonly metrics: Metrics;
  /** Gets what the workers count. */
  readonly sum: MetricsSum;
  /** False: connections are accepted only after `begin`. */
  readonly beginsAtOnce: boolean;
}

/** What a worker has to answer in when somebody looks in, before its last report has to do. */
const REPORT_TIMEOUT_MS = 1_000;
const CLOSE_TIMEOUT_MS = 2_000;

export class WorkerPool implements DataPlane {
  readonly network: PrimaryNetwork;
  readonly taps: PoolTaps;
  onConnectFailures: ((cluster: string, count: number) => void) | undefined;
  private readonly options: WorkerPoolOptions;
  private readonly template: DataPlane;
  private readonly told = new ToldState();
  private readonly workers: WorkerProcess[];
  /** Workers that have been told the state so far and are told every change. */
  private readonly followers = new Set<WorkerProcess>();
  /** Who accepts for a worker that is not there, by its number. */
  private readonly standIns = new Map<number, WorkerProcess>();
  private readonly firstUp = Promise.withResolvers<void>();
  private readonly decisions = new DecisionRing();
  private hasBegun: boolean;
  private isEnding = false;

  constructor(options: WorkerPoolOptions) {
    const { workers, network, clock, random, logger, metrics, node } = options;
    this.options = options;
    this.hasBegun = options.beginsAtOnce;
    this.network = new PrimaryNetwork({ network, workers, onOpen: (port) => this.shareOut(port) });
    this.template = createDataPlane({ network: this.network, clock, random, logger, metrics: createMetrics(), node });
    this.taps = new PoolTaps(clock, (message) => this.tellAll(message));
    const up = metrics.gauge(PROCESS_METRICS.workers);
    const restarts = metrics.counter(PROCESS_METRICS.workerRestarts);
    metrics.onExpose(() => up.set(this.up.length));
    this.workers = Array.from({ length: workers }, (_, index) => {
      return new WorkerProcess({
        number: index + 1,
        clock,
        logger,
        onStarted: (worker) => this.bringUpToDate(worker),
        onUp: (worker) => this.cameUp(worker),
        onReport: (worker, report) => {
          options.sum.take(nameOf(worker), report.metrics);
          this.decisions.add(report.decisions);
        },
        onConnectFailures: (cluster, count) => this.onConnectFailures?.(cluster, count),
        onTapped: (told) => this.taps.tapped(told),
        onEnd: (worker, wasUp) => {
          restarts.add(this.isEnding ? 0 : 1);
          this.ended(worker, wasUp);
        },
      });
    });
    // Who does not wait for them learns of their end from the log.
    this.firstUp.promise.catch(() => {});
    for (const worker of this.workers) worker.start();
  }

  /** Resolves when all workers serve. Rejects when one could not begin. */
  ready(): Promise<void> {
    return this.firstUp.promise;
  }

  /** Accepts connections from now on. */
  async begin(): Promise<void> {
    this.hasBegun = true;
    await this.askAll({ type: 'begin' });
  }

  /** Asks the workers how they are, so that what is told afterwards is of now. */
  async refresh(withConfig: boolean): Promise<void> {
    const answers = Promise.all([...this.followers].map((worker) => worker.ask({ type: 'report', withConfig }).catch(() => undefined)));
    await this.within(REPORT_TIMEOUT_MS, answers);
  }

  async reserve(bind: SocketBind): Promise<SocketBind> {
    const real = await this.template.reserve(bind);
    this.told.reserve(real);
    await this.askAll({ type: 'reserve', bind: real });
    try {
      if (bind.port !== 0) this.network.requireAlone(real);
    } catch (error) {
      await this.release(real);
      throw error;
    }
    return real;
  }

  async release(bind: SocketBind): Promise<void> {
    await this.template.release(bind);
    this.told.release(bind);
    await this.askAll({ type: 'release', bind });
  }

  async apply(update: ResourceUpdate): Promise<string | undefined> {
    // The primary's own is closed by then; what it has checked in general is that endpoints are no more than addresses.
    const reason = this.isEnding && update.kind === 'endpoints' ? undefined : await this.template.apply(update);
    if (reason !== undefined) return reason;
    this.told.apply(update);
    await this.askAll({ type: 'apply', update });
    return undefined;
  }

  setIdentity(workload: string, identity: WorkloadIdentity): void {
    this.template.setIdentity(workload, identity);
    const told = pemOnly(identity);
    this.told.identities.set(workload, told);
    this.tellAll({ type: 'identity', workload, identity: told });
  }

  removeIdentity(workload: string): void {
    this.template.removeIdentity(workload);
    this.told.identities.delete(workload);
    this.tellAll({ type: 'identity', workload, identity: undefined });
  }

  setCertificate(name: string, certificate: WorkloadIdentity): void {
    this.template.setCertificate(name, certificate);
    const told = pemOnly(certificate);
    this.told.certificates.set(name, told);
    this.tellAll({ type: 'certificate', name, certificate: told });
  }

  removeCertificate(name: string): void {
    this.template.removeCertificate(name);
    this.told.certificates.delete(name);
    this.tellAll({ type: 'certificate', name, certificate: undefined });
  }

  setCredential(credential: string, workload: string): void {
    this.template.setCredential(credential, workload);
    this.told.credentials.set(credential, workload);
    this.tellAll({ type: 'credential', credential, workload });
  }

  removeCredential(credential: string): void {
    this.template.removeCredential(credential);
    this.told.credentials.delete(credential);
    this.tellAll({ type: 'credential', credential, workload: undefined });
  }

  setAnonymousWorkload(workload: string | undefined): void {
    this.template.setAnonymousWorkload(workload);
    this.told.anonymous = workload;
    this.tellAll({ type: 'anonymous', workload });
  }

  wanted(): WantedResources {
    return this.template.wanted();
  }

  get onWantedChange(): (() => void) | undefined {
    return this.template.onWantedChange;
  }

  set onWantedChange(run: (() => void) | undefined) {
    this.template.onWantedChange = run;
  }

  localClusters(): readonly Cluster[] {
    return this.template.localClusters();
  }

  get onClustersChange(): (() => void) | undefined {
    return this.template.onClustersChange;
  }

  set onClustersChange(run: (() => void) | undefined) {
    this.template.onClustersChange = run;
  }

  /** The configuration once, and what each worker has made of it. */
  configDump(): object {
    const workers = this.workers.map(({ number, pid, state, restarts, lastReport }) => {
      const { clusters = [] } = (lastReport?.configDump ?? {}) as { readonly clusters?: readonly object[] };
      return { worker: number, pid: pid ?? null, state, restarts, status: lastReport?.status ?? null, clusters };
    });
    return { ...this.template.configDump(), workers };
  }

  takeDecisions(): TakenDecisions {
    return this.decisions.take();
  }

  status(): DataPlaneStatus {
    const own = this.template.status();
    const reports = this.workers.flatMap(({ lastReport }) => (lastReport === undefined ? [] : [lastReport.status]));
    const sum = (count: (status: DataPlaneStatus) => number): number => reports.reduce((total, status) => total + count(status), 0);
    return {
      listeners: own.listeners.map((listener) => {
        const same = reports.flatMap(({ listeners }) =>
          listeners.filter(({ name, address, port }) => name === listener.name && address === listener.address && port === listener.port),
        );
        const openConnections = same.reduce((total, each) => total + each.openConnections, 0);
        const activeRequests = same.reduce((total, each) => total + each.activeRequests, 0);
        const refusedHandshakes = same.reduce((total, each) => total + each.refusedHandshakes, 0);
        return { ...listener, openConnections, activeRequests, refusedHandshakes };
      }),
      openConnections: sum(({ openConnections }) => openConnections),
      activeRequests: sum(({ activeRequests }) => activeRequests),
      draining: own.draining,
    };
  }

  async drain(graceMs: number, waysIn: 'inbound' | 'all' = 'inbound', idleMs?: number): Promise<void> {
    this.expectEnd();
    // The primary's own has nothing to wait for, and closes its part of the sockets at once.
    await Promise.all([this.askAll({ type: 'drain', graceMs, waysIn, idleMs }), this.template.drain(graceMs, waysIn)]);
    await this.close();
  }

  async close(): Promise<void> {
    this.expectEnd();
    this.taps.stopAll();
    await this.template.close();
    await this.within(CLOSE_TIMEOUT_MS, this.askAll({ type: 'close' }));
    for (const worker of this.workers) worker.close();
  }

  private get up(): WorkerProcess[] {
    return this.workers.filter(({ state }) => state === 'up');
  }

  private expectEnd(): void {
    this.isEnding = true;
    for (const worker of this.workers) worker.expectEnd();
  }

  private tellAll(message: ToWorker): void {
    for (const worker of this.followers) worker.tell(message);
  }

  /** Resolves when every worker has answered or ended. One that cannot do what the others can is replaced. */
  private async askAll(request: WorkerRequest): Promise<void> {
    await Promise.all(
      [...this.followers].map(async (worker) => {
        const answer = await worker.ask(request).catch(() => undefined);
        if (answer?.reason !== undefined && !this.isEnding) worker.replace(`it refused what others took: ${answer.reason}`);
      }),
    );
  }

  private async bringUpToDate(worker: WorkerProcess): Promise<void> {
    const { node, logLevel, logFormat } = this.options;
    const { told } = this;
    worker.tell({ type: 'settings', settings: { worker: worker.number, node, logLevel, logFormat } });
    for (const port of this.network.ports()) this.sendShare(worker, worker.number, port);
    for (const [workload, identity] of told.identities) worker.tell({ type: 'identity', workload, identity });
    for (const [name, certificate] of told.certificates) worker.tell({ type: 'certificate', name, certificate });
    for (const [credential, workload] of told.credentials) worker.tell({ type: 'credential', credential, workload });
    if (told.anonymous !== undefined) worker.tell({ type: 'anonymous', workload: told.anonymous });
    for (const message of this.taps.messages()) worker.tell(message);
    const requests: WorkerRequest[] = [
      ...[...told.reserved.values()].map((bind) => ({ type: 'reserve' as const, bind })),
      ...told.updates().map((update) => ({ type: 'apply' as const, update })),
      ...(this.hasBegun ? [{ type: 'begin' as const }] : []),
    ];
    this.followers.add(worker);
    const answers = await Promise.all(requests.map((request) => worker.ask(request)));
    const refusal = answers.find(({ reason }) => reason !== undefined);
    if (refusal !== undefined) throw new Error(`it cannot take the configuration: ${refusal.reason}`);
  }

  private cameUp(worker: WorkerProcess): void {
    const standIn = this.standIns.get(worker.number);
    this.standIns.delete(worker.number);
    standIn?.tell({ type: 'give-back', owner: worker.number });
    if (worker.restarts > 0) this.options.logger.info({ worker: worker.number, pid: worker.pid }, 'a new worker serves');
    if (this.up.length === this.workers.length) this.firstUp.resolve();
    // Where all had ended nobody could stand in.
    for (const { state, number, restarts } of this.workers)
      if (state !== 'up' && restarts > 0 && !this.standIns.has(number)) this.findStandIn(number);
  }

  private ended(worker: WorkerProcess, wasUp: boolean): void {
    this.followers.delete(worker);
    this.options.sum.end(nameOf(worker));
    if (this.isEnding) return;
    // Where the very first ones cannot begin, no further one will.
    if (!wasUp) this.firstUp.reject(new Error(`worker ${worker.number} ended before it served; its own lines say why`));
    const orphans = [...this.standIns].filter(([, standIn]) => standIn === worker).map(([number]) => number);
    if (wasUp) orphans.push(worker.number);
    for (const number of orphans) this.findStandIn(number);
  }

  /** What waits in the sockets of a worker that is gone is accepted by another at once. */
  private findStandIn(number: number): void {
    const candidates = this.up;
    const standIn = candidates[number % Math.max(1, candidates.length)];
    if (standIn === undefined) return void this.standIns.delete(number);
    this.standIns.set(number, standIn);
    for (const port of this.network.ports()) this.sendShare(standIn, number, port);
  }

  private shareOut(port: Port): void {
    for (const { number } of this.workers) {
      for (const follower of [this.workers[number - 1], this.standIns.get(number)])
        if (follower !== undefined && this.followers.has(follower)) this.sendShare(follower, number, port);
    }
  }

  private sendShare(receiver: WorkerProcess, owner: number, { bind, sockets }: Port): void {
    const count = this.workers.length;
    sockets.forEach((socket, slot) => {
      // Each socket has one owner; where there are fewer sockets than workers, several share one.
      const isShare = sockets.length >= count ? slot % count === owner - 1 : (owner - 1) % sockets.length === slot;
      if (isShare) receiver.tell({ type: 'socket', bind, slot, owner }, socket);
    });
  }

  private within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.options.clock.after(timeoutMs, () => resolve());
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      work.then(done, done);
    });
  }
}

/** An identity may carry more, which is nobody's business. */
function pemOnly({ certificatePem, keyPem }: WorkloadIdentity): WorkloadIdentity {
  return { certificatePem, keyPem };
}

function nameOf(worker: WorkerProcess): string {
  return `${worker.number} ${worker.incarnation}`;
}
