// A worker: a data plane of its own in a process of its own, which does what the primary says. It decides nothing.
import type { Clock, Logger, Network, Random } from '@heddle/runtime';
import { type BoundSocket, createMetrics } from '@heddle/runtime/node';
import { watchProcessMetrics } from '@heddle/runtime/process';
import { createDataPlane, type DataPlane } from '@heddle/dataplane';
import { BEAT_MS, type FromWorker, type ToWorker, type WorkerReport, type WorkerSettings } from './messages.ts';
import { SocketNetwork } from './socket-network.ts';

export interface WorkerDeps {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly loggerFor: (settings: WorkerSettings) => Logger;
  readonly send: (message: FromWorker) => void;
  /** There is nothing left to do. */
  readonly onDone: () => void;
}

interface Running {
  readonly dataPlane: DataPlane;
  readonly logger: Logger;
}

export class Worker {
  readonly #deps: WorkerDeps;
  readonly #metrics = createMetrics();
  readonly #network: SocketNetwork;
  #running: Running | undefined;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    this.#network = new SocketNetwork({ network: deps.network, bind: () => [] });
  }

  start(): void {
    watchProcessMetrics(this.#metrics);
    this.#deps.send({ type: 'started' });
  }

  /** Throws what makes this worker useless: the primary then starts another. */
  async take(message: ToWorker, socket: BoundSocket | undefined): Promise<void> {
    if (message.type === 'settings') return this.#begin(message.settings);
    if (this.#running === undefined) throw new Error(`the worker was told "${message.type}" before its settings`);
    const { dataPlane } = this.#running;
    switch (message.type) {
      case 'socket':
        if (socket === undefined) throw new Error(`the socket of ${message.bind.address}:${message.bind.port} did not arrive`);
        return this.#network.hand(message.bind, { slot: message.slot, owner: message.owner, socket });
      case 'give-back':
        return this.#network.giveBack(message.owner);
      case 'identity':
        if (message.identity === undefined) dataPlane.removeIdentity(message.workload);
        else dataPlane.setIdentity(message.workload, message.identity);
        return;
      case 'certificate':
        if (message.certificate === undefined) dataPlane.removeCertificate(message.name);
        else dataPlane.setCertificate(message.name, message.certificate);
        return;
      case 'credential':
        if (message.workload === undefined) dataPlane.removeCredential(message.credential);
        else dataPlane.setCredential(message.credential, message.workload);
        return;
      case 'anonymous':
        return dataPlane.setAnonymousWorkload(message.workload);
      case 'tap':
        return dataPlane.taps.start(message.order, (told) => {
          this.#deps.send({ type: 'tapped', told });
          return true;
        });
      case 'tap-stop':
        return dataPlane.taps.stop(message.id);
      default:
        return this.#request(message, dataPlane);
    }
  }

  /** Nobody tells this worker anything any more: it finishes what it has begun. */
  async orphaned(graceMs: number): Promise<void> {
    this.#running?.logger.error({}, 'the primary process is gone; requests in flight end, then this worker does');
    await this.#running?.dataPlane.drain(graceMs, 'all');
    this.#deps.onDone();
  }

  #begin(settings: WorkerSettings): void {
    const { clock, random, loggerFor } = this.#deps;
    const logger = loggerFor(settings);
    const dataPlane = createDataPlane({ network: this.#network, clock, random, logger, metrics: this.#metrics, node: settings.node });
    dataPlane.onConnectFailures = (cluster, count) => this.#deps.send({ type: 'connect-failures', cluster, count });
    this.#running = { dataPlane, logger };
    const beat = (): void => {
      this.#deps.send({ type: 'beat', report: this.#report(dataPlane, false) });
      clock.after(BEAT_MS, beat);
    };
    clock.after(BEAT_MS, beat);
  }

  async #request(message: Extract<ToWorker, { readonly id: number }>, dataPlane: DataPlane): Promise<void> {
    const { id } = message;
    let reason: string | undefined;
    let report: WorkerReport | undefined;
    try {
      if (message.type === 'apply') reason = await dataPlane.apply(message.update);
      else if (message.type === 'reserve') await dataPlane.reserve(message.bind);
      else if (message.type === 'release') await dataPlane.release(message.bind);
      else if (message.type === 'begin') await this.#network.begin();
      else if (message.type === 'drain') await dataPlane.drain(message.graceMs, message.waysIn, message.idleMs);
      else if (message.type === 'close') await dataPlane.close();
      if (message.type === 'report') report = this.#report(dataPlane, message.withConfig);
      // The last word of a worker whose counts stay.
      if (message.type === 'drain' || message.type === 'close') report = this.#report(dataPlane, false);
    } catch (error) {
      reason = (error as Error).message;
    }
    this.#deps.send({ type: 'answer', id, ...(reason === undefined ? {} : { reason }), ...(report === undefined ? {} : { report }) });
    if (message.type === 'close') this.#deps.onDone();
  }

  #report(dataPlane: DataPlane, withConfig: boolean): WorkerReport {
    return {
      status: dataPlane.status(),
      metrics: this.#metrics.report(),
      configDump: withConfig ? dataPlane.configDump() : undefined,
      decisions: dataPlane.takeDecisions(),
    };
  }
}
