// What the table should hold, from what the proxy says about itself: its workloads with their local ports, and the routes of the mesh,
// in which each service has its names and its virtual address. Everything that comes from outside is checked: it ends up in a ruleset.
import { ipBytes, isVirtualAddress, serviceHostnames, type SocketAddress } from '@heddle/core';
import {
  type Caller,
  type CapturableWorkload,
  type CapturedCaller,
  type CaptureEntry,
  CaptureError,
  type CaptureTable,
  type VirtualService,
} from './types.ts';

const LOOPBACK = '127.0.0.1';
/** The routes of the shared HTTP proxy: every service of the mesh. */
const MESH_ROUTE = 'outbound/mesh';
const SERVICE_HOST = /^outbound\/([A-Za-z0-9._-]{1,63}\/[A-Za-z0-9._-]{1,63})$/;
const WORKLOAD = /^(?:[A-Za-z0-9._-]{1,63}\/){2}[A-Za-z0-9._-]{1,63}$/;

export interface CapturePlan {
  readonly table: CaptureTable;
  /** Services that a caller cannot call by their address, and why. */
  readonly lacking: readonly { readonly workload: string; readonly service: string; readonly reason: 'no-port' | 'ipv6-port' }[];
}

export function planCapture(
  workloads: readonly CapturableWorkload[],
  services: readonly VirtualService[],
  callers: readonly Caller[],
): CapturePlan {
  const lacking: CapturePlan['lacking'][number][] = [];
  const captured = callers.map((caller): CapturedCaller => {
    const ports = new Map(
      workloads.find(({ workload }) => workload === caller.workload)?.outbounds.map((out) => [out.service, out.listen]),
    );
    const entries: CaptureEntry[] = [];
    for (const service of services) {
      // Instances seldom call their own service: that there is no port for it is worth no word.
      const listen = ports.get(service.service);
      const to = listen === undefined ? undefined : ipv4Target(listen);
      if (to !== undefined) entries.push({ ...service, to });
      else if (listen !== undefined) lacking.push({ workload: caller.workload, service: service.service, reason: 'ipv6-port' });
      else if (!caller.workload.startsWith(`${service.service}/`))
        lacking.push({ workload: caller.workload, service: service.service, reason: 'no-port' });
    }
    return { ...caller, entries: entries.sort((a, b) => (a.service < b.service ? -1 : 1)) };
  });
  return { table: { addresses: services.map(({ address }) => address).sort(), callers: captured }, lacking };
}

/** A port on all addresses is reached on the loopback one. Undefined where IPv4 cannot reach it. */
function ipv4Target({ address, port }: SocketAddress): SocketAddress | undefined {
  if (address === '0.0.0.0' || address === '::') return { address: LOOPBACK, port };
  return ipBytes(address)?.length === 4 ? { address, port } : undefined;
}

/** The workloads in the answer of `GET /workloads`. Throws CaptureError when it is no such answer. */
export function readWorkloads(answer: unknown): CapturableWorkload[] {
  return list(field(answer, 'workloads'), 'workloads').map((item) => {
    const workload = field(item, 'workload');
    if (typeof workload !== 'string' || !WORKLOAD.test(workload)) throw strange('a workload has no name');
    const outbounds = list(field(item, 'outbounds'), 'outbounds').map((outbound) => {
      const service = field(outbound, 'service');
      return {
        service: `${String(field(service, 'namespace'))}/${String(field(service, 'name'))}`,
        listen: socket(field(outbound, 'listen')),
      };
    });
    return { workload, outbounds };
  });
}

/**
 * The services with a virtual address in the answer of `GET /config_dump`, sorted. Throws CaptureError when it is no such answer, or when
 * the proxy knows no services or no addresses.
 */
export function readVirtualServices(answer: unknown): VirtualService[] {
  const mesh = list(field(answer, 'routes'), 'routes').find((route) => field(route, 'name') === MESH_ROUTE);
  if (mesh === undefined) {
    throw new CaptureError(
      'the proxy has not been told yet which services there are',
      'see on its admin API (/ready) what it waits for; it needs an HTTP proxy port (`heddle proxy --outbound-port`)',
    );
  }
  const services: VirtualService[] = [];
  let hosts = 0;
  for (const host of list(field(mesh, 'virtualHosts'), 'virtualHosts')) {
    const service = SERVICE_HOST.exec(String(field(host, 'name')))?.[1];
    if (service === undefined) continue;
    hosts += 1;
    const found = list(field(host, 'domains'), 'domains')
      .map((domain) => /^([\d.]+):(\d{1,5})$/.exec(String(domain)))
      .find((match) => match !== null && isVirtualAddress(match[1] ?? ''));
    const [, address = '', port = ''] = found ?? [];
    if (address !== '') services.push({ service, address, port: Number(port) });
  }
  if (hosts > 0 && services.length === 0)
    throw new CaptureError('the control plane has given no virtual addresses', 'restart it with this version, or a newer one');
  return services.sort((a, b) => (a.service < b.service ? -1 : 1));
}

/** The fullest name of a service, for people: `orders.default.mesh.internal`. */
export function hostnameOf(service: string): string {
  const [namespace = '', name = ''] = service.split('/');
  return serviceHostnames({ namespace, name })[0] ?? service;
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw strange(`it has no list of ${what}`);
  return value;
}

function socket(value: unknown): SocketAddress {
  const address = field(value, 'address');
  const port = field(value, 'port');
  if (
    typeof address !== 'string' ||
    ipBytes(address) === undefined ||
    !Number.isInteger(port) ||
    (port as number) < 1 ||
    (port as number) > 65_535
  )
    throw strange('a local port is not an address and a port');
  return { address, port: port as number };
}

function strange(what: string): CaptureError {
  return new CaptureError(
    `the answer of the proxy cannot be used: ${what}`,
    'use the same version of heddle for the proxy and this command',
  );
}
