// Who may call, as far as the caller's side is told: the rules themselves are with the called service.
import { formatSpiffeId, mayCall, parseSpiffeId, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { Cluster, VirtualHost } from '@heddle/core';
import { serviceOf } from './dump.ts';
import type { Access } from './types.ts';

/** SPIFFE id by which the workload calls the cluster; empty: it shows none. */
export function identityTowards(cluster: Cluster | undefined, workload: string): string {
  if (cluster?.tls?.certificateName !== WORKLOAD_CERTIFICATE) return '';
  const trustDomain = parseSpiffeId(cluster.tls.peerIds[0] ?? '')?.trustDomain;
  const [namespace = '', name = ''] = serviceOf(workload).split('/');
  return trustDomain === undefined ? '' : formatSpiffeId({ trustDomain, namespace, name });
}

/** @param host to which the caller's side sends the request; undefined: none was looked for. */
export function accessTo(cluster: Cluster | undefined, workload: string, host: VirtualHost | undefined): Access {
  const tls = cluster?.tls;
  const shows = identityTowards(cluster, workload);
  const asks = tls === undefined ? [] : tls.serverName === undefined ? tls.peerIds : [tls.serverName];
  const mayTry = host?.callers === undefined || shows === '' ? null : mayCall(host.callers, shows);
  const attached = cluster === undefined ? undefined : host?.attach?.find(({ from }) => from.length === 0 || from.includes(shows));
  return {
    encrypted: tls !== undefined,
    shows,
    asks,
    mayTry,
    token: attached?.token.name ?? '',
    summary: summaryOf(cluster, shows, mayTry),
  };
}

function summaryOf(cluster: Cluster | undefined, shows: string, mayTry: boolean | null): string {
  if (cluster === undefined) return 'nothing is called';
  if (mayTry === false) return 'the rules of the called service allow this caller nothing, so that its calls are refused here already';
  if (mayTry === true) return 'the called service has rules that may allow this caller; its own data plane decides';
  if (shows !== '')
    return 'as far as the caller is told, every workload of the mesh may call. Calls without an identity of the mesh are refused by mutual TLS';
  if (cluster.tls === undefined) return 'nothing is asked of the caller, and the connection is not encrypted';
  return 'the connection is encrypted; the far side must prove its name, and is not told who calls';
}
