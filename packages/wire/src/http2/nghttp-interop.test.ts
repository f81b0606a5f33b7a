// nghttp and h2load (package nghttp2-client) and curl as independent clients.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startEchoServer, type EchoServer } from './testing/echo.ts';
import { needs, run } from './testing/programs.ts';

const TIMEOUT_MS = 60_000;
const HOW = 'install the package nghttp2-client';

let server: EchoServer;
let folder: string;
before(async () => {
  server = await startEchoServer();
  folder = mkdtempSync(join(tmpdir(), 'heddle-http2-'));
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server.close();
});

function url(path: string): string {
  return `http://127.0.0.1:${server.port}${path}`;
}

test('h2load: many connections and streams, bodies in both directions', { skip: needs('h2load', ['--version'], HOW) }, async () => {
  const upload = join(folder, 'upload');
  writeFileSync(upload, Buffer.alloc(100_000, 'u'));
  for (const args of [
    ['-n', '5000', '-c', '5', '-m', '100', url('/')],
    ['-n', '20', '-c', '2', '-m', '5', url('/bytes/1000000')],
    // Windows of 2^10 - 1 and 2^12 - 1 bytes: many small frames, and streams that wait for one another.
    ['-n', '20', '-c', '1', '-m', '10', '-w', '10', '-W', '12', url('/bytes/20000')],
    ['-n', '50', '-c', '2', '-m', '10', '-d', upload, url('/')],
  ]) {
    const { code, output } = await run('h2load', args, TIMEOUT_MS);
    const total = args[1]!;
    assert.match(output, new RegExp(`${total} done, ${total} succeeded, 0 failed, 0 errored, 0 timeout`), output);
    assert.equal(code, 0);
  }
});

test('nghttp: a response, trailers in the request, an upgrade is not needed', { skip: needs('nghttp', ['--version'], HOW) }, async () => {
  const got = await run('nghttp', ['-v', '-H', 'te: trailers', url('/')], TIMEOUT_MS);
  assert.match(got.output, /:status: 200[^]*x-sum: 45/);
  assert.match(got.output, /The quick brown fox/);
  const upload = join(folder, 'small');
  writeFileSync(upload, 'sent with trailers');
  const posted = await run('nghttp', ['-v', '-d', upload, '--trailer', 'x-check: 7', url('/')], TIMEOUT_MS);
  assert.match(posted.output, /recv \(stream_id=\d+\) x-check: 7/);
  assert.match(posted.output, /sent with trailers/);
  const padded = await run('nghttp', ['-n', '-s', '-b', '200', '--header-table-size', '0', '-m', '5', url('/bytes/300000')], TIMEOUT_MS);
  assert.equal(padded.code, 0, padded.output);
});

test('curl: prior knowledge, HEAD, upload', { skip: needs('curl', ['--version'], 'install the package curl') }, async () => {
  const upload = join(folder, 'curl');
  writeFileSync(upload, Buffer.alloc(500_000, 'c'));
  const base = ['-sS', '--http2-prior-knowledge', '-w', '%{http_version} %{http_code} %{size_download}', '-o', '/dev/null'];
  for (const [args, wanted] of [
    [[url('/bytes/400000')], '2 200 400000'],
    [['-I', url('/')], '2 200 '],
    [['--data-binary', `@${upload}`, url('/')], '2 200 500000'],
  ] as const) {
    const { code, output } = await run('curl', [...base, ...args], TIMEOUT_MS);
    assert.ok(code === 0 && output.startsWith(wanted), output);
  }
});
