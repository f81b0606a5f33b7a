import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DEFAULT_LIMITS } from '@heddle/core';
import { nodeClock, nodeNetwork } from '@heddle/runtime/node';
import { TestAuthority } from '../testing/certificates.ts';
import { authnDeps, TestIssuer } from '../testing/issuer.ts';
import { DEAD_PORTS, RawServer } from '../testing/raw-http.ts';
import { HttpsClient, isLoopback, NoAnswerError } from './https-client.ts';

const closers: (() => unknown)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

function client(limits: Partial<typeof DEFAULT_LIMITS> = {}): HttpsClient {
  return authnDeps(limits).deps.client;
}

const get = (to: HttpsClient, url: string): ReturnType<HttpsClient['ask']> => to.ask({ url, rootsPem: undefined });

async function raw(answer: string): Promise<{ url: string; server: RawServer }> {
  const server = await RawServer.listen();
  closers.push(() => server.close());
  server.onPeer = (peer) =>
    void peer.expect('\r\n\r\n').then(
      () => peer.send(answer).socket.end(),
      () => {},
    );
  return { url: `http://127.0.0.1:${server.port}/x?y=1`, server };
}

test('an answer of any status and framing is given back whole', async () => {
  const issuer = await TestIssuer.start();
  closers.push(() => issuer.close());
  issuer.replies.set('/a', () => ({ status: 400, body: '{"error":"x"}' }));
  assert.deepEqual(await get(client(), `${issuer.url}/a`), {
    status: 400,
    body: '{"error":"x"}',
    maxAgeMs: undefined,
    retryAfter: undefined,
  });
  issuer.replies.set('/b', () => ({ body: '{}', headers: { 'cache-control': 'public, Max-Age=60, must-revalidate' } }));
  assert.equal((await get(client(), `${issuer.url}/b`)).maxAgeMs, 60_000);
  issuer.replies.set('/c', () => ({ status: 503, body: '', headers: { 'retry-after': '7' } }));
  assert.equal((await get(client(), `${issuer.url}/c`)).retryAfter, '7');
  const untilClose = await raw('HTTP/1.1 200 OK\r\n\r\nj\u00c3\u00b6rg');
  assert.deepEqual(await get(client(), untilClose.url), { status: 200, body: 'jörg', maxAgeMs: undefined, retryAfter: undefined });
  assert.match(untilClose.server.peers[0]!.text, /^GET \/x\?y=1 HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/);
});

test('a form is posted with the credentials of the client', async () => {
  const issuer = await TestIssuer.start();
  closers.push(() => issuer.close());
  issuer.replies.set('/t', () => ({ body: '{}' }));
  await client().ask({
    url: `${issuer.url}/t`,
    rootsPem: undefined,
    authorization: 'Basic eDp5',
    form: new URLSearchParams({ a: 'b c', d: 'ö&' }),
  });
  const [asked] = issuer.asked;
  assert.equal(asked!.method, 'POST');
  assert.equal(asked!.headers['content-type'], 'application/x-www-form-urlencoded');
  assert.equal(asked!.headers.authorization, 'Basic eDp5');
  assert.equal(asked!.form.get('d'), 'ö&');
});

test('what is too long, too late, redirected, encoded, cut or no HTTP is no answer', async () => {
  const small = client({ issuerAnswerBytesMax: 10 });
  await assert.rejects(
    get(small, (await raw(`HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n${'x'.repeat(11)}`)).url),
    /11 bytes, more than 10/,
  );
  await assert.rejects(get(small, (await raw(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(11)}`)).url), /more than 10 bytes/);
  await assert.rejects(
    get(client(), (await raw('HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n')).url),
    /redirect \(302\)/,
  );
  await assert.rejects(
    get(client(), (await raw('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx')).url),
    /encoding/,
  );
  await assert.rejects(get(client(), (await raw('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx')).url), /before its answer was complete/);
  await assert.rejects(get(client(), (await raw('220 mail.example ESMTP\r\n')).url), /not HTTP/);
  await assert.rejects(get(client(), `http://127.0.0.1:${DEAD_PORTS[0]}/`), /could not be asked/);
  const silent = await RawServer.listen();
  closers.push(() => silent.close());
  await assert.rejects(get(client({ issuerTimeoutMs: 50 }), `http://127.0.0.1:${silent.port}/`), /within 50 ms/);
});

test('only https is asked, and http on this machine', async () => {
  for (const url of [
    'http://id.example/jwks',
    'ftp://127.0.0.1/',
    'file:///etc/passwd',
    'jwks',
    'http://127.0.0.1.example/',
    'http://user:pw@127.0.0.1/',
  ])
    await assert.rejects(get(client(), url), NoAnswerError, url);
  for (const [host, is] of [
    ['127.0.0.1', true],
    ['127.8.9.1', true],
    ['[::1]', true],
    ['localhost', true],
    ['localhost.example', false],
    ['128.0.0.1', false],
    ['[::]', false],
  ] as const)
    assert.equal(isLoopback({ hostname: host }), is, host);
});

test('a server is trusted by the given authorities besides those of the platform, under its own name alone', async () => {
  const [authority, platform] = [new TestAuthority(), new TestAuthority()];
  const { rootsPem } = authority;
  // Read when the first connection to a server is made.
  const directory = await mkdtemp(join(tmpdir(), 'heddle-test-'));
  closers.push(() => rm(directory, { recursive: true }));
  process.env['SSL_CERT_FILE'] = join(directory, 'platform.pem');
  await writeFile(process.env['SSL_CERT_FILE'], platform.rootsPem);
  const { certificatePem, keyPem } = authority.server('localhost');
  const server = https.createServer({ cert: certificatePem, key: keyPem }, (_request, response) => void response.end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const known = platform.server('localhost');
  const ofPlatform = https.createServer({ cert: known.certificatePem, key: known.keyPem }, (_request, response) => void response.end('[]'));
  await new Promise<void>((resolve) => ofPlatform.listen(0, '127.0.0.1', resolve));
  closers.push(() => ofPlatform.close());
  const asks = new HttpsClient({ network: nodeNetwork, clock: nodeClock, limits: DEFAULT_LIMITS });
  for (const roots of [undefined, rootsPem]) {
    const { body } = await asks.ask({ url: `https://localhost:${(ofPlatform.address() as AddressInfo).port}/`, rootsPem: roots });
    assert.equal(body, '[]', roots === undefined ? 'of the platform alone' : 'of the platform, too');
  }
  assert.deepEqual(await asks.ask({ url: `https://localhost:${port}/`, rootsPem }), {
    status: 200,
    body: '{}',
    maxAgeMs: undefined,
    retryAfter: undefined,
  });
  await assert.rejects(asks.ask({ url: `https://127.0.0.1:${port}/`, rootsPem }), /could not be asked/, 'another name');
  await assert.rejects(
    asks.ask({ url: `https://localhost:${port}/`, rootsPem: undefined }),
    /could not be asked/,
    'the platform does not know it',
  );
});
