// The audit log: on the disk before a change is answered, never rewritten, bounded, and nobody's to read.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFile, chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import type { AuditEntry, Doer } from './entry.ts';
import { MESH_FILE } from './entry.ts';
import { AuditError, openAuditLog } from './log.ts';
import type { AuditLog, AuditLogOptions } from './log.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-audit-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const ANN: Doer = { caller: { kind: 'administrator', role: 'editor', id: undefined, uri: 'admin token ann' }, from: '10.0.0.1:5' };
const NOBODY: Doer = { caller: { kind: 'anonymous' }, from: '10.0.0.2:5' };

const open = (name: string, over: Partial<AuditLogOptions> = {}): Promise<AuditLog> =>
  openAuditLog({ path: join(directory, name), clock: new ManualClock(), logger: silent, ...over });
const linesOf = async (name: string): Promise<AuditEntry[]> =>
  (await readFile(join(directory, name), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditEntry);
const drain = (log: AuditLog, subject: string): Promise<number> =>
  log.change(ANN, 'drain-instance', subject, async () => ({ result: 7, before: { health: 'healthy' }, after: { health: 'draining' } }));

test('a change is in the file when it is answered, with who, from where, what it was and what it is', async () => {
  const log = await open('one.jsonl');
  assert.equal(await drain(log, 'default/orders/orders-1'), 7);
  const [entry] = await linesOf('one.jsonl');
  assert.deepEqual(entry, {
    id: 1,
    timeMs: 1_700_000_000_000,
    who: 'admin token ann',
    role: 'editor',
    from: '10.0.0.1:5',
    action: 'drain-instance',
    subject: 'default/orders/orders-1',
    outcome: 'done',
    before: { health: 'healthy' },
    after: { health: 'draining' },
  });
  await assert.rejects(
    log.change(ANN, 'drain-instance', 'x', () => Promise.reject(new Error('no such instance'))),
    /no such instance/,
  );
  await log.change(MESH_FILE, 'declare-mesh', 'shop', async () => ({ result: undefined }));
  log.refused(NOBODY, 'call', '/a/b', `because\n\u001b[2J${'x'.repeat(900)}`);
  await log.close();
  const all = await linesOf('one.jsonl');
  assert.deepEqual(
    all.map(({ id, who, outcome }) => [id, who, outcome]),
    [
      [1, 'admin token ann', 'done'],
      [2, 'mesh file', 'done'],
      [3, 'nobody', 'refused'],
    ],
  );
  assert.match(all[2]?.reason ?? '', /^because \[2Jx+…$/);
  assert.equal((await stat(join(directory, 'one.jsonl'))).mode & 0o777, 0o600);
});

test('what was there stays as it was, over restarts, a line that a crash has cut off, and rights for others', async () => {
  const first = await open('kept.jsonl');
  await drain(first, 'a');
  await first.close();
  const path = join(directory, 'kept.jsonl');
  const text = await readFile(path, 'utf8');
  await appendFile(path, '{"id":2,"ti');
  await chmod(path, 0o644);
  const second = await open('kept.jsonl');
  await drain(second, 'b');
  assert.ok((await readFile(path, 'utf8')).startsWith(text));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(
    (await second.list()).map(({ id, subject }) => [id, subject]),
    [
      [1, 'a'],
      [2, 'b'],
    ],
  );
  await second.close();
});

test('full files are set aside, a few are kept, and all that are kept can be asked for', async () => {
  const log = await open('long.jsonl', { bytesMax: 20_000, kept: 3 });
  for (let index = 1; index <= 1_400; index += 1) void drain(log, index % 2 === 0 ? 'default/even/i' : 'default/odd');
  await drain(log, 'last');
  for (let index = 0; index < 120; index += 1) await drain(log, `one-${index}/${'x'.repeat(480)}`);
  const files = (await readdir(directory)).filter((name) => name.startsWith('long.jsonl')).sort();
  assert.deepEqual(files, ['long.jsonl', 'long.jsonl.1', 'long.jsonl.2', 'long.jsonl.3', 'long.jsonl.reserve']);
  const all = await log.list();
  assert.equal(all.at(-1)?.id, 1_521);
  const inFiles = (await Promise.all(files.slice(0, 4).toReversed().map(linesOf))).flat();
  assert.deepEqual(
    all.map(({ id }) => id),
    inFiles.map(({ id }) => id),
  );
  assert.deepEqual(
    (await log.list({ limit: 2 })).map(({ id }) => id),
    [1_520, 1_521],
  );
  assert.deepEqual(
    (await log.list({ after: 1_510, limit: 2 })).map(({ id }) => id),
    [1_511, 1_512],
  );
  assert.equal((await log.list({ subject: 'one-117' })).length, 1);
  assert.equal((await log.list({ who: 'bob' })).length, 0);
  assert.equal((await log.list({ sinceMs: 1_700_000_000_001 })).length, 0);
  await log.close();
});

test('attempts that are refused come in numbers that drive nothing out; those that are not noted are counted', async () => {
  const clock = new ManualClock();
  const log = await open('refused.jsonl', { clock });
  for (let index = 0; index < 10_000; index += 1) log.refused(NOBODY, 'call', '/a/b', 'wrong token');
  clock.advance(20_000);
  log.refused(NOBODY, 'call', '/a/b', 'wrong token');
  const entries = await log.list();
  assert.equal(entries.length, 501);
  assert.match(entries.at(-1)?.reason ?? '', /^wrong token \(9500 more attempts were refused before/);
  await log.close();
});

test('nothing is changed while nothing can be written', async () => {
  const path = join(directory, 'full');
  await mkdir(path);
  await assert.rejects(openAuditLog({ path, clock: new ManualClock(), logger: silent }), AuditError);
  const log = await open('closed.jsonl');
  await log.close();
  let runs = 0;
  const change = (): Promise<void> =>
    log.change(ANN, 'drain-instance', 'a', async () => {
      runs += 1;
      return { result: undefined };
    });
  await assert.rejects(change(), /it was done, but is not noted/);
  await assert.rejects(change(), /nothing was changed/);
  assert.equal(runs, 1);
});

/** A disk of this size; a string: why there is none. */
async function smallDisk(name: string, bytes: number): Promise<{ readonly path: string; remove(): Promise<void> } | string> {
  const path = join(directory, name);
  await mkdir(path);
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' });
  const { status, stderr, error } = run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path);
  if (status !== 0) return error?.message ?? stderr.trim();
  return { path, remove: async () => void (run('umount', path).status === 0 || run('umount', '-l', path)) };
}

const FULL_DISK = 'on a full disk a change is noted or not begun, and all goes on when there is room again';
/** Set for this file in a namespace of its own, in which its user may mount something. */
const MAY_MOUNT = 'HEDDLE_TEST_MOUNTS';

/** The same test as root of a namespace. Undefined: it was done there; else why it could not be. */
function inNamespace(): string | undefined {
  if (process.env[MAY_MOUNT] !== undefined) return 'not in a namespace of its own either';
  const unshare = ['--map-root-user', '--mount'];
  const { status, stderr, error } = spawnSync('unshare', [...unshare, 'true'], { encoding: 'utf8' });
  if (status !== 0) return error?.message ?? stderr.trim();
  const environment: NodeJS.ProcessEnv = { ...process.env, [MAY_MOUNT]: '1' };
  // Else the runner in there would take itself for a part of this one, and write in its format.
  delete environment['NODE_TEST_CONTEXT'];
  const node = [process.execPath, '--conditions=heddle-source', '--test-reporter=spec', `--test-name-pattern=${FULL_DISK}`];
  const ran = spawnSync('unshare', [...unshare, ...node, fileURLToPath(import.meta.url)], { encoding: 'utf8', env: environment });
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
  assert.match(ran.stdout, /^ℹ pass 1$/m);
  return undefined;
}

test(FULL_DISK, async (context) => {
  const disk = await smallDisk('disk', 1_048_576);
  if (typeof disk === 'string') {
    const why = inNamespace();
    if (why === undefined) return;
    const missing = `a disk to fill: mount says "${disk}", unshare "${why}"; needs root, or user namespaces`;
    if (process.env['HEDDLE_REQUIRE_INTEROP'] === '1') assert.fail(missing);
    return context.skip(`not on this machine: ${missing}`);
  }
  try {
    const name = 'disk/audit.jsonl';
    const log = await open(name);
    await drain(log, 'default/orders/one');
    // All room there is; a part of it would hold an entry yet.
    await writeFile(join(disk.path, 'filler'), Buffer.alloc(4_194_304)).catch(() => {});
    const made: string[] = [];
    const change = (subject: string): Promise<void> =>
      log.change(ANN, 'drain-instance', subject, async () => {
        made.push(subject);
        return { result: undefined, after: 'x'.repeat(15_000) };
      });
    let refused = 0;
    for (let index = 0; index < 40; index += 1)
      await change(`default/orders/o-${index}`).catch((error: Error) => {
        assert.match(error.message, /^nothing was changed: .*ENOSPC/);
        refused += 1;
      });
    assert.ok(refused > 0 && made.length > 0, `${made.length} of 40`);
    await rm(join(disk.path, 'filler'));
    await change('default/orders/last');
    await log.close();
    const entries = await open(name).then(async (again) => [await again.list(), await again.close()] as const);
    const noted = entries[0].filter(({ action }) => action === 'drain-instance').map(({ subject }) => subject);
    assert.deepEqual(noted, ['default/orders/one', ...made]);
  } finally {
    await disk.remove();
  }
});

test('what was done and could not be noted is noted as soon as that can be, before anything else is changed', async () => {
  const log = await open('gone/audit.jsonl').catch(() => undefined);
  assert.equal(log, undefined, 'a directory must be there');
  await mkdir(join(directory, 'gone'));
  const kept = await open('gone/audit.jsonl', { bytesMax: 300 });
  await drain(kept, 'a');
  await drain(kept, 'b');
  await rename(join(directory, 'gone'), join(directory, 'elsewhere'));
  await assert.rejects(drain(kept, 'c'), /it was done, but is not noted/);
  await assert.rejects(drain(kept, 'd'), /nothing was changed/);
  await rename(join(directory, 'elsewhere'), join(directory, 'gone'));
  await drain(kept, 'e');
  const subjects = (await kept.list()).filter(({ action }) => action === 'drain-instance').map(({ subject }) => subject);
  await kept.close();
  const again = await open('gone/audit.jsonl', { bytesMax: 300 });
  const read = (await again.list()).filter(({ action }) => action === 'drain-instance').map(({ subject }) => subject);
  await again.close();
  assert.deepEqual(
    [subjects, read],
    [
      ['a', 'b', 'c', 'e'],
      ['a', 'b', 'c', 'e'],
    ],
  );
});

test('who floods with attempts from nowhere hides none of a workload, and drives out nothing for weeks', async () => {
  const clock = new ManualClock();
  const log = await open('flooded.jsonl', { clock });
  const workload: Doer = {
    ...NOBODY,
    caller: { kind: 'workload', id: { trustDomain: 't', namespace: 'n', name: 's' }, uri: 'spiffe://t/ns/n/svc/s' },
  };
  for (let index = 0; index < 10_000; index += 1) log.refused(NOBODY, 'connect', 'no-certificate', 'no');
  log.refused(workload, 'call', '/a/b', 'not yours');
  assert.equal((await log.list()).at(-1)?.who, 'spiffe://t/ns/n/svc/s');
  const before = log.lastId;
  for (let second = 0; second < 86_400; second += 10) {
    clock.advance(10_000);
    log.refused(NOBODY, 'connect', 'no-certificate', 'no');
    log.refused(workload, 'call', '/a/b', 'not yours');
  }
  assert.ok(log.lastId - before < 10_000, `${log.lastId - before} a day`);
  await log.close();
});

test('a line holds nothing that a terminal acts on, nor that turns it round', async () => {
  const log = await open('clean.jsonl');
  await log.change(ANN, 'drain-instance', 'a\u202eb\u2028c\u009b31m', async () => ({
    result: undefined,
    after: { note: 'x\u009b31m\u202e' },
  }));
  const text = await readFile(join(directory, 'clean.jsonl'), 'utf8');
  assert.doesNotMatch(text, /[\u007f-\u009f\u2028-\u202e]/);
  assert.deepEqual((await linesOf('clean.jsonl'))[0]?.after, { note: 'x\u009b31m\u202e' });
  await log.close();
});
