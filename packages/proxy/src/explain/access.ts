// Who may call, truthfully: the mesh has no rules of access yet. What stands between strangers and an instance is mutual TLS.
import { formatSpiffeId, parseSpiffeId, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { Cluster } from '@heddle/core';
import { serviceOf } from './dump.ts';
import type { Access } from './types.ts';

/** SPIFFE id by which the workload calls the cluster; empty: it shows none. */
export function identityTowards(cluster: Cluster | undefined, workload: string): string {
  if (cluster?.tls?.certificateName !== WORKLOAD_CERTIFICATE) return '';
  const trustDomain = parseSpiffeId(cluster.tls.peerIds[0] ?? '')?.trustDomain;
  const [namespace = '', name = ''] = serviceOf(workload).split('/');
  return trustDomain === undefined ? '' : formatSpiffeId({ trustDomain, namespace, name });
}

export function accessTo(cluster: Cluster | undefined, workload: string): Access {
  const tls = cluster?.tls;
  const shows = identityTowards(cluster, workload);
  const asks = tls === undefined ? [] : tls.serverName === undefined ? tls.peerIds : [tls.serverName];
  return { encrypted: tls !== undefined, shows, asks, summary: summaryOf(cluster, shows) };
}

function summaryOf(cluster: Cluster | undefined, shows: string): string {
  if (cluster === undefined) return 'nothing is called';
  if (shows !== '')
    return 'there are no access rules: every workload of the mesh may call. Calls without an identity of the mesh are refused by mutual TLS';
  if (cluster.tls === undefined) return 'nothing is asked of the caller, and the connection is not encrypted';
  return 'the connection is encrypted; the far side must prove its name, and is not told who calls';
}
