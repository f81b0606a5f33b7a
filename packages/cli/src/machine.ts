// What this machine is called in the mesh, where nobody gave a name.
import { hostname } from 'node:os';

/** The host name, with only what a node's name may hold. */
export function machineName(): string {
  const name = hostname()
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
    .slice(0, 63);
  return name === '' ? 'local' : name;
}
