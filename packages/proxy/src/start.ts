// Puts a data plane together: data path, agent, admin API. The composition root of this package; the CLI calls it.
import { watchProcessMetrics } from '@heddle/runtime/process';
import { createHmac } from 'node:crypto';
import { formatSpiffeId, parseJoinToken, type SocketAddress } from '@heddle/core';
import type { Clock, GrpcClient, Logger, Network, Random } from '@heddle/runtime';
import type { ReportingMetrics } from '@heddle/runtime/node';
import { HostedWorkloads } from './admin/hosted-workloads.ts';
import { type DataPlane, sendProbe, workloadName } from '@heddle/dataplane';
import { type AdminServer, startAdminServer } from '@heddle/dataplane/admin';
import { Agent, ConfigurationKeeper, type HostingDeps } from '@heddle/dataplane/agent';
import { DNS_PORT_NAME, ProxyDns, type ProxyDnsSettings } from './dns/start.ts';
import { type ControlAddress, directoryIdentityStore, IdentityKeeper, noIdentityStore } from '@heddle/dataplane/identity';
import { createCarrier, type ProcessOptions } from './workers/carrier.ts';
import { Succession } from './workers/succession.ts';

export interface ProxyOptions {
  /** Name of this data plane in the mesh, for example the machine's. */
  readonly node: string;
  readonly control: ControlAddress;
  readonly admin: SocketAddress;
  /** Bearer token of the admin API. */
  readonly adminToken: string;
  /** The shared outbound HTTP proxy; absent: none. Port 0: the system chooses. */
  readonly outboundProxy?: SocketAddress;
  /** Absent: names are not served. The same configuration that routes calls answers them, also while the control plane is away. */
  readonly dns?: ProxyDnsSettings;
  /** Gives the data plane an identity of its own (the operator's, on a developer's machine). Absent: the first workload's is used towards the control plane. */
  readonly joinToken?: string;
  /** Whether calls through the shared proxy without a credential carry the data plane's own identity. Needs `joinToken`. */
  readonly anonymousCalls: boolean;
  /** Where certificates, and the configuration as it was last, outlive this process. Absent: in memory only. */
  readonly identityDirectory?: string;
  /** Time that requests in flight have when draining, once no data plane chooses the hosted workloads any more. */
  readonly drainMs: number;
  /** How long other data planes are waited for until they do not. Default: 30 s. */
  readonly drainTellMs?: number;
  readonly network: Network;
  /** How the control plane is called. */
  readonly grpc: GrpcClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ReportingMetrics;
  /** Absent: everything in this process, which cannot be replaced while it serves. */
  readonly processes?: ProcessOptions;
}

export interface RunningProxy {
  readonly admin: SocketAddress;
  readonly outboundProxy: SocketAddress | undefined;
  readonly dns: SocketAddress | undefined;
  /** What is missing until every listener serves; empty when ready. */
  missing(): string[];
  /** Resolves when `POST /drain` was called. */
  readonly drainRequested: Promise<void>;
  /**
   * Lets a new process, of this command line, take everything over, hosted workloads included. True when it has, and all connections that
   * were left have ended; false, with the reason in the log, when this process goes on.
   */
  upgrade(command: readonly string[]): Promise<boolean>;
  /** Graceful: deregisters, waits for requests in flight, then closes. Again: the same promise. Never rejects. */
  stop(): Promise<void>;
}

/** Thrown when the options cannot be used; the message says why and how to mend. */
export class ProxyOptionsError extends Error {}

/** As the registry takes it. */
const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/;

