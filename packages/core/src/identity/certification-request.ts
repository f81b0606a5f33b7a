// Reading a certificate request (PKCS #10, RFC 2986 section 4) strictly, as far as an authority needs it: the key, and what
// proves that its holder asks. Subject and attributes are stepped over.
import { contextTag, TAG } from './der.ts';
import { DerError, DerReader, readOid, readWhole } from './der-reader.ts';

export interface CertificationRequest {
  /** The bytes that the signature is over. */
  readonly infoDer: Uint8Array;
  /** DER of the SubjectPublicKeyInfo, as sent. */
  readonly spkiDer: Uint8Array;
  /** Object identifier of the signature's algorithm. */
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
}

/** Throws DerError. No signature is checked. */
export function readCertificationRequest(der: Uint8Array): CertificationRequest {
  const request = new DerReader(readWhole(der, TAG.sequence));
  const info = request.take(TAG.sequence);
  const algorithm = new DerReader(request.take(TAG.sequence).content);
  const signatureBits = request.take(TAG.bitString).content;
  request.end();
  const fields = new DerReader(info.content);
  const version = fields.take(TAG.integer).content;
  if (version.length !== 1 || version[0] !== 0) throw new DerError('not a version 1 request'); // 4.1: v1 is written 0
  fields.take(TAG.sequence); // subject
  const spkiDer = fields.take(TAG.sequence).whole;
  fields.takeOptional(contextTag(0, true)); // attributes; required by 4.1, but some writers leave an empty set out
  fields.end();
  if (signatureBits[0] !== 0) throw new DerError('the signature is not a whole number of octets');
  const signatureAlgorithm = readOid(algorithm.take(TAG.oid).content); // parameters, if any, mean nothing for ECDSA (RFC 5758 3.2)
  return { infoDer: info.whole, spkiDer, signatureAlgorithm, signature: signatureBits.subarray(1) };
}
