// Peers that are denied although their certificates are valid, for data planes that know no such thing: they are left out of who a peer may be.
import type { UpstreamTls } from '@heddle/core';

/** What no certificate says: a list of names that is empty would be one that takes every peer. */
const NOBODY = 'denied';

export function withoutDenied(tls: UpstreamTls, denied: readonly string[] = []): UpstreamTls {
  if (denied.length === 0 || tls.peerIds.length === 0) return tls;
  const left = tls.peerIds.filter((id) => !denied.includes(id));
  return { ...tls, peerIds: left.length > 0 ? left : [NOBODY] };
}
