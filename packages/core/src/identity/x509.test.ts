import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CertificateFacts, readCertificate, readSvid } from './certificate-facts.ts';
import { readCertificationRequest } from './certification-request.ts';
import {
  asciiBytes,
  contextTag,
  derBoolean,
  derContext,
  derContextPrimitive,
  derElement,
  derInteger,
  derNamedBits,
  derOctetString,
  derOid,
  derSequence,
  derTime,
} from './der.ts';
import { DerError } from './der-reader.ts';
import { decodePem, encodePem } from './pem.ts';
import { type CertificateInput, certificateTbs, csrInfo, distinguishedName, OID, subjectPublicKeyBits, withSignature } from './x509.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const SPKI = publicKey.export({ type: 'spki', format: 'der' });
const START_MS = Date.UTC(2030, 0, 1);
const URI = 'spiffe://shop/ns/default/svc/orders';

const signed = (part: Uint8Array, key: KeyObject = privateKey): Uint8Array => withSignature(part, sign('sha256', part, key));

function input(change: Partial<CertificateInput> = {}): CertificateInput {
  return {
    serial: new Uint8Array(16).fill(0xff),
    issuerDer: distinguishedName({ organization: 'Heddle', commonName: 'root of shop' }),
    subjectDer: distinguishedName({ commonName: 'orders' }),
    notBeforeMs: START_MS,
    notAfterMs: START_MS + 3_600_000,
    spkiDer: SPKI,
    role: 'leaf',
    names: { uris: [URI] },
    subjectKeyId: new Uint8Array(20).fill(1),
    authorityKeyId: new Uint8Array(20).fill(2),
    ...change,
  };
}

const leaf = (change: Partial<CertificateInput> = {}): Uint8Array => signed(certificateTbs(input(change)));

interface HandMade {
  readonly extensions: readonly Uint8Array[];
  readonly version?: number;
}

/** A certificate whose extensions are written by hand: what no builder of ours would make. */
function handMade({ extensions, version = 2 }: HandMade): Uint8Array {
  const algorithm = derSequence(derOid(OID.ecdsaWithSha256));
  const name = distinguishedName({ commonName: 'x' });
  const validity = derSequence(derTime(START_MS), derTime(START_MS + 1000));
  return signed(
    derSequence(
      derContext(0, derInteger(version)),
      derInteger(5),
      algorithm,
      name,
      validity,
      name,
      SPKI,
      derContext(3, derSequence(...extensions)),
    ),
  );
}

const extension = (oid: string, value: Uint8Array, critical = false): Uint8Array =>
  derSequence(derOid(oid), ...(critical ? [derBoolean(true)] : []), derOctetString(value));
const uriNames = (...uris: string[]): Uint8Array =>
  extension(OID.subjectAltName, derSequence(...uris.map((uri) => derContextPrimitive(6, asciiBytes(uri)))));
const USAGE = extension(OID.keyUsage, derNamedBits([0]), true);

test('a leaf is what node and OpenSSL take for one', () => {
  const der = leaf({ names: { uris: [URI], dns: ['localhost', 'control.mesh.internal'], ips: ['127.0.0.1', '::1'] } });
  const certificate = new X509Certificate(der);
  assert.equal(certificate.subject, 'CN=orders');
  assert.equal(certificate.issuer, 'O=Heddle\nCN=root of shop');
  assert.equal(
    certificate.subjectAltName,
    `URI:${URI}, DNS:localhost, DNS:control.mesh.internal, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1`,
  );
  assert.equal(certificate.ca, false);
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.equal(Date.parse(certificate.validFrom), START_MS);
  assert.equal(Date.parse(certificate.validTo), START_MS + 3_600_000);
  assert.ok(certificate.verify(publicKey));
  assert.ok(certificate.publicKey.equals(publicKey));
  assert.equal(certificate.checkHost('localhost'), 'localhost');
  assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1');
});

test('an authority is one', () => {
  const certificate = new X509Certificate(leaf({ role: 'authority', names: { uris: ['spiffe://shop'] } }));
  assert.equal(certificate.ca, true);
});

