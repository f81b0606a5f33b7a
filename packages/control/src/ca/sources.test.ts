// What signs: a root whose key is encrypted, an authority from files, a command. OpenSSL stands on the other side: it makes the authorities, and
// judges what comes from them.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { decodePem } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import { createCsr, generateKeyPair, nodeClock, nodeRandom, spkiPin, verifyLeaf } from '@heddle/runtime/node';
import { silent } from '../testing/mesh.ts';
import { openAuthority } from './authority.ts';
import { AuthorityError, type CaSource } from './authority-options.ts';
import type { Authority } from './authority-types.ts';
import { authority, OPENSSL, openssl } from './testing/openssl.ts';

const ORDERS = { trustDomain: 'shop', namespace: 'default', name: 'orders' };
const URI = 'spiffe://shop/ns/default/svc/orders';
const PASSPHRASE = 'correct horse battery staple';
function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-ca-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const open = (stateDir: string, source: CaSource, logger: Logger = silent): Promise<Authority> =>
  openAuthority({ stateDir, trustDomain: 'shop', clock: nodeClock, random: nodeRandom, logger, source });

async function refused(opening: Promise<unknown>, ...reasons: RegExp[]): Promise<void> {
  await assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof AuthorityError);
    for (const reason of reasons) assert.match(error.message, reason);
    assert.doesNotMatch(error.message, /correct horse|PRIVATE KEY/);
    return true;
  });
}

