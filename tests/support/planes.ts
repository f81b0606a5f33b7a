// Control plane and data planes on real sockets in this process, for tests that need no supervisor.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client, Metadata, ServiceError } from '@grpc/grpc-js';
import { type admin, controlTarget, discovery, type identity } from '@heddle/api';
import {
  AdminClient,
  controlChannelCredentials,
  controlChannelOptions,
  DiscoveryClient,
  IdentityClient,
  operatorMetadata,
} from '@heddle/api/grpc-js';
import { type CaSource, type ControlOptions, type RunningControl, startControl } from '@heddle/control';
import { controlPlaneId, formatSpiffeId, type MeshConfig } from '@heddle/core';
import { parseMeshFile } from '@heddle/core/config';
import { type ProxyOptions, type RunningProxy, startProxy } from '@heddle/proxy';
import type { Logger } from '@heddle/runtime';
import { createCsr, createMetrics, generateKeyPair, nodeClock, nodeGrpc, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { callThroughProxy, type Target } from './load.ts';
import { freePort } from './ports.ts';
import { waitFor } from './wait.ts';

export const ADMIN_TOKEN = 'test-admin-token';
export const LOOPBACK = '127.0.0.1';
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** The undoing of what a test started, newest first. */
export class Cleanup {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Runs every step, also after one has failed; then throws the first failure. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.splice(0).toReversed()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

export async function temporaryDirectory(cleanup: Cleanup): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'heddle-test-'));
  cleanup.add(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export function meshOf(yaml: string): MeshConfig {
  const { mesh, problems } = parseMeshFile(yaml, { path: 'test.yaml', directory: '/' });
  if (mesh === undefined) throw new Error(JSON.stringify(problems));
  return mesh;
}

/**
 * A mesh of `echo` and `web` (http) and `cache` (tcp). Checks come often, so that tests are quick, and have long to be answered, because
 * all planes and applications of a test share one process. In turn: which instance gets a request is then no matter of chance.
 */
export const SMALL_MESH = `
mesh: test
services:
  echo: { port: 80, balance: round-robin, health: { http: /healthz, interval: 500ms, timeout: 500ms, unhealthyAfter: 3 } }
  web: { port: 81, health: { interval: 500ms, timeout: 500ms } }
  cache: { port: 6379, protocol: tcp, health: { interval: 500ms, timeout: 500ms } }
`;

export interface ControlSettings {
  readonly mesh?: MeshConfig;
  /** Default: a new one. */
  readonly stateDir?: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly logger?: Logger;
  readonly reportIntervalMs?: number;
  /** Life of workloads' certificates. Default: as in use. */
  readonly certificateTtlMs?: number;
  /** What signs. Default: a root of its own. */
  readonly ca?: CaSource;
  /** Whatever else. */
  readonly over?: Partial<ControlOptions>;
}

export async function control(cleanup: Cleanup, settings: ControlSettings = {}): Promise<RunningControl> {
  const { mesh = meshOf(SMALL_MESH), port = await freePort(), logger = silent, reportIntervalMs, certificateTtlMs, ca } = settings;
  const stateDir = settings.stateDir ?? (await temporaryDirectory(cleanup));
  const running = await startControl({
    mesh,
    stateDir,
    listen: { address: LOOPBACK, port },
    logger,
    clock: nodeClock,
    random: nodeRandom,
    ...(reportIntervalMs !== undefined && { reportIntervalMs }),
    ...(certificateTtlMs !== undefined && { certificateTtlMs }),
    ...(ca !== undefined && { ca }),
    ...settings.over,
  });
  cleanup.add(() => running.close());
  return running;
}

/** What is needed to call a control plane, wherever it runs and whatever lies between. */
export type ControlRef = Pick<RunningControl, 'address' | 'port' | 'trustDomain' | 'rootsPem' | 'operatorToken'>;

export interface Certificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Calls one method of a control plane's contract as the operator, or as the workload whose certificate is given. Rejects with ServiceError. */
export async function callControl<C extends Client, T>(
  running: ControlRef,
  contract: new (target: string, credentials: ReturnType<typeof controlChannelCredentials>, options: object) => C,
  call: (client: C, metadata: Metadata, done: (error: ServiceError | null, response: T) => void) => void,
): Promise<T> {
  const client = new contract(controlTarget(running.address, running.port), credentialsFor(running), controlChannelOptions());
  try {
    return await new Promise<T>((resolve, reject) => {
      call(client, operatorMetadata(running.operatorToken), (error, response) => (error === null ? resolve(response) : reject(error)));
    });
  } finally {
    client.close();
  }
}

function credentialsFor(running: ControlRef, certificate?: Certificate): ReturnType<typeof controlChannelCredentials> {
  return controlChannelCredentials({
    rootsPem: running.rootsPem,
    ...certificate,
    expectedSpiffeId: formatSpiffeId(controlPlaneId(running.trustDomain)),
  });
}

export async function joinToken(running: ControlRef, service: string, namespace = 'default'): Promise<string> {
  const { token } = await callControl(
    running,
    AdminClient,
    (client, metadata, done: (error: ServiceError | null, response: admin.CreateTokenResponse) => void) =>
      client.createToken({ namespace, service, ttlMs: 0 }, metadata, done),
  );
  return token;
}

/** The data planes that are connected, as the operator sees them. */
export async function connectedProxies(running: ControlRef): Promise<admin.ProxyMessage[]> {
  const { proxies } = await callControl(
    running,
    AdminClient,
    (client, metadata, done: (error: ServiceError | null, response: admin.ListProxiesResponse) => void) =>
      client.listProxies({}, metadata, done),
  );
  return proxies;
}

/** What has happened, oldest first. */
export async function events(running: ControlRef): Promise<admin.ListEventsResponse['events']> {
  const { events: all } = await callControl(
    running,
    AdminClient,
    (client, metadata, done: (error: ServiceError | null, response: admin.ListEventsResponse) => void) =>
      client.listEvents({ kind: '', subject: '', afterId: 0, limit: 0 }, metadata, done),
  );
  return all;
}

/** All instances in the registry, by id. */
export async function instances(running: ControlRef): Promise<Map<string, discovery.InstanceMessage>> {
  const { services } = await callControl(
    running,
    DiscoveryClient,
    (client, metadata, done: (error: ServiceError | null, response: discovery.ListServicesResponse) => void) =>
      client.listServices({ namespace: '' }, metadata, done),
  );
  return new Map(services.flatMap((service) => service.instances).map((instance) => [instance.id, instance]));
}

/** Takes an instance out of the registry as the operator. */
export async function deregister(running: ControlRef, service: string, instance: string): Promise<void> {
  await callControl(
    running,
    DiscoveryClient,
    (client, metadata, done: (error: ServiceError | null, response: discovery.DeregisterResponse) => void) =>
      client.deregister({ namespace: 'default', service, instance, expected: undefined }, metadata, done),
  );
}

/** The first message of a watch. Rejects with ServiceError. */
export async function watchOnce(
  running: ControlRef,
  from: { readonly revision: number; readonly history: string },
): Promise<discovery.WatchResponse> {
  return callControl(running, DiscoveryClient, (client, metadata, done) => {
    const stream = client.watch({ namespace: '', fromRevision: from.revision, history: from.history }, metadata);
    stream.once('data', (first: discovery.WatchResponse) => {
      done(null, first);
      stream.cancel();
    });
    stream.on('error', (error: ServiceError) => done(error, discovery.WatchResponse.create({})));
  });
}

/** Joins as a service, as a data plane would. */
export async function certificateOf(running: ControlRef, service: string): Promise<Certificate> {
  const key = generateKeyPair();
  const token = await joinToken(running, service);
  const { certificatePem } = await callControl(
    running,
    IdentityClient,
    (client, _metadata, done: (error: ServiceError | null, response: identity.SignResponse) => void) =>
      client.sign({ csrDer: Buffer.from(createCsr(key)), joinToken: token, lateRenewal: undefined }, done),
  );
  return { certificatePem, keyPem: key.keyPem };
}

/** Registers an instance that no data plane of the test hosts; resolves when it is in the registry. Returns its deregistration. */
export async function registerInstance(
  cleanup: Cleanup,
  running: ControlRef,
  certificate: Certificate,
  instance: Partial<discovery.InstanceMessage> & { readonly id: string; readonly service: string },
): Promise<() => Promise<void>> {
  const client = new DiscoveryClient(
    controlTarget(running.address, running.port),
    credentialsFor(running, certificate),
    controlChannelOptions(),
  );
  cleanup.add(() => client.close());
  const stream = client.register();
  stream.on('error', () => {});
  const answered = new Promise<void>((resolve, reject) => void stream.once('data', () => resolve()).once('error', reject));
  const address = { address: LOOPBACK, port: 1 };
  stream.write({
    instance: discovery.InstanceMessage.create({
      namespace: 'default',
      node: 'elsewhere',
      inbound: address,
      application: address,
      weight: 1,
      ...instance,
    }),
    health: discovery.Health.HEALTH_HEALTHY,
    healthReason: 'checks pass',
    leaseTtlMs: 60_000,
    expected: undefined,
    drainTimeoutMs: 0,
  });
  await answered;
  return () =>
    new Promise((resolve, reject) => {
      stream.cancel();
      client.deregister({ namespace: 'default', service: instance.service, instance: instance.id, expected: undefined }, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
}

export async function proxy(
  cleanup: Cleanup,
  running: ControlRef,
  over: Partial<ProxyOptions> & { readonly node: string },
): Promise<RunningProxy> {
  const started = await startProxy({
    control: { address: running.address, port: running.port },
    admin: { address: LOOPBACK, port: 0 },
    adminToken: ADMIN_TOKEN,
    anonymousCalls: false,
    drainMs: 2_000,
    drainTellMs: 2_000,
    network: nodeNetwork,
    grpc: nodeGrpc,
    clock: nodeClock,
    random: nodeRandom,
    logger: silent,
    metrics: createMetrics(),
    ...over,
  });
  cleanup.add(() => started.stop());
  return started;
}

/** A data plane with the operator's identity and a shared HTTP proxy, as `heddle up` runs one. */
export async function machine(
  cleanup: Cleanup,
  running: ControlRef,
  over: Partial<ProxyOptions> & { readonly node: string },
): Promise<RunningProxy> {
  const token = await joinToken(running, 'operator', 'heddle-system');
  return proxy(cleanup, running, { joinToken: token, anonymousCalls: true, outboundProxy: { address: LOOPBACK, port: 0 }, ...over });
}

export interface Workload {
  readonly inbound: { readonly address: string; readonly port: number };
  readonly outbounds: readonly {
    readonly service: { readonly name: string };
    readonly listen: { readonly address: string; readonly port: number };
  }[];
  readonly proxyCredential: string;
}

export async function putWorkload(to: RunningProxy, name: string, body: object): Promise<Workload> {
  const response = await adminCall(to, 'PUT', `/workloads/${name}`, body);
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as Workload;
}

/** Has the data plane host an instance of a service in the default namespace. */
export async function host(
  to: RunningProxy,
  running: ControlRef,
  instance: string,
  applicationPort: number,
  over: { readonly uses?: readonly string[]; readonly version?: string; readonly [field: string]: unknown } = {},
): Promise<Workload> {
  const service = instance.replace(/-\d+$/, '');
  const { uses = [], ...rest } = over;
  return putWorkload(to, `default/${service}/${instance}`, {
    joinToken: await joinToken(running, service),
    application: { address: LOOPBACK, port: applicationPort },
    inbound: { address: LOOPBACK, port: 0 },
    outbounds: uses.map((used) => ({ namespace: 'default', service: used, listen: { address: LOOPBACK, port: 0 } })),
    ...rest,
  });
}

export interface HostedStatus {
  readonly workload: string;
  readonly certificate: string;
  readonly registered: boolean;
  readonly health: string;
  readonly healthReason: string;
  readonly problem: string;
}

export async function workloads(of: RunningProxy): Promise<HostedStatus[]> {
  return ((await (await adminCall(of, 'GET', '/workloads')).json()) as { workloads: HostedStatus[] }).workloads;
}

/** Instance ids of a service that this data plane may send requests to. */
export async function healthyEndpoints(of: RunningProxy, service: string): Promise<string[]> {
  const dump = (await (await adminCall(of, 'GET', '/config_dump')).json()) as {
    endpoints: { cluster: string; endpoints: { instance: string; health: string }[] }[];
  };
  const set = dump.endpoints.find(({ cluster }) => cluster === `outbound/default/${service}`);
  return (set?.endpoints ?? [])
    .filter(({ health }) => health === 'healthy')
    .map(({ instance }) => instance)
    .sort();
}

/** Sum of a metric of the data plane over its series with this label text. */
export async function metric(of: RunningProxy, name: string, labels = ''): Promise<number> {
  const text = await (await adminCall(of, 'GET', '/metrics')).text();
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || (line.startsWith(`${name}{`) && line.includes(labels)));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

/** Waits until the data plane sends requests for the service to exactly these instances. */
export async function untilEndpoints(of: RunningProxy, service: string, wanted: readonly string[]): Promise<void> {
  await waitFor(
    `endpoints ${wanted.join()} of ${service}`,
    async () => assert.deepEqual(await healthyEndpoints(of, service), [...wanted]) === undefined,
  );
}

export async function untilReady(...proxies: readonly RunningProxy[]): Promise<void> {
  for (const one of proxies) await waitFor('ready', () => assert.deepEqual(one.missing(), []) === undefined);
}

export function adminCall(to: RunningProxy, method: string, path: string, body?: object, token = ADMIN_TOKEN): Promise<Response> {
  return fetch(`http://${to.admin.address}:${to.admin.port}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

export interface Answered {
  readonly status: number;
  readonly name: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Where calls through the data plane's shared HTTP proxy go. */
export function through(of: RunningProxy): Target['proxy'] {
  if (of.outboundProxy === undefined) throw new Error('this data plane has no shared HTTP proxy');
  return { host: of.outboundProxy.address, port: of.outboundProxy.port };
}

/** A call that an `application` answers. `credential`: of a workload, for the shared proxy. */
export async function call(target: Target, credential?: string): Promise<Answered> {
  const headers =
    credential === undefined
      ? target.headers
      : { ...target.headers, 'proxy-authorization': `Basic ${Buffer.from(`${credential}:`).toString('base64')}` };
  const { status, error, body } = await callThroughProxy({ ...target, ...(headers === undefined ? {} : { headers }) });
  if (status === 0) throw new Error(error);
  if (status !== 200) return { status, name: '', path: '', headers: {}, body };
  return { status, ...(JSON.parse(body) as Omit<Answered, 'status'>) };
}

export interface Application {
  readonly server: Server;
  readonly port: number;
  /** As when the process ends: connections are dropped, the port is free. */
  stop(): Promise<void>;
}

/** An application: answers with its name, and the request's headers and body. */
export async function application(cleanup: Cleanup, name: string, port = 0): Promise<Application> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ name, path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() }));
    });
  });
  await new Promise<void>((resolve, reject) => void server.on('error', reject).listen(port, LOOPBACK, resolve));
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  cleanup.add(stop);
  return { server, port: (server.address() as AddressInfo).port, stop };
}
