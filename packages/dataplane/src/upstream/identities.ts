// Certificates of the workloads, certificates that were given a name, and roots, as they are now. Whoever made a TLS context from them is
// told when they change. Keys leave this object towards TLS contexts only.
import { WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { Locality, TrustBundle } from '@heddle/core';
import type { CertificateAndKey } from '@heddle/runtime';
import { DeniedPeers } from './denied-peers.ts';
import type { LostConnections } from './denied-peers.ts';

export class Identities {
  /** Called after every change. */
  onChange: () => void = () => {};
  private readonly byWorkload = new Map<string, CertificateAndKey>();
  private readonly localities = new Map<string, Locality>();
  private readonly byName = new Map<string, CertificateAndKey>();
  private readonly bundles = new Map<string, string>();
  /** By the name of the bundle; never removed, so that a list that is gone for a while lets nobody in. */
  private readonly guards = new Map<string, DeniedPeers>();

  of(workload: string): CertificateAndKey | undefined {
    return this.byWorkload.get(workload);
  }

  /** One that was given by name; those of workloads have none. */
  certificate(name: string): CertificateAndKey | undefined {
    return this.byName.get(name);
  }

  /** What a `certificateName` of the configuration stands for when this workload listens or calls. */
  resolve(certificateName: string, workload: string): CertificateAndKey | undefined {
    return certificateName === WORKLOAD_CERTIFICATE ? this.of(workload) : this.certificate(certificateName);
  }

  /** Completes "… not ready: ". Why `resolve` gives nothing. */
  missing(certificateName: string, workload: string): string {
    return certificateName === WORKLOAD_CERTIFICATE
      ? `workload ${workload} has no certificate yet`
      : `the certificate "${certificateName}" has not been given`;
  }

  roots(bundleName: string): string | undefined {
    return this.bundles.get(bundleName);
  }

  /** Where the workload runs; undefined: not known. */
  localityOf(workload: string): Locality | undefined {
    return this.localities.get(workload);
  }

  set(workload: string, identity: CertificateAndKey & { readonly locality?: Locality }): void {
    if (identity.locality === undefined) this.localities.delete(workload);
    else this.localities.set(workload, identity.locality);
    this.byWorkload.set(workload, { certificatePem: identity.certificatePem, keyPem: identity.keyPem });
    this.onChange();
  }

  remove(workload: string): void {
    this.localities.delete(workload);
    if (this.byWorkload.delete(workload)) this.onChange();
  }

  /** Throws RangeError for the name that stands for the workload's own certificate. */
  setCertificate(name: string, certificate: CertificateAndKey): void {
    if (name === WORKLOAD_CERTIFICATE) throw new RangeError(`the name "${name}" stands for the certificates of the workloads`);
    this.byName.set(name, { certificatePem: certificate.certificatePem, keyPem: certificate.keyPem });
    this.onChange();
  }

  removeCertificate(name: string): void {
    if (this.byName.delete(name)) this.onChange();
  }

  /** Who is denied by a bundle. The same object as long as this one lives. */
  guard(bundleName: string): DeniedPeers {
    let guard = this.guards.get(bundleName);
    if (guard === undefined) this.guards.set(bundleName, (guard = new DeniedPeers()));
    return guard;
  }

  /** Who has come to be denied. */
  setBundles(upserts: readonly TrustBundle[], removed: readonly string[]): LostConnections[] {
    let haveRootsChanged = removed.filter((name) => this.bundles.delete(name)).length > 0;
    const lost: LostConnections[] = [];
    for (const { name, rootsPem, denied = [] } of upserts) {
      if (this.bundles.get(name) !== rootsPem) haveRootsChanged = true;
      this.bundles.set(name, rootsPem);
      lost.push(...this.guard(name).replace(denied));
    }
    if (haveRootsChanged) this.onChange();
    return lost;
  }

  get workloads(): string[] {
    return [...this.byWorkload.keys()].sort();
  }

  get certificateNames(): string[] {
    return [...this.byName.keys()].sort();
  }

  get bundleNames(): string[] {
    return [...this.bundles.keys()].sort();
  }
}
