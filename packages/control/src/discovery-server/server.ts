// heddle.discovery.v1 and the small example.Discovery over the registry.
import { status } from '@grpc/grpc-js';
import type { Server } from '@grpc/grpc-js';
import { discovery, example } from '@heddle/api';
import type { DiscoveryServer, ExampleServer } from '@heddle/api/grpc-js';
import { serviceKey } from '@heddle/core';
import type { Clock, Logger } from '@heddle/runtime';
import { changeInstance } from '../admin/instance-changes.ts';
import type { ChangeDesk } from '../admin/instance-changes.ts';
import type { Doer } from '../audit/entry.ts';
import { instanceName } from '../registry/keys.ts';
import type { InstanceRef } from '../registry/keys.ts';
import type { DrainDesk } from '../drain/desk.ts';
import type { Registry } from '../registry/registry.ts';
import { doerOf } from '../server/access.ts';
import type { Caller } from '../server/caller.ts';
import { unary } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';
import { listAddresses, listServices, serviceMessage } from './listing.ts';
import { requireOwn } from './own.ts';
import { serveRegister } from './register.ts';
import { Registrants } from './registrants.ts';
import { watchServices } from './watch.ts';

export interface DiscoveryServerOptions extends ChangeDesk {
  readonly drains: DrainDesk;
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function addDiscoveryServices(server: Server, options: DiscoveryServerOptions): void {
  const { registry, streams, logger } = options;
  const registrants = new Registrants();
  const handlers: DiscoveryServer = {
    listServices: unary(logger, ({ namespace }: discovery.ListServicesRequest) => {
      if (namespace !== '') discovery.nameFromMessage(namespace, 'namespace');
      return { services: listServices(registry.snapshot(), namespace), revision: registry.revision };
    }),
    getService: unary(logger, (request: discovery.GetServiceRequest) => getService(request, registry)),
    watch: (call) => watchServices(call, registry, streams, logger),
    register: (call) => void serveRegister(call, doerOf(call.metadata), { ...options, registrants }),
    deregister: unary(logger, async (request: discovery.DeregisterRequest, caller, by) => {
      const ref = instanceRef(request);
      requireOwn(caller, ref.service, 'deregister');
      const deregister = () => registry.deregister(ref, request.expected?.value);
      return { existed: await changeInstance(options, by, 'deregister-instance', ref, deregister) };
    }),
    reportHealth: unary(logger, (request: discovery.ReportHealthRequest, caller, by) =>
      reportHealth(request, caller, by, { ...options, registrants }),
    ),
  };
  server.addService(discovery.DiscoveryService, handlers);
  const small: ExampleServer = { listServices: unary(logger, () => ({ services: listAddresses(registry.snapshot()) })) };
  server.addService(example.DiscoveryService, small);
}

function getService(request: discovery.GetServiceRequest, registry: Registry): discovery.GetServiceResponse {
  const ref = { namespace: discovery.namespaceOrDefault(request.namespace), name: discovery.nameFromMessage(request.name, 'name') };
  const view = registry.service(serviceKey(ref));
  if (view === undefined) throw new CallError(status.NOT_FOUND, `there is no service ${serviceKey(ref)}`);
  return { service: serviceMessage(view), revision: registry.revision };
}

async function reportHealth(
  request: discovery.ReportHealthRequest,
  caller: Caller,
  by: Doer,
  desk: ChangeDesk & { readonly registrants: Registrants },
): Promise<discovery.ReportHealthResponse> {
  const ref = instanceRef(request);
  requireOwn(caller, ref.service, 'report on');
  const health = discovery.healthFromMessage(request.health);
  if (health !== 'healthy' && health !== 'unhealthy')
    throw new CallError(status.INVALID_ARGUMENT, 'health: must be HEALTH_HEALTHY or HEALTH_UNHEALTHY');
  const { registry, registrants } = desk;
  const { reason, expected, dataPlaneGone } = request;
  if (dataPlaneGone && health === 'healthy')
    throw new CallError(status.INVALID_ARGUMENT, 'health: of an instance whose data plane is gone only HEALTH_UNHEALTHY can be said');
  if (dataPlaneGone && registrants.isConnected(ref)) {
    const message = `the data plane of ${instanceName(ref)} is connected, so nobody else speaks in its place`;
    throw new CallError(status.FAILED_PRECONDITION, message, { word: 'connected' });
  }
  const detector = caller.kind === 'anonymous' ? 'nobody' : caller.uri;
  await changeInstance(desk, by, 'report-health', ref, () =>
    dataPlaneGone
      ? registry.reportGone(ref, reason, expected?.value)
      : registry.reportHealth(ref, detector, { health, reason }, expected?.value),
  );
  return { instanceRevision: registry.instance(ref)?.revision ?? 0 };
}

function instanceRef(request: { namespace: string; service: string; instance: string }): InstanceRef {
  return {
    service: { namespace: discovery.namespaceOrDefault(request.namespace), name: discovery.nameFromMessage(request.service, 'service') },
    id: discovery.nameFromMessage(request.instance, 'instance'),
  };
}
