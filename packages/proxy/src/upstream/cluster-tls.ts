// TLS contexts towards one cluster: one per calling workload, made on first use and shared by all its connections.
import type { UpstreamTls } from '@heddle/core';
import { NetworkError } from '@heddle/runtime';
import type { Network, TlsContext } from '@heddle/runtime';
import type { Identities } from './identities.ts';

export class ClusterTls {
  readonly isNeeded: boolean;
  private readonly network: Network;
  private readonly identities: Identities;
  private readonly options: UpstreamTls | undefined;
  private readonly contexts = new Map<string, TlsContext>();

  constructor(network: Network, identities: Identities, options: UpstreamTls | undefined) {
    this.network = network;
    this.identities = identities;
    this.options = options;
    this.isNeeded = options !== undefined;
  }

  /** Undefined when the cluster is plaintext, or when something is missing: see `missing`. */
  of(workload: string): TlsContext | undefined {
    const { options } = this;
    if (options === undefined) return undefined;
    const known = this.contexts.get(workload);
    if (known !== undefined) return known;
    const identity = this.identities.of(workload);
    const rootsPem = this.identities.roots(options.trustBundleName);
    if (identity === undefined || rootsPem === undefined) return undefined;
    try {
      const made = this.network.clientTls({ ...identity, rootsPem, peerIds: options.peerIds, alpn: options.alpn });
      this.contexts.set(workload, made);
      return made;
    } catch (error) {
      if (error instanceof NetworkError) return undefined;
      throw error;
    }
  }

  /** Why `of` gives nothing. */
  missing(workload: string): string {
    const { options } = this;
    if (this.identities.of(workload) === undefined) return `workload ${workload} has no certificate`;
    if (options !== undefined && this.identities.roots(options.trustBundleName) === undefined)
      return `the trust bundle "${options.trustBundleName}" has not arrived`;
    return `certificate and key of workload ${workload}, or the roots, cannot be used`;
  }

  /** Identities or roots have changed. */
  forget(): void {
    this.contexts.clear();
  }
}
