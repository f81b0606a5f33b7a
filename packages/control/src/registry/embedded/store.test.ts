// The embedded store against the contract, and what only a file can suffer: kills, a full disk, damage, a second process.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { ManualClock } from '../../testing/clock.ts';
import { storeContract } from '../store-contract.ts';
import type { StoreDriver } from '../store-contract.ts';
import { StoreError } from '../store.ts';
import { openEmbeddedStore } from './store.ts';

let directory: string;
let count = 0;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-store-'));
});
after(() => rm(directory, { recursive: true, force: true }));

function newPath(): string {
  count += 1;
  return join(directory, `${count}.sqlite`);
}

function fileDriver(): StoreDriver {
  let path: string;
  return {
    name: 'embedded, file',
    open: async (clock, historyRevisions) => {
      path = newPath();
      return openEmbeddedStore({ path, clock, historyRevisions });
    },
    reopen: async (store, clock, historyRevisions) => {
      await store.close();
      return openEmbeddedStore({ path, clock, historyRevisions });
    },
    cleanUp: async () => {},
  };
}

storeContract(fileDriver());
storeContract({
  name: 'embedded, memory',
  open: async (clock, historyRevisions) => openEmbeddedStore({ path: undefined, clock, historyRevisions }),
  cleanUp: async () => {},
});

function refuses(path: string, reason: RegExp): void {
  assert.throws(
    () => openEmbeddedStore({ path, clock: new ManualClock() }),
    (error) => error instanceof StoreError && error.code === 'UNAVAILABLE' && reason.test(error.message) && error.message.includes(path),
  );
}

test('what was acknowledged is there after SIGKILL, every time, and nothing is torn', { timeout: 60_000 }, async () => {
  const path = newPath();
  const script = fileURLToPath(new URL('../../testing/store-writer.ts', import.meta.url));
  let acknowledged: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    const child = spawn(process.execPath, ['--conditions=heddle-source', script, path, String(round * 1_000_000)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text: string) => {
      output += text;
      if (output.length > 26 * 60 * (round + 1)) child.kill('SIGKILL');
    });
    await once(child, 'close');
    assert.equal(child.signalCode, 'SIGKILL');
    acknowledged = acknowledged.concat(output.split('\n').slice(0, -1));
    const store = openEmbeddedStore({ path, clock: new ManualClock() });
    const { entries } = await store.list('/lane/');
    const present = new Set(entries.map((entry) => entry.key));
    assert.deepEqual(
      acknowledged.filter((key) => !present.has(key)),
      [],
    );
    // The second key of each transaction is never behind the first: transactions are whole.
    for (const last of (await store.list('/last/')).entries) {
      const lane = last.key.slice('/last/'.length);
      assert.equal(last.value, entries.filter((entry) => entry.key.startsWith(`/lane/${lane}/`)).at(-1)?.key);
    }
    await store.close();
  }
  assert.ok(acknowledged.length > 100);
});

test('when the disk is full, writes are refused with the reason, reads go on, and nothing acknowledged is lost', async () => {
  const path = newPath();
  const script = fileURLToPath(new URL('../../testing/store-filler.ts', import.meta.url));
  // The limit of file size stands for the disk: 1 MiB, in units of 512 bytes.
  const child = spawn('/bin/sh', ['-c', 'ulimit -f 2048; exec "$@"', 'sh', process.execPath, '--conditions=heddle-source', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output = await text(child.stdout);
  const told = JSON.parse(output) as {
    acknowledged: number;
    refusals: { code: string; message: string }[];
    entries: number;
    revision: number;
    events: number;
  };
  for (const { code, message } of told.refusals) assert.match(`${code} ${message}`, /^UNAVAILABLE .*cannot be used.*has space/);
  assert.ok(told.acknowledged > 10);
  assert.deepEqual([told.entries, told.revision, told.events], [told.acknowledged, told.acknowledged, told.acknowledged]);
  const store = openEmbeddedStore({ path, clock: new ManualClock() });
  assert.equal((await store.list('/')).entries.length, told.acknowledged);
  await store.close();
});

test('a second store on the same file is refused while the first lives, and the file is private', async () => {
  const path = newPath();
  const store = openEmbeddedStore({ path, clock: new ManualClock() });
  refuses(path, /in use by another process/);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await store.close();
  await openEmbeddedStore({ path, clock: new ManualClock() }).close();
});

test('a file that is no database, damaged, foreign, of another version, or in no directory is refused with the reason', async () => {
  const garbage = newPath();
  await writeFile(garbage, 'this is not a database, although it is long enough to be looked at. '.repeat(40));
  refuses(garbage, /damaged/);

  const foreign = newPath();
  const other = new DatabaseSync(foreign);
  other.exec('CREATE TABLE cats (name TEXT)');
  other.close();
  refuses(foreign, /another program/);

  const newer = newPath();
  await openEmbeddedStore({ path: newer, clock: new ManualClock() }).close();
  const changed = new DatabaseSync(newer);
  changed.exec('PRAGMA user_version = 99');
  changed.close();
  refuses(newer, /schema version 99/);

  refuses(join(directory, 'missing', 'x.sqlite'), /ENOENT.*directory exists/);
  refuses(directory, /EISDIR/);
});

test('a page overwritten by something else is noticed when the store opens', async () => {
  const path = newPath();
  const store = openEmbeddedStore({ path, clock: new ManualClock() });
  for (let index = 0; index < 200; index += 1)
    await store.transact({ conditions: [], operations: [{ kind: 'put', key: `/k/${index}`, value: 'v'.repeat(200) }] });
  await store.close();
  const { size } = await stat(path);
  const { open } = await import('node:fs/promises');
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(size - 8192, 0xa5), 0, size - 8192, 8192);
  await file.close();
  refuses(path, /damaged/);
});
