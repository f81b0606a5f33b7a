// Python's http.client and urllib against web servers of both versions of HTTP, one of them Python's own.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cleanup, temporaryDirectory } from '../support/planes.ts';
import { type Pair, skipDirect, startPair } from './support/pair.ts';
import { run, skipWithout } from './support/programs.ts';
import { BIG, documents, nodeServer, pythonServer, sha256 } from './support/web.ts';

const cleanup = new Cleanup();
const skip = skipWithout('python3');
const CLIENT = join(import.meta.dirname, 'python/web_client.py');
let pair: Pair;
let file: string;

before(async () => {
  if (skip !== false) return;
  const folder = await documents(await temporaryDirectory(cleanup));
  file = join(folder, 'big');
  pair = await startPair(cleanup, {
    node: { protocol: 'http', ports: [(await nodeServer(cleanup, 1)).port] },
    node2: { protocol: 'http2', ports: [(await nodeServer(cleanup, 2)).port] },
    python: { protocol: 'http', ports: [await pythonServer(cleanup, folder, 'HTTP/1.1')] },
    python10: { protocol: 'http', ports: [await pythonServer(cleanup, folder, 'HTTP/1.0')] },
  });
});
after(() => cleanup.run());

/** What the script says of each step. */
async function python(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run('python3', [CLIENT, ...args]);
  assert.equal(code, 0, `${stdout.toString()}${stderr}`);
  return JSON.parse(stdout.toString()) as Record<string, unknown>;
}

const EXPECTED = {
  get: [200, sha256(BIG)],
  head: [200, String(BIG.length), 0],
  post: [200, sha256(BIG)],
  'chunked post': [200, sha256(BIG)],
  connections: 1,
};

for (const { service, what, direct } of [
  { service: 'node', what: 'Node, HTTP/1.1', direct: true },
  { service: 'node2', what: 'Node, HTTP/2', direct: false },
  { service: 'python', what: 'Python, HTTP/1.1', direct: true },
  { service: 'python10', what: 'Python, HTTP/1.0', direct: false },
]) {
  const skipServer = skip || (!direct && skipDirect);
  test(`http.client over one connection, server ${what}`, { skip: skipServer }, async () => {
    assert.deepEqual(await python('client', '127.0.0.1', String(pair.port(service)), file), EXPECTED);
  });

  test(`http.client through a tunnel, server ${what}`, { skip: skipServer || skipDirect }, async () => {
    const [host = '', port = ''] = pair.authority(service).split(':');
    assert.deepEqual(await python('client', host, port, file, pair.proxyUrl), EXPECTED);
  });

  test(`urllib with the proxy of the environment, server ${what}`, { skip: skipServer || skipDirect }, async () => {
    assert.deepEqual(await python('urllib', `http://${pair.authority(service)}`, file, pair.proxyUrl), {
      get: [200, sha256(BIG)],
      post: [200, sha256(BIG)],
      missing: 404,
    });
  });
}
