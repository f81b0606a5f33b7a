// What the data plane that hosts an instance is told about it: its way in, its application, its local ports out. Nobody
// else gets these. Time limits and retries belong to the caller's side, so the way in has none.
import { TRUST_BUNDLE, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { Cluster, Instance, Listener, RouteConfig, Service, ServiceRef, SocketAddress } from '@heddle/core';
import { instanceName } from '../registry/keys.ts';
import { MESH_ROUTE, PROXY_LISTENER, inboundName, localName, outboundListenerName, outboundName } from './names.ts';

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
): InstanceResources {
  const workload = instanceName(instance);
  const http = service.protocol === 'http';
  const inbound: Listener = {
    name: inboundName(instance),
    direction: 'inbound',
    ...instance.inbound,
    workload,
    tls: { certificateName: WORKLOAD_CERTIFICATE, trustBundleName: TRUST_BUNDLE, trustDomain },
    filter: http ? { kind: 'http', routeConfigName: inboundName(instance) } : { kind: 'tcp', cluster: localName(instance) },
  };
  const outbounds = instance.outbounds.flatMap(({ service: ref, listen }): Listener[] => {
    const called = target(ref);
    return called === undefined ? [] : [outboundListener(instance, called, listen)];
  });
  return { listeners: [inbound, ...outbounds], routes: http ? [inboundRoute(instance)] : [], clusters: [localCluster(instance, service)] };
}

export function compileProxyListener(listen: SocketAddress): Listener {
  return {
    name: PROXY_LISTENER,
    direction: 'outbound',
    address: listen.address,
    port: listen.port,
    filter: { kind: 'http', routeConfigName: MESH_ROUTE },
  };
}

function outboundListener(instance: Instance, called: Service, listen: SocketAddress): Listener {
  const name = outboundName(called);
  return {
    name: outboundListenerName(instance, called),
    direction: 'outbound',
    address: listen.address,
    port: listen.port,
    workload: instanceName(instance),
    filter: called.protocol === 'http' ? { kind: 'http', routeConfigName: name } : { kind: 'tcp', cluster: name },
  };
}

function inboundRoute(instance: Instance): RouteConfig {
  const name = inboundName(instance);
  return {
    name,
    virtualHosts: [
      { name, domains: ['*'], routes: [{ prefix: '/', cluster: localName(instance), timeoutMs: 0, retry: { attempts: 0, on: [] } }] },
    ],
  };
}

function localCluster(instance: Instance, service: Service): Cluster {
  const { address, port } = instance.application;
  return {
    name: localName(instance),
    service: { namespace: service.namespace, name: service.name },
    endpoints: { kind: 'static', endpoints: [{ address, port, health: 'healthy', weight: 1, instance: instance.id }] },
    balance: service.balance,
    connectTimeoutMs: service.connectTimeoutMs,
    health: service.health,
  };
}
