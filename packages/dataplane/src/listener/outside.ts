// Whether a name that no route takes means a host outside the mesh, or a service that is not there: what helps the caller differs.
import { DEFAULT_NAMESPACE, isVirtualAddress, MESH_DOMAIN } from '@heddle/core';

const PORT = /:\d+$/;
/** Endings of names that the mesh itself gives. A service of another namespace may be called `name.namespace`, too, as a host outside. */
const OWN = [`.${MESH_DOMAIN}`, `.${DEFAULT_NAMESPACE}`];

/** @param authority in any case of letters, with or without a port. */
export function isOutside(authority: string): boolean {
  const host = authority.toLowerCase().replace(PORT, '').replace(/\.$/, '');
  if (host.startsWith('[') || host === 'localhost') return true;
  if (!host.includes('.') || isVirtualAddress(host)) return false;
  return !OWN.some((ending) => host.endsWith(ending));
}
