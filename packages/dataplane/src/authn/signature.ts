// Checks signatures with `jose`, which is loaded when the first one is to be checked. One key, one algorithm: which, was decided before.
import { memberOf, modelAlgorithm } from '@heddle/core';
import type { PublicKey, SignedToken } from '@heddle/core';
import type { CryptoKey } from 'jose';

/** Keys in the form that they are used in, for each algorithm that they were used for. */
const imported = new WeakMap<PublicKey, Map<string, Promise<CryptoKey>>>();

/** Whether this key has signed the token. @param text of the token. */
export async function isSignedBy(key: PublicKey, text: string, { header }: SignedToken): Promise<boolean> {
  const { compactVerify } = await import('jose/jws/compact/verify');
  const alg = memberOf(header, 'alg') as string;
  try {
    await compactVerify(text, await importedKey(key, modelAlgorithm(alg)), { algorithms: [alg] });
    return true;
  } catch {
    return false;
  }
}

function importedKey(key: PublicKey, alg: string): Promise<CryptoKey> {
  let byAlgorithm = imported.get(key);
  if (byAlgorithm === undefined) {
    byAlgorithm = new Map();
    imported.set(key, byAlgorithm);
  }
  let made = byAlgorithm.get(alg);
  if (made === undefined) {
    made = importKey(key, alg);
    byAlgorithm.set(alg, made);
  }
  return made;
}

async function importKey({ jwk }: PublicKey, alg: string): Promise<CryptoKey> {
  const { importJWK } = await import('jose/key/import');
  return (await importJWK(jwk, alg)) as CryptoKey;
}
