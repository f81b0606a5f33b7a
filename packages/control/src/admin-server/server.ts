// heddle.admin.v1: what the CLI asks. Only the operator gets here; the access table sees to that.
import { status } from '@grpc/grpc-js';
import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import { admin, discovery } from '@heddle/api';
import { SYSTEM_NAMESPACE, serviceKey } from '@heddle/core';
import type { MeshConfig } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import type { JoinTokens } from '../ca/index.ts';
import type { Registry } from '../registry/registry.ts';
import { PacedWriter, unary } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';
import type { AdsServer, ConnectedProxy } from '../xds-server/server.ts';

/** Changes closer together than this are told as one: a person or a table on a terminal reads them. */
const CHANGES_PAUSE_MS = 50;

export interface AdminServerOptions {
  readonly mesh: MeshConfig;
  readonly version: string;
  readonly startedMs: number;
  readonly registry: Registry;
  readonly tokens: JoinTokens;
  readonly ads: AdsServer;
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function addAdminService(server: Server, options: AdminServerOptions): void {
  const { registry, mesh, logger, ads } = options;
  const handlers: admin.AdminServer = {
    getMesh: unary(
      logger,
      (): admin.GetMeshResponse => ({
        mesh: mesh.name,
        trustDomain: mesh.trustDomain,
        version: options.version,
        revision: registry.revision,
        startedMs: options.startedMs,
      }),
    ),
    listInstances: unary(logger, (request: admin.ListInstancesRequest) => listInstances(request, registry)),
    listProxies: unary(logger, () => ({ proxies: ads.proxies().map(proxyMessage) })),
    createToken: unary(logger, (request: admin.CreateTokenRequest) => createToken(request, options)),
    changes: (call) => watchChanges(call, options),
  };
  server.addService(admin.AdminService, handlers);
}

function listInstances(request: admin.ListInstancesRequest, registry: Registry): admin.ListInstancesResponse {
  const { namespace, service } = request;
  if (namespace !== '') discovery.nameFromMessage(namespace, 'namespace');
  if (service !== '') discovery.nameFromMessage(service, 'service');
  const views = [...registry.snapshot().services.values()].filter(
    (view) => (namespace === '' || view.service.namespace === namespace) && (service === '' || view.service.name === service),
  );
  return { instances: views.flatMap((view) => view.instances.map(discovery.instanceToMessage)), revision: registry.revision };
}

async function createToken(
  request: admin.CreateTokenRequest,
  { registry, tokens, logger }: AdminServerOptions,
): Promise<admin.CreateTokenResponse> {
  const ref = { namespace: discovery.namespaceOrDefault(request.namespace), name: discovery.nameFromMessage(request.service, 'service') };
  if (ref.namespace !== SYSTEM_NAMESPACE && registry.service(serviceKey(ref)) === undefined) {
    throw new CallError(status.NOT_FOUND, `there is no service ${serviceKey(ref)}; add it to the mesh file first, or correct the name`);
  }
  const created = await tokens.create({
    namespace: ref.namespace,
    service: ref.name,
    ...(request.ttlMs === 0 ? {} : { ttlMs: request.ttlMs }),
  });
  logger.info({ service: serviceKey(ref), notAfterMs: created.notAfterMs }, 'join token created');
  return created;
}

function proxyMessage(proxy: ConnectedProxy): admin.ProxyMessage {
  return { node: proxy.node, identity: proxy.identity, connectedMs: proxy.connectedMs, sync: proxy.sync.map((state) => ({ ...state })) };
}

function watchChanges(
  call: ServerWritableStream<admin.ChangesRequest, admin.ChangesResponse>,
  { registry, ads, streams, clock }: AdminServerOptions,
): void {
  let dirty = true;
  let pause: Timer | undefined;
  const writer = new PacedWriter<admin.ChangesResponse>(call as unknown as ServerWritableStream<never, admin.ChangesResponse>, () => {
    if (!dirty || pause !== undefined) return undefined;
    dirty = false;
    pause = clock.after(CHANGES_PAUSE_MS, () => {
      pause = undefined;
      writer.poke();
    });
    return { revision: registry.revision };
  });
  const changed = (): void => {
    dirty = true;
    writer.poke();
  };
  const subscriptions = [registry.onChange(changed), ads.onProxiesChange(changed)];
  const stop = (): void => {
    pause?.cancel();
    for (const subscription of subscriptions) subscription.close();
  };
  call.on('cancelled', stop);
  call.on('close', stop);
  streams.add(call, writer);
  writer.poke();
}
