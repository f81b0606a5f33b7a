// Who a certificate speaks for and whether a root vouches for it. Where TLS already verified a chain, `readPeerId` is enough.
import { createPublicKey, X509Certificate } from 'node:crypto';
import {
  type CertificateFacts,
  decodePem,
  parseTrustDomain,
  readCertificate,
  readSvid,
  type SpiffeId,
  type SvidResult,
} from '@heddle/core';
import { forbiddenBy, pathToRoot } from './chain.ts';
import { type KeyPair, pinOfKey } from './keys.ts';

/** PEM (the first certificate counts), DER, an `X509Certificate`, or what `tls.TLSSocket#getPeerCertificate` returns. */
export type AnyCertificate = string | Uint8Array | { readonly raw: Uint8Array };

/** Throws Error when a PEM text holds no certificate. */
export function certificateDer(certificate: AnyCertificate): Uint8Array {
  if (typeof certificate === 'string') {
    const first = decodePem('CERTIFICATE', certificate)[0];
    if (first === undefined) throw new Error('there is no certificate in this PEM text');
    return first;
  }
  return certificate instanceof Uint8Array ? certificate : certificate.raw;
}

/** The identity in a leaf certificate, or why there is none. Never throws. */
export function readPeerId(certificate: AnyCertificate): SvidResult {
  try {
    return readSvid(certificateDer(certificate));
  } catch (error) {
    return { ok: false, reason: `cannot be read: ${(error as Error).message}` };
  }
}

/** base64url SHA-256 of the certificate's SubjectPublicKeyInfo. Throws when the certificate cannot be read. */
export function spkiPin(certificate: AnyCertificate): string {
  return pinOfKey(readCertificate(certificateDer(certificate)).spkiDer);
}

export interface VerifyLeafOptions {
  /** In PEM, what follows the leaf may stand between it and the root. */
  readonly leaf: AnyCertificate;
  /** DER of more authorities that may. */
  readonly intermediates?: readonly Uint8Array[];
  /** PEM of one or several roots. */
  readonly rootsPem: string;
  /** Unix time. */
  readonly nowMs: number;
  /** When given, the leaf must be of this trust domain. */
  readonly trustDomain?: string;
}

export type VerifyLeafCode = 'no-identity' | 'not-issued' | 'forbidden' | 'not-yet-valid' | 'expired' | 'wrong-trust-domain';

export type VerifyLeafResult =
  | {
      readonly ok: true;
      readonly id: SpiffeId;
      readonly uri: string;
      readonly notBeforeMs: number;
      readonly notAfterMs: number;
      readonly rootDer: Uint8Array;
    }
  | { readonly ok: false; readonly code: VerifyLeafCode /** Completes "the certificate …". */; readonly reason: string };

/** Issued by one of the roots, valid now, a workload's certificate (X.509-SVID section 5) of the root's trust domain. Never throws. */
export function verifyLeaf(options: VerifyLeafOptions): VerifyLeafResult {
  const svid = readPeerId(options.leaf);
  if (!svid.ok) return { ok: false, code: 'no-identity', reason: svid.reason };
  const { id, uri, facts } = svid;
  const path = pathToRoot({ leafDer: certificateDer(options.leaf), intermediates: intermediatesOf(options), rootsPem: options.rootsPem });
  const root = path?.at(-1);
  if (path === undefined || root === undefined)
    return { ok: false, code: 'not-issued', reason: `of ${uri} was not issued by any of the mesh's roots` };
  const invalid =
    outsideValidity(facts, options.nowMs, `of ${uri}`) ??
    path.reduce<ReturnType<typeof outsideValidity>>(
      (found, link) =>
        found ?? outsideValidity(link.facts, options.nowMs, `of ${uri} comes from ${link === root ? 'a root' : 'an authority'} that`),
      undefined,
    );
  if (invalid !== undefined) return { ok: false, ...invalid };
  const forbidden = forbiddenBy(facts, path);
  if (forbidden !== undefined) return { ok: false, code: 'forbidden', reason: `of ${uri} comes from ${forbidden}` };
  for (const expected of [...path.map((link) => trustDomainOf(link.facts)), options.trustDomain]) {
    if (expected !== undefined && expected !== id.trustDomain)
      return { ok: false, code: 'wrong-trust-domain', reason: `is of ${uri}, not of trust domain ${expected}` };
  }
  return { ok: true, id, uri, notBeforeMs: facts.notBeforeMs, notAfterMs: facts.notAfterMs, rootDer: root.der };
}

function outsideValidity(facts: CertificateFacts, nowMs: number, whose: string): { code: VerifyLeafCode; reason: string } | undefined {
  // RFC 5280 4.1.2.5: both ends belong to the period.
  if (nowMs < facts.notBeforeMs)
    return {
      code: 'not-yet-valid',
      reason: `${whose} is valid only from ${isoSeconds(facts.notBeforeMs)}, and this machine's clock says ${isoSeconds(nowMs)}`,
    };
  if (nowMs > facts.notAfterMs + 999) return { code: 'expired', reason: `${whose} ended at ${isoSeconds(facts.notAfterMs)}` };
  return undefined;
}

function isoSeconds(unixMs: number): string {
  return `${new Date(unixMs).toISOString().slice(0, 19)}Z`;
}

/** The one that an authority is for (X.509-SVID 3.1); those of others name none. */
function trustDomainOf({ uris }: CertificateFacts): string | undefined {
  return uris.length === 1 ? parseTrustDomain(uris[0] as string) : undefined;
}

function intermediatesOf({ leaf, intermediates = [] }: VerifyLeafOptions): readonly Uint8Array[] {
  return typeof leaf === 'string' ? [...decodePem('CERTIFICATE', leaf).slice(1), ...intermediates] : intermediates;
}

/** Whether the certificate's public key belongs to the private one. Throws Error when either cannot be read. */
export function certificateMatchesKey(certificate: AnyCertificate, spkiDer: Uint8Array): boolean {
  return Buffer.compare(readCertificate(certificateDer(certificate)).spkiDer, spkiDer) === 0;
}

/** Whether the key itself signed the certificate, as it does a root. Never throws. */
export function isSignedBy(certificate: AnyCertificate, key: Pick<KeyPair, 'spkiDer'>): boolean {
  try {
    const publicKey = createPublicKey({ key: Buffer.from(key.spkiDer), format: 'der', type: 'spki' });
    return new X509Certificate(certificateDer(certificate)).verify(publicKey);
  } catch {
    return false;
  }
}
