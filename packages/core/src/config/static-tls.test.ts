// The PEM files that a static proxy's file names: what is taken in, and what is told at which place. No message shows a key.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { encodePem } from '../identity/pem.ts';
import { certificateTbs, distinguishedName, withSignature } from '../identity/x509.ts';
import { formatProblem } from './problem.ts';
import { parseStaticFile } from './static-parse.ts';

const NOW_MS = Date.UTC(2030, 0, 15);
const DAY_MS = 86_400_000;

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Signed by itself, which is enough to be read. */
function pair(role: 'authority' | 'leaf', notAfterMs = NOW_MS + DAY_MS, notBeforeMs = NOW_MS - 2 * DAY_MS): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const nameDer = distinguishedName({ commonName: role });
  const tbs = certificateTbs({
    serial: randomBytes(16),
    issuerDer: nameDer,
    subjectDer: nameDer,
    notBeforeMs,
    notAfterMs,
    spkiDer: publicKey.export({ type: 'spki', format: 'der' }),
    role,
    names: { uris: [], dns: ['a.example'] },
    subjectKeyId: randomBytes(20),
    authorityKeyId: randomBytes(20),
  });
  const cert = encodePem('CERTIFICATE', withSignature(tbs, sign('sha256', tbs, { key: privateKey, dsaEncoding: 'der' })));
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
}

const [server, other, authority] = [pair('leaf'), pair('leaf'), pair('authority')];
const ended = pair('leaf', NOW_MS - DAY_MS);
const early = pair('leaf', NOW_MS + 9 * DAY_MS, NOW_MS + DAY_MS);
const FILES: Readonly<Record<string, string>> = {
  'server.pem': server.cert,
  'server.key': server.key,
  'other.key': other.key,
  'chain.pem': server.cert + authority.cert,
  'upside-down.pem': authority.cert + server.cert,
  'bundle.pem': server.cert + server.key,
  'ca.pem': authority.cert,
  'ended.pem': ended.cert,
  'ended.key': ended.key,
  'early.pem': early.cert,
  'early.key': early.key,
  'locked.key': createPrivateKey(server.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }) as string,
  'damaged.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  'damaged.key': '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n',
  'empty.pem': '',
};

function parse(tls: string, serviceTls = '') {
  const text = `listeners:
  - port: 1
    service: a
    tls: { ${tls} }
services:
  a: { endpoints: ["127.0.0.1:9000"]${serviceTls === '' ? '' : `, tls: { ${serviceTls} }`} }
`;
  const reads: string[] = [];
  const read = (path: string): string => {
    reads.push(path);
    if (!Object.hasOwn(FILES, path)) throw new Error('there is no such file');
    return FILES[path] as string;
  };
  const { config, problems } = parseStaticFile(text, 'proxy.yaml', { read, nowMs: NOW_MS });
  return { config, reads, lines: problems.map((problem) => formatProblem(problem)) };
}

function refused(lines: readonly string[], expected: readonly RegExp[]): void {
  assert.equal(lines.length, expected.length, lines.join('\n'));
  expected.forEach((pattern, index) => assert.match(lines[index] as string, pattern));
}

describe('certificates in the file of a static proxy', () => {
  it('are read, each file once', () => {
    const { config, reads, lines } = parse(
      'cert: chain.pem, key: server.key, ca: ca.pem',
      'ca: ca.pem, serverName: a.example, cert: server.pem, key: server.key',
    );
    assert.deepEqual(lines, []);
    assert.deepEqual(config?.listeners[0]?.tls, {
      certificate: { certificatePem: FILES['chain.pem'], keyPem: server.key },
      rootsPem: authority.cert,
    });
    assert.deepEqual(config?.services[0]?.tls, {
      rootsPem: authority.cert,
      serverName: 'a.example',
      certificate: { certificatePem: server.cert, keyPem: server.key },
    });
    assert.deepEqual(reads.toSorted(), ['ca.pem', 'chain.pem', 'server.key', 'server.pem']);
    assert.deepEqual(parse('cert: bundle.pem, key: bundle.pem').lines, []);
  });

  it('are refused at their place when the file cannot be read or is something else', () => {
    refused(parse('cert: none.pem, key: server.key').lines, [
      /^proxy.yaml:4:18: error: listeners\[0\]\.tls\.cert: "none.pem" cannot be read: there is no/,
    ]);
    refused(parse('cert: empty.pem, key: empty.pem').lines, [
      /cert: there is no certificate in "empty.pem"/,
      /key: there is no private key in "empty/,
    ]);
    refused(parse('cert: server.key, key: server.pem').lines, [
      /cert: there is no certificate in "server.key"\n.*are "cert" and "key" swapped/,
      /^proxy.yaml:4:35: error: listeners\[0\]\.tls\.key: there is no private key in "server.pem"\n.*swapped/,
    ]);
    refused(parse('cert: damaged.pem, key: damaged.key').lines, [
      /certificate 1 in "damaged.pem" cannot be read/,
      /no private key in "damaged.key"/,
    ]);
    refused(parse('cert: server.pem, key: locked.key').lines, [/the key in "locked.key" has a passphrase\n.*openssl pkey/]);
  });

  it('must belong to their keys', () => {
    refused(parse('cert: server.pem, key: other.key').lines, [/\.key: the key does not belong to the certificate in "cert"/]);
    refused(parse('cert: upside-down.pem, key: server.key').lines, [
      /\.cert: the key belongs to certificate 2 of the file, which must be the first/,
    ]);
    refused(parse('cert: server.pem, key: server.key', 'ca: ca.pem, serverName: x, key: server.key').lines, [
      /services\.a\.tls\.cert: is missing: a certificate and its key go together/,
    ]);
  });

  it('are authorities where they are roots', () => {
    refused(parse('cert: server.pem, key: server.key, ca: server.pem').lines, [
      /\.ca: certificate 1 in "server.pem" is not an authority's/,
    ]);
    refused(parse('cert: server.pem, key: server.key, ca: damaged.pem').lines, [/\.ca: certificate 1 in "damaged.pem" cannot be used: /]);
    refused(parse('cert: server.pem, key: server.key', 'ca: server.key, serverName: x').lines, [
      /services\.a\.tls\.ca: there is no certificate in/,
    ]);
  });

  it('are taken with a warning when their time is not now', () => {
    const late = parse('cert: ended.pem, key: ended.key');
    refused(late.lines, [/warning: listeners\[0\]\.tls\.cert: the certificate ended on 2030-01-14, and peers will refuse it/]);
    assert.ok(late.config !== undefined);
    refused(parse('cert: early.pem, key: early.key').lines, [/warning: .*begins on 2030-01-16/]);
  });

  it('never show what they hold', () => {
    const names = Object.keys(FILES);
    const secrets = [server.key, other.key].flatMap((pem) => pem.split('\n').filter((line) => line.length > 20 && !line.startsWith('---')));
    for (const cert of names) {
      for (const key of names) {
        const text = parse(`cert: ${cert}, key: ${key}, ca: ${key}`).lines.join('\n');
        for (const secret of secrets) assert.ok(!text.includes(secret), `${cert} ${key}`);
      }
    }
  });
});
