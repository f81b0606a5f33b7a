// What a channel's target means to the mesh. Names are the mesh's to resolve, whatever resolver they were written for; addresses and files are not.
import { MESH_DOMAIN } from '@heddle/core';
import { isMeshName } from '../plane/names.ts';

/** As `Channel.getTarget` gives it back, `dns:` may stand before schemes that have no resolver. */
const SCHEME = /^(?:dns:)?(heddle|xds|dns):(?:\/\/[^/]*\/)?(.+)$/;
const HOST_PORT = /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?(:\d{1,5})?$/i;
/** Schemes whose path would pass for a host and port. */
const NO_NAME = /^(unix|unix-abstract|ipv4|ipv6|vsock|passthrough):/;

/**
 * `host` or `host:port`; undefined for a target that is no name. `heddle:///orders` is short for `orders.mesh.internal`.
 * Forms: doc/naming.md of grpc/grpc.
 */
export function authorityOf(target: string): string | undefined {
  if (NO_NAME.test(target)) return undefined;
  const [, scheme, path] = SCHEME.exec(target) ?? [];
  const authority = path ?? target;
  if (!HOST_PORT.test(authority)) return undefined;
  return scheme === 'heddle' ? inMesh(authority) : authority;
}

function inMesh(authority: string): string {
  if (isMeshName(authority)) return authority;
  const colon = authority.indexOf(':');
  const host = colon < 0 ? authority : authority.slice(0, colon);
  return `${host}.${MESH_DOMAIN}${authority.slice(host.length)}`;
}
