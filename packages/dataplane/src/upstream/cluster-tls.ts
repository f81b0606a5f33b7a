// TLS contexts towards one cluster, made on first use and shared by all its connections: one per calling workload where that shows its
// own certificate, else one for all.
import { SYSTEM_ROOTS, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { Cluster, UpstreamTls } from '@heddle/core';
import { NetworkError } from '@heddle/runtime';
import type { Network, TlsContext } from '@heddle/runtime';
import type { Identities } from './identities.ts';

export class ClusterTls {
  readonly isNeeded: boolean;
  /** Whether the far side is a data plane of the mesh, whose word about errors counts: proven, or said by the configuration of a mesh without TLS. */
  readonly leadsToPeers: boolean;
  /** Whether the calling workload's own certificate is shown, so that a workload without one cannot call. */
  readonly showsWorkload: boolean;
  private readonly network: Network;
  private readonly identities: Identities;
  private readonly options: UpstreamTls | undefined;
  private readonly contexts = new Map<string, TlsContext>();

  constructor(network: Network, identities: Identities, { tls: options, plainPeers }: Pick<Cluster, 'tls' | 'plainPeers'>) {
    this.network = network;
    this.identities = identities;
    this.options = options;
    this.isNeeded = options !== undefined;
    this.leadsToPeers = options === undefined ? plainPeers === true : options.peerIds.length > 0;
    this.showsWorkload = options?.certificateName === WORKLOAD_CERTIFICATE;
  }

  /** Undefined when the cluster is plaintext, or when something is missing: see `missing`. */
  of(workload: string): TlsContext | undefined {
    const { options } = this;
    if (options === undefined) return undefined;
    const key = this.showsWorkload ? workload : '';
    const known = this.contexts.get(key);
    if (known !== undefined) return known;
    const { certificateName, trustBundleName, peerIds, serverName, alpn, minVersion } = options;
    const identity = certificateName === undefined ? undefined : this.identities.resolve(certificateName, workload);
    const isOfPlatform = trustBundleName === SYSTEM_ROOTS;
    const rootsPem = isOfPlatform ? undefined : this.identities.roots(trustBundleName);
    if ((certificateName !== undefined && identity === undefined) || (rootsPem === undefined && !isOfPlatform)) return undefined;
    try {
      const made = this.network.clientTls({
        ...(identity !== undefined && { identity }),
        ...(rootsPem !== undefined && { rootsPem }),
        peerIds,
        ...(serverName !== undefined && { serverName }),
        alpn,
        ...(minVersion !== undefined && { minVersion }),
        ...(peerIds.length > 0 && { guard: this.identities.guard(trustBundleName) }),
      });
      this.contexts.set(key, made);
      return made;
    } catch (error) {
      if (error instanceof NetworkError) return undefined;
      throw error;
    }
  }

  /** Whether a connection that was made with this context, or without one, may carry another request of the workload. */
  isCurrent(context: TlsContext | undefined, workload: string): boolean {
    return (context !== undefined) === this.isNeeded && context === this.of(workload);
  }

  /** Why `of` gives nothing. */
  missing(workload: string): string {
    const { options } = this;
    if (options === undefined) return 'the cluster is plaintext';
    const { certificateName, trustBundleName } = options;
    if (certificateName !== undefined && this.identities.resolve(certificateName, workload) === undefined)
      return this.identities.missing(certificateName, workload);
    if (trustBundleName !== SYSTEM_ROOTS && this.identities.roots(trustBundleName) === undefined)
      return `the trust bundle "${trustBundleName}" has not arrived`;
    const whose =
      certificateName === undefined
        ? 'the roots'
        : `the certificate and key of ${this.showsWorkload ? workload : certificateName}, or the roots,`;
    return `${whose} cannot be used`;
  }

  /** Identities, named certificates or roots have changed. */
  forget(): void {
    this.contexts.clear();
  }
}
