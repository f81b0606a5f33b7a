// The way from a certificate to one of the roots (RFC 5280 6.1), as far as TLS libraries leave it to us: signatures, validity, path lengths and
// names. Revocation lists are not asked for: identities are denied instead, and certificates are short-lived.
import { X509Certificate } from 'node:crypto';
import { type CertificateFacts, type ConstrainedNames, decodePem, DerError, forbiddenName, readCertificate } from '@heddle/core';

/** Leaf, two or three intermediates and a root are what is met; each step costs a signature check. */
export const INTERMEDIATES_MAX = 8;
const DEPTH_MAX = 5;

export interface ChainLink {
  readonly der: Uint8Array;
  readonly facts: CertificateFacts;
}

interface Authority extends ChainLink {
  readonly certificate: X509Certificate;
  readonly isRoot: boolean;
}

export interface PathOptions {
  readonly leafDer: Uint8Array;
  /** Authorities that may stand between; those that cannot be read count as absent. At most 8 are looked at. */
  readonly intermediates: readonly Uint8Array[];
  readonly rootsPem: string;
}

/**
 * From the certificate's issuer to the root; undefined when there is no way on which every signature is right. The certificate itself is not
 * looked at otherwise. Never throws.
 */
export function pathToRoot({ leafDer, intermediates, rootsPem }: PathOptions): readonly ChainLink[] | undefined {
  const roots = decodePem('CERTIFICATE', rootsPem).flatMap((der) => authorityOf(der, true));
  // A root that is shown along is none of ours by that.
  const between = intermediates.slice(0, INTERMEDIATES_MAX).flatMap((der) => authorityOf(der, false));
  try {
    return climb(new X509Certificate(leafDer), [...roots, ...between], []);
  } catch {
    return undefined; // Bytes that our reader takes and OpenSSL does not.
  }
}

function climb(below: X509Certificate, authorities: readonly Authority[], path: readonly Authority[]): readonly Authority[] | undefined {
  if (path.length >= DEPTH_MAX) return undefined;
  for (const authority of authorities) {
    const { certificate, isRoot } = authority;
    // `checkIssued` compares names, key identifiers and key usage; only `verify` looks at the signature.
    if (path.includes(authority) || !below.checkIssued(certificate) || !below.verify(certificate.publicKey)) continue;
    const found = isRoot ? [...path, authority] : climb(certificate, authorities, [...path, authority]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function authorityOf(der: Uint8Array, isRoot: boolean): Authority[] {
  try {
    const certificate = new X509Certificate(der);
    return certificate.ca ? [{ der, facts: readCertificate(der), certificate, isRoot }] : [];
  } catch {
    return [];
  }
}

/** Which authority on the path forbids what is below it; completes "comes from …". Undefined: none does. */
export function forbiddenBy(leaf: ConstrainedNames, path: readonly ChainLink[]): string | undefined {
  for (const [index, { facts }] of path.entries()) {
    // 4.2.1.9: as many authorities may stand between it and the leaf.
    if (facts.pathLength !== undefined && index > facts.pathLength)
      return `an authority that allows ${facts.pathLength} others below it, and there are ${index}`;
    const { nameConstraints } = facts;
    if (nameConstraints === undefined) continue;
    for (const below of [leaf, ...path.slice(0, index).map((link) => link.facts)]) {
      const forbidden = forbiddenName(nameConstraints, below);
      if (forbidden !== undefined) return `an authority that may not certify ${forbidden} (by its name constraints)`;
    }
  }
  return undefined;
}

/** All certificates of a PEM text, with what they say. Throws DerError for one that cannot be read. */
export function readChain(pem: string): ChainLink[] {
  return decodePem('CERTIFICATE', pem).map((der, index) => {
    try {
      return { der, facts: readCertificate(der) };
    } catch (error) {
      if (error instanceof DerError) throw new DerError(`certificate ${index + 1} of it: ${error.message}`);
      throw error;
    }
  });
}
