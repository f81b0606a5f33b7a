// @peculiar/x509 as an independent reader and writer of what the authority issues and takes.
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createCsr, generateKeyPair, keyIdentifier, nodeClock, nodeRandom, pinOfKey } from '@heddle/runtime/node';
import { silent } from '../testing/mesh.ts';
import { openAuthority } from './authority.ts';

/** The library's dependency container wants the metadata proposal on Reflect and uses these three of its functions. */
function provideReflectMetadata(): void {
  const all = new WeakMap<object, Map<unknown, unknown>>();
  const own = (key: unknown, target: object): unknown => all.get(target)?.get(key);
  const inherited = (key: unknown, target: object | null): unknown =>
    target === null ? undefined : (own(key, target) ?? inherited(key, Object.getPrototypeOf(target) as object | null));
  Object.assign(Reflect, {
    getOwnMetadata: own,
    getMetadata: inherited,
    defineMetadata: (key: unknown, value: unknown, target: object) =>
      all.set(target, (all.get(target) ?? new Map<unknown, unknown>()).set(key, value)),
  });
}
provideReflectMetadata();
const x509 = await import('@peculiar/x509');
x509.cryptoProvider.set(webcrypto as Crypto);

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

test('another implementation reads the certificates as they are meant', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'heddle-ca-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const authority = await openAuthority({ stateDir: dir, trustDomain: 'shop', clock: nodeClock, random: nodeRandom, logger: silent });
  const key = generateKeyPair();
  const issued = await authority.sign({
    csrDer: createCsr(key),
    identity: { trustDomain: 'shop', namespace: 'default', name: 'orders' },
    dns: ['orders'],
    ips: ['10.0.0.1', '2001:db8::1'],
  });
  const root = new x509.X509Certificate(authority.rootsPem);
  const leaf = new x509.X509Certificate(issued.certificatePem);
  assert.ok(await root.isSelfSigned());
  assert.ok(await leaf.verify({ publicKey: root.publicKey, date: new Date() }));
  assert.equal(leaf.issuer, root.subject);
  assert.equal(leaf.getExtension(x509.BasicConstraintsExtension)?.ca, false);
  assert.equal(root.getExtension(x509.BasicConstraintsExtension)?.pathLength, 0);
  assert.equal(leaf.getExtension(x509.KeyUsagesExtension)?.usages, x509.KeyUsageFlags.digitalSignature);
  assert.equal(root.getExtension(x509.KeyUsagesExtension)?.usages, x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign);
  assert.deepEqual(leaf.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON(), [
    { type: 'url', value: 'spiffe://shop/ns/default/svc/orders' },
    { type: 'dns', value: 'orders' },
    { type: 'ip', value: '10.0.0.1' },
    { type: 'ip', value: '2001:db8::1' },
  ]);
  assert.equal(leaf.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId, Buffer.from(keyIdentifier(key.spkiDer)).toString('hex'));
  assert.equal(
    leaf.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId,
    root.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId,
  );
  assert.equal(leaf.notAfter.getTime(), issued.notAfterMs);
});

test('requests pass in both directions', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'heddle-ca-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const authority = await openAuthority({ stateDir: dir, trustDomain: 'shop', clock: nodeClock, random: nodeRandom, logger: silent });
  assert.ok(await new x509.Pkcs10CertificateRequest(Uint8Array.from(createCsr(generateKeyPair()))).verify());
  const keys = (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const foreign = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=evil',
    keys,
    signingAlgorithm: P256,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'evil.example' }])],
    attributes: [new x509.ChallengePasswordAttribute('secret')],
  });
  assert.equal(authority.checkCsr(new Uint8Array(foreign.rawData)), pinOfKey(new Uint8Array(foreign.publicKey.rawData)));
});
