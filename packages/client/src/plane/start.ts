// A data plane in this process: the same engine as a proxy's, with its own identity, registration and configuration. It starts when it is first
// needed, and nothing of it keeps the process alive.
import type { SocketAddress } from '@heddle/core';
import { createHmac } from 'node:crypto';
import { sendProbe } from '@heddle/dataplane';
import { Agent, ConfigurationKeeper, type HostingDeps } from '@heddle/dataplane/agent';
import { createInsideDataPlane, type DirectCalls, type InsideDataPlane } from '@heddle/dataplane/direct';
import { directoryIdentityStore, IdentityKeeper, noIdentityStore } from '@heddle/dataplane/identity';
import type { ListeningSocket, Logger } from '@heddle/runtime';
import { InsideServers, InsideSocket, insideNetwork, memoryLink, type MemoryStream } from '@heddle/runtime/inside';
import { backgroundGrpc, backgroundNetwork, createMetrics, nodeClock, nodeRandom, type ReportingMetrics } from '@heddle/runtime/node';
import { MeshError } from '../errors.ts';
import { watchProcess } from '../signals/process-signals.ts';
import { KeepAlive } from '@heddle/runtime/process';
import { stderrLogger } from './logger.ts';
import type { RunningMesh } from './mesh.ts';
import { isMeshName } from './names.ts';
import { type MeshSettings, nameOf } from './options.ts';
import { outside } from './outside.ts';

/** How often it is looked whether everything has come. */
const LOOK_MS = 10;
const LOOPBACK = '127.0.0.1';
/** One look at how far leaving is. */
const LEAVE_WAIT_MS = 1_000;
/** Where calls out begin, as the control plane is told: always the same, so that kept configuration fits. Nothing listens there. */
const WAY_OUT = { address: LOOPBACK, port: 15_001 } as const;

/** What runs once it was needed. */
interface Parts {
  readonly dataPlane: InsideDataPlane;
  readonly agent: Agent;
  /** Of a process that nobody calls: its identity without a registration. */
  readonly keeper: IdentityKeeper | undefined;
  readonly calls: DirectCalls;
  /** Its load is told no more. */
  readonly unwatch: () => void;
}

export class ProcessMesh implements RunningMesh {
  readonly workload: string;
  readonly servers: InsideServers;
  private readonly settings: MeshSettings;
  private readonly logger: Logger;
  private readonly metrics: ReportingMetrics = createMetrics();
  private readonly keepAlive = new KeepAlive();
  private readonly secret = nodeRandom.bytes(32);
  private starting: Promise<Parts> | undefined;
  private parts: Parts | undefined;
  private waiting: Promise<void> | undefined;
  private leaving: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;
  private closeAdmin: (() => Promise<void>) | undefined;
  private isUp = false;
  private readonly wayOut = new InsideSocket(WAY_OUT.address, WAY_OUT.port);
  /** For processes beside this one. */
  private door: ListeningSocket | undefined;

  /** @param servers where servers of this process are told of, also before it starts */
  constructor(settings: MeshSettings, servers: InsideServers = new InsideServers()) {
    this.settings = settings;
    this.servers = servers;
    this.workload = nameOf(settings);
    this.logger = (settings.logger ?? stderrLogger(settings.logLevel)).child({ workload: this.workload });
  }

  get isReady(): boolean {
    return this.isUp && this.stopping === undefined;
  }

  get calls(): DirectCalls {
    return this.whenReady().calls;
  }

  async openDoor(): Promise<string> {
    this.door ??= await backgroundNetwork.listen({ address: LOOPBACK, port: 0 });
    this.door.accept((connection) => this.wayOut.receive(connection));
    return this.proxyUrl!;
  }

  get proxyUrl(): string | undefined {
    const { door } = this;
    return door === undefined ? undefined : `http://${this.credential(this.workload)}@${door.address}:${door.port}`;
  }

  serves(authority: string): boolean {
    if (isMeshName(authority)) return true;
    const { parts } = this;
    return parts?.dataPlane.knowsHost(WAY_OUT, authority) === true;
  }