test('a root key is encrypted with the passphrase, also one that lay in the clear, and opens with nothing else', {
  skip: OPENSSL,
}, async (t) => {
  const stateDir = folder(t);
  const plain = await open(stateDir, { kind: 'own' });
  const said: string[] = [];
  const note = (fields: object, text: string): void => void said.push(JSON.stringify(fields) + text);
  const logger: Logger = { ...silent, info: note, warn: note, error: note };
  const locked = await open(stateDir, { kind: 'own', passphrase: PASSPHRASE }, logger);
  assert.equal(locked.rootsPem, plain.rootsPem, 'the root is the same');
  const file = join(stateDir, 'ca', 'root.key.pem');
  assert.match(readFileSync(file, 'utf8'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(said.join(), /has been encrypted/);
  assert.doesNotMatch(said.join(), /correct horse/);
  await refused(open(stateDir, { kind: 'own' }), /root\.key\.pem is encrypted/, /--ca-passphrase-file FILE.*HEDDLE_CA_PASSPHRASE/);
  await refused(open(stateDir, { kind: 'own', passphrase: `${PASSPHRASE}r` }), /the passphrase is wrong/, /--ca-passphrase-file/);
  const again = await open(stateDir, { kind: 'own', passphrase: PASSPHRASE });
  const issued = await again.sign({ csrDer: createCsr(generateKeyPair()), identity: ORDERS });
  assert.ok(verifyLeaf({ leaf: issued.certificatePem, rootsPem: plain.rootsPem, nowMs: Date.now() }).ok);
  openssl(stateDir, 'pkey', '-in', 'ca/root.key.pem', '-passin', `pass:${PASSPHRASE}`, '-noout');
});

const files = (directory: string, name: string, change: object = {}): CaSource => ({
  kind: 'files',
  certificateFile: join(directory, `${name}.pem`),
  keyFile: join(directory, `${name}.key`),
  rootsFile: join(directory, 'top.pem'),
  ...change,
});

for (const key of ['ec:prime256v1', 'ec:secp384r1', 'rsa:2048', 'ed25519'])
  test(`an intermediate authority with a key of ${key} signs leaves that lead to a root elsewhere`, { skip: OPENSSL }, async (t) => {
    const directory = folder(t);
    authority(directory, 'top', undefined, '');
    authority(directory, 'middle', 'top', ',pathlen:0', key);
    const signs = await open(folder(t), files(directory, 'middle'));
    assert.deepEqual(
      [signs.source, signs.rotation, signs.pin],
      ['files', undefined, spkiPin(readFileSync(join(directory, 'top.pem'), 'utf8'))],
    );
    const { certificatePem } = await signs.sign({ csrDer: createCsr(generateKeyPair()), identity: ORDERS });
    assert.equal(decodePem('CERTIFICATE', certificatePem).length, 2);
    writeFileSync(join(directory, 'leaf.pem'), certificatePem);
    openssl(directory, 'verify', '-x509_strict', '-CAfile', 'top.pem', '-untrusted', 'leaf.pem', 'leaf.pem');
    const verdict = verifyLeaf({ leaf: certificatePem, rootsPem: signs.rootsPem, nowMs: Date.now(), trustDomain: 'shop' });
    assert.ok(verdict.ok && verdict.uri === URI);
    const shown = await signs.issueControlCertificate({ dns: ['localhost'], ips: [] });
    assert.equal(decodePem('CERTIFICATE', shown.chainPem).length, 3, 'who joins pins the root, so that it is shown');
  });

test('files of an authority that do not fit are refused by their names', { skip: OPENSSL }, async (t) => {
  const directory = folder(t);
  authority(directory, 'top', undefined, ',pathlen:0');
  authority(directory, 'other', undefined, '');
  authority(directory, 'deep', 'top', '');
  authority(directory, 'foreign', 'other', '');
  authority(directory, 'fenced', 'other', '|nameConstraints=critical,permitted;URI:bank');
  const state = folder(t);
  await refused(open(state, files(directory, 'deep')), /deep\.pem \(--ca-cert\)/, /allows 0 others below it/);
  await refused(open(state, files(directory, 'foreign')), /foreign\.pem \(--ca-cert\) does not lead to any of the roots in .*top\.pem/);
  const others = { rootsFile: join(directory, 'other.pem') };
  await refused(open(state, files(directory, 'fenced', others)), /fenced\.pem/, /may not certify spiffe:\/\/shop\//);
  await refused(
    open(state, files(directory, 'deep', { keyFile: join(directory, 'top.key') })),
    /deep\.pem .* and .*top\.key .* do not belong together/,
  );
  await refused(
    open(state, files(directory, 'absent')),
    /absent\.pem, which should hold the certificate of the authority \(--ca-cert\), is not there/,
  );
  writeFileSync(join(directory, 'empty.pem'), '');
  await refused(
    open(state, files(directory, 'deep', { rootsFile: join(directory, 'empty.pem') })),
    /empty\.pem \(--ca-roots\) holds 0 certificates/,
  );
  openssl(directory, 'pkcs8', '-topk8', '-in', 'foreign.key', '-out', 'locked.key', '-passout', `pass:${PASSPHRASE}`);
  const locked = { ...others, keyFile: join(directory, 'locked.key') };
  await refused(
    open(state, files(directory, 'foreign', locked)),
    /locked\.key \(--ca-key\) cannot be used: this key is encrypted/,
    /--ca-passphrase-file/,
  );
  await open(state, files(directory, 'foreign', { ...locked, passphrase: PASSPHRASE }));
});

/** Signs what it reads, for the identity of its environment. */
const SIGN = `set -e; d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cat > "$d/csr"
printf 'subjectAltName=URI:%s\\nbasicConstraints=critical,CA:FALSE\\nkeyUsage=critical,digitalSignature\\nextendedKeyUsage=serverAuth,clientAuth\\n' "$ID" > "$d/ext"
openssl x509 -req -in "$d/csr" -CA "$CA/middle.pem" -CAkey "$CA/middle.key" -days "$DAYS" -extfile "$d/ext" 2> "$d/err" || { cat "$d/err" >&2; exit 1; }
cat "$CA/middle.pem"`;

test('a command has certificates signed elsewhere, and what it writes is given out only when it is right', { skip: OPENSSL }, async (t) => {
  const directory = folder(t);
  authority(directory, 'top', undefined, '');
  authority(directory, 'middle', 'top', '');
  const rootsFile = join(directory, 'top.pem');
  const state = folder(t);
  const said: string[] = [];
  const logger: Logger = { ...silent, error: (fields: object) => void said.push(JSON.stringify(fields)) };
  const run = async (command: string, ttlMs = 2 * 86_400_000, timeoutMs = 10_000): Promise<string> => {
    const signs = await open(state, { kind: 'command', command, rootsFile, timeoutMs }, logger);
    const issued = await signs.sign({ csrDer: createCsr(generateKeyPair()), identity: ORDERS, ttlMs });
    return issued.certificatePem;
  };
  const variables = (id: string, days = 1): string => `CA='${directory}' ID="${id}" DAYS=${days}; `;
  const chain = await run(`${variables('$HEDDLE_CA_SPIFFE_ID')}${SIGN}`);
  writeFileSync(join(directory, 'leaf.pem'), chain);
  openssl(directory, 'verify', '-CAfile', 'top.pem', '-untrusted', 'leaf.pem', 'leaf.pem');
  assert.equal(decodePem('CERTIFICATE', chain).length, 2);
  for (const [command, reason, ttlMs, timeoutMs] of [
    [
      `${variables('spiffe://shop/ns/default/svc/admin')}${SIGN}`,
      /certified spiffe:\/\/shop\/ns\/default\/svc\/admin where .*orders was asked for/,
    ],
    [`${variables('spiffe://bank/ns/default/svc/orders')}${SIGN}`, /not of trust domain shop/],
    [`${variables('$HEDDLE_CA_SPIFFE_ID', 3)}${SIGN}`, /was asked for one that ends at/],
    [`cat > /dev/null; cat ${join(directory, 'leaf.pem')}`, /certified another key than that of the request/],
    [`cat > /dev/null; cat ${join(directory, 'middle.pem')}`, /carries no SPIFFE id/],
    ['cat > /dev/null; echo "the vault is sealed" >&2; exit 3', /ended with exit code 3; it wrote: the vault is sealed/],
    ['cat > /dev/null', /it wrote no certificate in PEM/],
    ['cat > /dev/null; head -c 100000 /dev/zero', /wrote more than 65536 bytes/],
    ['sleep 60', /did not end within 50 ms/, 60_000, 50],
  ] as const) {
    said.length = 0;
    await assert.rejects(run(command, ttlMs, timeoutMs), (error: unknown) => {
      assert.ok(error instanceof AuthorityError && error.code === 'SIGNER_FAILED');
      assert.doesNotMatch(error.message, /vault|admin/, 'who asks for a certificate is told nothing of that');
      return true;
    });
    assert.match(said.join(), reason);
  }
});

test('an Ed25519 root and Ed25519 workloads work with TLS on both sides', async (t) => {
  const signs = await open(folder(t), { kind: 'own', keyType: 'ed25519' });
  const [serverKey, clientKey] = [generateKeyPair('ed25519'), generateKeyPair('ed25519')];
  const sign = async (key: typeof serverKey): Promise<string> =>
    (await signs.sign({ csrDer: createCsr(key), identity: ORDERS })).certificatePem;
  const server = tls.createServer({
    ...{ cert: await sign(serverKey), key: serverKey.keyPem, ca: signs.rootsPem },
    ...{ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
  });
  server.on('secureConnection', (socket) => socket.end(socket.authorized ? 'yes' : 'no'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const socket = tls.connect({
    ...{ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca: signs.rootsPem },
    ...{ cert: await sign(clientKey), key: clientKey.keyPem, checkServerIdentity: () => undefined },
  });
  const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string];
  assert.equal(answer, 'yes');
});
