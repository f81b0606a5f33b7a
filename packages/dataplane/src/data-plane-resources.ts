// Checks of resources before any of them is applied: each gives the reason of the rejection, with the name of the resource, or nothing.
import {
  BALANCE_ALGORITHMS,
  COLLECTOR_VARIABLE,
  decodePem,
  ipBytes,
  isServerName,
  LOG_FILE_PATTERN,
  parseSpiffeId,
  readCertificate,
  SYSTEM_ROOTS,
  WORKLOAD_CERTIFICATE,
} from '@heddle/core';
import type { Cluster, Endpoint, EndpointSet, Listener, TrustBundle, UpstreamTls } from '@heddle/core';
import type { ResourceUpdate } from './data-plane-types.ts';

/** Whether a certificate was given to the data plane by this name. */
type HasCertificate = (name: string) => boolean;

const NO_CERTIFICATES: HasCertificate = () => false;
/** RFC 9110 §9.3.6: host and port, both. */
const CONNECT_TARGET = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+):(\d{1,5})$/i;

/** `hasCertificate`: without it none is known. */
export function checkListener(listener: Listener, hasCertificate = NO_CERTIFICATES): string | undefined {
  const { name, port, direction, filter, workload } = listener;
  const at = `listener "${name}"`;
  if (!isPort(port)) return `${at}: ${port} is not a port; a listener needs the real one, 1 to 65535`;
  if (direction !== 'inbound' && direction !== 'outbound') return `${at}: direction "${String(direction)}" is neither inbound nor outbound`;
  if (filter.kind !== 'http' && filter.kind !== 'tcp')
    return `${at}: filter "${(filter as { kind: string }).kind}" is not known; http and tcp are`;
  if (direction === 'inbound' && workload === undefined) return `${at}: an inbound listener must name its workload`;
  if (filter.kind === 'tcp' && workload === undefined) return `${at}: a tcp listener must name its workload, since its bytes cannot`;
  if (filter.kind === 'http' && filter.otherwise !== undefined && workload === undefined)
    return `${at}: a listener that carries other bytes than HTTP must name its workload, since they cannot`;
  return (
    checkServerNames(at, listener) ??
    checkTunnels(at, listener) ??
    checkTelemetry(at, filter) ??
    checkListenerTls(at, listener, hasCertificate)
  );
}

function checkListenerTls(at: string, listener: Listener, hasCertificate: HasCertificate): string | undefined {
  const { tls, direction, filter, serverNames } = listener;
  // What goes past TLS goes past the identity.
  if (direction === 'inbound' && serverNames !== undefined) return `${at}: an inbound listener lets nothing pass by its server name`;
  // Without TLS, as the owners of the mesh want it, nobody has an identity.
  if (tls === undefined) return undefined;
  if (direction === 'inbound') {
    if (tls.certificateName !== WORKLOAD_CERTIFICATE) return `${at}: an inbound listener shows the certificate of its workload`;
    if (tls.trustBundleName === undefined || tls.trustDomain === undefined)
      return `${at}: an inbound listener with TLS that asks for no identity would let anybody in`;
  }
  if (serverNames !== undefined && serverNames.length > 0) return `${at}: TLS either ends here or passes by its server name, not both`;
  if (filter.kind === 'http' && filter.otherwise !== undefined && tls.plaintext !== true)
    return `${at}: whether bytes are HTTP is found out without TLS only; under TLS the client says it (ALPN)`;
  if (tls.certificateName === WORKLOAD_CERTIFICATE) {
    if (listener.workload === undefined) return `${at}: there is no workload whose certificate it could show`;
  } else if (!hasCertificate(tls.certificateName)) return `${at}: certificate "${tls.certificateName}" is not known`;
  if (tls.trustDomain === '') return `${at}: the trust domain is empty`;
  if (tls.trustDomain !== undefined && tls.trustBundleName === undefined)
    return `${at}: a trust domain without a trust bundle; nobody could prove to be of it`;
  return checkVersion(at, tls.minVersion);
}

function checkVersion(at: string, minVersion: string | undefined): string | undefined {
  return minVersion === undefined || minVersion === '1.2'
    ? undefined
    : `${at}: TLS "${minVersion}" is not known; 1.2 is, and 1.3 without saying it`;
}

function checkServerNames(at: string, { serverNames = [] }: Listener): string | undefined {
  const taken = new Set<string>();
  for (const { names, filter } of serverNames) {
    if ((filter.kind as string) !== 'tcp') return `${at}: what passes by its server name is still encrypted, so its filter must be tcp`;
    if (names.length === 0) return `${at}: a way for server names without any name; no connection would ever take it`;
    for (const name of names) {
      if (!isServerName(name)) return `${at}: "${name}" is not a server name in lower case`;
      if (taken.has(name)) return `${at}: server name "${name}" is listed twice`;
      taken.add(name);
    }
  }
  return undefined;
}

