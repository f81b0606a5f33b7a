// One instance of a service: its process, its ports, and its place in the proxy. The proxy is told before every launch, and when the process has
// ended though nobody has asked for that; when the proxy is another process, it is told again, and the instance keeps its ports so that nothing
// around it has to change.
import type { Readable } from 'node:stream';
import {
  DEFAULT_RESTART_POLICY,
  type Instance,
  type OutboundPort,
  type RunConfig,
  type ServiceRef,
  type SocketAddress,
} from '@heddle/core';
import { commandLine, commandProblem } from '../supervisor/command.ts';
import type { Guard } from '../supervisor/guard.ts';
import type { Level, Verdict } from '../supervisor/process-machine.ts';
import { SupervisedProcess, type Launch, type ProcessStatus } from '../supervisor/supervised-process.ts';
import { processEnvironment } from './environment.ts';
import { leaveRotation, leaveTrouble, TELL_MS } from './leaving.ts';
import { listenProblem, type PortAllocator } from './ports.ts';
import { type LeaveStatus, ProxyAdminError, type ProxyAdmin, type WorkloadBinding, type WorkloadRequest } from './proxy-admin.ts';
import type { ProxyHost } from './proxy-host.ts';

export interface HostedProcessOptions {
  readonly service: ServiceRef;
  readonly instance: string;
  readonly run: Pick<RunConfig, 'command' | 'directory' | 'environment' | 'stopTimeoutMs' | 'version'>;
  /** What the registry is told about the instance, for others to know. */
  readonly said: Pick<WorkloadRequest, 'labels' | 'metadata' | 'ports' | 'locality' | 'weight'>;
  readonly uses: readonly ServiceRef[];
  readonly livenessAfterMs: number;
  readonly host: ProxyHost;
  readonly admin: ProxyAdmin;
  readonly ports: PortAllocator;
  /** Where the process and its outbound ports listen. */
  readonly loopback: string;
  /** The port of the process where it was chosen by a person; it is then never changed. */
  readonly port?: number;
  /** Where peers connect; without a port, a free one is taken. */
  readonly inbound: { readonly address: string; readonly port?: number };
  readonly proxyUrl: (credential: string) => string;
  /** A fresh join token; undefined when none can be had now. */
  readonly joinToken: () => Promise<string | undefined>;
  readonly guard: Guard;
  readonly onOutput: (stream: Readable) => void;
  readonly onTell: (level: Level, message: string) => void;
  readonly onChange: (status: ProcessStatus) => void;
}

interface Ports {
  readonly application: SocketAddress;
  readonly inbound: SocketAddress;
  readonly outbounds: readonly OutboundPort[];
}

/** A port that another process took in the meantime is replaced; more often than this, something else is wrong. */
const PORT_TRIES = 5;
const DOWN_CHARS_MAX = 300;

export class HostedProcess {
  #ports: Ports | undefined;
  #binding: WorkloadBinding | undefined;
  /** Of the proxy that was told last. */
  #generation = 0;
  /** What the running process was told; undefined before the first launch. */
  #told: string | undefined;
  /** Why the process is not there. */
  #down: string | undefined;
  /** The same, as the proxy knows it. */
  #knownDown: string | undefined;
  #lastDown: string | undefined;
  /** Dealings with the proxy, one after the other. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #abort = new AbortController();
  readonly #options: HostedProcessOptions;
  readonly #process: SupervisedProcess;

  constructor(options: HostedProcessOptions) {
    this.#options = options;
    const { run, livenessAfterMs, guard, onOutput, onTell, onChange } = options;
    this.#process = new SupervisedProcess({
      policy: { restart: DEFAULT_RESTART_POLICY, stopTimeoutMs: run.stopTimeoutMs, livenessAfterMs },
      guard,
      random: Math.random,
      prepare: (aborted) => this.#prepare(aborted),
      onOutput,
      onTell,
      onDown: (reason) => this.#isDown(reason),
      onChange,
    });
  }

  get status(): ProcessStatus {
    return this.#process.status;
  }

  /** Where it can be reached; undefined before its first launch. */
  get binding(): WorkloadBinding | undefined {
    return this.#binding;
  }

  start(): void {
    this.#process.start();
  }

  get service(): ServiceRef {
    return this.#options.service;
  }

  /** Out of rotation first. `tellMs`: how long data planes are waited for. */
  async stop(tellMs: number = TELL_MS): Promise<void> {
    await this.leaveToStop(tellMs);
    await this.#process.stop();
  }

