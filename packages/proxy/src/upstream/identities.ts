// Certificates of the workloads and roots of the mesh, as they are now. Whoever made a TLS context from them is told when they change.
import type { CertificateAndKey } from '@heddle/runtime';

export class Identities {
  /** Called after every change. */
  onChange: () => void = () => {};
  private readonly byWorkload = new Map<string, CertificateAndKey>();
  private readonly bundles = new Map<string, string>();

  of(workload: string): CertificateAndKey | undefined {
    return this.byWorkload.get(workload);
  }

  roots(bundleName: string): string | undefined {
    return this.bundles.get(bundleName);
  }

  set(workload: string, identity: CertificateAndKey): void {
    this.byWorkload.set(workload, { certificatePem: identity.certificatePem, keyPem: identity.keyPem });
    this.onChange();
  }

  remove(workload: string): void {
    if (this.byWorkload.delete(workload)) this.onChange();
  }

  setBundles(upserts: readonly { readonly name: string; readonly rootsPem: string }[], removed: readonly string[]): void {
    for (const name of removed) this.bundles.delete(name);
    for (const { name, rootsPem } of upserts) this.bundles.set(name, rootsPem);
    this.onChange();
  }

  get workloads(): string[] {
    return [...this.byWorkload.keys()].sort();
  }

  get bundleNames(): string[] {
    return [...this.bundles.keys()].sort();
  }
}
