// nghttp and h2load, HTTP/2 to the letter, against web servers of both versions of HTTP.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Cleanup, temporaryDirectory } from '../support/planes.ts';
import { type Pair, type Served, skipDirect, startPair } from './support/pair.ts';
import { run, skipWithout } from './support/programs.ts';
import { BIG, BIG_BYTES, documents, nghttpServer, nodeServer, sha256, SMALL } from './support/web.ts';

const cleanup = new Cleanup();
const skip = skipWithout('nghttp', 'h2load');
const skipNghttpd = skip || skipWithout('nghttpd');
let pair: Pair;
/** A file of `BIG`. */
let file: string;

before(async () => {
  if (skip !== false) return;
  const folder = await documents(await temporaryDirectory(cleanup));
  file = join(folder, 'big');
  const services: Record<string, Served> = {
    node: { protocol: 'http', ports: [(await nodeServer(cleanup, 1)).port] },
    node2: { protocol: 'http2', ports: [(await nodeServer(cleanup, 2)).port] },
  };
  if (skipNghttpd === false) services['nghttpd'] = { protocol: 'http2', ports: [await nghttpServer(cleanup, folder)] };
  pair = await startPair(cleanup, services);
});
after(() => cleanup.run());

/** Throws when nghttp reports a failure, which includes every stream and connection error. */
async function nghttp(...args: readonly string[]): Promise<Buffer> {
  const { code, stdout, stderr } = await run('nghttp', ['--timeout=20', ...args]);
  const said = `nghttp ${args.join(' ')} ended with ${code}: ${stderr}`;
  assert.equal(code, 0, said);
  assert.doesNotMatch(stderr, /error|failed|reset|not processed/i, said);
  return stdout;
}

async function h2load(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run('h2load', args);
  assert.equal(code, 0, stderr);
  return stdout.toString();
}

for (const { service, what, skip: skipServer } of [
  { service: 'node', what: 'Node, HTTP/1.1', skip: skip || skipDirect },
  { service: 'node2', what: 'Node, HTTP/2', skip },
  { service: 'nghttpd', what: 'nghttpd, HTTP/2', skip: skipNghttpd },
]) {
  describe(`nghttp and h2load, server ${what}`, { skip: skipServer }, () => {
    test('every frame of a download is as it should be, and the connection ends in peace', async () => {
      const log = (await nghttp('-nv', pair.url(service, '/big'))).toString();
      assert.match(log, /recv \(stream_id=\d+\) :status: 200/);
      assert.match(log, /recv (DATA|HEADERS) frame <length=\d+, flags=0x[0-9a-f][13579bdf],/, 'the end of the stream');
      assert.doesNotMatch(log, /recv (RST_STREAM|GOAWAY)/);
    });

    test('many files at once over one connection', async () => {
      const urls = Array.from({ length: 20 }, (_, index) => pair.url(service, index % 10 === 0 ? '/big' : '/small'));
      const bytes = await nghttp('--no-dep', ...urls.map((url, index) => `${url}?${index}`));
      assert.equal(bytes.length, 2 * BIG_BYTES + 18 * Buffer.byteLength(SMALL));
    });

    test('an upload, with and without padding, with small windows, with a trailer', async () => {
      for (const args of [[], ['--padding=200'], ['--window-bits=14', '--connection-window-bits=14'], ['--trailer=x-last: word']]) {
        const body = await nghttp(...args, '-H:method: POST', `--data=${file}`, pair.url(service, '/echo'));
        assert.equal(sha256(body), sha256(BIG), args.join(' '));
      }
    });

    test('an upload that is refused before its body is sent', { skip: service === 'nghttpd' && 'it refuses nothing' }, async () => {
      const log = (await nghttp('-nv', '--expect-continue', `--data=${file}`, pair.url(service, '/refused'))).toString();
      assert.match(log, /recv \(stream_id=\d+\) :status: 413/);
      assert.doesNotMatch(log, /send DATA frame <length=[1-9]/);
    });

    test('a download after an upgrade from HTTP/1.1', { skip: skipDirect }, async () => {
      assert.equal(sha256(await nghttp('--upgrade', pair.url(service, '/big'))), sha256(BIG));
    });

    test('an upload after an upgrade with OPTIONS', { skip: skipDirect }, async () => {
      assert.equal(sha256(await nghttp('--upgrade', `--data=${file}`, pair.url(service, '/echo'))), sha256(BIG));
    });

    test('a thousand requests over 4 connections with 16 streams each, none fails', async () => {
      for (const more of [[], [`--header-table-size=0`], ['--encoder-header-table-size=0'], ['--window-bits=10']]) {
        const report = await h2load('-n', '1000', '-c', '4', '-m', '16', ...more, pair.url(service, '/small'));
        assert.match(report, /^requests: 1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout$/m, report);
        assert.match(report, /^status codes: 1000 2xx, /m);
      }
    });

    test('large bodies over 4 connections with 4 streams each', async () => {
      const report = await h2load('-n', '32', '-c', '4', '-m', '4', pair.url(service, '/big'));
      assert.match(report, / 32 succeeded, 0 failed, 0 errored, 0 timeout$/m, report);
      const bytes = Number(/\((\d+)\) data$/m.exec(report)?.[1]);
      assert.equal(bytes, 32 * BIG_BYTES, report);
    });

    test('a thousand requests of HTTP/1.1 over 8 connections, none fails', { skip: service !== 'node' && skipDirect }, async () => {
      const report = await h2load('--h1', '-n', '1000', '-c', '8', pair.url(service, '/small'));
      assert.match(report, / 1000 succeeded, 0 failed, 0 errored, 0 timeout$/m, report);
    });
  });
}
