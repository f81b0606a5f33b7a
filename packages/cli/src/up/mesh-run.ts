// A whole mesh on this machine: starts control plane, proxy and instances in that order, keeps them running, tells what happens,
// and takes everything down in the opposite order.
import type { Readable } from 'node:stream';
import { serviceKey, SYSTEM_NAMESPACE, type Instance, type Locality, type MeshConfig } from '@heddle/core';
import { type DnsForward, dnsForwardText } from '../commands/dns-options.ts';
import { openControl } from '../control-client.ts';
import { CliError } from '../errors.ts';
import type { Palette } from '../output/palette.ts';
import { RegistryWatch } from '../registry-watch.ts';
import { readStateFile } from '../state-directory.ts';
import { Guard } from '../supervisor/guard.ts';
import { ProcessFile } from '../supervisor/leftovers.ts';
import type { Output } from '../supervisor/output.ts';
import type { Level } from '../supervisor/process-machine.ts';
import type { ProcessStatus } from '../supervisor/supervised-process.ts';
import { ControlHost } from './control-host.ts';
import { HostedProcess } from './hosted-process.ts';
import { livenessAfterMs, stopOrder, type Plan, type PlannedInstance } from './plan.ts';
import { PortAllocator } from './ports.ts';
import { pause, poll } from './poll.ts';
import { ProxyAdmin } from './proxy-admin.ts';
import { ProxyHost } from './proxy-host.ts';
import type { ReadyInstance } from './ready.ts';
import type { RestartWish } from './door.ts';
import { restartOneByOne, type RollingStep } from './rolling.ts';

export interface MeshRunOptions {
  readonly mesh: MeshConfig;
  readonly plan: Plan;
  /** Absolute. */
  readonly meshFile: string;
  readonly stateDirectory: string;
  readonly controlPort: number;
  /** 0: the system chooses. */
  readonly dnsPort: number | 'off';
  readonly proxyDnsPort: number | 'off';
  readonly dnsForward: DnsForward;
  readonly proxyPort: number;
  readonly proxyWorkers: number;
  readonly adminPort: number;
  /** 0: the system chooses. */
  readonly restPort: number | 'off';
  /** Name of the proxy in the mesh. */
  readonly node: string;
  readonly locality: Locality | undefined;
  readonly quiet: boolean;
  readonly output: Output;
  readonly palette: Palette;
}

const LOOPBACK = '127.0.0.1';
/** Instances that are not healthy by then are named in the ready block; they are still waited for in the background. */
const READY_TIMEOUT_MS = 60_000;
/** When everything stops, only data planes from elsewhere have to be told; one that does not answer must not hold up the end. */
const STOP_TELL_MS = 5_000;
/** So long are callers given before what they call is stopped too. */
const WAVE_MS = 2_000;
/** The services have stopped by then; what is left are calls from outside. */
const DRAIN_SECONDS = 5;
/** How long a proxy that comes back waits for tokens before it relies on the certificates it has kept. */
const RETOKEN_TIMEOUT_MS = 2_000;

interface Running {
  readonly planned: PlannedInstance;
  readonly process: HostedProcess;
  /** As last told to people. */
  health: 'healthy' | 'unhealthy' | 'unknown';
  wasHealthy: boolean;
  healthReason: string;
  failure: string;
}

export class MeshRun {
  #watch: RegistryWatch<Instance[]> | undefined;
  #stopping = false;
  #isRestarting = false;
  readonly #abort = new AbortController();
  readonly #options: MeshRunOptions;
  readonly #guard = new Guard();
  readonly #file: ProcessFile;
  readonly #control: ControlHost;
  readonly #proxy: ProxyHost;
  readonly #running: readonly Running[];

