import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodePem, formatSpiffeId, type SpiffeId } from '@heddle/core';
import { createCsr, generateKeyPair, nodeClock, nodeRandom, pinOfKey, spkiPin, verifyLeaf } from '@heddle/runtime/node';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { openAuthority } from './authority.ts';
import { AuthorityError, type AuthorityOptions } from './authority-options.ts';
import type { Authority } from './authority-types.ts';
import { OPENSSL } from './testing/openssl.ts';

const ORDERS: SpiffeId = { trustDomain: 'shop', namespace: 'default', name: 'orders' };

function stateDir(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-ca-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const options = (dir: string, change: Partial<AuthorityOptions> = {}): AuthorityOptions => ({
  stateDir: dir,
  trustDomain: 'shop',
  clock: nodeClock,
  random: nodeRandom,
  logger: silent,
  ...change,
});
const open = (dir: string, change: Partial<AuthorityOptions> = {}): Promise<Authority> => openAuthority(options(dir, change));

async function refused(opening: Promise<Authority>, ...reasons: RegExp[]): Promise<void> {
  await assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof AuthorityError);
    assert.equal(error.code, 'UNUSABLE_ROOT');
    for (const reason of reasons) assert.match(error.message, reason);
    return true;
  });
}

test('the first start makes a root that later starts read', async (t) => {
  const dir = join(stateDir(t), '.heddle');
  const first = await open(dir);
  const second = await open(dir);
  assert.equal(second.rootsPem, first.rootsPem);
  assert.equal(second.pin, first.pin);
  assert.equal(first.pin, spkiPin(first.rootsPem));
  assert.deepEqual(readdirSync(join(dir, 'ca')).sort(), ['root.key.pem', 'root.pem', 'roots.pem']);
  assert.equal(statSync(join(dir, 'ca/root.key.pem')).mode & 0o777, 0o600);
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  const root = new X509Certificate(first.rootsPem);
  assert.equal(root.ca, true);
  assert.equal(root.subjectAltName, 'URI:spiffe://shop');
  assert.ok(root.verify(root.publicKey));
  assert.ok(Date.parse(root.validTo) - Date.now() > 9.9 * 365 * 86_400_000);
});

test('two first starts at the same moment agree on one root', async (t) => {
  const dir = stateDir(t);
  const all = await Promise.all(Array.from({ length: 8 }, () => open(dir)));
  assert.equal(new Set(all.map((authority) => authority.rootsPem)).size, 1);
  assert.equal((await open(dir)).rootsPem, all[0]?.rootsPem);
});

test('a start that was interrupted between key and certificate is completed, and pins stay true', async (t) => {
  const dir = stateDir(t);
  const before = await open(dir);
  rmSync(join(dir, 'ca/root.pem'));
  const after = await open(dir);
  assert.equal(after.pin, before.pin);
  const leaf = await after.sign({ csrDer: createCsr(generateKeyPair()), identity: ORDERS });
  assert.ok(
    verifyLeaf({ leaf: leaf.certificatePem, rootsPem: before.rootsPem, nowMs: Date.now() }).ok,
    'who holds the old certificate trusts the same key',
  );
});

test('a leaf says who the workload is, and the root vouches for it', async (t) => {
  const authority = await open(stateDir(t));
  const key = generateKeyPair();
  const issued = await authority.sign({ csrDer: createCsr(key), identity: ORDERS });
  const leaf = new X509Certificate(issued.certificatePem);
  const root = new X509Certificate(authority.rootsPem);
  assert.equal(issued.spiffeId, formatSpiffeId(ORDERS));
  assert.equal(leaf.subjectAltName, 'URI:spiffe://shop/ns/default/svc/orders');
  assert.equal(spkiPin(leaf), pinOfKey(key.spkiDer));
  assert.ok(leaf.checkIssued(root) && leaf.verify(root.publicKey));
  assert.equal(leaf.ca, false);
  assert.equal(Date.parse(leaf.validFrom), issued.notBeforeMs);
  assert.equal(Date.parse(leaf.validTo), issued.notAfterMs);
  const verdict = verifyLeaf({ leaf, rootsPem: authority.rootsPem, nowMs: Date.now(), trustDomain: 'shop' });
  assert.ok(verdict.ok);
  assert.deepEqual(verdict.id, ORDERS);
});

