// The control plane's DNS server: the registry's names on one port, all others from the system's resolvers.
import { type DnsServer, type DnsSettings, startDnsServer } from '@heddle/dns';
import { type Clock, type Logger, type Metrics, NetworkError, type Random } from '@heddle/runtime';
import { followTextFile, nodeDatagrams, nodeNetwork } from '@heddle/runtime/node';
import { listenError, type ListenError } from '../server/listening.ts';
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
    throw error instanceof NetworkError ? explained(error, options) : error;
  }
}

const WORDS = { who: 'The DNS server', how: 'with --dns-listen ADDRESS:PORT, or serve no names with --dns-listen off' };

function explained(error: NetworkError, { listen: { address, port } }: DnsSettings): ListenError {
  // What the system said is at the bottom.
  let cause: NodeJS.ErrnoException = error;
  while (cause.cause instanceof Error) cause = cause.cause;
  return listenError(cause.code, address, port, WORDS, cause);
}
