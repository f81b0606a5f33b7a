// The dashboard as it is shipped: small, and with the licences of what is in it.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readPages } from '../../packages/control/src/rest/pages/files.ts';
import { bundleDashboard } from '../../tools/dashboard.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const BYTES_MAX = 150_000;
let folder: string;
let out: string;

describe('the built dashboard', () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'heddle-dashboard-'));
    out = join(folder, 'dist');
    await bundleDashboard(ROOT, ROOT, out);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it(`has at most ${BYTES_MAX} bytes, compressed, of all that a browser gets`, () => {
    const sizes = [...(readPages(out) ?? [])].filter(([path]) => !path.endsWith('.txt')).map(([, file]) => gzipSync(file.body).length);
    const sum = sizes.reduce((all, one) => all + one, 0);
    assert.ok(sizes.length >= 4 && sum > 10_000 && sum <= BYTES_MAX, `${sum} bytes in ${sizes.length} files`);
  });

  it('is a page without a script, style or address of its own', () => {
    const page = readFileSync(join(out, 'index.html'), 'utf8');
    assert.doesNotMatch(page, /<script>|<style|style=|\son\w+=|https?:|%/);
    for (const [, path = ''] of page.matchAll(/(?:src|href)="([^"]+)"/g)) assert.ok(readPages(out)?.has(path), path);
    const code = readdirSync(join(out, 'assets')).map((name) => readFileSync(join(out, 'assets', name), 'utf8'));
    // Of addresses, only names of XML, and examples of those in the mesh.
    for (const [address] of code.join('\n').matchAll(/https?:\/\/[^"'`\s)]+/g))
      assert.match(address, /^http:\/\/(?:www\.w3\.org|orders|\$\{\w+\})\//);
  });

  it('goes with the licences of what is in it', () => {
    const notices = readFileSync(join(out, 'THIRD-PARTY.txt'), 'utf8');
    for (const name of ['@dagrejs/dagre', '@preact/signals', 'preact', 'uplot'])
      assert.match(notices, new RegExp(`^${name} [0-9.]+ \\(MIT\\)`, 'm'));
  });
});
