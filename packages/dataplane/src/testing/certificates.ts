// Certificates for tests: a root and leaves of services. Tests only.
import { randomBytes } from 'node:crypto';
import { certificateTbs, distinguishedName, subjectPublicKeyBits, withSignature } from '@heddle/core';
import type { SubjectAltNames } from '@heddle/core';
import { generateKeyPair, sha256 } from '@heddle/runtime/node';
import type { KeyPair } from '@heddle/runtime/node';
import type { WorkloadIdentity } from '../data-plane.ts';

const HOUR_MS = 3_600_000;

export class TestAuthority {
  readonly rootsPem: string;
  private readonly key: KeyPair = generateKeyPair();
  private readonly nameDer = distinguishedName({ commonName: 'test root' });

  constructor() {
    this.rootsPem = this.issue(this.key, 'authority', { uris: ['spiffe://shop.test'] }, this.nameDer);
  }

  /** An identity of a service in namespace `default`. */
  service(name: string, trustDomain = 'shop.test'): WorkloadIdentity {
    return this.leaf(name, { uris: [`spiffe://${trustDomain}/ns/default/svc/${name}`] });
  }

  /** Of a server outside the mesh. @param name in DNS. */
  server(name: string): WorkloadIdentity {
    return this.leaf(name, { uris: [], dns: [name] });
  }

  private leaf(name: string, names: SubjectAltNames): WorkloadIdentity {
    const key = generateKeyPair();
    return { certificatePem: this.issue(key, 'leaf', names, distinguishedName({ commonName: name })), keyPem: key.keyPem };
  }

  private issue(key: KeyPair, role: 'authority' | 'leaf', names: SubjectAltNames, subjectDer: Uint8Array): string {
    const tbs = certificateTbs({
      serial: randomBytes(16),
      issuerDer: this.nameDer,
      subjectDer,
      notBeforeMs: Date.now() - HOUR_MS,
      notAfterMs: Date.now() + HOUR_MS,
      spkiDer: key.spkiDer,
      role,
      names,
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
