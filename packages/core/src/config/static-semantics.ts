// What the fields of a static proxy's file mean to one another, from the raw values: addresses, names, ports that are wanted twice.
import { ipBytes } from '../identity/ip.ts';
import { isServerName } from '../identity/server-name.ts';
import type { SocketAddress } from '../model/service.ts';
import type { Fault, Path } from './fault.ts';
import { isRecord, shown } from './fault.ts';
import { checkHealth } from './semantics/health.ts';
import { noEffect, recordOf } from './semantics/raw.ts';
import { checkNameForm, unknownService } from './semantics/service.ts';
import { checkTelemetry } from './semantics/telemetry.ts';
import { checkTraffic } from './semantics/traffic.ts';

type Raw = Record<string, unknown>;

/** What a listener and its service have in common: between versions of HTTP there is a translation, bytes are bytes. */
const CARRIED: Readonly<Record<string, 'requests' | 'bytes' | 'either'>> = {
  http: 'requests',
  http2: 'requests',
  grpc: 'requests',
  tcp: 'bytes',
  tls: 'bytes',
  auto: 'either',
};
/** Where a listener listens that names no address. */
export const LISTENER_ADDRESS = '127.0.0.1';

/** `1.2.3.4:80` or `[::1]:80`; undefined for anything else. */
export function parseEndpoint(text: string): SocketAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(text) ?? [];
  const address = bracketed ?? plain ?? '';
  const port = Number(digits);
  const isAddress = ipBytes(address) !== undefined && address.includes(':') === (bracketed !== undefined);
  return isAddress && port >= 1 && port <= 65_535 ? { address, port } : undefined;
}

export function checkStaticMeaning(root: unknown): Fault[] {
  const file = isRecord(root) ? root : {};
  const services = isRecord(file['services']) ? file['services'] : {};
  const listeners: readonly unknown[] = Array.isArray(file['listeners']) ? file['listeners'] : [];
  const targets = listeners.flatMap(targetsOf);
  // Where a listener leads nowhere, its service is not unused but misspelled there.
  const allLead = targets.every((target) => typeof target === 'string' && Object.hasOwn(services, target));
  return [
    ...checkTelemetry(file['telemetry'], ['telemetry']),
    ...checkListeners(listeners, services),
    ...Object.entries(services).flatMap(([name, service]) => checkService(name, service, allLead && !targets.includes(name))),
  ];
}

function checkListeners(listeners: readonly unknown[], services: Raw): Fault[] {
  const takenBy = new Map<string, number>();
  const endpointKeys = new Map(Object.entries(services).map(([name, service]) => [name, new Set(endpointsOf(service).map(socketKey))]));
  return listeners.flatMap((listener, index): Fault[] => {
    if (!isRecord(listener)) return [];
    const path = ['listeners', index];
    const faults = [
      ...checkAddress(listener['address'], path),
      ...checkForm(listener, services, path),
      ...checkTarget(listener, listener['service'], services, endpointKeys, [...path, 'service']),
      ...checkServerNames(listener, services, endpointKeys, path),
    ];
    const socket = socketKey({ address: addressOf(listener), port: Number(listener['port']) });
    const other = takenBy.get(socket);
    if (other !== undefined) {
      const reason = `listeners[${other}] has this address and port already`;
      faults.push({ path: [...path, 'port'], on: 'value', reason, mend: 'choose another port, or remove one of the two' });
    } else if (listener['port'] !== 0 && typeof listener['port'] === 'number') takenBy.set(socket, index);
    return faults;
  });
}

function checkAddress(address: unknown, path: Path): Fault[] {
  if (typeof address !== 'string' || address === '' || ipBytes(address) !== undefined) return [];
  const bare = address.replace(/^\[(.*)\]$/, '$1');
  const mend =
    ipBytes(bare) !== undefined
      ? `remove the brackets: "${bare}"`
      : address === 'localhost'
        ? 'write "127.0.0.1"'
        : 'write an IP address of this machine, or "0.0.0.0" for all of them';
  return [{ path: [...path, 'address'], on: 'value', reason: `${shown(address)} is not an IP address`, mend }];
}

