// Certificates for tests: a root and leaves of services. Tests only.
import { randomBytes } from 'node:crypto';
import { certificateTbs, distinguishedName, subjectPublicKeyBits, withSignature } from '@heddle/core';
import { generateKeyPair, sha256 } from '@heddle/runtime/node';
import type { KeyPair } from '@heddle/runtime/node';
import type { WorkloadIdentity } from '../data-plane.ts';

const HOUR_MS = 3_600_000;

export class TestAuthority {
  readonly rootsPem: string;
  private readonly key: KeyPair = generateKeyPair();
  private readonly nameDer = distinguishedName({ commonName: 'test root' });

  constructor() {
    this.rootsPem = this.issue(this.key, 'authority', 'spiffe://shop.test', this.nameDer);
  }

  /** An identity of a service in namespace `default`. */
  service(name: string, trustDomain = 'shop.test'): WorkloadIdentity {
    const key = generateKeyPair();
    const certificatePem = this.issue(
      key,
      'leaf',
      `spiffe://${trustDomain}/ns/default/svc/${name}`,
      distinguishedName({ commonName: name }),
    );
    return { certificatePem, keyPem: key.keyPem };
  }

  private issue(key: KeyPair, role: 'authority' | 'leaf', uri: string, subjectDer: Uint8Array): string {
    const tbs = certificateTbs({
      serial: randomBytes(16),
      issuerDer: this.nameDer,
      subjectDer,
      notBeforeMs: Date.now() - HOUR_MS,
      notAfterMs: Date.now() + HOUR_MS,
      spkiDer: key.spkiDer,
      role,
      names: { uris: [uri] },
      subjectKeyId: keyIdOf(key),
      authorityKeyId: keyIdOf(this.key),
    });
    const base64 = Buffer.from(withSignature(tbs, this.key.sign(tbs))).toString('base64');
    return `-----BEGIN CERTIFICATE-----\n${base64.match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----\n`;
  }
}

function keyIdOf(key: KeyPair): Uint8Array {
  return sha256(subjectPublicKeyBits(key.spkiDer)).subarray(0, 20);
}
