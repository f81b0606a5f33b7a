import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { type CertificateInput, certificateTbs, csrInfo, distinguishedName, encodePem, withSignature } from '@heddle/core';
import fc from 'fast-check';
import { certificateMatchesKey, isSignedBy, readPeerId, spkiPin, verifyLeaf } from './certificates.ts';
import { createCsr, CSR_BYTES_MAX, CsrError, readCsr } from './csr.ts';
import {
  equalInConstantTime,
  generateKeyPair,
  keyIdentifier,
  type KeyPair,
  pinOfKey,
  readAuthorityKey,
  readKeyPair,
  workloadKey,
} from './keys.ts';
import { presentedChain } from './presented-chain.ts';

const NOW_MS = Date.now();
const URI = 'spiffe://shop/ns/default/svc/orders';

function issue(key: KeyPair, issuer: KeyPair, change: Partial<CertificateInput> = {}): string {
  const tbs = certificateTbs({
    serial: new Uint8Array(16).fill(9),
    issuerDer: distinguishedName({ commonName: 'root' }),
    subjectDer: distinguishedName({ commonName: 'orders' }),
    notBeforeMs: NOW_MS - 60_000,
    notAfterMs: NOW_MS + 60_000,
    spkiDer: key.spkiDer,
    role: 'leaf',
    names: { uris: [URI] },
    subjectKeyId: keyIdentifier(key.spkiDer),
    authorityKeyId: keyIdentifier(issuer.spkiDer),
    ...change,
  });
  return encodePem('CERTIFICATE', withSignature(tbs, issuer.sign(tbs)));
}

const rootOf = (key: KeyPair, change: Partial<CertificateInput> = {}): string =>
  issue(key, key, {
    role: 'authority',
    subjectDer: distinguishedName({ commonName: 'root' }),
    names: { uris: ['spiffe://shop'] },
    ...change,
  });

const rootKey = generateKeyPair();
const rootsPem = rootOf(rootKey);
const leafKey = generateKeyPair();
const leaf = issue(leafKey, rootKey);

test('a key pair reads back from its PEM', () => {
  const key = generateKeyPair();
  const back = readKeyPair(key.keyPem);
  assert.deepEqual(back.spkiDer, key.spkiDer);
  assert.deepEqual(workloadKey(key.spkiDer)?.spkiDer, key.spkiDer);
});