test('what a certificate says is read as it was written', () => {
  const facts: CertificateFacts = readCertificate(leaf());
  assert.deepEqual(facts.uris, [URI]);
  assert.equal(facts.isAuthority, false);
  assert.deepEqual(facts.keyUsage, [0]);
  assert.deepEqual(facts.extKeyUsage, [OID.serverAuth, OID.clientAuth]);
  assert.equal(facts.notBeforeMs, START_MS);
  assert.equal(facts.notAfterMs, START_MS + 3_600_000);
  assert.deepEqual(Buffer.from(facts.spkiDer), SPKI);
  assert.deepEqual(Buffer.from(facts.subjectDer), Buffer.from(distinguishedName({ commonName: 'orders' })));
  assert.deepEqual([...(facts.subjectKeyId ?? [])], new Array<number>(20).fill(1));
  const authority = readCertificate(leaf({ role: 'authority', names: { uris: ['spiffe://shop'] } }));
  assert.equal(authority.isAuthority, true);
  assert.deepEqual(authority.keyUsage, [5, 6]);
});

test('a serial number is positive and of its full length, whatever the random bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 20 }), (serial) => {
      const text = new X509Certificate(leaf({ serial })).serialNumber;
      assert.equal(text.length, serial.length * 2);
      assert.match(text, /^[4-7]/);
    }),
    { numRuns: 50 },
  );
  assert.throws(() => leaf({ serial: new Uint8Array(7) }), RangeError);
  assert.throws(() => leaf({ serial: new Uint8Array(21) }), RangeError);
});

test('names that no certificate can hold are refused', () => {
  for (const names of [
    { uris: [] },
    { uris: ['spiffe://shöp'] },
    { uris: [], dns: ['a b'] },
    { uris: [], dns: ['*'] },
    { uris: [], dns: [''] },
    { uris: [], ips: ['localhost'] },
    { uris: [], ips: ['[::1]'] },
  ]) {
    assert.throws(() => leaf({ names }), RangeError, JSON.stringify(names));
  }
  assert.throws(() => distinguishedName({ commonName: 'x'.repeat(65) }), RangeError);
  assert.throws(() => distinguishedName({ commonName: '' }), RangeError);
  assert.throws(() => leaf({ notAfterMs: START_MS }), /end before it begins/);
});

test('with an empty subject the alternative names are critical', () => {
  const written = Buffer.from(leaf({ subjectDer: distinguishedName({}) })).toString('hex');
  assert.ok(written.includes(Buffer.from([...derOid(OID.subjectAltName), 0x01, 0x01, 0xff]).toString('hex')));
});

test('a request is read as it was written', () => {
  const info = csrInfo(distinguishedName({ commonName: 'x' }), SPKI);
  const request = readCertificationRequest(signed(info));
  assert.deepEqual(Buffer.from(request.infoDer), Buffer.from(info));
  assert.deepEqual(Buffer.from(request.spkiDer), SPKI);
  assert.equal(request.signatureAlgorithm, OID.ecdsaWithSha256);
  assert.throws(() => readCertificationRequest(Buffer.concat([signed(info), Buffer.of(0)])), DerError);
  assert.throws(() => readCertificationRequest(leaf()), DerError);
});

test('the key bits are those of the public key', () => {
  const point = subjectPublicKeyBits(SPKI);
  assert.equal(point.length, 65);
  assert.ok(createPublicKey({ key: SPKI, format: 'der', type: 'spki' }).equals(publicKey));
  assert.deepEqual(Buffer.from(point), SPKI.subarray(-65));
  assert.throws(() => subjectPublicKeyBits(new Uint8Array(3)), DerError);
});

test('the identity of a workload is read from its certificate', () => {
  const svid = readSvid(leaf({ names: { uris: [URI], dns: ['localhost'] } }));
  assert.ok(svid.ok);
  assert.deepEqual(svid.id, { trustDomain: 'shop', namespace: 'default', name: 'orders' });
  assert.equal(svid.uri, URI);
});

