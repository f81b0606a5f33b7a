// What the data plane that hosts an instance is told about it: its way in, its application, its local ports out. Nobody
// else gets these. Time limits and retries belong to the caller's side, so the way in has none; rate limits belong to it.
import { ANY_REQUEST, LOCAL_RETRY_BUDGET, NO_BREAKER, SINGLE_BALANCE, TRUST_BUNDLE, WORKLOAD_CERTIFICATE, forwardTo } from '@heddle/core';
import type {
  Cluster,
  DownstreamTls,
  HttpFilter,
  Instance,
  Listener,
  Route,
  RouteConfig,
  ServerNameRoute,
  Service,
  ServiceRef,
  SocketAddress,
  TcpFilter,
} from '@heddle/core';
import { instanceName } from '../registry/keys.ts';
import {
  DEFAULT_ROUTE,
  MESH_ROUTE,
  PROXY_LISTENER,
  TUNNEL_ROUTE,
  inboundName,
  localName,
  outboundListenerName,
  outboundName,
} from './names.ts';
import { carriesBytes, carriesHttp } from './protocols.ts';
import { tunnelFilter } from './service-resources.ts';
import { DEFAULT_SERVICE_SECURITY } from './service-security.ts';
import type { ServiceSecurity } from './service-security.ts';
import type { ListenerTelemetry } from './telemetry.ts';

export interface InstanceResources {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfig[];
  readonly clusters: readonly Cluster[];
}

/** `target` gives a declared service; a local port towards one that is not declared gets no listener. */
export function compileInstance(
  instance: Instance,
  service: Service,
  target: (ref: ServiceRef) => Service | undefined,
  trustDomain: string,
  security: ServiceSecurity = DEFAULT_SERVICE_SECURITY,
  telemetry: ListenerTelemetry = {},
): InstanceResources {
  const workload = instanceName(instance);
  const inbound: Listener = {
    name: inboundName(instance),
    direction: 'inbound',
    ...instance.inbound,
    workload,
    ...(security.mtls !== 'off' && { tls: inboundTls(trustDomain, security) }),
    filter: { ...inboundFilter(instance, service, security), ...telemetry },
  };
  const outbounds = instance.outbounds.flatMap(({ service: ref, listen }): Listener[] => {
    const called = target(ref);
    return called === undefined ? [] : [outboundListener(instance, called, listen, telemetry)];
  });
  const route = inboundRoute(instance, service, security);
  return { listeners: [inbound, ...outbounds], routes: [route], clusters: [localCluster(instance, service)] };
}

/** `serverNames` as `compileServerNames` gives them. */
export function compileProxyListener(
  listen: SocketAddress,
  serverNames: readonly ServerNameRoute[],
  telemetry: ListenerTelemetry = {},
): Listener {
  return {
    name: PROXY_LISTENER,
    direction: 'outbound',
    address: listen.address,
    port: listen.port,
    ...(serverNames.length > 0 && { serverNames }),
    filter: { kind: 'http', routeConfigName: MESH_ROUTE, ...telemetry },
  };
}

/** Other data planes send bytes by CONNECT; callers without TLS know nothing of that, and send them as they are. */
function inboundFilter(instance: Instance, service: Service, { mtls }: ServiceSecurity): HttpFilter {
  const takesBytes = mtls !== 'strict' && carriesBytes(service);
  return {
    kind: 'http',
    routeConfigName: inboundName(instance),
    useRemoteAddress: true,
    ...(takesBytes && { otherwise: { kind: 'tcp', cluster: localName(instance) } }),
  };
}

function inboundTls(trustDomain: string, { mtls, minVersion }: ServiceSecurity): DownstreamTls {
  return {
    certificateName: WORKLOAD_CERTIFICATE,
    trustBundleName: TRUST_BUNDLE,
    trustDomain,
    ...(mtls === 'permissive' && { plaintext: true }),
    ...(minVersion !== undefined && { minVersion }),
  };
}

function outboundListener(instance: Instance, called: Service, listen: SocketAddress, telemetry: ListenerTelemetry): Listener {
  return {
    name: outboundListenerName(instance, called),
    direction: 'outbound',
    address: listen.address,
    port: listen.port,
    workload: instanceName(instance),
    filter: outboundFilter(called, telemetry),
  };
}

function outboundFilter(called: Service, telemetry: ListenerTelemetry): HttpFilter | TcpFilter {
  if (!carriesHttp(called)) return tunnelFilter(called);
  const otherwise = carriesBytes(called) ? { otherwise: tunnelFilter(called) } : {};
  return { kind: 'http', routeConfigName: outboundName(called), ...otherwise, ...telemetry };
}

/** Limits that hold only for some requests say so themselves, so that those which overlap all count. */
function inboundRoute(instance: Instance, service: Service, security: ServiceSecurity): RouteConfig {
  const name = inboundName(instance);
  const cluster = localName(instance);
  const { rateLimits, idleTimeoutMs } = service;
  const tunnel: Route = { name: TUNNEL_ROUTE, match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'terminate', cluster } };
  const requests: Route = {
    name: DEFAULT_ROUTE,
    match: ANY_REQUEST,
    action: { ...forwardTo(cluster), idleTimeoutMs },
    ...(rateLimits.length > 0 && { rateLimits }),
  };
  const routes = [...(carriesBytes(service) ? [tunnel] : []), ...(carriesHttp(service) ? [requests] : [])];
  return { name, virtualHosts: [{ name, domains: ['*'], routes, ...security.inbound }] };
}

/** The one instance: what callers do to choose among several, to leave some out or to repeat has no place here. */
function localCluster(instance: Instance, service: Service): Cluster {
  const { address, port } = instance.application;
  const { adaptiveConcurrency } = service;
  return {
    name: localName(instance),
    service: { namespace: service.namespace, name: service.name },
    endpoints: { kind: 'static', endpoints: [{ address, port, health: 'healthy', weight: 1, instance: instance.id }] },
    balance: SINGLE_BALANCE,
    connectTimeoutMs: service.connectTimeoutMs,
    breaker: NO_BREAKER,
    retryBudget: LOCAL_RETRY_BUDGET,
    ...(adaptiveConcurrency === undefined ? {} : { adaptiveConcurrency }),
    http: service.protocol === 'http2' || service.protocol === 'grpc' ? 'http2' : 'http1',
    health: service.health,
  };
}