test('a leaf lives an hour, begins a minute early, and never outlives the root', async (t) => {
  const clock = new ManualClock();
  const authority = await open(stateDir(t), { clock });
  const sign = (ttlMs?: number) => authority.sign({ csrDer: createCsr(generateKeyPair()), identity: ORDERS, ttlMs });
  const startMs = clock.wallMs();
  assert.equal((await sign()).notAfterMs, startMs + 3_600_000);
  assert.equal((await sign()).notBeforeMs, startMs - 60_000);
  assert.equal((await sign(60_000)).notAfterMs, startMs + 60_000);
  assert.equal((await sign(1)).notAfterMs, startMs + 2_000);
  assert.equal((await sign(1e12)).notAfterMs, startMs + 7 * 86_400_000);
  clock.advance(10 * 365 * 86_400_000 - 60_000);
  assert.equal((await sign()).notAfterMs, authority.rootNotAfterMs);
  clock.advance(60_000);
  await assert.rejects(sign(), /authority's certificate ended at .* move .* away and start again/);
});

test('every certificate has its own serial number', async (t) => {
  const authority = await open(stateDir(t));
  const csrDer = createCsr(generateKeyPair());
  const serials = new Set<string>();
  for (let i = 0; i < 50; i++)
    serials.add(new X509Certificate((await authority.sign({ csrDer, identity: ORDERS })).certificatePem).serialNumber);
  assert.equal(serials.size, 50);
});

test('the request has no say in anything but its key', async (t) => {
  const dir = stateDir(t);
  const authority = await open(dir);
  const key = generateKeyPair();
  writeFileSync(join(dir, 'key.pem'), key.keyPem);
  if (OPENSSL !== false) return t.skip(OPENSSL);
  const names = 'subjectAltName=URI:spiffe://shop/ns/heddle-system/svc/control,DNS:evil.example';
  const csrDer = execFileSync('openssl', [
    'req',
    '-new',
    '-key',
    join(dir, 'key.pem'),
    '-outform',
    'DER',
    '-subj',
    '/CN=evil',
    '-addext',
    names,
    '-addext',
    'basicConstraints=critical,CA:TRUE',
  ]);
  const leaf = new X509Certificate((await authority.sign({ csrDer, identity: ORDERS })).certificatePem);
  assert.equal(leaf.subjectAltName, 'URI:spiffe://shop/ns/default/svc/orders');
  assert.equal(leaf.subject, 'O=Heddle\nCN=orders');
  assert.equal(leaf.ca, false);
  assert.equal(spkiPin(leaf), pinOfKey(key.spkiDer));
});

test('OpenSSL accepts what the authority issues, strictly, for servers and clients', { skip: OPENSSL }, async (t) => {
  const dir = stateDir(t);
  const authority = await open(dir);
  const control = await authority.issueControlCertificate({ dns: ['localhost', 'control.mesh.internal'], ips: ['127.0.0.1', '::1'] });
  const csrDer = createCsr(generateKeyPair());
  const issued = await authority.sign({ csrDer, identity: ORDERS });
  writeFileSync(join(dir, 'leaf.pem'), issued.certificatePem);
  writeFileSync(join(dir, 'control.pem'), control.certificatePem);
  writeFileSync(join(dir, 'csr.pem'), encodePem('CERTIFICATE REQUEST', csrDer));
  const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  for (const purpose of ['sslserver', 'sslclient']) {
    for (const file of ['leaf.pem', 'control.pem']) {
      assert.match(openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', join(dir, 'ca/root.pem'), join(dir, file)), /: OK/);
    }
  }
  assert.match(
    openssl(
      'verify',
      '-x509_strict',
      '-verify_hostname',
      'localhost',
      '-verify_ip',
      '127.0.0.1',
      '-CAfile',
      join(dir, 'ca/root.pem'),
      join(dir, 'control.pem'),
    ),
    /: OK/,
  );
  const text = openssl('x509', '-in', join(dir, 'leaf.pem'), '-noout', '-text');
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE/);
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
  assert.match(text, /X509v3 Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication/);
  assert.match(
    openssl('x509', '-in', join(dir, 'ca/root.pem'), '-noout', '-text'),
    /X509v3 Basic Constraints: critical\s+CA:TRUE, pathlen:0\s+X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign/,
  );
  assert.doesNotThrow(() => openssl('req', '-in', join(dir, 'csr.pem'), '-noout', '-verify'));
});

test('requests that cannot be used are refused, garbage included', async (t) => {
  const authority = await open(stateDir(t));
  for (const csrDer of [new Uint8Array(0), Buffer.from('hello'), new Uint8Array(5_000)]) {
    await assert.rejects(authority.sign({ csrDer, identity: ORDERS }), { name: 'CsrError' });
    assert.throws(() => authority.checkCsr(csrDer), { name: 'CsrError' });
  }
});

test('identities that this authority must not give are refused', async (t) => {
  const authority = await open(stateDir(t));
  const csrDer = createCsr(generateKeyPair());
  for (const identity of [
    { ...ORDERS, trustDomain: 'bank' },
    { ...ORDERS, name: 'a/b' },
    { ...ORDERS, namespace: '' },
    { trustDomain: 'shop', namespace: 'heddle-system', name: 'control' },
  ]) {
    await assert.rejects(authority.sign({ csrDer, identity }), { code: 'BAD_IDENTITY' }, formatSpiffeId(identity));
  }
});

test('the control plane gets its own certificate with the root behind it, renewable at half life', async (t) => {
  const clock = new ManualClock();
  const authority = await open(stateDir(t), { clock });
  const first = await authority.issueControlCertificate({ dns: ['localhost'], ips: ['127.0.0.1'] });
  assert.equal(first.spiffeId, 'spiffe://shop/ns/heddle-system/svc/control');
  assert.equal(first.chainPem, first.certificatePem + authority.rootsPem);
  assert.equal(first.renewAtMs, clock.wallMs() + 1_800_000);
  assert.ok(new X509Certificate(first.certificatePem).checkIP('127.0.0.1'));
  const second = await authority.issueControlCertificate({ key: first.key, dns: ['localhost'], ips: [] });
  assert.equal(second.key, first.key);
  assert.equal(spkiPin(second.certificatePem), spkiPin(first.certificatePem));
});

test('files that do not fit are refused, and the message says how to mend', async (t) => {
  const dir = stateDir(t);
  const key = join(dir, 'ca/root.key.pem');
  const certificate = join(dir, 'ca/root.pem');
  await open(dir);
  const [goodKey, goodCertificate] = [readFileSync(key, 'utf8'), readFileSync(certificate, 'utf8')];
  const put = (keyPem: string, certificatePem: string): void => {
    writeFileSync(key, keyPem);
    writeFileSync(certificate, certificatePem);
  };

  await refused(open(dir, { trustDomain: 'bank' }), /root of trust domain shop, but the mesh's is bank/, /--state-dir/);
  put(generateKeyPair().keyPem, goodCertificate);
  await refused(open(dir), /do not belong together/, /backup/);
  put('garbage', goodCertificate);
  await refused(open(dir), /root\.key\.pem cannot be used/, /backup/);
  put(goodKey, 'garbage');
  await refused(open(dir), /holds 0 certificates/, /remove this one file/);
  put(goodKey, goodCertificate + goodCertificate);
  await refused(open(dir), /holds 2 certificates/);
  put(goodKey, goodCertificate.replace(/\n[A-Za-z0-9+/]{64}\n/, '\n'));
  await refused(open(dir), /cannot be read/);
  put(goodKey, goodCertificate);
  rmSync(key);
  await refused(open(dir), /its key .*root\.key\.pem is missing/, /move .* away and start again/);
  put(goodKey, goodCertificate);
  assert.ok(await open(dir), 'the right files work again');
});

test('a leaf in the place of the root is refused', async (t) => {
  const dir = stateDir(t);
  const authority = await open(dir);
  const { key, certificatePem } = await authority.issueControlCertificate({ dns: [], ips: [] });
  writeFileSync(join(dir, 'ca/root.key.pem'), key.keyPem);
  writeFileSync(join(dir, 'ca/root.pem'), certificatePem);
  await refused(open(dir), /is not a root certificate/);
});

test('a root that has ended, or has not begun, is refused', async (t) => {
  const dir = stateDir(t);
  const clock = new ManualClock();
  await open(dir, { clock });
  const later = new ManualClock();
  later.advance(11 * 365 * 86_400_000);
  await refused(open(dir, { clock: later }), /ended at 2033/, /clock/);
  const earlier = { ...nodeClock, wallMs: () => clock.wallMs() - 120_000 };
  await refused(open(dir, { clock: earlier }), /begins only at/, /Set the clock/);
});

test('a key that others could read is taken from them, and that is told', async (t) => {
  const dir = stateDir(t);
  await open(dir);
  chmodSync(join(dir, 'ca/root.key.pem'), 0o644);
  const warnings: string[] = [];
  await open(dir, { logger: { ...silent, warn: (_fields, message) => warnings.push(message) } });
  assert.equal(statSync(join(dir, 'ca/root.key.pem')).mode & 0o777, 0o600);
  assert.match(warnings.join(), /could be read by other users/);
});

test('a state directory that is a file is refused with the reason', async (t) => {
  const path = join(stateDir(t), 'file');
  writeFileSync(path, '');
  await refused(open(path), /cannot be used: .*(EEXIST|ENOTDIR)/, /Check who owns it/);
});