/** Throws ProxyOptionsError, or NetworkError when a port cannot be had; then nothing is left open, and the join token is unused. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const { network, clock, logger, processes } = options;
  checkOptions(options);
  const takeover = processes?.takeover;
  const carrier = await createCarrier(options);
  const { dataPlane } = carrier;
  let agent: Agent | undefined;
  let keeper: IdentityKeeper | undefined;
  let dns: ProxyDns | undefined;
  const unwatch = watchProcessMetrics(options.metrics);
  try {
    const outboundProxy = await reserveOutboundProxy(options, dataPlane);
    dns = options.dns === undefined ? undefined : new ProxyDns({ ...options, settings: options.dns, processes });
    await dns?.begin(false);
    const hosting = hostingOf(options, dataPlane);
    const said = metadataOf(outboundProxy, takeover?.admin);
    const hostingAgent = new Agent({
      ...hosting,
      ownIdentity: options.joinToken !== undefined,
      nodeProblem: () => keeper?.status.reason ?? '',
      ownSockets: outboundProxy === undefined ? [] : [outboundProxy],
      nodeMetadata: { heddle: said },
      sendProbe: (cluster, onEnd) => sendProbe({ network, clock }, cluster, onEnd),
      load: { refresh: carrier.refresh, families: () => carrier.metrics.families() },
      ...(dns === undefined ? {} : { follower: dns.zone }),
      ...keptOf(options, () => agent?.syncedMs ?? 0),
    });
    agent = hostingAgent;
    const missing = (): string[] => [...hostingAgent.missing(), ...(dns?.missing() ?? [])];
    keeper = options.joinToken === undefined ? undefined : nodeIdentityKeeper(options, options.joinToken, hosting, agent);
    const workloads = new HostedWorkloads(agent);
    if (takeover !== undefined) {
      void keeper?.start();
      for (const handed of takeover.workloads) await workloads.takeOver(handed);
      await takeover.whenNothingIsMissing(missing);
      await dns?.begin(true);
      await carrier.begin();
      await takeover.ready();
    }
    const { promise: drainRequested, resolve: requestDrain } = Promise.withResolvers<void>();
    const admin = await startAdminServer({
      listen: takeover?.admin ?? options.admin,
      token: options.adminToken,
      missing,
      workloads,
      sync: () => hostingAgent.sync(),
      dataPlane,
      metrics: carrier.metrics,
      refresh: carrier.refresh,
      clock,
      logger,
      onDrain: requestDrain,
    });
    said.admin = { ...admin.address };
    // Last: from here on nothing can fail, so a one-time token is not spent on a start that does not succeed.
    if (takeover === undefined) void keeper?.start();
    logger.info({ admin: admin.address, outboundProxy }, 'data plane is up');
    const own = [
      ...(outboundProxy === undefined ? [] : [{ name: OUTBOUND_PROXY, ...outboundProxy }]),
      ...(dns?.address === undefined ? [] : [{ name: DNS_PORT_NAME, ...dns.address }]),
    ];
    const succession = new Succession({ clock, logger, processes, carrier, admin, names: () => own });
    const running = { keeper, agent, admin, dns, dataPlane, workloads, succession, unwatch, ...drainTimes(options) };
    let stopping: Promise<void> | undefined;
    return {
      admin: admin.address,
      outboundProxy,
      dns: dns?.address,
      missing,
      drainRequested,
      upgrade: (command) => upgrade(running, command),
      stop: () => (stopping ??= stop(running)),
    };
  } catch (error) {
    unwatch();
    keeper?.close();
    await agent?.close();
    await dns?.close();
    await dataPlane.close();
    throw error;
  }
}

/** What it says of itself in each stream. Where its admin API is comes last, but before the first stream. */
function metadataOf(
  outboundProxy: SocketAddress | undefined,
  admin: SocketAddress | undefined,
): { outboundProxy?: SocketAddress; admin?: SocketAddress } {
  return {
    ...(outboundProxy && { outboundProxy: { ...outboundProxy } }),
    ...(admin && { admin: { address: admin.address, port: admin.port } }),
  };
}

function hostingOf(options: ProxyOptions, dataPlane: DataPlane): HostingDeps {
  const { node, control, grpc, identityDirectory, adminToken, clock, random, logger, metrics } = options;
  const identityStore = identityDirectory === undefined ? noIdentityStore : directoryIdentityStore(identityDirectory, logger);
  const credentialOf = (workload: string): string => createHmac('sha256', adminToken).update(workload).digest('base64url');
  return { node, control, grpc, dataPlane, identityStore, clock, random, logger, metrics, credentialOf };
}

