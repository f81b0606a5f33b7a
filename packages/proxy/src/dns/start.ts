// The DNS server of a data plane: names from the configuration that was applied.
import { DEFAULT_LIMITS, type SocketAddress } from '@heddle/core';
import { type DnsServer, type DnsSettings, startDnsServer } from '@heddle/dns';
import type { Clock, Datagrams, Logger, Metrics, Network, Random } from '@heddle/runtime';
import type { ProcessOptions } from '../workers/carrier.ts';
import { SnapshotZone } from './snapshot-zone.ts';

export interface ProxyDnsSettings extends DnsSettings {
  readonly datagrams: Datagrams;
  /** Text of the system's resolv.conf(5), as it is now; the same string while it is unchanged. */
  readonly resolvConf: () => string | undefined;
}

export interface ProxyDnsOptions {
  readonly settings: ProxyDnsSettings;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly processes: ProcessOptions | undefined;
}

/** By this name its port is handed over. */
export const DNS_PORT_NAME = 'dns';

export class ProxyDns {
  readonly zone: SnapshotZone;
  readonly #options: ProxyDnsOptions;
  /** The port of the process that this one replaces. */
  readonly #handed: SocketAddress | undefined;
  #server: DnsServer | undefined;

  constructor(options: ProxyDnsOptions) {
    const { clock, logger, processes } = options;
    this.#options = options;
    this.#handed = processes?.takeover?.names.get(DNS_PORT_NAME);
    this.zone = new SnapshotZone({ clock, logger, limits: DEFAULT_LIMITS });
  }

  /** Undefined before it serves. */
  get address(): SocketAddress | undefined {
    return this.#server?.address;
  }

  /** Serves from now on. Not yet where another process does: queries would come here before there are names. Rejects with NetworkError. */
  async begin(hasNames: boolean): Promise<void> {
    const { settings, processes } = this.#options;
    const handed = this.#handed;
    if (this.#server !== undefined || (handed !== undefined && !hasNames)) return;
    const isShared = processes !== undefined && process.platform === 'linux';
    this.#server = await startDnsServer({
      ...this.#options,
      ...settings,
      listen: settings.listen.port === 0 && handed !== undefined ? handed : settings.listen,
      // A proxy is replaced while it serves (SIGUSR2): then both answer for a moment.
      handover: !isShared ? 'no' : handed === undefined ? 'to-successor' : 'from-predecessor',
      source: this.zone,
    });
  }

  /** What is missing until names can be answered, in words; empty when nothing is. */
  missing(): string[] {
    return this.zone.isReady ? [] : ['dns: the names of the mesh have not arrived yet'];
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}