  /** As `leave`, where it runs; what went wrong is told. */
  async leaveToStop(tellMs: number = TELL_MS): Promise<void> {
    if (!this.#process.status.running) return;
    const trouble = leaveTrouble(await this.leave(tellMs));
    if (trouble !== undefined && !this.#abort.signal.aborted) this.#options.onTell(trouble.level, trouble.message);
  }

  /** Whether that is what was told of its process, which people have heard from its supervisor already. */
  isOwnNews(healthReason: string): boolean {
    return this.#lastDown !== undefined && healthReason.includes(this.#lastDown);
  }

  /** Gracefully, by somebody who has seen to its rotation. */
  end(): Promise<void> {
    return this.#process.stop();
  }

  kill(): Promise<void> {
    this.#abort.abort();
    return this.#process.kill();
  }

  /** Out of rotation, while it goes on running; resolves when data planes and requests under way have been waited for. Never rejects. */
  leave(tellMs: number): Promise<LeaveStatus | undefined> {
    const { admin, service, instance, run } = this.#options;
    return leaveRotation(admin, service, instance, { tellMs, finishMs: run.stopTimeoutMs }, this.#abort.signal);
  }

  /** Back into rotation, as soon as it is found healthy. Throws ProxyAdminError, or the network's error. */
  return(): Promise<void> {
    return this.#options.admin.return(this.#options.service, this.#options.instance);
  }

  /** Ends the process and starts it again at once; false: there is none, or it could not be started. */
  relaunch(): Promise<boolean> {
    return this.#process.relaunch();
  }

  /** What the registry says; undefined when it does not know the instance or cannot be asked. Returns what of it counts. */
  registryVerdict(instance: Instance | undefined): Verdict {
    // A record with another inbound port is left from an earlier run.
    const current = instance !== undefined && instance.inbound.port === this.#binding?.inbound.port;
    const verdict = current && (instance.health === 'healthy' || instance.health === 'unhealthy') ? instance.health : 'unknown';
    this.#process.verdict(verdict);
    return verdict;
  }

  /** The proxy is another process: it is told again. A process that has to know something new is restarted. Never rejects. */
  async proxyChanged(): Promise<void> {
    if (this.#told === undefined) return;
    try {
      await this.#register();
    } catch (error) {
      this.#options.onTell('error', `could not be given to the new proxy: ${(error as Error).message}`);
      return;
    }
    if (this.#told !== this.#knowledge()) this.#process.restart('must learn its new way into the mesh');
  }

  /** A proxy that does not answer now is told when there is another one. */
  #isDown(reason: string): void {
    this.#down = lineOf(reason);
    this.#lastDown = this.#down;
    if (this.#binding !== undefined) void this.#register().catch(() => {});
  }

  async #prepare(aborted: AbortSignal): Promise<Launch> {
    const { run, service, instance, host, proxyUrl } = this.#options;
    const problem = commandProblem(run.command, process.env['PATH'] ?? '', run.directory);
    if (problem !== undefined) throw new Error(problem);
    await host.up(aborted);
    await this.#freeApplicationPort();
    this.#down = undefined;
    const { binding, ports } = await this.#register();
    this.#told = this.#knowledge();
    const place = {
      service,
      instance,
      application: ports.application,
      outbounds: binding.outbounds,
      httpProxy: proxyUrl(binding.proxyCredential),
    };
    return {
      argv: commandLine(run.command),
      directory: run.directory,
      environment: processEnvironment(process.env, run.environment, place),
    };
  }

  /** While the process was down, another one may have taken its port. */
  async #freeApplicationPort(): Promise<void> {
    const { ports, loopback, port: chosen } = this.#options;
    const present = this.#ports?.application;
    const wanted = present?.port ?? chosen;
    const problem = wanted === undefined ? undefined : await listenProblem(loopback, wanted);
    if (problem === undefined) return;
    if (chosen !== undefined) throw new Error(`port ${chosen} cannot be used: ${problem.message}`);
    this.#ports = { ...this.#ports!, application: { address: loopback, port: await ports.take() } };
    this.#generation = 0;
  }

  #register(): Promise<{ binding: WorkloadBinding; ports: Ports }> {
    const next = this.#queue.then(() => this.#put());
    this.#queue = next.catch(() => undefined);
    return next;
  }

  async #put(): Promise<{ binding: WorkloadBinding; ports: Ports }> {
    const { admin, host, service, instance, run, said, joinToken } = this.#options;
    for (let tries = 1; ; tries++) {
      this.#ports ??= await this.#choosePorts();
      const generation = host.generation;
      const isKnown = this.#binding !== undefined && this.#generation === generation;
      const down = this.#down;
      if (this.#binding !== undefined && isKnown && this.#knownDown === down) return { binding: this.#binding, ports: this.#ports };
      const token = isKnown ? undefined : await joinToken();
      const { application, inbound, outbounds } = this.#ports;
      // What becomes of a call that fails, nobody knows.
      this.#generation = 0;
      try {
        const workload = { application, inbound, outbounds, version: run.version, ...said, ...(down !== undefined && { down }) };
        this.#binding = await admin.put(service, instance, token === undefined ? workload : { joinToken: token, ...workload });
        this.#generation = generation;
        this.#knownDown = down;
        return { binding: this.#binding, ports: this.#ports };
      } catch (error) {
        if (!(error instanceof ProxyAdminError) || error.status !== 409 || tries === PORT_TRIES) throw error;
        // The process's own port is its own matter; those of the proxy are chosen anew.
        this.#ports = { ...(await this.#choosePorts()), application };
      }
    }
  }

  async #choosePorts(): Promise<Ports> {
    const { ports, loopback, port, inbound, uses } = this.#options;
    const outbounds: OutboundPort[] = [];
    for (const service of uses) outbounds.push({ service, listen: { address: loopback, port: await ports.take() } });
    return {
      application: { address: loopback, port: port ?? (await ports.take()) },
      inbound: { address: inbound.address, port: inbound.port ?? (await ports.take()) },
      outbounds,
    };
  }

  /** What is in the process's environment and therefore cannot change while it runs. */
  #knowledge(): string {
    return JSON.stringify([this.#ports?.application, this.#binding?.outbounds, this.#binding?.proxyCredential]);
  }
}

/** What went wrong comes from other programs, too; the registry keeps so much of it. */
function lineOf(reason: string): string {
  return reason
    .toWellFormed()
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, DOWN_CHARS_MAX)
    .toWellFormed();
}
