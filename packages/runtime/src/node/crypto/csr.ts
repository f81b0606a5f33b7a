// Certificate requests: the workload makes one, the authority checks it. A request proves that its sender holds the key, and
// nothing else: names, extensions and attributes in it have no effect.
import { csrInfo, DerError, distinguishedName, OID, readCertificationRequest, withSignature } from '@heddle/core';
import { type KeyPair, workloadKey } from './keys.ts';

/** A request with a P-256 key has some 200 bytes, with a subject and some extensions 600. */
export const CSR_BYTES_MAX = 4_096;

/** PKCS #10 in DER, with an empty subject (RFC 2986 4.1 allows it). */
export function createCsr(key: KeyPair): Uint8Array {
  const info = csrInfo(distinguishedName({}), key.spkiDer);
  return withSignature(info, key.sign(info), key.algorithm);
}

/** The request cannot be used; the message says why and how to mend it. gRPC: INVALID_ARGUMENT. */
export class CsrError extends Error {
  constructor(reason: string) {
    super(
      `The certificate request cannot be used: ${reason}. Send a PKCS #10 request in DER with an ECDSA key on P-256, signed by that key with SHA-256, or with an Ed25519 key.`,
    );
    this.name = 'CsrError';
  }
}

/** SubjectPublicKeyInfo (DER) of the key whose possession the request proves. Throws CsrError. */
export function readCsr(csrDer: Uint8Array): Uint8Array {
  if (csrDer.length === 0) throw new CsrError('it is empty');
  if (csrDer.length > CSR_BYTES_MAX) throw new CsrError(`it has ${csrDer.length} bytes, at most ${CSR_BYTES_MAX} are read`);
  const request = parse(csrDer);
  const key = workloadKey(request.spkiDer);
  if (key === undefined) throw new CsrError('its key is neither ECDSA on P-256 nor Ed25519');
  if (request.signatureAlgorithm !== OID[key.algorithm])
    throw new CsrError(
      `it is signed with algorithm ${request.signatureAlgorithm}, not ${key.algorithm === 'ed25519' ? 'Ed25519' : 'ECDSA with SHA-256'}`,
    );
  if (!key.verifies(request.infoDer, request.signature)) throw new CsrError('its signature was not made by the key in it');
  return key.spkiDer;
}

function parse(csrDer: Uint8Array): ReturnType<typeof readCertificationRequest> {
  try {
    return readCertificationRequest(csrDer);
  } catch (error) {
    if (error instanceof DerError) throw new CsrError(`it is not a PKCS #10 request in DER (${error.message})`);
    throw error;
  }
}
