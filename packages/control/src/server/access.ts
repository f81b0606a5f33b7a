// Who may call which method: one table, everything else is refused. The finer rule, that a workload acts for its own service
// only, is with the methods it concerns.
import { ServerInterceptingCall, ServerListenerBuilder, status } from '@grpc/grpc-js';
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';
import type { Clock, Logger } from '@heddle/runtime';
import { identifyCaller } from './caller.ts';
import type { Caller, CallerRules } from './caller.ts';

/** `anyone`: without any proof. `known`: a workload of the mesh or the operator. */
export type Access = 'anyone' | 'known' | 'operator';

export const ACCESS: Readonly<Record<string, Access>> = {
  // A joiner has no certificate yet: its token is looked at by the method.
  '/heddle.identity.v1.Identity/Sign': 'anyone',
  // What load balancers and process managers ask.
  '/grpc.health.v1.Health/Check': 'anyone',
  '/grpc.health.v1.Health/List': 'anyone',
  '/grpc.health.v1.Health/Watch': 'anyone',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': 'known',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': 'known',
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources': 'known',
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources': 'known',
  '/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners': 'known',
  '/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners': 'known',
  '/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes': 'known',
  '/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes': 'known',
  '/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters': 'known',
  '/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters': 'known',
  '/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints': 'known',
  '/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints': 'known',
  '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets': 'known',
  '/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets': 'known',
  '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats': 'known',
  '/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck': 'known',
  '/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus': 'operator',
  '/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus': 'operator',
  '/example.Discovery/ListServices': 'known',
  '/heddle.discovery.v1.Discovery/ListServices': 'known',
  '/heddle.discovery.v1.Discovery/GetService': 'known',
  '/heddle.discovery.v1.Discovery/Watch': 'known',
  '/heddle.discovery.v1.Discovery/Register': 'known',
  '/heddle.discovery.v1.Discovery/Deregister': 'known',
  '/heddle.discovery.v1.Discovery/ReportHealth': 'known',
  '/heddle.admin.v1.Admin/GetMesh': 'operator',
  '/heddle.admin.v1.Admin/ListInstances': 'operator',
  '/heddle.admin.v1.Admin/ListProxies': 'operator',
  '/heddle.admin.v1.Admin/ListLoad': 'operator',
  '/heddle.admin.v1.Admin/ListEvents': 'operator',
  '/heddle.admin.v1.Admin/CreateToken': 'operator',
  '/heddle.admin.v1.Admin/Changes': 'operator',
  '/heddle.admin.v1.Admin/DrainInstance': 'operator',
  '/heddle.admin.v1.Admin/UndrainInstance': 'operator',
  '/heddle.admin.v1.Admin/GetInstance': 'operator',
  '/heddle.admin.v1.Admin/ListRoutes': 'operator',
};

export type Refusal = { readonly code: status.UNAUTHENTICATED | status.PERMISSION_DENIED; readonly details: string };

/** Undefined when the caller may call the method. */
export function refusal(path: string, caller: Caller): Refusal | undefined {
  const access = ACCESS[path];
  if (access === 'anyone' || (access === 'known' && caller.kind !== 'anonymous') || (access === 'operator' && caller.kind === 'operator'))
    return undefined;
  if (caller.kind === 'anonymous') {
    return {
      code: status.UNAUTHENTICATED,
      details:
        'this method needs the client certificate of a workload of the mesh, or the metadata `authorization: Bearer <operator token>`',
    };
  }
  const who = caller.kind === 'workload' ? caller.uri : 'the operator';
  return {
    code: status.PERMISSION_DENIED,
    details: access === 'operator' ? `${who} may not call ${path}: only the operator may` : `nobody may call ${path}`,
  };
}

/** Proven callers by the metadata object of their call, which only grpc-js and the handler have. */
const callers = new WeakMap<Metadata, Caller>();

/** The caller that the interceptor let through. */
export function callerOf(metadata: Metadata): Caller {
  return callers.get(metadata) ?? { kind: 'anonymous' };
}

export function accessInterceptor(rules: CallerRules, clock: Clock, logger: Logger): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, proceed) => {
          const certificate = call.getAuthContext().sslPeerCertificate?.raw;
          const authorization = metadata.get('authorization').map(String);
          const result = identifyCaller({ certificate, authorization }, rules, clock.wallMs());
          const refused = result.ok ? refusal(method.path, result.caller) : { code: status.UNAUTHENTICATED, details: result.reason };
          if (refused !== undefined) {
            logger.warn({ method: method.path, peer: call.getPeer(), reason: refused.details }, 'call refused');
            call.sendStatus({ code: refused.code, details: refused.details });
            return;
          }
          if (result.ok) callers.set(metadata, result.caller);
          proceed(metadata);
        });
        next(listener.build());
      },
    });
}