/** Without a directory nothing is kept for a start without a control plane. */
function keptOf(
  { identityDirectory: directory, node, clock, logger }: ProxyOptions,
  syncedMs: () => number,
): { kept?: ConfigurationKeeper } {
  return directory === undefined ? {} : { kept: new ConfigurationKeeper({ directory, node, syncedMs, clock, logger }) };
}

/** By this name its port is handed over. */
const OUTBOUND_PROXY = 'outbound-proxy';

async function reserveOutboundProxy({ outboundProxy, processes }: ProxyOptions, dataPlane: DataPlane): Promise<SocketAddress | undefined> {
  if (outboundProxy === undefined) return undefined;
  const handed = outboundProxy.port === 0 ? processes?.takeover?.names.get(OUTBOUND_PROXY) : undefined;
  return dataPlane.reserve(handed ?? outboundProxy);
}

interface Parts {
  readonly keeper: IdentityKeeper | undefined;
  readonly agent: Agent;
  readonly admin: AdminServer;
  readonly dns: ProxyDns | undefined;
  readonly dataPlane: DataPlane;
  readonly workloads: HostedWorkloads;
  readonly succession: Succession;
  /** Ends the measuring of this process. */
  readonly unwatch: () => void;
  readonly drainMs: number;
  readonly drainTellMs: number | undefined;
}

function drainTimes({ drainMs, drainTellMs }: ProxyOptions): Pick<Parts, 'drainMs' | 'drainTellMs'> {
  return { drainMs, drainTellMs };
}

async function stop({ keeper, agent, admin, dns, dataPlane, succession, unwatch, drainMs, drainTellMs }: Parts): Promise<void> {
  unwatch();
  succession.end();
  keeper?.close();
  await agent.drain(drainMs, drainTellMs);
  await agent.close();
  await admin.close();
  // Requests in flight may look names up until the end.
  await dns?.close();
  await dataPlane.close();
}

async function upgrade({ keeper, agent, dns, dataPlane, workloads, succession }: Parts, command: readonly string[]): Promise<boolean> {
  const isReplaced = await succession.handOver(command, {
    workloads: workloads.all,
    onBegin: () => agent.expectSuccessor(true),
    onFailed: () => agent.expectSuccessor(false),
    onServed: async () => {
      keeper?.close();
      await dns?.close();
      await agent.handOver();
    },
  });
  if (!isReplaced) return false;
  await agent.close();
  await dataPlane.close();
  return true;
}

function checkOptions({ node, joinToken, anonymousCalls }: ProxyOptions): void {
  if (!NODE_NAME.test(node))
    throw new ProxyOptionsError(
      `${JSON.stringify(node)} cannot name a data plane: 1 to 253 letters, digits, ".", "_", ":" or "-", beginning with a letter or digit`,
    );
  if (anonymousCalls && joinToken === undefined)
    throw new ProxyOptionsError(
      "calls without a credential carry the data plane's own identity, and it has none: give it a join token, or refuse such calls",
    );
}

/** Joins as what the token says; that identity speaks to the control plane, and for calls without a credential where these are allowed. */
function nodeIdentityKeeper(
  options: ProxyOptions,
  joinToken: string,
  { dataPlane, identityStore }: HostingDeps,
  agent: Agent,
): IdentityKeeper {
  const parsed = parseJoinToken(joinToken);
  if (!parsed.ok) throw new ProxyOptionsError(parsed.reason);
  const { namespace, service } = parsed.token;
  const name = workloadName({ namespace, name: service }, options.node);
  const { control, grpc, clock, random, logger, metrics } = options;
  const keeper = new IdentityKeeper({
    workload: { namespace, service, instance: options.node },
    control,
    grpc,
    store: identityStore,
    clock,
    random,
    logger,
    metrics,
    onIdentity: (held) => {
      dataPlane.setIdentity(name, held);
      if (options.anonymousCalls) dataPlane.setAnonymousWorkload(name);
      agent.useNodeIdentity(held);
      logger.info({ id: formatSpiffeId(held.id) }, 'this data plane has its identity');
    },
    trusted: () => agent.rootsPem,
  });
  const refusal = keeper.offerToken(joinToken);
  if (refusal !== undefined) throw new ProxyOptionsError(refusal);
  return keeper;
}
