// A small mesh for tests, and a server on it with real sockets.
import type { Logger, Random } from '@heddle/runtime';
import { nodeClock, nodeDatagrams, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { type DnsServer, type DnsServerOptions, startDnsServer } from '../server/server.ts';
import type { ZoneInstance, ZoneService } from '../zone/service.ts';
import { Zone } from '../zone/zone.ts';

export const LOOPBACK = '127.0.0.1';
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

export function instance(id: string, address: string, over: Partial<ZoneInstance> = {}): ZoneInstance {
  return { id, address, port: 15_006, weight: 1, isHealthy: true, ...over };
}

export function service(name: string, over: Partial<ZoneService> = {}): ZoneService {
  const namespace = over.namespace ?? 'default';
  const full = [`${name}.${namespace}.mesh.internal`, `${name}.${namespace}`];
  return {
    namespace,
    name,
    hostnames: namespace === 'default' ? [...full, `${name}.mesh.internal`, name] : full,
    port: 8080,
    srvWords: ['http'],
    ports: {},
    virtualAddress: undefined,
    instances: [],
    ...over,
  };
}

/** `orders` with two healthy instances of three, one of them by IPv6 too; `empty` with none; `stock` in the namespace `shop`. */
export function zone(services: readonly ZoneService[] = SERVICES, onUnwritable: (what: string, reason: string) => void = () => {}): Zone {
  const made = new Zone(onUnwritable);
  for (const one of services) made.set(one);
  return made;
}

export const SERVICES: readonly ZoneService[] = [
  service('orders', {
    virtualAddress: '250.199.98.42',
    ports: { metrics: 9_100 },
    instances: [
      instance('orders-1', '10.0.0.1', { weight: 3 }),
      instance('orders-2', '10.0.0.2', { ports: { metrics: 9_200 } }),
      instance('orders-3', '10.0.0.3', { isHealthy: false }),
      instance('orders-6', 'fd00::6'),
    ],
  }),
  service('empty', { virtualAddress: '241.1.2.3', srvWords: ['tcp'] }),
  service('stock', { namespace: 'shop', srvWords: ['grpc', 'http2'], instances: [instance('stock-1', '10.0.1.1')] }),
];

/** @param dice uniform in [0, 1), for the order of answers. */
export async function serve(of: Zone | undefined, over: Partial<DnsServerOptions> = {}, dice?: () => number): Promise<DnsServer> {
  const random: Random = dice === undefined ? nodeRandom : { next: dice, bytes: (length) => nodeRandom.bytes(length) };
  return startDnsServer({
    listen: { address: LOOPBACK, port: 0 },
    answers: 'instances',
    forward: 'off',
    source: { zone: () => of, demand: async () => {} },
    resolvConf: () => undefined,
    datagrams: nodeDatagrams,
    network: nodeNetwork,
    clock: nodeClock,
    random,
    logger: silent,
    ...over,
  });
}
