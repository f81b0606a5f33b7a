// Keys, hashes and signatures, on node:crypto. Workloads and roots have ECDSA on P-256 with SHA-256, or Ed25519; authorities of others may
// also have P-384 or RSA.
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
import { type SignatureAlgorithm, subjectPublicKeyBits } from '@heddle/core';

export type KeyType = 'p256' | 'ed25519';

export interface KeyPair {
  /** PKCS #8, encrypted where it was read so. */
  readonly keyPem: string;
  /** SubjectPublicKeyInfo. */
  readonly spkiDer: Uint8Array;
  /** Of `sign`. */
  readonly algorithm: SignatureAlgorithm;
  /** The signature over the bytes: in DER with ECDSA, else its octets. */
  sign(bytes: Uint8Array): Uint8Array;
}

/** RFC 8446 9.1 and the Baseline Requirements: nobody accepts shorter ones. */
const RSA_BITS_MIN = 2_048;

export function generateKeyPair(type: KeyType = 'p256'): KeyPair {
  const { privateKey } = type === 'p256' ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }) : generateKeyPairSync('ed25519');
  return keyPair(privateKey, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, algorithmOf(privateKey) as SignatureAlgorithm);
}

/** Throws Error, without the key in its message, when the PEM holds no private key on P-256 or of Ed25519. */
export function readKeyPair(keyPem: string): KeyPair {
  return readPrivateKey(keyPem, undefined, ['ecdsaWithSha256', 'ed25519'], 'ECDSA on P-256, or Ed25519, is needed');
}

/**
 * Of an authority, also with P-384 or RSA of 2,048 bits or more. Throws Error, without key and passphrase in its message. A key that is not
 * encrypted is read whether there is a passphrase or not.
 */
export function readAuthorityKey(keyPem: string, passphrase?: string): KeyPair {
  return readPrivateKey(keyPem, passphrase, undefined, 'ECDSA on P-256 or P-384, Ed25519 or RSA is needed');
}

/** Whether a passphrase is needed. */
export function isEncryptedKey(keyPem: string): boolean {
  return /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(keyPem);
}

function readPrivateKey(
  keyPem: string,
  passphrase: string | undefined,
  algorithms: readonly SignatureAlgorithm[] | undefined,
  needed: string,
): KeyPair {
  if (isEncryptedKey(keyPem) && passphrase === undefined) throw new Error('this key is encrypted, and there is no passphrase');
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: keyPem, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (error) {
    if (isEncryptedKey(keyPem)) throw new Error('the passphrase is wrong, or the key is damaged', { cause: error });
    throw new Error('this is not a private key in PEM', { cause: error });
  }
  const algorithm = algorithmOf(key);
  if (algorithm === undefined || algorithms?.includes(algorithm) === false)
    throw new Error(`this is a ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? 'different'} key; ${needed}`);
  return keyPair(key, keyPem, algorithm);
}

function keyPair(privateKey: KeyObject, keyPem: string, algorithm: SignatureAlgorithm): KeyPair {
  return {
    keyPem,
    spkiDer: createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    algorithm,
    sign: (bytes) => sign(HASHES[algorithm], bytes, { key: privateKey, dsaEncoding: 'der' }),
  };
}

/** Ed25519 hashes by itself. */
const HASHES: Readonly<Record<SignatureAlgorithm, string | null>> = {
  ecdsaWithSha256: 'sha256',
  ecdsaWithSha384: 'sha384',
  rsaWithSha256: 'sha256',
  ed25519: null,
};

/** By which a key signs here; undefined for keys that are not used. */
function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SignatureAlgorithm | undefined {
  if (asymmetricKeyType === 'ed25519') return 'ed25519';
  if (asymmetricKeyType === 'rsa') return (asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS_MIN ? 'rsaWithSha256' : undefined;
  if (asymmetricKeyType !== 'ec') return undefined;
  if (asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ecdsaWithSha256';
  return asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'ecdsaWithSha384' : undefined;
}

export interface WorkloadKey {
  /** SubjectPublicKeyInfo, in its one usual encoding. */
  readonly spkiDer: Uint8Array;
  readonly algorithm: 'ecdsaWithSha256' | 'ed25519';
  /** Never throws. */
  verifies(bytes: Uint8Array, signature: Uint8Array): boolean;
}

/** A public key as workloads may have it; undefined for other keys, points off the curve and damaged bytes. */
export function workloadKey(spkiDer: Uint8Array): WorkloadKey | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
    const algorithm = algorithmOf(key);
    if (algorithm !== 'ecdsaWithSha256' && algorithm !== 'ed25519') return undefined;
    return {
      spkiDer: key.export({ type: 'spki', format: 'der' }),
      algorithm,
      verifies: (bytes, signature) => {
        try {
          return verify(HASHES[algorithm], bytes, { key, dsaEncoding: 'der' }, signature);
        } catch {
          return false;
        }
      },
    };
  } catch {
    return undefined;
  }
}

/** Whether a workload's key signed the bytes. Never throws. */
export function isSignature(spkiDer: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  return workloadKey(spkiDer)?.verifies(bytes, signature) ?? false;
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
