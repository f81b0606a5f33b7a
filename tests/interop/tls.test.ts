// TLS that passes through the data planes still encrypted (protocol tls): the client sees the server's own certificate. And services whose
// protocol is found out for each connection (protocol auto).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Cleanup, temporaryDirectory } from '../support/planes.ts';
import { curl, tryCurl } from './support/curl.ts';
import { mailServer, redisServer, tunnel } from './support/databases.ts';
import { type Pair, type Served, skipDirect, startPair } from './support/pair.ts';
import { run, skipWithout } from './support/programs.ts';
import { BIG, documents, nodeServer, secureServer, selfSigned, sha256, SMALL, type WebServer } from './support/web.ts';

const cleanup = new Cleanup();
const skip = skipWithout('curl', 'openssl', 'python3');
const skipRedis = skip || skipWithout('redis-server', 'redis-cli');
const NAMES = ['secure', 'secure.default', 'secure.mesh.internal', 'secure.default.mesh.internal', 'shop.example', 'autotls.mesh.internal'];
let pair: Pair;
/** The server's own certificate. */
let certFile: string;
let file: string;
let node: WebServer;

before(async () => {
  if (skip !== false) return;
  const directory = await temporaryDirectory(cleanup);
  file = join(await documents(directory), 'big');
  const certificate = await selfSigned(directory, NAMES);
  certFile = certificate.certFile;
  node = await nodeServer(cleanup, 1);
  const mail = await mailServer(cleanup);
  const services: Record<string, Served> = {
    secure: { protocol: 'tls', ports: [await secureServer(cleanup, certificate)] },
    autoweb: { protocol: 'auto', ports: [node.port] },
    autotls: { protocol: 'auto', ports: [await secureServer(cleanup, certificate)] },
    automail: { protocol: 'auto', ports: [mail] },
  };
  if (skipRedis === false) services['autoredis'] = { protocol: 'auto', ports: [await redisServer(cleanup)] };
  pair = await startPair(cleanup, services);
});
after(() => cleanup.run());

const VERSIONS = [
  { version: '1.1', args: ['--http1.1'] },
  { version: '2', args: ['--http2'] },
] as const;

/** Both ways, by each version of HTTP that the server itself speaks. */
async function downAndUp(origin: string, args: readonly string[]): Promise<void> {
  for (const { version, args: versionArgs } of VERSIONS) {
    const down = await curl(...versionArgs, '--cacert', certFile, ...args, `${origin}/big`);
    assert.equal(down.transfers[0]?.http_version, version);
    assert.equal(sha256(down.stdout), sha256(BIG));
    const up = await curl(...versionArgs, '--cacert', certFile, ...args, '--data-binary', `@${file}`, `${origin}/echo`);
    assert.equal(sha256(up.stdout), sha256(BIG));
  }
}

/** curl's way of saying: for this name, connect there. */
const connectTo = (host: string, port: number): string[] => ['--connect-to', `::${host}:${port}`];
const proxied = (): string[] => ['--proxy', `http://${pair.proxy.host}:${pair.proxy.port}`, '--proxy-user', `${pair.credential}:`];

describe('a service of protocol tls', { skip }, () => {
  test('by a local port, whatever name the client asks for', async () => {
    for (const name of ['secure.mesh.internal', 'shop.example']) {
      await downAndUp(`https://${name}`, connectTo('127.0.0.1', pair.port('secure')));
    }
  });

  test('through a tunnel of the shared proxy', { skip: skipDirect }, async () => {
    await downAndUp(`https://${pair.authority('secure')}`, proxied());
  });

  test('by the name in the first message of TLS, on the port of the shared proxy', { skip: skipDirect }, async () => {
    await downAndUp(`https://secure.mesh.internal`, connectTo(pair.proxy.host, pair.proxy.port));
    await downAndUp(`https://secure`, connectTo(pair.proxy.host, pair.proxy.port));
  });

  test('a name that is no service of TLS gets no connection on the port of the shared proxy', { skip: skipDirect }, async () => {
    for (const name of ['shop.example', 'autoweb.mesh.internal']) {
      const { code } = await tryCurl(undefined, '-k', ...connectTo(pair.proxy.host, pair.proxy.port), `https://${name}/small`);
      assert.notEqual(code, 0, name);
    }
  });

  test('TLS 1.2, and a handshake that is split over several segments', async () => {
    const twelve = await curl(
      '--tls-max',
      '1.2',
      '--cacert',
      certFile,
      ...connectTo('127.0.0.1', pair.port('secure')),
      'https://secure/small',
    );
    assert.equal(twelve.stdout.toString(), SMALL);
    // Fifty protocol names, each of the greatest length, make a ClientHello larger than a segment.
    const alpn = Array.from({ length: 50 }, (_, index) => `${index}`.padEnd(255, 'x')).join(',');
    const request = Buffer.from('GET /small HTTP/1.1\r\nHost: secure\r\nConnection: close\r\n\r\n');
    const args = [
      's_client',
      '-quiet',
      '-connect',
      `127.0.0.1:${pair.port('secure')}`,
      '-servername',
      'secure',
      '-alpn',
      `http/1.1,${alpn}`,
    ];
    const { stdout, stderr } = await run('openssl', args, { input: request });
    assert.ok(stdout.toString().endsWith(SMALL), stderr);
  });
});

describe('a service of protocol auto', { skip }, () => {
  test('is called by HTTP of either version, request by request', async () => {
    for (const args of skipDirect === false ? [['--http1.1'], ['--http2'], ['--http2-prior-knowledge']] : [['--http1.1']]) {
      const down = await curl(...args, pair.url('autoweb', '/big'));
      assert.equal(sha256(down.stdout), sha256(BIG));
      const up = await curl(...args, '--data-binary', `@${file}`, pair.url('autoweb', '/echo'));
      assert.equal(sha256(up.stdout), sha256(BIG));
    }
  });

  test('is called by HTTP through the shared proxy, by its name and through a tunnel', { skip: skipDirect }, async () => {
    const url = `http://${pair.authority('autoweb')}/small`;
    assert.equal((await curl(...proxied(), url)).stdout.toString(), SMALL);
    assert.equal((await curl(...proxied(), '--proxytunnel', url)).stdout.toString(), SMALL);
  });

  test('is called by TLS, which passes through', async () => {
    await downAndUp('https://secure.mesh.internal', connectTo('127.0.0.1', pair.port('autotls')));
    if (skipDirect === false) await downAndUp(`https://${pair.authority('autotls')}`, proxied());
  });

  test('is called by a protocol that is no HTTP, the client speaking first', { skip: skipRedis }, async () => {
    const value = Buffer.alloc(1_000_000, 'a value ');
    const port = String(pair.port('autoredis'));
    assert.equal((await run('redis-cli', ['-p', port, '-x', 'SET', 'key'], { input: value })).stdout.toString().trim(), 'OK');
    assert.equal((await run('redis-cli', ['-p', port, 'GET', 'key'])).stdout.toString().trim(), value.toString().trim());
  });

  for (const { way, skipWay, portOf } of [
    { way: 'a local port', skipWay: false, portOf: async () => pair.port('automail') },
    { way: 'a tunnel', skipWay: skipWithout('socat') || skipDirect, portOf: () => tunnel(cleanup, pair, 'automail') },
  ] as const) {
    test(`is called by ${way} where the server speaks first`, { skip: skipWay }, async () => {
      const { code, stdout, stderr } = await run('python3', [join(import.meta.dirname, 'python/mail_client.py'), String(await portOf())]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout.toString().trim(), '250 whole');
    });
  }
});
