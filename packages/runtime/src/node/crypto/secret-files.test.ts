import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFileAtomic, privateDirectory, readTextFile, restrictToOwner, writeFileAtomic } from './secret-files.ts';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-files-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('a file is replaced whole and for its owner only, and nothing else is left behind', async (t) => {
  const path = join(directory(t), 'key.pem');
  assert.equal(await readTextFile(path), undefined);
  await writeFileAtomic(path, 'one');
  await writeFileAtomic(path, 'two');
  assert.equal(await readTextFile(path), 'two');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(path, '..')), ['key.pem']);
});

test('of many that create the same file exactly one succeeds, and all see its content', async (t) => {
  const path = join(directory(t), 'root.pem');
  const wins = await Promise.all(Array.from({ length: 20 }, (_, i) => createFileAtomic(path, `text ${i}`, { mode: 0o644 })));
  assert.equal(wins.filter(Boolean).length, 1);
  assert.equal(readFileSync(path, 'utf8'), `text ${wins.indexOf(true)}`);
  assert.deepEqual(readdirSync(join(path, '..')), ['root.pem']);
});

test('access by others is taken away and reported once', async (t) => {
  const path = join(directory(t), 'key.pem');
  writeFileSync(path, 'x');
  chmodSync(path, 0o644);
  assert.equal(await restrictToOwner(path), true);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(await restrictToOwner(path), false);
});

test('a private directory is made with its parents', async (t) => {
  const path = join(directory(t), 'a', 'b');
  await privateDirectory(path);
  await privateDirectory(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
});

test('a failed write says where and leaves nothing behind', async (t) => {
  const base = directory(t);
  await assert.rejects(writeFileAtomic(join(base, 'missing', 'x'), 'x'), /missing/);
  writeFileSync(join(base, 'x'), '');
  await assert.rejects(readTextFile(join(base, 'x', 'y')), { code: 'ENOTDIR' });
  assert.deepEqual(readdirSync(base), ['x']);
});
