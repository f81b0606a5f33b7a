import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Pages } from './serve.ts';

const folder = mkdtempSync(join(tmpdir(), 'heddle-pages-'));
mkdirSync(join(folder, 'assets'));
writeFileSync(join(folder, 'index.html'), '<!doctype html>');
writeFileSync(join(folder, 'assets/app-1.js'), 'let a;');
writeFileSync(join(folder, '.heddle-stamp'), 'x');
after(() => rmSync(folder, { recursive: true }));

const pages = new Pages(folder);
const get = (path: string, more: { acceptEncoding?: string; ifNoneMatch?: string } = {}): Response | undefined =>
  pages.answer({ path, acceptEncoding: more.acceptEncoding, ifNoneMatch: more.ifNoneMatch });

test('the page may run its own script alone, and is asked about each time; what has a hash in its name is kept', async () => {
  const page = get('/');
  assert.equal(await page?.text(), '<!doctype html>');
  assert.deepEqual([page?.headers.get('content-type'), page?.headers.get('cache-control')], ['text/html; charset=utf-8', 'no-cache']);
  const policy = page?.headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*|data:/);
  const script = get('/assets/app-1.js');
  assert.deepEqual(
    [script?.headers.get('content-type'), script?.headers.get('cache-control')],
    ['text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
  );
});

test('what is known is not sent again, and compressed to who takes it so', async () => {
  const tag = get('/')?.headers.get('etag') ?? '';
  assert.equal(get('/', { ifNoneMatch: tag })?.status, 304);
  assert.equal(get('/', { ifNoneMatch: '"x"' })?.status, 200);
  const packed = get('/assets/app-1.js', { acceptEncoding: 'br, gzip' });
  assert.equal(packed?.headers.get('content-encoding'), 'gzip');
  assert.equal(gunzipSync(new Uint8Array((await packed?.arrayBuffer()) ?? new ArrayBuffer())).toString(), 'let a;');
  assert.equal(get('/assets/app-1.js', { acceptEncoding: 'gzip;q=0' })?.headers.get('content-encoding'), null);
});

test('nothing but the files of the dashboard is served', () => {
  for (const path of ['/.heddle-stamp', '/../serve.ts', '/assets', '/assets/../index.html', '/index.html', '//'])
    assert.equal(get(path), undefined);
});

test('where it was not built, that is said', () => {
  assert.throws(
    () => new Pages(join(folder, 'nowhere')).answer({ path: '/', acceptEncoding: undefined, ifNoneMatch: undefined }),
    /has not been built/,
  );
});