/** Whoever writes the configuration may not choose any file, nor any secret, of this machine. */
function checkTelemetry(at: string, filter: Listener['filter']): string | undefined {
  if (filter.kind !== 'http') return undefined;
  const { tracing, accessLog } = filter;
  if (accessLog !== undefined && accessLog.to !== 'stdout' && !LOG_FILE_PATTERN.test(accessLog.to))
    return `${at}: "${accessLog.to}" is no place for an access log: stdout is, and absolute paths that end in .log or .jsonl`;
  if (tracing === undefined) return undefined;
  const { url, headers } = tracing.collector;
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) return `${at}: "${url}" is no URL of a collector`;
  const other = headers.find(({ from, text }) => from === 'env' && !COLLECTOR_VARIABLE.test(text));
  return other && `${at}: the variable ${other.text} is not sent to a collector: only those are with OTLP or OTEL in their names`;
}

function checkTunnels(at: string, { filter, serverNames = [] }: Listener): string | undefined {
  const filters = [filter, filter.kind === 'http' ? filter.otherwise : undefined, ...serverNames.map((route) => route.filter)];
  for (const one of filters) {
    if (one?.kind !== 'tcp' || one.tunnel === undefined) continue;
    const port = Number(CONNECT_TARGET.exec(one.tunnel)?.[1]);
    if (!isPort(port)) return `${at}: "${one.tunnel}" is not a host with a port, which CONNECT asks for`;
  }
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

/** `hasCertificate`: without it none is known. */
export function checkCluster(cluster: Cluster, endpointsMax: number, hasCertificate = NO_CERTIFICATES): string | undefined {
  const at = `cluster "${cluster.name}"`;
  if (!BALANCE_ALGORITHMS.includes(cluster.balance.algorithm))
    return `${at}: balancing policy "${String(cluster.balance.algorithm)}" is not known; ${BALANCE_ALGORITHMS.join(', ')} are`;
  if (!(cluster.connectTimeoutMs > 0)) return `${at}: the connect timeout must be above 0`;
  if (cluster.http !== 'http1' && cluster.http !== 'http2') return `${at}: "${String(cluster.http)}" is not known; http1 and http2 are`;
  const reason = cluster.tls === undefined ? undefined : checkUpstreamTls(at, cluster.tls, hasCertificate);
  if (reason !== undefined) return reason;
  if (cluster.plainPeers === true && cluster.tls !== undefined) return `${at}: peers have TLS or none, not both`;
  if (cluster.endpoints.kind === 'static') return checkEndpoints(at, cluster.endpoints.endpoints, endpointsMax);
  if (cluster.endpoints.kind === 'dns') return checkHost(at, cluster.endpoints);
  return cluster.endpoints.kind === 'eds'
    ? undefined
    : `${at}: endpoints of kind "${(cluster.endpoints as { kind: string }).kind}" are not known`;
}

function checkHost(at: string, { host, port }: { readonly host: string; readonly port: number }): string | undefined {
  if (!isServerName(host) && ipBytes(host) === undefined) return `${at}: "${host}" is neither a host name in lower case nor an address`;
  return isPort(port) ? undefined : `${at}: ${host} has port ${port}`;
}

function checkUpstreamTls(
  at: string,
  { certificateName, trustBundleName, peerIds, serverName, minVersion }: UpstreamTls,
  hasCertificate: HasCertificate,
): string | undefined {
  const version = checkVersion(at, minVersion);
  if (version !== undefined) return version;
  if (certificateName !== undefined && certificateName !== WORKLOAD_CERTIFICATE && !hasCertificate(certificateName))
    return `${at}: certificate "${certificateName}" is not known`;
  if (trustBundleName === SYSTEM_ROOTS && serverName === undefined)
    return `${at}: with the authorities that the platform trusts, a server is known by its name`;
  if (serverName === undefined) {
    if (peerIds.length === 0) return `${at}: no SPIFFE id is accepted, so no instance ever could be`;
    const bad = peerIds.find((id) => parseSpiffeId(id) === undefined);
    if (bad !== undefined) return `${at}: "${bad}" is not a SPIFFE id of the form spiffe://<trust domain>/ns/<namespace>/svc/<service>`;
    return undefined;
  }
  if (peerIds.length > 0) return `${at}: peers are told by SPIFFE ids or by a server name, not by both`;
  return isServerName(serverName) ? undefined : `${at}: "${serverName}" is not a server name in lower case`;
}

export function checkEndpointSet(set: EndpointSet, endpointsMax: number): string | undefined {
  return checkEndpoints(`endpoints of "${set.cluster}"`, set.endpoints, endpointsMax);
}

export function checkTrustBundle(bundle: TrustBundle): string | undefined {
  const at = `secret "${bundle.name}"`;
  const denied = bundle.denied?.find((id) => parseSpiffeId(id) === undefined);
  if (denied !== undefined) return `${at}: the denied identity "${denied}" is not a SPIFFE id, so it would deny nobody`;
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
