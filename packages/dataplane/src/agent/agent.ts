// The data plane's dealings with the control plane: which workloads it hosts, their certificates and registrations, their
// health, and the one xDS stream. The data path itself knows nothing of this.
import { stateHash } from '@heddle/api';
import {
  type Cluster,
  CONFIGURATION_METRICS,
  DEFAULT_LIMITS,
  Distrust,
  serviceKey,
  type SocketAddress,
  TRUST_BUNDLE,
  type TrustBundle,
} from '@heddle/core';
import type { Counter } from '@heddle/runtime';
import type { FamilyValues } from '@heddle/runtime/node';
import type { ListenerStatus, ResourceUpdate } from '../data-plane.ts';
import type { HeldIdentity } from '../identity/index.ts';
import { AdsConnection } from './ads-connection.ts';
import { AnswerableWorkloads } from './answerable.ts';
import { HealthMonitor, type SendProbe, type Verdict } from './health-monitor.ts';
import { HostedWorkload, type HostingDeps, type WorkloadBinding, type WorkloadStatus } from './hosted-workload.ts';
import { HostingError } from './hosting-error.ts';
import { type Admission, ListenerAdmission, type ListenerUpdate } from './listener-admission.ts';
import { type LeaveOutcome, type LeaveStatus, SETTLE_MS, TELL_MS } from './leave.ts';
import type { ConfigurationKeeper } from './kept-configuration.ts';
import { answerExplain } from './answer-explain.ts';
import { Feed } from './feed.ts';
import { type SyncReport, syncReport } from './sync-report.ts';
import type { ResourceFollower } from './resource-follower.ts';
import { sameSocket, sameWorkload, wantedSockets, type WorkloadSpec, workloadName } from './workload-spec.ts';

export interface MeasureSource {
  /** Brings the metrics of all processes up to date, and if it is wanted the dump of the configuration. */
  readonly refresh: (withConfig: boolean) => Promise<void>;
  readonly families: () => Iterable<FamilyValues>;
}

export interface AgentOptions extends HostingDeps {
  /** Whether the xDS stream waits for `useNodeIdentity`; otherwise it runs with the first certified workload's identity. */
  readonly ownIdentity: boolean;
  /** Why there is no node identity yet, in words. Asked only with `ownIdentity`. */
  readonly nodeProblem: () => string;
  /** Sockets of the data plane itself, which no workload may have. */
  readonly ownSockets: readonly SocketAddress[];
  readonly sendProbe: SendProbe;
  /** Sent once per stream as xDS Node.metadata. */
  readonly nodeMetadata: Readonly<Record<string, unknown>>;
  /** Where it is read what the control plane is told. */
  readonly load: MeasureSource;
  /** Of this release. Default: empty. */
  readonly version?: string;
  /** Absent: the configuration is the data path's alone. */
  readonly follower?: ResourceFollower;
  /** Absent: a process that starts while the control plane is away has no configuration until that is back. */
  readonly kept?: ConfigurationKeeper;
}

export interface LeaveWish {
  /** How long data planes are waited for. Default: `TELL_MS`. */
  readonly tellMs?: number;
  readonly finishMs: number;
  readonly waitMs: number;
}

/** What a control plane has to answer a new process in, before that begins with what an earlier one kept. */
const KEPT_AFTER_MS = 2_000;

