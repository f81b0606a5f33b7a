// Keys, hashes and signatures, on node:crypto. One kind of key throughout the mesh: ECDSA on P-256 with SHA-256.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import { subjectPublicKeyBits } from '@heddle/core';

export interface KeyPair {
  /** PKCS #8. */
  readonly keyPem: string;
  /** SubjectPublicKeyInfo. */
  readonly spkiDer: Uint8Array;
  /** ECDSA with SHA-256 over the bytes; the signature in DER. */
  sign(bytes: Uint8Array): Uint8Array;
}

export function generateKeyPair(): KeyPair {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return keyPair(privateKey, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
}

/** Throws Error, without the key in its message, when the PEM holds no private P-256 key. */
export function readKeyPair(keyPem: string): KeyPair {
  let key: KeyObject;
  try {
    key = createPrivateKey(keyPem);
  } catch (error) {
    throw new Error('this is not a private key in PEM', { cause: error });
  }
  if (!isP256(key))
    throw new Error(
      `this is a ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? 'different'} key; ECDSA on P-256 is needed`,
    );
  return keyPair(key, keyPem);
}

function keyPair(privateKey: KeyObject, keyPem: string): KeyPair {
  return {
    keyPem,
    spkiDer: createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    sign: (bytes) => sign('sha256', bytes, { key: privateKey, dsaEncoding: 'der' }),
  };
}

function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

/** The one usual encoding of a P-256 public key (DER); undefined for other keys, points off the curve and damaged bytes. */
export function canonicalP256(spkiDer: Uint8Array): Uint8Array | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
    return isP256(key) ? key.export({ type: 'spki', format: 'der' }) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the P-256 key signed the bytes (ECDSA with SHA-256, the signature in DER). Never throws. */
export function isSignature(spkiDer: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
    return isP256(key) && verify('sha256', bytes, { key, dsaEncoding: 'der' }, signature);
  } catch {
    return false;
  }
}

export function sha256(bytes: Uint8Array | string): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

/** base64url SHA-256 of a SubjectPublicKeyInfo (DER): what join tokens pin. */
export function pinOfKey(spkiDer: Uint8Array): string {
  return createHash('sha256').update(spkiDer).digest('base64url');
}

/** 20 bytes for the key identifier extensions: RFC 7093 section 2, method 1. */
export function keyIdentifier(spkiDer: Uint8Array): Uint8Array {
  return sha256(subjectPublicKeyBits(spkiDer)).subarray(0, 20);
}

/** Takes the same time wherever the first difference is. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