  connect(): MemoryStream {
    const { dataPlane } = this.whenReady();
    const { connection, stream } = memoryLink({ remoteAddress: LOOPBACK, remotePort: WAY_OUT.port, localAddress: LOOPBACK, localPort: 0 });
    dataPlane.enter(WAY_OUT, connection, this.workload);
    return stream;
  }

  hold(): void {
    this.keepAlive.hold();
  }

  release(): void {
    this.keepAlive.release();
  }

  missing(): string[] {
    const { parts } = this;
    if (parts === undefined) return ['the data plane has not started'];
    const missing = parts.agent.missing();
    if (missing.length === 0 && parts.dataPlane.knowsHost(WAY_OUT, '') === undefined) missing.push('the routes of calls have not arrived');
    return missing;
  }

  ready(): Promise<void> {
    if (this.stopping !== undefined) return Promise.reject(new MeshError('STOPPED', 'the data plane of this process was stopped'));
    if (this.isUp) return Promise.resolve();
    this.waiting ??= this.comeUp().finally(() => {
      this.waiting = undefined;
    });
    return this.waiting;
  }

  leave(): Promise<void> {
    this.leaving ??= this.leaveRotation();
    return this.leaving;
  }

  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private whenReady(): Parts {
    if (this.parts === undefined || !this.isUp) throw new MeshError('NOT_READY', 'wait for `ready()` first');
    return this.parts;
  }

  private async comeUp(): Promise<void> {
    const { readyTimeoutMs } = this.settings;
    const endMs = nodeClock.nowMs() + readyTimeoutMs;
    this.hold();
    try {
      this.starting ??= outside(() => this.start());
      this.parts = await this.starting;
      while (this.missing().length > 0) {
        if (this.stopping !== undefined) throw new MeshError('STOPPED', 'the data plane of this process was stopped');
        if (nodeClock.nowMs() >= endMs)
          throw new MeshError('NOT_READY', `not part of the mesh within ${readyTimeoutMs} ms: ${this.missing().join('; ')}`);
        await new Promise<void>((resolve) => void nodeClock.after(LOOK_MS, resolve));
      }
      this.isUp = true;
    } finally {
      this.release();
    }
  }

  private async start(): Promise<Parts> {
    const { workload, isCalled, identityDirectory } = this.settings;
    const { logger, metrics } = this;
    const network = insideNetwork(backgroundNetwork, this.servers, [this.wayOut]);
    const { locality } = workload;
    const node = workload.instance;
    const dataPlane = createInsideDataPlane({
      ...{ network, clock: nodeClock, random: nodeRandom, logger, metrics, node },
      ...(locality && { locality }),
      tellsClaims: true,
    });
    try {
      await dataPlane.reserve(WAY_OUT);
      let keeper: IdentityKeeper | undefined;
      const said: { outboundProxy: SocketAddress; admin?: SocketAddress | undefined } = { outboundProxy: { ...WAY_OUT } };
      const hosting = this.hosting(dataPlane, node);
      const agent: Agent = new Agent({
        ...hosting,
        ownIdentity: !isCalled,
        nodeProblem: () => keeper?.status.reason ?? '',
        ownSockets: [WAY_OUT],
        nodeMetadata: { heddle: said },
        sendProbe: (cluster, onEnd) => sendProbe({ network, clock: nodeClock }, cluster, onEnd),
        load: { refresh: async () => {}, families: () => metrics.families() },
        ...(identityDirectory !== undefined && {
          kept: new ConfigurationKeeper({ directory: identityDirectory, node, syncedMs: () => agent.syncedMs, clock: nodeClock, logger }),
        }),
      });
      // Before the first stream.
      said.admin = await this.openAdmin(dataPlane, agent);
      if (isCalled) await agent.put(workload);
      else {
        keeper = this.keeperOf(hosting, dataPlane, agent);
        void keeper.start();
      }
      const unwatch = this.watch(dataPlane);
      return { dataPlane, agent, keeper, calls: dataPlane.callsThrough(WAY_OUT, this.workload), unwatch };
    } catch (error) {
      await dataPlane.close();
      throw error;
    }
  }

