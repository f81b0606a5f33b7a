// Certificates for tests: a root and leaves with any names, good or bad, from core's builders and node:crypto. Tests only.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { certificateTbs, distinguishedName, subjectPublicKeyBits, withSignature } from '@heddle/core';
import type { CertificateAndKey } from '../ports/network.ts';

export interface LeafOptions {
  readonly uris: readonly string[];
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

const DAY_MS = 86_400_000;

export class TestAuthority {
  readonly rootsPem: string;
  private readonly key: KeyObject;
  private readonly nameDer: Uint8Array;
  private readonly keyId: Uint8Array;

  constructor(name = 'test root') {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.key = privateKey;
    const spkiDer = publicKey.export({ type: 'spki', format: 'der' });
    this.nameDer = distinguishedName({ commonName: name });
    this.keyId = keyIdOf(spkiDer);
    this.rootsPem = this.sign(
      certificateTbs({
        serial: randomBytes(16),
        issuerDer: this.nameDer,
        subjectDer: this.nameDer,
        notBeforeMs: Date.now() - DAY_MS,
        notAfterMs: Date.now() + DAY_MS,
        spkiDer,
        role: 'authority',
        names: { uris: ['spiffe://shop.test'] },
        subjectKeyId: this.keyId,
        authorityKeyId: this.keyId,
      }),
    );
  }

  /** Valid for a day unless told otherwise. */
  leaf(options: LeafOptions): CertificateAndKey {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const spkiDer = publicKey.export({ type: 'spki', format: 'der' });
    const certificatePem = this.sign(
      certificateTbs({
        serial: randomBytes(16),
        issuerDer: this.nameDer,
        subjectDer: distinguishedName({ commonName: 'leaf' }),
        notBeforeMs: options.notBeforeMs ?? Date.now() - DAY_MS,
        notAfterMs: options.notAfterMs ?? Date.now() + DAY_MS,
        spkiDer,
        role: 'leaf',
        names: { uris: options.uris, dns: options.dns, ips: options.ips },
        subjectKeyId: keyIdOf(spkiDer),
        authorityKeyId: this.keyId,
      }),
    );
    return { certificatePem, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
  }

  /** A leaf with the identity of a service of trust domain `shop.test`. */
  service(name: string, trustDomain = 'shop.test'): CertificateAndKey {
    return this.leaf({ uris: [`spiffe://${trustDomain}/ns/default/svc/${name}`] });
  }

  private sign(tbs: Uint8Array): string {
    const der = withSignature(tbs, sign('sha256', tbs, { key: this.key, dsaEncoding: 'der' }));
    return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g)!
      .join('\n')}\n-----END CERTIFICATE-----\n`;
  }
}

function keyIdOf(spkiDer: Uint8Array): Uint8Array {
  return createHash('sha1').update(subjectPublicKeyBits(spkiDer)).digest();
}