/** What the keys of a listener mean to one another. */
function checkForm(listener: Raw, services: Raw, path: Path): Fault[] {
  const { service, sni, tls } = listener;
  const protocol = listener['protocol'] ?? 'http';
  const faults: Fault[] = [];
  const fault = (key: string, reason: string, mend: string): void => void faults.push({ path: [...path, key], on: 'key', reason, mend });
  if (service === undefined && protocol === 'tls' && sni === undefined)
    fault('service', 'is missing, and so is "sni": the listener leads nowhere', 'add "service: NAME", or "sni: { SERVER.NAME: NAME }"');
  else if (service === undefined && protocol !== 'tls')
    fault('service', 'is missing; expected the name of a service', `add "service: ${Object.keys(services)[0] ?? 'echo'}"`);
  if (sni !== undefined && protocol !== 'tls')
    fault(
      'sni',
      `has no effect: server names are read where the protocol is "tls", and this one is ${shown(protocol)}`,
      'remove it, or write "protocol: tls"',
    );
  if (tls !== undefined && protocol === 'tls')
    fault(
      'tls',
      'has no effect: with protocol "tls" connections pass through, still encrypted',
      'remove it, or write "protocol: tcp" to end TLS here',
    );
  if (tls !== undefined && protocol === 'auto')
    fault('tls', 'cannot be used with protocol "auto": whether bytes are HTTP is found out without TLS only', 'use protocol http or tcp');
  return faults;
}

/** `path`: of what names the service. */
function checkTarget(
  listener: Raw,
  name: unknown,
  services: Raw,
  endpointKeys: ReadonlyMap<string, ReadonlySet<string>>,
  path: Path,
): Fault[] {
  if (typeof name !== 'string' || name === '') return [];
  if (!Object.hasOwn(services, name)) return [unknownService(name, Object.keys(services), path)];
  const service = services[name];
  const [own, target] = [listener['protocol'] ?? 'http', isRecord(service) ? (service['protocol'] ?? 'http') : undefined];
  const faults: Fault[] = [];
  const [carried, wanted] = [CARRIED[String(own)], CARRIED[String(target)]];
  if (carried !== wanted && carried !== undefined && wanted !== undefined) {
    const reason = `the listener has protocol ${shown(own)}, and the service ${shown(name)} has ${shown(target)}`;
    const isByName = path.length > 3 || listener['protocol'] === undefined;
    const mend =
      path.length > 3 ? 'lead to a service with protocol tls or tcp' : `write "protocol: ${String(target)}" here, or change the service`;
    faults.push({ path: isByName ? path : [...path.slice(0, 2), 'protocol'], on: 'value', reason, mend });
  }
  const socket = socketKey({ address: addressOf(listener), port: Number(listener['port']) });
  if (endpointKeys.get(name)?.has(socket) === true) {
    const reason = `the listener is an endpoint of the service ${shown(name)}, so that it would call itself without end`;
    faults.push({ path: [...path.slice(0, 2), 'port'], on: 'value', reason, mend: 'choose another port, or remove the endpoint' });
  }
  return faults;
}

function checkServerNames(listener: Raw, services: Raw, endpointKeys: ReadonlyMap<string, ReadonlySet<string>>, path: Path): Fault[] {
  if (!isRecord(listener['sni']) || listener['protocol'] !== 'tls') return [];
  return Object.entries(listener['sni']).flatMap(([name, target]): Fault[] => {
    const inside = [...path, 'sni', name];
    if (isServerName(name)) return checkTarget(listener, target, services, endpointKeys, inside);
    return [{ path: inside, on: 'key', reason: `${shown(name)} is not a server name`, mend: mendServerName(name) }];
  });
}

function mendServerName(name: string): string {
  if (isServerName(name.toLowerCase())) return `write it in lower case: "${name.toLowerCase()}"`;
  if (isServerName(name.replace(/\.$/, ''))) return `remove the dot at the end: "${name.replace(/\.$/, '')}"`;
  if (name.includes('*')) return 'list every name; patterns are not supported by this version of Heddle';
  return ipBytes(name) === undefined ? 'for example "db.example"' : 'write a DNS name; clients send none for an address';
}

function checkUpstreamTls(service: Raw, path: Path): Fault[] {
  const tls = service['tls'];
  if (tls === undefined) return [];
  const faults: Fault[] = [];
  if (service['protocol'] === 'tls') {
    const reason = 'cannot be used with protocol "tls": the bytes are encrypted already, by the client';
    faults.push({ path: [...path, 'tls'], on: 'key', reason, mend: 'remove it, or write "protocol: tcp"' });
  }
  const health = recordOf(service['health']);
  const kind = health['http'] !== undefined ? 'http' : health['grpc'] !== undefined ? 'grpc' : undefined;
  // Another port may be there for the checks alone.
  if (kind !== undefined && health['port'] === undefined) {
    const reason = `${kind === 'http' ? 'an HTTP' : 'a gRPC'} check is made without TLS, and these endpoints speak TLS`;
    faults.push({ path: [...path, 'health', kind], on: 'key', reason, mend: 'use "tcp: true", or name a "port" without TLS' });
  }
  const name = isRecord(tls) ? tls['serverName'] : undefined;
  if (typeof name === 'string' && name !== '' && !isServerName(name))
    faults.push({
      path: [...path, 'tls', 'serverName'],
      on: 'value',
      reason: `${shown(name)} is not a server name`,
      mend: mendServerName(name),
    });
  return faults;
}

