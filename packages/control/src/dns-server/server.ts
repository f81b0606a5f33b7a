// The control plane's DNS server: the registry's names on one port, all others from the system's resolvers.
import { type DnsServer, type DnsSettings, startDnsServer } from '@heddle/dns';
import { type Clock, type Logger, type Metrics, NetworkError, type Random } from '@heddle/runtime';
import { followTextFile, nodeDatagrams, nodeNetwork } from '@heddle/runtime/node';
import { ListenError } from '../server/tls-door.ts';
import { RegistryZone, type ZoneRegistry } from './registry-zone.ts';

export interface ControlDnsOptions extends DnsSettings {
  readonly registry: ZoneRegistry;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: Metrics;
}

const RESOLV_CONF = '/etc/resolv.conf';

/** Rejects with ListenError when the port cannot be had; then nothing is left open. */
export async function startControlDns(options: ControlDnsOptions): Promise<DnsServer> {
  const { registry, logger, ...rest } = options;
  const source = new RegistryZone(registry, logger);
  try {
    const server = await startDnsServer({
      ...rest,
      logger,
      source,
      resolvConf: followTextFile(RESOLV_CONF),
      datagrams: nodeDatagrams,
      network: nodeNetwork,
    });
    return {
      address: server.address,
      async close() {
        source.close();
        await server.close();
      },
    };
  } catch (error) {
    source.close();
    throw error instanceof NetworkError ? new ListenError(explain(error, options), error) : error;
  }
}

function explain({ kind, message }: NetworkError, { listen: { address, port } }: DnsSettings): string {
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const choose = 'choose another place with --dns-listen ADDRESS:PORT, or serve no names with --dns-listen off.';
  if (kind === 'address-in-use') return `DNS cannot be served on ${place}: the port is in use. Stop the process that holds it, ${choose}`;
  if (kind === 'not-permitted')
    return `DNS may not be served on ${place}: ports below 1024 need special rights. Grant them (CAP_NET_BIND_SERVICE), ${choose}`;
  return `DNS cannot be served on ${place}: ${message}. C${choose.slice(1)}`;
}
