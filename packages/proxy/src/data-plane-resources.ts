// Checks of resources before any of them is applied: each gives the reason of the rejection, with the name of the resource, or nothing.
import { decodePem, parseSpiffeId, readCertificate, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { Cluster, Endpoint, EndpointSet, Listener, TrustBundle } from '@heddle/core';
import type { ResourceUpdate } from './data-plane-types.ts';

export function checkListener(listener: Listener): string | undefined {
  const at = `listener "${listener.name}"`;
  if (!isPort(listener.port)) return `${at}: ${listener.port} is not a port; a listener needs the real one, 1 to 65535`;
  if (listener.direction !== 'inbound' && listener.direction !== 'outbound')
    return `${at}: direction "${String(listener.direction)}" is neither inbound nor outbound`;
  if (listener.filter.kind !== 'http' && listener.filter.kind !== 'tcp')
    return `${at}: filter "${(listener.filter as { kind: string }).kind}" is not known; http and tcp are`;
  if (listener.direction === 'inbound' && listener.workload === undefined) return `${at}: an inbound listener must name its workload`;
  if (listener.filter.kind === 'tcp' && listener.workload === undefined)
    return `${at}: a tcp listener must name its workload, since its bytes cannot`;
  if (listener.tls === undefined)
    return listener.direction === 'inbound' ? `${at}: an inbound listener without TLS would let anybody in` : undefined;
  if (listener.tls.certificateName !== WORKLOAD_CERTIFICATE)
    return `${at}: certificate "${listener.tls.certificateName}" is not known; only "${WORKLOAD_CERTIFICATE}" is`;
  if (listener.tls.trustDomain === '') return `${at}: the trust domain is empty`;
  return undefined;
}

/** Two listeners on one socket: one of them would silently do nothing. */
export function checkConflicts(listeners: Iterable<Listener>): string | undefined {
  const bySocket = new Map<string, string>();
  for (const { name, address, port } of listeners) {
    const key = `${address} ${port}`;
    const other = bySocket.get(key);
    if (other !== undefined) return `listeners "${other}" and "${name}" both want ${address}:${port}`;
    bySocket.set(key, name);
  }
  return undefined;
}

/** What is held of one kind, by name: a Map or Set of it. */
interface HeldNames {
  readonly size: number;
  has(name: string): boolean;
}

/** How many of a kind would be held afterwards: the reason when that is too many. */
export function checkCount(held: HeldNames, { kind, upserts, removed }: ResourceUpdate, max: number): string | undefined {
  const names = new Set(upserts.map((resource) => ('cluster' in resource ? resource.cluster : resource.name)));
  const gone = new Set(removed);
  let count = held.size;
  for (const name of names) if (!held.has(name)) count += 1;
  for (const name of gone) if (held.has(name) && !names.has(name)) count -= 1;
  if (count <= max) return undefined;
  return `${count} resources of kind ${kind} are more than the ${max} that a data plane holds (resourcesPerTypeMax)`;
}

export function checkCluster(cluster: Cluster, endpointsMax: number): string | undefined {
  const at = `cluster "${cluster.name}"`;
  if (cluster.balance !== 'round-robin') return `${at}: balancing policy "${String(cluster.balance)}" is not known; round-robin is`;
  if (!(cluster.connectTimeoutMs > 0)) return `${at}: the connect timeout must be above 0`;
  if (cluster.tls !== undefined) {
    if (cluster.tls.certificateName !== WORKLOAD_CERTIFICATE)
      return `${at}: certificate "${cluster.tls.certificateName}" is not known; only "${WORKLOAD_CERTIFICATE}" is`;
    if (cluster.tls.peerIds.length === 0) return `${at}: no SPIFFE id is accepted, so no instance ever could be`;
    const bad = cluster.tls.peerIds.find((id) => parseSpiffeId(id) === undefined);
    if (bad !== undefined) return `${at}: "${bad}" is not a SPIFFE id of the form spiffe://<trust domain>/ns/<namespace>/svc/<service>`;
  }
  if (cluster.endpoints.kind === 'static') return checkEndpoints(at, cluster.endpoints.endpoints, endpointsMax);
  return cluster.endpoints.kind === 'eds'
    ? undefined
    : `${at}: endpoints of kind "${(cluster.endpoints as { kind: string }).kind}" are not known`;
}

export function checkEndpointSet(set: EndpointSet, endpointsMax: number): string | undefined {
  return checkEndpoints(`endpoints of "${set.cluster}"`, set.endpoints, endpointsMax);
}

export function checkTrustBundle(bundle: TrustBundle): string | undefined {
  const at = `secret "${bundle.name}"`;
  try {
    const roots = decodePem('CERTIFICATE', bundle.rootsPem);
    if (roots.length === 0) return `${at}: there is no certificate in the PEM text`;
    const leaf = roots.findIndex((der) => !readCertificate(der).isAuthority);
    return leaf === -1 ? undefined : `${at}: certificate ${leaf + 1} is not an authority's`;
  } catch (error) {
    return `${at}: ${(error as Error).message}`;
  }
}

function checkEndpoints(at: string, endpoints: readonly Endpoint[], max: number): string | undefined {
  if (endpoints.length > max) return `${at}: ${endpoints.length} endpoints are more than ${max} (endpointsPerClusterMax)`;
  for (const { address, port, instance } of endpoints) {
    if (!isPort(port)) return `${at}: ${instance} has port ${port}`;
    if (address === '') return `${at}: ${instance} has no address`;
  }
  return undefined;
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}