export class Agent {
  readonly #options: AgentOptions;
  readonly #workloads = new Map<string, HostedWorkload>();
  readonly #monitor: HealthMonitor;
  readonly #ads: AdsConnection;
  readonly #distrust: Distrust;
  readonly #doubts: { readonly ask: Counter; readonly compare: Counter };
  readonly #admission = new ListenerAdmission((workload, socket) => this.#owns(workload, socket));
  readonly #answerable = new AnswerableWorkloads((workload, verdict) => this.#workloads.get(workload)?.report(verdict));
  /** Puts and removals run one after the other: both wait for sockets. */
  #queue: Promise<unknown> = Promise.resolve();
  /** Whose certificate the xDS stream uses. */
  #speaker: string | undefined;
  #draining = false;
  #rootsPem: string | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { clock, random, dataPlane, sendProbe } = options;
    this.#monitor = new HealthMonitor({
      clock,
      random,
      sendProbe,
      onVerdict: (cluster, verdict) => this.#answerable.found(localWorkload(cluster), verdict),
    });
    const { load, version = '' } = options;
    const feed = new Feed({
      ...{ node: options.node, version, clock, logger: options.logger, families: load.families, taps: dataPlane.taps },
      refresh: () => load.refresh(false),
      stateHash: () => stateHash(this.#ads.status().kinds),
      decisions: () => dataPlane.takeDecisions(),
      explain: (question) => answerExplain(question, { ...options, refresh: () => load.refresh(true) }),
    });
    this.#ads = new AdsConnection({
      ...options,
      apply: (update) => this.#apply(update),
      onLink: (channel) => {
        feed.use(channel);
        if (channel !== undefined) for (const workload of this.#workloads.values()) workload.hurry();
      },
    });
    this.#distrust = new Distrust(() => random.next());
    const doubts = (action: 'ask' | 'compare'): Counter => options.metrics.counter(CONFIGURATION_METRICS.distrust, { action });
    this.#doubts = { ask: doubts('ask'), compare: doubts('compare') };
    dataPlane.onConnectFailures = (cluster, count) => this.#doubt(cluster, count);
    dataPlane.onClustersChange = () => this.#check();
    const { follower } = options;
    dataPlane.onWantedChange = () => this.#subscribe();
    if (follower !== undefined) follower.onWantedChange = () => this.#subscribe();
    this.#subscribe();
    if (options.kept !== undefined) clock.after(KEPT_AFTER_MS, () => void this.#startFromKept());
  }

  /** The identity of the data plane itself, first and after each renewal. */
  useNodeIdentity(held: HeldIdentity): void {
    this.#ads.use(held);
  }

  /**
   * Hosts the workload from now on. The same again changes nothing, save that a fresh token is taken up, and whether its process is there; another
   * description replaces it.
   * @param known the verdict of the process that hosted it until now; it holds until the first check has ended.
   * Throws HostingError, NetworkError, WorkloadSpecError.
   */
  put(spec: WorkloadSpec, known?: Verdict): Promise<WorkloadBinding> {
    return this.#serially(async () => {
      const name = workloadName(spec.service, spec.instance);
      const present = this.#workloads.get(name);
      if (present !== undefined && sameWorkload(present.spec, spec)) {
        if (spec.joinToken !== undefined) present.offerToken(spec.joinToken);
        if (present.setDown(spec.down)) this.#monitor.restart(`local/${name}`);
        return present.binding;
      }
      this.#admit(spec, present);
      if (present !== undefined) await this.#drop(present);
      const deps = { ...this.#options, trusted: () => this.#rootsPem };
      const workload = await HostedWorkload.open(spec, deps, (held) => this.#certified(name, held), known);
      this.#workloads.set(name, workload);
      await this.#applyDue();
      // Anew, also where its cluster is there already: nobody has told this registration yet how the application is.
      this.#check();
      return workload.binding;
    });
  }

  /** False when no such workload is hosted. */
  remove(name: string): Promise<boolean> {
    return this.#serially(async () => {
      const workload = this.#workloads.get(name);
      if (workload === undefined) return false;
      await this.#drop(workload);
      return true;
    });
  }

  list(): WorkloadStatus[] {
    return [...this.#workloads.values()].map((workload) => workload.status());
  }

  /** When the control plane last proved that what is applied is what it says, Unix time; 0: never. */
  get syncedMs(): number {
    return this.#ads.syncedMs;
  }

  /** The roots that the mesh trusts, as the control plane told them last; undefined before that. */
  get rootsPem(): string | undefined {
    return this.#rootsPem;
  }

  /** What is applied of the control plane's configuration. */
  sync(): SyncReport {
    return syncReport(this.#options.node, this.#ads.status(), this.#options.clock.wallMs());
  }

  /** What is still missing before every listener serves, in words; empty when ready. A lost control plane does not make a serving data plane unready. */
  missing(): string[] {
    const { listeners } = this.#options.dataPlane.status();
    const idle = listeners.filter((listener) => listener.state === 'reserved' || listener.state === 'waiting');
    const uncertified = this.list().filter((status) => status.certificate === 'none' || status.certificate === 'expired');
    const missing = [
      ...idle.map((listener) => this.#idle(listener)),
      ...uncertified.map((status) => `${status.workload} ${status.problem}`),
    ];
    const ads = this.#ads.status();
    if (!ads.everSynced)
      missing.unshift(
        `control plane: ${[ads.reason, this.#options.ownIdentity ? this.#options.nodeProblem() : ''].filter((why) => why !== '').join(': ')}`,
      );
    return missing;
  }

  /**
   * Takes the workload out of rotation while it goes on answering, and tells how far that is: at once, or when it is done, at the latest
   * after `waitMs`. Again: the same. Undefined when no such workload is hosted.
   * @param finishMs what requests under way have, once every data plane has acknowledged
   */
  async leave(name: string, { tellMs = TELL_MS, finishMs, waitMs }: LeaveWish): Promise<LeaveStatus | undefined> {
    const workload = this.#workloads.get(name);
    if (workload === undefined) return undefined;
    const leave = workload.leave(tellMs, finishMs, () => this.#activeRequests(name));
    if (leave.status().phase !== 'left' && waitMs > 0)
      await Promise.race([leave.done, new Promise<void>((resolve) => void this.#options.clock.after(waitMs, resolve))]);
    return leave.status();
  }

  /** Back into rotation, once a check of the application has passed. False when no such workload is hosted. */
  return(name: string): boolean {
    const workload = this.#workloads.get(name);
    if (workload === undefined) return false;
    workload.return();
    this.#monitor.restart(`local/${name}`);
    return true;
  }

  /**
   * Of a process whose workloads have left, and which ends soon, nobody knows how: the registry forgets them, and nobody waits for this data plane
   * any more. Calls go on with the configuration as it is. Never rejects.
   */
  async sayGoodbye(): Promise<void> {
    await Promise.all([...this.#workloads.values()].map((workload) => workload.deregister()));
    await this.#ads.goodbye();
  }

  async #activeRequests(name: string): Promise<number> {
    const { load, dataPlane } = this.#options;
    await load.refresh(false);
    const { listeners } = dataPlane.status();
    return listeners.find((listener) => listener.name === `inbound/${name}`)?.activeRequests ?? 0;
  }

  /**
   * Tells the mesh that the workloads are going, waits until no data plane chooses them any more, then lets the data plane finish. Never
   * rejects. @param tellMs how long data planes are waited for
   */
  async drain(graceMs: number, tellMs: number = TELL_MS): Promise<void> {
    this.#draining = true;
    const told = await Promise.all([...this.#workloads.values()].map((workload) => this.#tell(workload, tellMs)));
    // Where all have acknowledged, idle connections of callers bring nothing more.
    const idleMs = told.length > 0 && told.every((outcome) => outcome === 'complete') ? SETTLE_MS : undefined;
    // Endpoints are taken in to the end: requests under way may call others, which may stop at the same time.
    await this.#options.dataPlane.drain(graceMs, 'inbound', idleMs);
    await this.#ads.goodbye();
  }

  #tell(workload: HostedWorkload, tellMs: number): Promise<LeaveOutcome> {
    return workload.leave(tellMs, 0, () => Promise.resolve(0)).told;
  }

  /** Whether another process is about to take the workloads over: that it registers them is then no mistake. False again: it has failed. */
  expectSuccessor(isExpected: boolean): void {
    for (const workload of this.#workloads.values()) workload.expectSuccessor(isExpected);
  }

  /** Another process hosts the same workloads by now: they stay registered, and this one speaks to the control plane no more. Never rejects. */
  async handOver(): Promise<void> {
    this.#draining = true;
    this.#monitor.close();
    await this.#queue;
    for (const workload of this.#workloads.values()) workload.handOver();
    this.#ads.close();
    this.#options.kept?.leave();
  }

  /** Deregisters every workload and ends all connections to the control plane. Never rejects. */
  async close(): Promise<void> {
    this.#draining = true;
    this.#monitor.close();
    await this.#queue;
    await Promise.all([...this.#workloads.values()].map((workload) => workload.close()));
    this.#workloads.clear();
    this.#ads.close();
    await this.#options.kept?.close();
  }

  #subscribe(): void {
    const { dataPlane, follower } = this.#options;
    const wanted = follower?.join(dataPlane.wanted()) ?? dataPlane.wanted();
    // Also where no listener needs it: certificates are renewed when the roots change.
    const secrets = wanted.secrets.includes(TRUST_BUNDLE) ? wanted.secrets : [TRUST_BUNDLE, ...wanted.secrets];
    this.#ads.subscribe({ ...wanted, secrets });
  }

  /** Never rejects. */
  async #startFromKept(): Promise<void> {
    const { kept, logger, clock } = this.#options;
    if (kept === undefined || this.#draining || this.#ads.status().connected) return;
    const configuration = await kept.load();
    if (configuration === undefined) return;
    const { resources, keptMs } = configuration;
    if (!(await this.#ads.restore(resources, keptMs))) return;
    // Of what was kept only what something refers to is still asked for.
    this.#subscribe();
    const ageSeconds = Math.round((clock.wallMs() - keptMs) / 1_000);
    logger.warn(
      { resources: resources.length, ageSeconds, reason: this.#ads.status().reason },
      'the control plane is away: serving with the configuration that was kept, until it is back',
    );
  }

  async #apply(update: ResourceUpdate): Promise<string | undefined> {
    const reason = await this.#applyToAll(update);
    if (reason === undefined) this.#options.kept?.applied(update);
    return reason;
  }

  async #applyToAll(update: ResourceUpdate): Promise<string | undefined> {
    if (update.kind !== 'listener') {
      const refusal = await this.#options.dataPlane.apply(update);
      if (refusal !== undefined) return refusal;
      this.#options.follower?.applied(update);
      this.#answerable.applied(update);
      if (update.kind === 'secret') this.#noteRoots(update.upserts as readonly TrustBundle[]);
      return undefined;
    }
    const reason = await this.#applyAdmitted(this.#admission.admit(update as ListenerUpdate));
    // A workload may have been put meanwhile.
    if (reason === undefined) await this.#applyDue();
    return reason;
  }

  #noteRoots(bundles: readonly TrustBundle[]): void {
    this.#rootsPem = bundles.find(({ name }) => name === TRUST_BUNDLE)?.rootsPem ?? this.#rootsPem;
  }

  async #applyAdmitted(admission: Admission): Promise<string | undefined> {
    const reason = await this.#options.dataPlane.apply(admission.update);
    if (reason !== undefined) return reason;
    this.#admission.applied(admission);
    this.#answerable.applied(admission.update);
    for (const { name, address, port } of admission.aside)
      this.#options.logger.info({ listener: name, address, port }, 'a listener of a workload that is not hosted here is kept aside');
    return undefined;
  }

  async #applyDue(): Promise<void> {
    const due = this.#admission.due();
    const reason = due === undefined ? undefined : await this.#applyAdmitted(due);
    if (reason !== undefined) this.#options.logger.error({ reason }, 'listeners that were kept aside cannot be applied');
  }

  #owns(workload: string | undefined, socket: SocketAddress): boolean {
    const sockets = workload === undefined ? this.#options.ownSockets : (this.#workloads.get(workload)?.sockets ?? []);
    return sockets.some((owned) => sameSocket(owned, socket));
  }

  #certified(name: string, held: HeldIdentity): void {
    if (this.#options.ownIdentity) return;
    this.#speaker ??= name;
    if (this.#speaker === name) this.#ads.use(held);
  }

  /** Before anything is given up for the newcomer. Throws HostingError. */
  #admit(spec: WorkloadSpec, present: HostedWorkload | undefined): void {
    if (this.#draining) throw new HostingError('draining', 'this data plane is draining and takes no more workloads');
    const others = [...this.#workloads.values()].filter((workload) => workload !== present);
    if (others.length >= DEFAULT_LIMITS.workloadsPerProxyMax)
      throw new HostingError('full', `this data plane hosts ${DEFAULT_LIMITS.workloadsPerProxyMax} workloads already, its limit`);
    const foreign = this.#options.ownIdentity
      ? undefined
      : others.find((other) => serviceKey(other.spec.service) !== serviceKey(spec.service));
    if (foreign !== undefined) {
      throw new HostingError(
        'foreign-service',
        `this data plane has no identity of its own and speaks as ${serviceKey(foreign.spec.service)}, so it can host instances of that service only; give it a join token of its own, or start another data plane`,
      );
    }
    for (const socket of wantedSockets(spec)) {
      const owner = others.find((other) => other.sockets.some((taken) => sameSocket(taken, socket)))?.name;
      const own = this.#options.ownSockets.some((taken) => sameSocket(taken, socket)) ? 'the shared HTTP proxy' : undefined;
      if (owner !== undefined || own !== undefined)
        throw new HostingError(
          'port-taken',
          `${socket.address}:${socket.port} belongs to ${owner ?? own} already; choose another port, or 0`,
        );
    }
  }

  async #drop(workload: HostedWorkload): Promise<void> {
    this.#workloads.delete(workload.name);
    this.#answerable.forget(workload.name);
    this.#check();
    if (this.#speaker === workload.name) this.#speakAsAnother();
    await workload.close();
  }

  /** With nobody left the stream stays: over it comes word that the last workload's listeners may go. */
  #speakAsAnother(): void {
    const next = [...this.#workloads.values()].find((workload) => workload.identity !== undefined);
    this.#speaker = next?.name;
    if (next?.identity !== undefined) this.#ads.use(next.identity);
  }

  /** Only applications of workloads that are hosted, at the address that their present description gives. */
  #check(): void {
    const clusters = this.#options.dataPlane.localClusters().filter(({ name, endpoints }) => {
      const application = this.#workloads.get(localWorkload(name))?.spec.application;
      const endpoint = endpoints.kind === 'static' ? endpoints.endpoints[0] : undefined;
      return application !== undefined && endpoint !== undefined && sameSocket(endpoint, application);
    });
    this.#monitor.update(clusters);
  }

  #idle({ name, address, port, reason }: ListenerStatus): string {
    const place = `${address}:${port}`;
    if (name !== undefined) return `${name} ${place} ${reason}`;
    const owner = [...this.#workloads.values()].find((workload) =>
      workload.sockets.some((socket) => sameSocket(socket, { address, port })),
    );
    const problem = owner?.status().problem ?? '';
    return `${owner === undefined ? 'port' : `${owner.name}: port`} ${place} waits for its configuration${problem === '' ? '' : `: the workload ${problem}`}`;
  }

  /** The control plane is asked, never told: what others are to think of an instance is for its own data plane and for detectors to say. */
  #doubt(cluster: string, count: number): void {
    const { clock, logger } = this.#options;
    const action = this.#distrust.failed(cluster, count, clock.nowMs());
    if (action === undefined || this.#draining) return;
    this.#doubts[action].add(1);
    if (action === 'ask') {
      logger.info({ cluster }, 'connections to endpoints that should be healthy fail; asking for the endpoints anew');
      this.#ads.recheck(cluster);
    } else {
      logger.warn({ cluster }, 'connections to endpoints that should be healthy still fail; comparing everything with the control plane');
      this.#ads.compare();
    }
  }

  #serially<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

/** Local clusters are named `local/<workload>`. */
function localWorkload(clusterName: Cluster['name']): string {
  return clusterName.slice(clusterName.indexOf('/') + 1);
}
