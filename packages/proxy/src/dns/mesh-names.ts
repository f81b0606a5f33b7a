// The names of the mesh as a data plane knows them: from the routes of the shared HTTP proxy, in which each service has its names, its port
// and its virtual address. What is not said there (the exact protocol, further ports) is not known here.
import { isVirtualAddress, type RouteConfig, type VirtualHost } from '@heddle/core';

/** The routes of the shared HTTP proxy: every service of the mesh. */
export const MESH_ROUTE = 'outbound/mesh';
const OUTBOUND = 'outbound/';
const HOST_AND_PORT = /^(.+):(\d{1,5})$/;

export interface MeshName {
  readonly namespace: string;
  readonly name: string;
  readonly hostnames: readonly string[];
  readonly port: number;
  readonly srvWords: readonly string[];
  readonly virtualAddress: string | undefined;
}

/** Cluster and endpoints of a service: `outbound/<namespace>/<name>`. */
export function clusterOf(key: string): string {
  return `${OUTBOUND}${key}`;
}

/** `<namespace>/<name>` of the service to which a cluster leads; undefined when it leads to none. */
export function serviceOf(cluster: string): string | undefined {
  return cluster.startsWith(OUTBOUND) ? cluster.slice(OUTBOUND.length) : undefined;
}

/** By `<namespace>/<name>`. */
export function meshNames({ virtualHosts }: RouteConfig): Map<string, MeshName> {
  const names = new Map<string, MeshName>();
  for (const host of virtualHosts) {
    const key = serviceOf(host.name);
    const read = key === undefined ? undefined : meshName(key, host);
    if (key !== undefined && read !== undefined) names.set(key, read);
  }
  return names;
}

function meshName(key: string, { domains, routes }: VirtualHost): MeshName | undefined {
  const [namespace = '', name = ''] = key.split('/');
  const hosts = new Set<string>();
  let port = 0;
  for (const domain of domains) {
    const [, host = domain, number] = HOST_AND_PORT.exec(domain) ?? [];
    hosts.add(host);
    if (number !== undefined) port = Number(number);
  }
  if (port === 0) return undefined;
  const virtualAddress = [...hosts].find(isVirtualAddress);
  if (virtualAddress !== undefined) hosts.delete(virtualAddress);
  const carriesBytes = routes.some(({ match }) => match.kind === 'connect');
  const carriesRequests = routes.some(({ match }) => match.kind !== 'connect');
  const srvWords = [...(carriesRequests ? ['http', 'http2', 'grpc'] : []), ...(carriesBytes ? ['tcp', 'tls'] : [])];
  return { namespace, name, hostnames: [...hosts], port, srvWords, virtualAddress };
}