  private watch(dataPlane: InsideDataPlane): () => void {
    const { metrics, workload } = this;
    const { isCalled } = this.settings;
    return watchProcess({
      metrics,
      tellLoad: isCalled ? (load) => dataPlane.tellLoad(workload, load) : undefined,
      requestsInFlight: () => dataPlane.status().listeners.find(({ name }) => name === `inbound/${workload}`)?.activeRequests ?? 0,
    });
  }

  private hosting(dataPlane: InsideDataPlane, node: string): HostingDeps {
    const { control, identityDirectory } = this.settings;
    const { logger, metrics } = this;
    const identityStore = identityDirectory === undefined ? noIdentityStore : directoryIdentityStore(identityDirectory, logger);
    const credentialOf = (workload: string): string => this.credential(workload);
    return {
      node,
      control,
      grpc: backgroundGrpc,
      dataPlane,
      identityStore,
      clock: nodeClock,
      random: nodeRandom,
      logger,
      metrics,
      credentialOf,
    };
  }

  /** For processes that this one starts. Known to nobody else. */
  private credential(workload: string): string {
    return createHmac('sha256', this.secret).update(workload).digest('base64url');
  }

  private keeperOf({ identityStore }: HostingDeps, dataPlane: InsideDataPlane, agent: Agent): IdentityKeeper {
    const { workload, control } = this.settings;
    const { service, instance, joinToken, locality } = workload;
    const { logger, metrics } = this;
    const keeper = new IdentityKeeper({
      workload: { namespace: service.namespace, service: service.name, instance },
      ...{ control, grpc: backgroundGrpc, store: identityStore, clock: nodeClock, random: nodeRandom, logger, metrics },
      onIdentity: (held) => {
        dataPlane.setIdentity(this.workload, { ...held, ...(locality && { locality }) });
        agent.useNodeIdentity(held);
      },
      trusted: () => agent.rootsPem,
    });
    dataPlane.setCredential(this.credential(this.workload), this.workload);
    if (joinToken !== undefined) {
      const refusal = keeper.offerToken(joinToken);
      if (refusal !== undefined) throw new MeshError('BAD_OPTIONS', `joinToken (HEDDLE_JOIN_TOKEN): ${refusal}`);
    }
    return keeper;
  }

  private async openAdmin(dataPlane: InsideDataPlane, agent: Agent): Promise<SocketAddress | undefined> {
    const { logger, metrics } = this;
    const { admin } = this.settings;
    if (admin === undefined) return undefined;
    try {
      const { openAdmin } = await import('./admin.ts');
      const server = await openAdmin(admin, {
        missing: () => this.missing(),
        workloads: agent,
        sync: () => agent.sync(),
        ...{ dataPlane, metrics, clock: nodeClock, logger },
        onDrain: () => void this.leave(),
      });
      this.closeAdmin = () => server.close();
      return { ...server.address };
    } catch (error) {
      // The application is not the worse for it.
      logger.error({ reason: (error as Error).message }, 'nobody can look into this data plane: its admin API is not open');
      return undefined;
    }
  }

  private async leaveRotation(): Promise<void> {
    const parts = await this.starting?.catch(() => undefined);
    if (parts === undefined || !this.settings.isCalled) return;
    this.hold();
    try {
      const wish = { finishMs: this.settings.drainMs, waitMs: LEAVE_WAIT_MS };
      let status = await parts.agent.leave(this.workload, wish);
      while (status !== undefined && status.phase !== 'left') status = await parts.agent.leave(this.workload, wish);
      await parts.agent.sayGoodbye();
    } finally {
      this.release();
    }
  }

  private async end(): Promise<void> {
    const parts = await this.starting?.catch(() => undefined);
    if (parts !== undefined) {
      const { keeper, agent, dataPlane } = parts;
      this.hold();
      keeper?.close();
      await agent.drain(this.settings.drainMs);
      await agent.close();
      await dataPlane.close();
      parts.unwatch();
    }
    await this.door?.close();
    await this.closeAdmin?.();
    this.isUp = false;
    this.keepAlive.close();
  }
}
