// The hosts outside of the mesh: real names or addresses, none of the mesh's own, each once.
import { ipBytes } from '../../identity/ip.ts';
import { isServerName } from '../../identity/server-name.ts';
import { DEFAULT_NAMESPACE, MESH_DOMAIN, serviceHostnames } from '../../model/service.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { arrayOf, keyFault, valueFault } from './raw.ts';

const USUAL_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** @param services names of the mesh's services. */
export function checkEgress(egress: unknown, services: readonly string[]): Fault[] {
  const seen = new Map<string, number>();
  return arrayOf(egress).flatMap((entry, index): Fault[] => {
    if (!isRecord(entry)) return [];
    const path = ['egress', index];
    const { host, protocol = 'tcp' } = entry;
    const port = entry['port'] ?? USUAL_PORTS[String(protocol)];
    const faults: Fault[] = [];
    if (entry['port'] === undefined && protocol === 'tcp')
      faults.push(keyFault([...path, 'port'], 'is missing; with protocol "tcp" no port is the usual one', 'add "port: 443"'));
    if (typeof host !== 'string' || host === '') return faults;
    faults.push(...checkHost(host, services, [...path, 'host']));
    const key = `${host.toLowerCase()} ${String(port)}`;
    const first = seen.get(key);
    if (first !== undefined)
      faults.push(valueFault([...path, 'host'], `egress[${first}] is the same host and port`, 'remove one of the two'));
    seen.set(key, first ?? index);
    return faults;
  });
}

function checkHost(written: string, services: readonly string[], path: Path): Fault[] {
  const host = written.toLowerCase();
  const name = host.startsWith('*.') ? host.slice(2) : host;
  if (ipBytes(host) === undefined && !isServerName(name)) return [valueFault(path, `${shown(written)} is not a host`, mendHost(written))];
  if (host === 'localhost')
    return [valueFault(path, '"localhost" is the machine itself, which is never asked for through the mesh', 'remove it')];
  const own = ownName(host, services);
  if (own === undefined) return [];
  return [valueFault(path, `${shown(written)} is a name of the mesh: ${own}`, 'remove it; services of the mesh can be called anyway')];
}

/** Why the host, or one that the pattern takes, belongs to the mesh. */
function ownName(host: string, services: readonly string[]): string | undefined {
  const isBelow = (name: string, parent: string): boolean => name === parent || name.endsWith(`.${parent}`);
  const parent = host.startsWith('*.') ? host.slice(2) : host;
  if (isBelow(parent, MESH_DOMAIN) || (host.startsWith('*.') && isBelow(MESH_DOMAIN, parent)))
    return `all names below "${MESH_DOMAIN}" are`;
  const service = services.find((name) => serviceHostnames({ namespace: DEFAULT_NAMESPACE, name }).some((own) => takes(host, own)));
  return service === undefined ? undefined : `it leads to the service "${service}"`;
}

function takes(host: string, name: string): boolean {
  return host.startsWith('*.') ? name.endsWith(host.slice(1)) : name === host;
}

function mendHost(written: string): string {
  const [, host, port] = /^(?:[a-z]+:\/\/)?(\[[0-9a-f:.]+\]|[^/:]*)(?::(\d+))?/i.exec(written) ?? [];
  const bare = (host ?? '').replace(/[[\]]/g, '');
  if (bare !== written && (isServerName(bare.toLowerCase()) || ipBytes(bare) !== undefined))
    return `write "host: ${bare}"${port === undefined ? '' : ` and "port: ${port}"`}`;
  if (written.includes('*')) return 'write "*." and a name, for all names below it; "*" stands nowhere else';
  return 'write a name such as "api.example.com", or an IP address';
}
