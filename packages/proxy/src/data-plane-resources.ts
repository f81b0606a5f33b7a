// Checks of resources before any of them is applied: each gives the reason of the rejection, with the name of the resource, or nothing.
import { decodePem, parseSpiffeId, readCertificate, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { Cluster, Endpoint, EndpointSet, Listener, TrustBundle } from '@heddle/core';

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

export function checkCluster(cluster: Cluster): string | undefined {
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
  if (cluster.endpoints.kind === 'static') return checkEndpoints(at, cluster.endpoints.endpoints);
  return cluster.endpoints.kind === 'eds'
    ? undefined
    : `${at}: endpoints of kind "${(cluster.endpoints as { kind: string }).kind}" are not known`;
}

export function checkEndpointSet(set: EndpointSet): string | undefined {
  return checkEndpoints(`endpoints of "${set.cluster}"`, set.endpoints);
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

function checkEndpoints(at: string, endpoints: readonly Endpoint[]): string | undefined {
  for (const { address, port, instance } of endpoints) {
    if (!isPort(port)) return `${at}: ${instance} has port ${port}`;
    if (address === '') return `${at}: ${instance} has no address`;
  }
  return undefined;
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}
