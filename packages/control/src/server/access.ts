// Who may call which method: one table, everything else is refused. The finer rule, that a workload acts for its own service
// only, is with the methods it concerns.
import { ServerInterceptingCall, ServerListenerBuilder, status } from '@grpc/grpc-js';
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';
import type { Logger } from '@heddle/runtime';
import type { Doer } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Authenticator } from './authenticator.ts';
import { hasRole } from './caller.ts';
import type { Caller, CallerResult, Role } from './caller.ts';

/**
 * `anyone`: without any proof. `member`: a workload of the mesh, or the operator in its place. `reader`: a workload, or whoever administers the
 * mesh. `registrant`: a workload for its own service, or an editor. A role: who has it, or a higher one.
 */
export type Access = 'anyone' | 'member' | 'reader' | 'registrant' | Role;

export const ACCESS: Readonly<Record<string, Access>> = {
  // A joiner has no certificate yet: its token is looked at by the method.
  '/heddle.identity.v1.Identity/Sign': 'anyone',
  '/heddle.identity.v1.Identity/WatchTrust': 'member',
  // What load balancers and process managers ask.
  '/grpc.health.v1.Health/Check': 'anyone',
  '/grpc.health.v1.Health/List': 'anyone',
  '/grpc.health.v1.Health/Watch': 'anyone',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': 'reader',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': 'reader',
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources': 'member',
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources': 'member',
  '/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners': 'member',
  '/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners': 'member',
  '/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes': 'member',
  '/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes': 'member',
  '/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters': 'member',
  '/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters': 'member',
  '/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints': 'member',
  '/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints': 'member',
  '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets': 'member',
  '/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets': 'member',
  '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats': 'member',
  '/heddle.telemetry.v1.Telemetry/Attach': 'member',
  '/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck': 'member',
  '/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus': 'viewer',
  '/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus': 'viewer',
  '/example.Discovery/ListServices': 'reader',
  '/heddle.discovery.v1.Discovery/ListServices': 'reader',
  '/heddle.discovery.v1.Discovery/GetService': 'reader',
  '/heddle.discovery.v1.Discovery/Watch': 'reader',
  '/heddle.discovery.v1.Discovery/Register': 'registrant',
  '/heddle.discovery.v1.Discovery/Deregister': 'registrant',
  '/heddle.discovery.v1.Discovery/ReportHealth': 'registrant',
  '/heddle.admin.v1.Admin/GetMesh': 'viewer',
  '/heddle.admin.v1.Admin/ListInstances': 'viewer',
  '/heddle.admin.v1.Admin/ListProxies': 'viewer',
  '/heddle.admin.v1.Admin/ListLoad': 'viewer',
  '/heddle.admin.v1.Admin/ListEvents': 'viewer',
  '/heddle.admin.v1.Admin/CreateToken': 'operator',
  '/heddle.admin.v1.Admin/ListTokens': 'viewer',
  '/heddle.admin.v1.Admin/RevokeToken': 'operator',
  '/heddle.admin.v1.Admin/ListIdentities': 'viewer',
  '/heddle.admin.v1.Admin/DenyIdentity': 'operator',
  '/heddle.admin.v1.Admin/AllowIdentity': 'operator',
  '/heddle.admin.v1.Admin/GetAuthority': 'viewer',
  '/heddle.admin.v1.Admin/RotateRoot': 'operator',
  '/heddle.admin.v1.Admin/Changes': 'viewer',
  '/heddle.admin.v1.Admin/DrainInstance': 'editor',
  '/heddle.admin.v1.Admin/UndrainInstance': 'editor',
  '/heddle.admin.v1.Admin/Tap': 'editor',
  '/heddle.admin.v1.Admin/GetTraffic': 'viewer',
  '/heddle.admin.v1.Admin/GetSeries': 'viewer',
  '/heddle.admin.v1.Admin/ListDecisions': 'viewer',
  '/heddle.admin.v1.Admin/GetInstance': 'viewer',
  '/heddle.admin.v1.Admin/ListRoutes': 'viewer',
  '/heddle.admin.v1.Admin/ListPolicies': 'viewer',
  '/heddle.admin.v1.Admin/Explain': 'viewer',
  '/heddle.admin.v1.Admin/ListAudit': 'viewer',
  '/heddle.admin.v1.Admin/CreateAdminToken': 'operator',
  '/heddle.admin.v1.Admin/CreateLoginCode': 'operator',
  '/heddle.admin.v1.Admin/ListAdminTokens': 'viewer',
  '/heddle.admin.v1.Admin/RevokeAdminToken': 'operator',
  '/heddle.admin.v1.Admin/GetMeshFile': 'operator',
  '/heddle.admin.v1.Admin/ApplyMeshFile': 'operator',
  '/heddle.admin.v1.Admin/ListSplits': 'viewer',
  '/heddle.admin.v1.Admin/SetSplit': 'editor',
  '/heddle.admin.v1.Admin/FollowSync': 'viewer',
};