  constructor(options: MeshRunOptions) {
    const { stateDirectory, mesh, meshFile, controlPort, proxyPort, proxyWorkers, adminPort, restPort, node, plan } = options;
    const { dnsPort, proxyDnsPort } = options;
    this.#options = options;
    this.#file = new ProcessFile(stateDirectory);
    const log = ['--state-dir', stateDirectory, '--log-level', 'warn', '--log-format', 'pretty'];
    const rest = ['--rest-listen', restPort === 'off' ? restPort : `${LOOPBACK}:${restPort}`];
    const forward = ['--dns-forward', dnsForwardText(options.dnsForward)];
    const dns = dnsPort === 'off' ? ['--dns-listen', 'off'] : ['--dns-listen', `${LOOPBACK}:${dnsPort}`, ...forward];
    const proxyDns = proxyDnsPort === 'off' ? [] : ['--dns-port', String(proxyDnsPort), ...forward];
    this.#control = new ControlHost({
      stateDirectory,
      guard: this.#guard,
      args: ['-f', meshFile, '--listen', `${LOOPBACK}:${controlPort}`, ...dns, ...rest, ...log],
      ...this.#reports('control'),
    });
    const tokenFile = `proxy-${node}.token`;
    const admin = new ProxyAdmin(adminPort, () => readStateFile(stateDirectory, tokenFile));
    const anonymous = mesh.anonymousCalls === 'operator' ? ['--anonymous-calls'] : [];
    const ports = ['--outbound-port', String(proxyPort), '--admin-port', String(adminPort), ...proxyDns];
    this.#proxy = new ProxyHost({
      admin,
      args: ['--node', node, '--control', `${LOOPBACK}:${controlPort}`, ...ports, ...anonymous, ...log],
      joinToken: (aborted) => this.#control.joinToken(SYSTEM_NAMESPACE, 'operator', aborted),
      drainSeconds: DRAIN_SECONDS,
      drainWaitSeconds: STOP_TELL_MS / 1_000,
      workers: proxyWorkers,
      guard: this.#guard,
      ...this.#reports('proxy'),
      onUp: () => void Promise.all(this.#running.map(({ process }) => process.proxyChanged())),
    });
    const allocator = new PortAllocator(LOOPBACK, Math.random);
    this.#running = plan.instances.map((planned) => this.#prepare(planned, admin, allocator));
  }

  /** Resolves when every instance is healthy, has failed, or has had its time; or at once when stopped. Throws CliError. */
  async start(): Promise<void> {
    const { controlPort, proxyPort, stateDirectory } = this.#options;
    await this.#control.start();
    if (this.#stopping) return;
    this.#say(`control plane on ${LOOPBACK}:${controlPort}`);
    this.#proxy.start();
    try {
      await this.#proxy.up(this.#abort.signal);
    } catch (error) {
      if (this.#stopping) return;
      throw error;
    }
    this.#say(
      `proxy on ${LOOPBACK}:${proxyPort}; starting ${this.#running.length} ${this.#running.length === 1 ? 'instance' : 'instances'}`,
    );
    for (const { process } of this.#running) process.start();
    this.#watch = new RegistryWatch({
      open: () => openControl(stateDirectory, 'operator'),
      ask: (client) => client.instances(),
      onAnswer: (instances) => this.#learn(instances),
      onLost: (reason) => {
        if (this.#stopping) return;
        this.#say(`the control plane does not answer (${reason}); what runs goes on`);
        for (const { process } of this.#running) process.registryVerdict(undefined);
      },
    });
    await poll(READY_TIMEOUT_MS, this.#abort.signal, () =>
      this.#running.every(({ wasHealthy, process }) => wasHealthy || process.status.crashLoop),
    );
  }

  get instances(): ReadyInstance[] {
    return this.#running.map(({ planned, process, health, healthReason, failure }) => ({
      service: planned.config.service.name,
      id: planned.id,
      pid: process.status.pid,
      healthy: health === 'healthy',
      reason: process.status.crashLoop ? failure : healthReason === '' ? 'has not become healthy yet' : `is not healthy: ${healthReason}`,
    }));
  }

  /**
   * Restarts the instances of a service, or one instance, one after the other; false when one of them has not come back. Throws CliError when
   * there is nothing of that name here, or another restart is not done.
   */
  async restart({ name, tellMs, force }: RestartWish, onStep: (step: RollingStep) => void): Promise<boolean> {
    const targets = this.#running.filter(({ planned: { id, workload, config } }) => {
      const { namespace, name: service } = config.service;
      return [id, workload, service, `${namespace}/${service}`, `${service}/${id}`].includes(name);
    });
    if (targets.length === 0)
      throw new CliError(
        `nothing named ${name} runs here; there are ${[...new Set(this.#running.map(({ planned }) => planned.config.service.name))].join(', ')}`,
      );
    if (this.#isRestarting) throw new CliError('instances are being restarted already; wait until that is done');
    this.#isRestarting = true;
    const control = openControl(this.#options.stateDirectory, 'operator');
    try {
      return await restartOneByOne({
        targets: targets.map(({ planned: { id }, process }) => ({ id, process })),
        tellMs,
        force,
        instance: async ({ id, process }) => (await control.instances(process.service)).find((instance) => instance.id === id),
        onStep: (step) => {
          this.#tell(step.instance, step.step === 'failed' ? 'error' : step.step === 'warned' ? 'warn' : 'info', step.message);
          onStep(step);
        },
        aborted: this.#abort.signal,
      });
    } finally {
      control.close();
      this.#isRestarting = false;
    }
  }

  /** Services first, callers before those they call; then the proxy, then the control plane. Resolves when nothing is left. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#abort.abort();
    this.#watch?.close();
    const all: Promise<void>[] = [];
    for (const wave of stopOrder(this.#options.mesh.services)) {
      const members = this.#running.filter(({ planned }) => wave.includes(serviceKey(planned.config.service)));
      const stopped = Promise.all(members.map(({ process }) => process.stop(STOP_TELL_MS))).then(() => {});
      all.push(stopped);
      const patience = new AbortController();
      await Promise.race([stopped, pause(WAVE_MS, patience.signal)]);
      patience.abort();
    }
    await Promise.all(all);
    await this.#proxy.stop();
    await this.#control.stop();
    await this.#close();
  }

  /** Everything at once. */
  async kill(): Promise<void> {
    this.#stopping = true;
    this.#abort.abort();
    this.#watch?.close();
    await Promise.all([...this.#running.map(({ process }) => process.kill()), this.#proxy.kill(), this.#control.kill()]);
    await this.#close();
  }

  async #close(): Promise<void> {
    await this.#guard.close();
    this.#file.remove();
  }

  #prepare(planned: PlannedInstance, admin: ProxyAdmin, ports: PortAllocator): Running {
    const { config, run, id, workload } = planned;
    const { proxyPort, locality, quiet, output } = this.#options;
    const { namespace, name, ports: named } = config.service;
    const process = new HostedProcess({
      service: { namespace, name },
      instance: id,
      run,
      said: { labels: {}, metadata: {}, ports: named, weight: 1, ...(locality === undefined ? {} : { locality }) },
      uses: config.uses,
      livenessAfterMs: livenessAfterMs(config),
      host: this.#proxy,
      admin,
      ports,
      loopback: LOOPBACK,
      inbound: { address: LOOPBACK },
      proxyUrl: (credential) => `http://${credential}@${LOOPBACK}:${proxyPort}`,
      // A proxy that was restarted may have kept the certificate: then it needs no token, and a missing one is no reason to wait.
      joinToken: () => this.#control.joinToken(namespace, name, this.#abort.signal, RETOKEN_TIMEOUT_MS).catch(() => undefined),
      guard: this.#guard,
      onOutput: (stream) => output.attach(stream, id, quiet),
      onTell: (level, message) => {
        running.failure = message;
        this.#tell(id, level, message);
      },
      onChange: ({ pid }) => this.#file.set(id, pid, workload),
    });
    const running: Running = { planned, process, health: 'unknown', wasHealthy: false, healthReason: '', failure: '' };
    return running;
  }

  /** What happens to the two processes of Heddle itself. */
  #reports(name: string): {
    readonly onOutput: (stream: Readable) => void;
    readonly onTell: (level: Level, message: string) => void;
    readonly onChange: (status: ProcessStatus) => void;
  } {
    return {
      onOutput: (stream) => this.#options.output.attach(stream, name),
      onTell: (level, message) => this.#tell(name, level, message),
      onChange: ({ pid }) => this.#file.set(name, pid),
    };
  }

  #learn(instances: readonly Instance[]): void {
    if (this.#stopping) return;
    const known = new Map(instances.map((instance) => [`${serviceKey(instance.service)}/${instance.id}`, instance]));
    for (const running of this.#running) {
      const instance = known.get(running.planned.workload);
      const before = running.health;
      running.health = running.process.registryVerdict(instance);
      running.healthReason = instance?.healthReason ?? '';
      const { id } = running.planned;
      if (running.health === 'healthy' && before !== 'healthy') {
        this.#tell(id, 'info', running.wasHealthy ? 'is healthy again' : `is healthy (process ${running.process.status.pid ?? '?'})`);
        running.wasHealthy = true;
      } else if (running.health === 'unhealthy' && before === 'healthy' && !running.process.isOwnNews(running.healthReason)) {
        this.#tell(id, 'warn', `is unhealthy: ${running.healthReason}`);
      }
    }
  }

  #tell(name: string, level: Level, message: string): void {
    // What ends while everything is being stopped is no news.
    if (this.#stopping && level === 'info') return;
    const { palette } = this.#options;
    const color = { info: palette.dim, warn: palette.warn, error: palette.bad }[level];
    this.#say(color(`${name} ${message}`));
  }

  #say(text: string): void {
    this.#options.output.line('heddle', text);
  }
}
