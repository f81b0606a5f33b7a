// Hosts outside the mesh that are reached by TLS: their certificates lead to what the platform trusts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { certificateTbs, distinguishedName, subjectPublicKeyBits, SYSTEM_ROOTS, withSignature } from '@heddle/core';
import { generateKeyPair, sha256 } from '@heddle/runtime/node';
import { TestMesh } from './testing/mesh.ts';

/** A certificate that vouches for itself. */
function selfSigned(name: string): { cert: string; key: string } {
  const key = generateKeyPair();
  const subjectDer = distinguishedName({ commonName: name });
  const keyId = sha256(subjectPublicKeyBits(key.spkiDer)).subarray(0, 20);
  const tbs = certificateTbs({
    serial: randomBytes(16),
    issuerDer: subjectDer,
    subjectDer,
    notBeforeMs: Date.now() - 60_000,
    notAfterMs: Date.now() + 3_600_000,
    spkiDer: key.spkiDer,
    role: 'leaf',
    names: { uris: [], dns: [name] },
    subjectKeyId: keyId,
    authorityKeyId: keyId,
  });
  const base64 = Buffer.from(withSignature(tbs, key.sign(tbs))).toString('base64');
  return { cert: `-----BEGIN CERTIFICATE-----\n${base64.match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----\n`, key: key.keyPem };
}

describe('a host outside the mesh', () => {
  const mesh = new TestMesh();
  const trusted = selfSigned('localhost');
  let directory = '';
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'heddle-roots-'));
    await writeFile(join(directory, 'roots.pem'), trusted.cert);
    // Read once, at the first use of the platform's roots: in this file, that is below.
    process.env.SSL_CERT_FILE = join(directory, 'roots.pem');
  });
  after(async () => {
    delete process.env.SSL_CERT_FILE;
    await mesh.close();
    await rm(directory, { recursive: true });
  });

  async function server(certificate: { cert: string; key: string }): Promise<number> {
    const made = https.createServer(certificate, (request, response) => response.end(`${request.headers.host} outside`));
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    mesh.onClose(() => {
      made.closeAllConnections();
      made.close();
    });
    return (made.address() as AddressInfo).port;
  }

  async function call(port: number): Promise<Response> {
    const { plane } = mesh.plane('web');
    const tls = { trustBundleName: SYSTEM_ROOTS, peerIds: [], serverName: 'localhost', alpn: [] };
    const endpoints = { kind: 'dns', host: 'localhost', port } as const;
    const local = await mesh.outbound(plane, 'outside', [], { cluster: { http: 'http1', tls, endpoints } });
    assert.deepEqual(plane.wanted().secrets, []);
    return fetch(`http://127.0.0.1:${local}/`);
  }

  test('is called when the platform trusts its certificate', async () => {
    const answer = await call(await server(trusted));
    assert.match(await answer.text(), /^127\.0\.0\.1:\d+ outside$/);
  });

  test('is not when it does not', async () => {
    const answer = await call(await server(selfSigned('localhost')));
    assert.deepEqual([answer.status, answer.headers.get('x-heddle-error')], [503, 'PEER_NOT_TRUSTED']);
  });
});
