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
    if (protocol === 'https' && ipBytes(host) !== undefined)
      faults.push(
        valueFault(
          [...path, 'protocol'],
          `a certificate is checked against a name, and ${host} is an address`,
          'use the name of the host, or protocol "tcp" with TLS of the application',
        ),
      );
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
  if (host.startsWith('*.') && isServerName(host.slice(2)))
    return [valueFault(path, `${shown(written)} stands for many hosts, and each host has to be looked up by its name`, 'list each host')];
  if (ipBytes(host) === undefined && !isServerName(host)) return [valueFault(path, `${shown(written)} is not a host`, mendHost(written))];
  if (host === 'localhost')
    return [valueFault(path, '"localhost" is the machine itself, which is never asked for through the mesh', 'remove it')];
  const own = ownName(host, services);
  if (own === undefined) return [];
  return [valueFault(path, `${shown(written)} is a name of the mesh: ${own}`, 'remove it; services of the mesh can be called anyway')];
}

/** Why the host belongs to the mesh. */
function ownName(host: string, services: readonly string[]): string | undefined {
  if (host === MESH_DOMAIN || host.endsWith(`.${MESH_DOMAIN}`)) return `all names below "${MESH_DOMAIN}" are`;
  const service = services.find((name) => serviceHostnames({ namespace: DEFAULT_NAMESPACE, name }).includes(host));
  return service === undefined ? undefined : `it leads to the service "${service}"`;
}

function mendHost(written: string): string {
  const [, host, port] = /^(?:[a-z]+:\/\/)?(\[[0-9a-f:.]+\]|[^/:]*)(?::(\d+))?/i.exec(written) ?? [];
  const bare = (host ?? '').replace(/[[\]]/g, '');
  if (bare !== written && (isServerName(bare.toLowerCase()) || ipBytes(bare) !== undefined))
    return `write "host: ${bare}"${port === undefined ? '' : ` and "port: ${port}"`}`;
  if (written.includes('*')) return 'list each host';
  return 'write a name such as "api.example.com", or an IP address';
}