export type Refusal = {
  readonly code: status.UNAUTHENTICATED | status.PERMISSION_DENIED | status.RESOURCE_EXHAUSTED;
  readonly details: string;
};

/** Undefined when the caller may call the method. */
export function refusal(path: string, caller: Caller): Refusal | undefined {
  const access = ACCESS[path];
  if (access !== undefined && isAllowed(caller, access)) return undefined;
  if (caller.kind === 'anonymous') {
    return {
      code: status.UNAUTHENTICATED,
      details: 'this method needs the client certificate of a workload of the mesh, or the metadata `authorization: Bearer <token>`',
    };
  }
  return {
    code: status.PERMISSION_DENIED,
    details: `${caller.uri} may not call ${path}: ${access === undefined ? 'nobody may' : WHO[access]}`,
  };
}

const WHO: Readonly<Record<Access, string>> = {
  anyone: 'anyone may',
  member: 'workloads of the mesh and the operator may',
  reader: 'workloads of the mesh and whoever administers it may',
  registrant: 'workloads of the mesh and editors may',
  viewer: 'only whoever administers the mesh may',
  editor: 'only editors and the operator may',
  operator: 'only the operator may',
};

function isAllowed(caller: Caller, access: Access): boolean {
  switch (access) {
    case 'anyone':
      return true;
    case 'member':
      return caller.kind === 'workload' || hasRole(caller, 'operator');
    case 'reader':
      return caller.kind !== 'anonymous';
    case 'registrant':
      return caller.kind === 'workload' || hasRole(caller, 'editor');
    default:
      return hasRole(caller, access);
  }
}

/** Who was let through, by the metadata object of the call, which only grpc-js and the handler have. */
const doers = new WeakMap<Metadata, Doer & { readonly caller: Caller; readonly audit: Pick<AuditLog, 'refused'> }>();

const NOBODY: Doer & { readonly caller: Caller } = { caller: { kind: 'anonymous' }, from: '' };

/** The caller that the interceptor let through. */
export function callerOf(metadata: Metadata): Caller {
  return doerOf(metadata).caller;
}

/** The same, with where the call came from. */
export function doerOf(metadata: Metadata): Doer & { readonly caller: Caller } {
  return doers.get(metadata) ?? NOBODY;
}

/** Notes that a call which was let through asked for what its caller may not have. Other errors are not noted. */
export function noteRefusal(
  call: { readonly metadata: Metadata; getPath(): string },
  { code, details }: { readonly code: status; readonly details: string },
): void {
  if (code !== status.PERMISSION_DENIED && code !== status.UNAUTHENTICATED) return;
  const doer = doers.get(call.metadata);
  doer?.audit.refused(doer, 'call', call.getPath(), details);
}

export interface AccessOptions {
  readonly authenticator: Authenticator;
  readonly audit: Pick<AuditLog, 'refused'>;
  readonly logger: Logger;
}

export function accessInterceptor({ authenticator, audit, logger }: AccessOptions): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, proceed) => {
          const take = (result: CallerResult): void => {
            const refused = result.ok ? refusal(method.path, result.caller) : unproven(result);
            if (refused !== undefined) {
              logger.warn({ method: method.path, peer: call.getPeer(), reason: refused.details }, 'call refused');
              const caller: Caller = result.ok ? result.caller : { kind: 'anonymous' };
              audit.refused({ caller, from: call.getPeer() }, 'call', method.path, refused.details);
              call.sendStatus({ code: refused.code, details: refused.details });
              return;
            }
            if (result.ok) doers.set(metadata, { caller: result.caller, from: call.getPeer(), audit });
            proceed(metadata);
          };
          const certificate = call.getAuthContext().sslPeerCertificate?.raw;
          const authorization = metadata.get('authorization').map(String);
          const result = authenticator.identify({ certificate, authorization }, hostOf(call.getPeer()));
          // What comes meanwhile waits for it.
          if (result instanceof Promise) void result.then(take);
          else take(result);
        });
        next(listener.build());
      },
    });
}

function unproven({ reason, isThrottled }: Extract<CallerResult, { ok: false }>): Refusal {
  return { code: isThrottled === true ? status.RESOURCE_EXHAUSTED : status.UNAUTHENTICATED, details: reason };
}

/** Without the port. */
function hostOf(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':')));
}