test('a certificate that SPIFFE does not allow for a workload has no identity', () => {
  for (const [der, reason] of [
    [leaf({ names: { uris: [], dns: ['orders'] } }), /no SPIFFE id/],
    [leaf({ names: { uris: [URI, URI] } }), /2 URIs/],
    [leaf({ names: { uris: [URI, 'https://orders'] } }), /2 URIs/],
    [leaf({ names: { uris: ['https://orders'] } }), /not of the form/],
    [leaf({ names: { uris: ['spiffe://shop'] } }), /not of the form/],
    [leaf({ role: 'authority' }), /belongs to an authority/],
    [handMade({ extensions: [uriNames(URI)] }), /digitalSignature is missing/],
    [handMade({ extensions: [uriNames(URI), extension(OID.keyUsage, derNamedBits([2]))] }), /digitalSignature is missing/],
    [handMade({ extensions: [uriNames(URI), extension(OID.keyUsage, derNamedBits([0, 5]))] }), /may sign certificates/],
    [handMade({ extensions: [uriNames(URI), extension(OID.keyUsage, derNamedBits([0, 6]))] }), /revocation lists/],
    [
      handMade({ extensions: [uriNames(URI), USAGE, extension(OID.extKeyUsage, derSequence(derOid(OID.serverAuth)))] }),
      /both TLS servers and clients/,
    ],
    [handMade({ extensions: [uriNames(URI), USAGE, uriNames(URI)] }), /occurs twice/],
    [handMade({ extensions: [uriNames(URI), USAGE, extension('1.2.3.4', derInteger(1), true)] }), /critical extension 1\.2\.3\.4/],
    [handMade({ extensions: [uriNames(URI), USAGE], version: 1 }), /version 3/],
    [Buffer.concat([leaf(), Buffer.of(0)]), /cannot be read/],
    [new Uint8Array(20_000), /20000 bytes/],
    [new Uint8Array(0), /cannot be read/],
  ] as const) {
    const svid = readSvid(der);
    assert.ok(!svid.ok, String(reason));
    assert.match(svid.reason, reason);
  }
  assert.equal(
    readSvid(handMade({ extensions: [uriNames(URI), USAGE] })).ok,
    true,
    'an extended key usage is not required (X.509-SVID 4.4)',
  );
  assert.equal(readSvid(handMade({ extensions: [uriNames(URI), USAGE, extension('1.2.3.4', derInteger(1))] })).ok, true);
});

test('a crafted name cannot imitate an identity', () => {
  const other = (tag: number, text: string): Uint8Array => extension(OID.subjectAltName, derSequence(derElement(tag, asciiBytes(text))));
  for (const [what, names] of [
    ['URI with a list separator', uriNames(`${URI}, DNS:localhost`)],
    ['URI with a list separator before', uriNames(`x, URI:${URI}`)],
    ['URI with a line feed', uriNames(`${URI}\nURI:${URI}`)],
    ['URI with a NUL', uriNames(`${URI}\0.evil`)],
    ['URI with quotes', uriNames(`"${URI}"`)],
    ['DNS name that looks like a printed URI', other(contextTag(2, false), `x, URI:${URI}`)],
    ['mail address', other(contextTag(1, false), URI)],
    ['constructed URI', other(contextTag(6, true), URI)],
  ] as const) {
    assert.equal(readSvid(handMade({ extensions: [names, USAGE] })).ok, false, what);
  }
});

test('any damage to a certificate is survived', () => {
  const good = leaf();
  fc.assert(
    fc.property(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }), (at, value) => {
      const damaged = Uint8Array.from(good);
      damaged[at] = value;
      const svid = readSvid(damaged);
      if (svid.ok) assert.match(svid.uri, /^spiffe:\/\/[a-z0-9._-]+\/ns\//);
      else assert.notEqual(svid.reason, '');
    }),
    { numRuns: 2_000 },
  );
});

test('PEM reads back what it wrote, and skips what is not asked for', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 4 }), (blocks) => {
      const text = `# roots\n${blocks.map((block) => encodePem('CERTIFICATE', block)).join('comment\n')}${encodePem('CERTIFICATE REQUEST', Buffer.of(1))}`;
      assert.deepEqual(
        decodePem('CERTIFICATE', text).map((block) => [...block]),
        blocks.map((block) => [...block]),
      );
    }),
  );
  const der = leaf();
  assert.equal(encodePem('CERTIFICATE', der), new X509Certificate(der).toString());
});
