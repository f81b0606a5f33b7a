// A private key that only a passphrase opens: PKCS #8's EncryptedPrivateKeyInfo (RFC 5958 3) by PBES2 (RFC 8018 6.2), as every tool reads it.
// Built here, because OpenSSL's own export stretches passphrases by 2,048 rounds only.
import { createCipheriv, createPrivateKey, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { derInteger, derNull, derOctetString, derOid, derSequence, encodePem } from '@heddle/core';

/** What OWASP asks of PBKDF2 with HMAC and SHA-256; some 0.2 s, once for each start. */
const ROUNDS = 600_000;
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const BLOCK_BYTES = 16;
const OID = {
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacWithSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
} as const;

/** @param keyPem PKCS #8, not encrypted. Returns PEM. */
export async function encryptPrivateKey(keyPem: string, passphrase: string): Promise<string> {
  const plain = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' });
  const salt = randomBytes(SALT_BYTES);
  const iv = randomBytes(BLOCK_BYTES);
  const key = await promisify(pbkdf2)(passphrase, salt, ROUNDS, KEY_BYTES, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()]);
  plain.fill(0);
  key.fill(0);
  // RFC 8018 A.2 and A.4
  const derivation = derSequence(
    derOid(OID.pbkdf2),
    derSequence(derOctetString(salt), derInteger(ROUNDS), derSequence(derOid(OID.hmacWithSha256), derNull())),
  );
  const encryption = derSequence(derOid(OID.aes256Cbc), derOctetString(iv));
  const algorithm = derSequence(derOid(OID.pbes2), derSequence(derivation, encryption));
  return encodePem('ENCRYPTED PRIVATE KEY', derSequence(algorithm, derOctetString(encrypted)));
}