/** The names of the services that a listener leads to; undefined for what is no name. */
function targetsOf(listener: unknown): (string | undefined)[] {
  if (!isRecord(listener)) return [undefined];
  const { service, sni } = listener;
  const named: unknown[] = [...(service === undefined && sni !== undefined ? [] : [service]), ...(isRecord(sni) ? Object.values(sni) : [])];
  return named.map((target) => (typeof target === 'string' ? target : undefined));
}

function checkService(name: string, service: unknown, isUnused: boolean): Fault[] {
  const path = ['services', name];
  const faults = checkNameForm(name, path);
  if (isUnused)
    faults.push({ severity: 'warning', path, on: 'key', reason: 'no listener leads to it', mend: 'add a listener, or remove the service' });
  if (!isRecord(service)) return faults;
  return [
    ...faults,
    ...checkEndpoints(service['endpoints'], [...path, 'endpoints']),
    ...checkHealth(service, path),
    ...checkUpstreamTls(service, path),
    ...checkLocality(service, path),
    ...checkTraffic(service, path, undefined),
  ];
}

/** There are no zones in this file. */
function checkLocality(service: Raw, path: Path): Fault[] {
  if (recordOf(service['balance'])['locality'] === undefined) return [];
  return [noEffect([...path, 'balance', 'locality'], 'where the endpoints of this file are is not known')];
}

function checkEndpoints(endpoints: unknown, path: Path): Fault[] {
  if (!Array.isArray(endpoints)) return [];
  const seen = new Set<string>();
  return endpoints.flatMap((written: unknown, index): Fault[] => {
    const isMap = isRecord(written);
    const text = isMap ? written['address'] : written;
    if (typeof text !== 'string' || text === '') return [];
    const at = { path: isMap ? [...path, index, 'address'] : [...path, index], on: 'value' } as const;
    const endpoint = parseEndpoint(text);
    if (endpoint === undefined) return [{ ...at, ...explainEndpoint(text) }];
    const key = socketKey(endpoint);
    if (seen.has(key)) return [{ ...at, reason: `${shown(text)} is listed twice`, mend: 'remove one of the two' }];
    seen.add(key);
    return [];
  });
}

function explainEndpoint(text: string): Pick<Fault, 'reason' | 'mend'> {
  const found = shown(text);
  if (text.includes('://')) return { reason: `expected an address and a port, found the URL ${found}`, mend: 'write "127.0.0.1:9000"' };
  const [, host = '', digits] = /^(.*?)(?::(\d*))?$/.exec(text) ?? [];
  const address = host.replace(/^\[(.*)\]$/, '$1');
  // `::1:9000` is an address as well, but hardly ever the one that is meant.
  if (digits !== undefined && ipBytes(address) !== undefined && address.includes(':') && !host.startsWith('['))
    return { reason: `${found} has an IPv6 address without brackets`, mend: `write "[${address}]:${digits === '' ? '9000' : digits}"` };
  if (ipBytes(text.replace(/^\[(.*)\]$/, '$1')) !== undefined) {
    const whole = text.includes(':') && !text.startsWith('[') ? `[${text}]` : text;
    return { reason: `${found} has no port`, mend: `for example "${whole}:9000"` };
  }
  if (ipBytes(address) !== undefined) return { reason: `${found} has a port that is none`, mend: 'write a port from 1 to 65535' };
  if (host.toLowerCase() === 'localhost') {
    const mend = `write "127.0.0.1:${digits === undefined || digits === '' ? '9000' : digits}"`;
    return { reason: `names are not looked up by this version of Heddle, and ${found} has one`, mend };
  }
  if (/^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/i.test(host) && /[a-z_-]/i.test(host))
    return { reason: `names are not looked up by this version of Heddle, and ${found} has one`, mend: 'write its IP address instead' };
  return { reason: `expected an IP address and a port, found ${found}`, mend: 'for example "127.0.0.1:9000" or "[::1]:9000"' };
}

function endpointsOf(service: unknown): SocketAddress[] {
  const endpoints: readonly unknown[] = isRecord(service) && Array.isArray(service['endpoints']) ? service['endpoints'] : [];
  return endpoints.flatMap((written) => {
    const text = isRecord(written) ? written['address'] : written;
    return typeof text === 'string' ? (parseEndpoint(text) ?? []) : [];
  });
}

/** The same for every way to write an address. */
function socketKey({ address, port }: SocketAddress): string {
  return `${(ipBytes(address) ?? [address]).join('.')} ${port}`;
}

function addressOf({ address }: Raw): string {
  return typeof address === 'string' ? address : LISTENER_ADDRESS;
}