test('keys of other kinds are refused', () => {
  const pem = (key: { privateKey: { export(options: object): unknown } }): string =>
    key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  assert.throws(() => readKeyPair(pem(generateKeyPairSync('ec', { namedCurve: 'secp384r1' }))), /secp384r1 key/);
  assert.throws(() => readAuthorityKey(pem(generateKeyPairSync('rsa', { modulusLength: 1_024 }))), /rsa key/);
  assert.throws(() => readKeyPair(pem(generateKeyPairSync('ed448'))), /ed448 key/);
  assert.throws(() => readKeyPair('hello'), /not a private key in PEM/);
  assert.equal(workloadKey(generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' })), undefined);
  const offCurve = Uint8Array.from(leafKey.spkiDer);
  offCurve[offCurve.length - 1] = (offCurve.at(-1) as number) ^ 1;
  assert.equal(workloadKey(offCurve), undefined);
});

test('secrets are compared whole', () => {
  assert.equal(equalInConstantTime(Buffer.from('abc'), Buffer.from('abc')), true);
  assert.equal(equalInConstantTime(Buffer.from('abc'), Buffer.from('abd')), false);
  assert.equal(equalInConstantTime(Buffer.from('abc'), Buffer.from('abcd')), false);
});

test('a request proves possession of its key', () => {
  const key = generateKeyPair();
  assert.deepEqual(Buffer.from(readCsr(createCsr(key))), Buffer.from(key.spkiDer));
});

test('a request that proves nothing is refused with a reason', () => {
  const other = generateKeyPair();
  const stolen = csrInfo(distinguishedName({}), leafKey.spkiDer);
  const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).publicKey.export({ type: 'spki', format: 'der' });
  const foreign = csrInfo(distinguishedName({}), p384);
  const good = createCsr(leafKey);
  for (const [csr, reason] of [
    [new Uint8Array(0), /empty/],
    [new Uint8Array(CSR_BYTES_MAX + 1), /4097 bytes/],
    [withSignature(stolen, other.sign(stolen)), /not made by the key in it/],
    [withSignature(stolen, new Uint8Array(70)), /not made by the key in it/],
    [withSignature(foreign, other.sign(foreign)), /neither ECDSA on P-256 nor Ed25519/],
    [Buffer.concat([good, Buffer.of(0)]), /not a PKCS #10 request in DER/],
    [new X509Certificate(leaf).raw, /not a PKCS #10 request in DER/],
  ] as const) {
    assert.throws(
      () => readCsr(csr),
      (error: unknown) => error instanceof CsrError && reason.test(error.message) && /ECDSA key on P-256/.test(error.message),
      String(reason),
    );
  }
});

test('no damage to a request goes unnoticed', () => {
  const good = createCsr(leafKey);
  fc.assert(
    fc.property(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Uint8Array.from(good);
      damaged[at] = (damaged[at] as number) ^ flip;
      assert.throws(() => readCsr(damaged), CsrError);
    }),
    { numRuns: 300 },
  );
});

test('a leaf of the root is accepted, in every form a certificate comes in', () => {
  const x509 = new X509Certificate(leaf);
  for (const form of [leaf, x509, x509.raw, { raw: x509.raw }, `text\n${leaf}${rootsPem}`]) {
    const verdict = verifyLeaf({ leaf: form, rootsPem, nowMs: NOW_MS, trustDomain: 'shop' });
    assert.ok(verdict.ok);
    assert.equal(verdict.uri, URI);
    assert.deepEqual(verdict.id, { trustDomain: 'shop', namespace: 'default', name: 'orders' });
    assert.deepEqual(readPeerId(form), readPeerId(leaf));
  }
  assert.equal(spkiPin(rootsPem), pinOfKey(rootKey.spkiDer));
  assert.equal(certificateMatchesKey(leaf, leafKey.spkiDer), true);
  assert.equal(certificateMatchesKey(leaf, rootKey.spkiDer), false);
  assert.equal(isSignedBy(leaf, rootKey), true);
  assert.equal(isSignedBy(leaf, leafKey), false);
});

test('any of several roots may vouch', () => {
  const other = rootOf(generateKeyPair());
  assert.ok(verifyLeaf({ leaf, rootsPem: other + rootsPem, nowMs: NOW_MS }).ok);
});

test('a leaf that must not be trusted is refused with its reason', () => {
  const verdict = (leafPem: string, change: { rootsPem?: string; nowMs?: number; trustDomain?: string } = {}) =>
    verifyLeaf({ leaf: leafPem, rootsPem, nowMs: NOW_MS, ...change });
  const impostor = generateKeyPair();
  const early = rootOf(rootKey, { notBeforeMs: NOW_MS - 90_000, notAfterMs: NOW_MS - 30_000 });
  for (const [result, code, reason] of [
    [verdict(issue(leafKey, impostor, { authorityKeyId: keyIdentifier(rootKey.spkiDer) })), 'not-issued', /not issued/],
    [verdict(issue(leafKey, impostor)), 'not-issued', /not issued by any of the mesh's roots/],
    [verdict(leaf, { rootsPem: rootOf(impostor) }), 'not-issued', /not issued/],
    [verdict(leaf, { rootsPem: '' }), 'not-issued', /not issued/],
    [
      verdict(leaf, { rootsPem: issue(rootKey, rootKey, { subjectDer: distinguishedName({ commonName: 'root' }) }) }),
      'not-issued',
      /not issued/,
    ],
    [verdict(leaf, { nowMs: NOW_MS + 62_000 }), 'expired', /ended at/],
    [verdict(leaf, { nowMs: NOW_MS - 62_000 }), 'not-yet-valid', /valid only from/],
    [verdict(leaf, { rootsPem: early }), 'expired', /comes from a root that ended/],
    [verdict(leaf, { trustDomain: 'bank' }), 'wrong-trust-domain', /not of trust domain bank/],
    [
      verdict(issue(leafKey, rootKey, { names: { uris: ['spiffe://bank/ns/default/svc/orders'] } })),
      'wrong-trust-domain',
      /not of trust domain shop/,
    ],
    [verdict(issue(leafKey, rootKey, { role: 'authority' })), 'no-identity', /belongs to an authority/],
    [verdict('nothing'), 'no-identity', /no certificate in this PEM/],
  ] as const) {
    assert.ok(!result.ok, code);
    assert.equal(result.code, code);
    assert.match(result.reason, reason);
  }
});

test('the chain that a server shows is seen without trusting it', async (t) => {
  const server = tls.createServer({ cert: leaf + rootsPem, key: leafKey.keyPem, ALPNProtocols: ['h2'] });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const chain = await presentedChain({ address: '127.0.0.1', port, timeoutMs: 5_000, alpn: ['h2'], serverName: 'control.mesh.internal' });
  assert.deepEqual(
    chain.map((der) => Buffer.from(der).toString('hex')),
    [leaf, rootsPem].map((pem) => new X509Certificate(pem).raw.toString('hex')),
  );
});

test('a server that says nothing, hangs up, or is not there gives an error and leaves nothing open', async (t) => {
  let hangUp = false;
  const server = createServer((socket) => {
    socket.on('error', () => {}).resume();
    if (hangUp) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await assert.rejects(presentedChain({ address: '127.0.0.1', port, timeoutMs: 50 }), { code: 'ETIMEDOUT' });
  const abort = new AbortController();
  const given = presentedChain({ address: '127.0.0.1', port, timeoutMs: 60_000, signal: abort.signal });
  abort.abort();
  await assert.rejects(given, { code: 'ECANCELED' });
  hangUp = true;
  await assert.rejects(presentedChain({ address: '127.0.0.1', port, timeoutMs: 5_000 }));
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(presentedChain({ address: '127.0.0.1', port, timeoutMs: 5_000 }), { code: 'ECONNREFUSED' });
});
